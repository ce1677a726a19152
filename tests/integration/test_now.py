"""`Now()`: one time for a whole pass, by the server's clock, whatever happens in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from goaime_migrate.run import partitions
from goaime_migrate.workers import pool
from tests.integration.engines import each_mode, one_server, servers
from tests.integration.test_own_lookups import at_batch, stop
from tests.world import World, succeeded

STAMP = """
    from goaime_migrate import Now, TransformDocuments

    def stamp(d, now):
        d["at"] = now

    def check(d, now):
        return [] if d["at"] == now else ["at: not now"]

    def unstamp(d, now):
        d["gone"] = now
        del d["at"]

    operations = [TransformDocuments("c", stamp, now=Now(), check=check, reverse=unstamp)]
    """
SOON = timedelta(seconds=60)


@pytest.fixture
def numbers(world: World) -> World:
    world.settings["batch_size"] = 10
    world.insert("c", [{"_id": i} for i in range(60)])
    world.write("0001_stamp.py", STAMP)
    return world


def the_time(world: World) -> datetime:
    """The one time that all documents have."""
    (at,) = {d["at"] for d in world.documents("c")}
    assert isinstance(at, datetime)
    assert at.tzinfo is None
    assert at.microsecond % 1000 == 0
    assert abs(at - datetime.now(UTC).replace(tzinfo=None)) < SOON
    return at


@each_mode
def test_all_documents_get_the_same_time(numbers: World) -> None:
    before = numbers.raws("c")
    (sample, _) = numbers.plan().steps[0].samples
    succeeded(numbers.up())
    assert timedelta() <= the_time(numbers) - (sample.after or {})["at"] < SOON
    assert numbers.verify().failures == ()
    numbers.insert("c", [{"_id": 100, "at": 5}])
    at = next(d["at"] for d in numbers.documents("c") if d["_id"] == 0)
    succeeded(numbers.down())
    after = numbers.raws("c")
    late = {d["_id"]: d for d in numbers.documents("c")}[100]
    assert late == {"_id": 100, "gone": at}
    assert {k: v for k, v in after.items() if k in before} == before


@servers
def test_it_is_kept_by_a_resumed_run_and_for_what_is_written_meanwhile(numbers: World) -> None:
    with numbers.migrator(at_batch(2, stop)) as migrator, pytest.raises(KeyboardInterrupt):
        migrator.up()
    at = numbers.documents("c")[0]["at"]
    (sample, _) = numbers.plan().steps[0].samples
    assert (sample.after or {})["at"] == at

    def write() -> None:
        numbers.insert("c", [{"_id": 100}])
        numbers.change("c", 30, n=1)

    with numbers.migrator(at_batch(1, write)) as migrator:
        succeeded(migrator.up())
    assert the_time(numbers) == at
    assert len(numbers.documents("c")) == 61


@each_mode
def test_a_way_back_into_the_middle_of_a_pass_replays_it_with_its_time(numbers: World) -> None:
    before = numbers.raws("c")
    numbers.write(
        "0002_more.py",
        """
    from goaime_migrate import Now, TransformDocuments

    def more(d, at):
        d["more"] = [at, d["at"]]

    operations = [TransformDocuments("c", more, at=Now())]
    """,
    )
    succeeded(numbers.up())
    at = the_time(numbers)
    assert {tuple(d["more"]) for d in numbers.documents("c")} == {(at, at)}
    succeeded(numbers.down("0001"))
    assert the_time(numbers) == at
    assert not any("more" in d for d in numbers.documents("c"))
    succeeded(numbers.down())
    assert numbers.raws("c") == before


@one_server
def test_workers_have_the_same_time(numbers: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORTH", "SIZE"):
        monkeypatch.setattr(partitions, name, 10)
    monkeypatch.setattr(pool, "WAITING_S", 60.0)
    numbers.insert("c", [{"_id": i} for i in range(100, 200)])
    with numbers.migrator(workers=2) as migrator:
        succeeded(migrator.up())
    the_time(numbers)


@each_mode
def test_a_canary_has_the_time_of_its_pass(numbers: World) -> None:
    succeeded(numbers.up(where={"_id": {"$lt": 3}}))
    found: list[dict[str, Any]] = [d for d in numbers.documents("c") if "at" in d]
    succeeded(numbers.up())
    assert the_time(numbers) == found[0]["at"]
