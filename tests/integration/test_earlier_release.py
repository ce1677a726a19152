"""What an earlier release has written still goes on, and still goes down: two databases as it has left them.

`earlier/finished`: two fused versions, applied. `earlier/unfinished`: the same, stopped at a document that could not be
migrated. Their records and journals have format 1.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bson import Int64, decode_all, encode

from goaime_migrate import Migrator, Settings
from goaime_migrate.results import State

EARLIER = Path(__file__).parent / "earlier"
CURRENCIES = ("eur", "usd", "gbp")


def account(identity: int, n: int) -> dict[str, object]:
    return {"_id": identity, "n": n, "currency": CURRENCIES[identity % 3], "rate_id": Int64(identity % 3)}


OLD = [account(i, i + 1) for i in range(40)]
HALF = [{**d, "n": (i + 1) * (10 + i % 3)} for i, d in enumerate(OLD)]
NEW = [{**d, "n": (i + 1) * (10 + i % 3) + 7, "bank": CURRENCIES[i % 3].upper()} for i, d in enumerate(OLD)]


class Earlier:
    """A copy of a project, whose rates are not any more what they were."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.accounts = folder / "dump" / "shop" / "accounts.bson"
        rates = folder / "dump" / "shop" / "rates.bson"
        rates.write_bytes(
            b"".join(encode({**rate, "rate": -1, "bank": "?"}) for rate in decode_all(rates.read_bytes()))
        )

    def migrator(self) -> Migrator:
        uri = f"dump:{self.folder / 'dump'}"
        return Migrator(Settings(uri=uri, database="shop", migrations=self.folder / "migrations"))

    def documents(self) -> list[bytes]:
        return [encode(document) for document in decode_all(self.accounts.read_bytes())]


@pytest.fixture
def earlier(request: pytest.FixtureRequest, tmp_path: Path) -> Earlier:
    return Earlier(Path(shutil.copytree(EARLIER / request.param, tmp_path / "project")))


@pytest.mark.parametrize("earlier", ["finished"], indirect=True)
def test_what_was_applied_goes_down_step_by_step_with_what_was_looked_up_then(earlier: Earlier) -> None:
    with earlier.migrator() as migrator:
        assert [v.state for v in migrator.status().versions] == [State.APPLIED, State.APPLIED]
        assert migrator.status().problems == ()
        half = migrator.down()
        assert (half.error, half.conflicts, half.born) == (None, (), 0)
    assert earlier.documents() == [encode(d) for d in HALF]
    with earlier.migrator() as migrator:
        assert migrator.down().error is None
    assert earlier.documents() == [encode(d) for d in OLD]


@pytest.mark.parametrize("earlier", ["unfinished"], indirect=True)
def test_what_was_begun_is_finished_with_what_was_looked_up_then(earlier: Earlier) -> None:
    documents = decode_all(earlier.accounts.read_bytes())
    assert sum("bank" in d for d in documents) == 24
    documents[30]["n"] = 31
    earlier.accounts.write_bytes(b"".join(map(encode, documents)))
    with earlier.migrator() as migrator:
        assert migrator.status().problems == ()
        done = migrator.up()
        assert (done.error, done.versions) == (None, ("0001", "0002"))
    assert earlier.documents() == [encode(d) for d in NEW]
    with earlier.migrator() as migrator:
        assert migrator.down("base").error is None
    assert earlier.documents() == [encode(d) for d in OLD]


@pytest.mark.parametrize("earlier", ["unfinished"], indirect=True)
def test_what_was_begun_is_taken_back(earlier: Earlier) -> None:
    with earlier.migrator() as migrator:
        taken = migrator.down("base")
        assert (taken.error, taken.conflicts, taken.born) == (None, (), 0)
    assert earlier.documents() == [encode({**d, "n": -1} if d["_id"] == 30 else d) for d in OLD]
