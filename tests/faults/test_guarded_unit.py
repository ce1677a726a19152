"""One guarded unit of work, for each walk that writes through it: a lost reply, a lost lease, collisions, giving up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from bson import encode
from pymongo.errors import OperationFailure

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.ports import PROGRESS, Changes, Collision, Move, Reader
from goaime_migrate.backends.server.transactional import TransactionalBackend
from goaime_migrate.config import Settings
from goaime_migrate.errors import Conflicts, Contended, LeaseLost
from goaime_migrate.events import BatchCommitted, Event
from goaime_migrate.results import OnConflict, RunResult
from goaime_migrate.run.holdup import Holdup
from tests.world import World, succeeded

OLD = {i: i for i in range(12)}
NEW = {i: 1000 + i for i in OLD}
SINCE = {i: 1000 + i for i in range(100, 106)}
"""Inserted after `up`, in its shape."""
LATE = range(6)
"""Put back by the application during `down`, in the shape of before."""
GROW = """
    from goaime_migrate import TransformDocuments

    def grow(d):
        d["n"] += 1000

    def back(d):
        d["n"] -= 1000

    operations = [TransformDocuments("c", grow, reverse=back)]
    """


@dataclass
class Case:
    """A run, and the units of work in it that are disturbed: those that move this record and write these documents."""

    world: World
    command: str
    record: str
    ids: frozenset[int]
    before: Mapping[int, int]
    """The documents when such a unit is tried first,"""
    after: Mapping[int, int]
    """and when the run has come to its end."""
    changed: int
    """What the run counts,"""
    inserted: int = 0
    """and what it finds that was inserted since `up`."""
    meanwhile: Mapping[int, int] | None = None
    """What the application writes when a batch was committed: the units come after that."""
    begun: bool = True

    def run(self) -> RunResult:
        self.begun = self.meanwhile is None
        with self.world.migrator(self._listen) as migrator:
            return migrator.up() if self.command == "up" else migrator.down()

    def _listen(self, event: Event) -> None:
        if isinstance(event, BatchCommitted) and not self.begun:
            self.begun = True
            store(self.world, self.meanwhile or {})

    def concerns(self, changes: Changes) -> bool:
        """Whether this is one of the units."""
        moved = {
            str(m.filter["_id"]) for m in changes.last if isinstance(m, Move) and m.collection == PROGRESS
        }
        return self.begun and any(self.record in each for each in moved) and bool(self.ids & written(changes))

    def values(self) -> dict[int, int]:
        return {d["_id"]: d["n"] for d in self.world.documents("c")}

    def is_done(self, result: RunResult) -> None:
        """It has come to its end, with nothing lost and nothing counted twice."""
        assert self.values() == self.after
        assert (result.versions, result.conflicts) == (("0001",), ())
        assert (result.documents.changed, result.born, result.left) == (self.changed, self.inserted, 0)


def store(world: World, values: Mapping[int, int]) -> None:
    for identity, n in values.items():
        world.put("c", encode({"_id": identity, "n": n}))


def written(changes: Changes) -> set[int]:
    return {raw_bson.id_value(write.id) for write in changes.writes}


@pytest.fixture(params=["walk", "tail", "rollback", "inserted", "late writes"])
def case(request: pytest.FixtureRequest, one: World) -> Case:
    one.write("0001_grow.py", GROW)
    store(one, OLD)
    late = dict.fromkeys(range(100, 106), 0)
    match request.param:
        case "walk":
            return Case(one, "up", "#2-scan/0000", frozenset(OLD), OLD, NEW, 12)
        case "tail":
            migrated = {i: n + 1000 for i, n in late.items()}
            ids = frozenset(late)
            return Case(one, "up", "#3-tail", ids, NEW | late, NEW | migrated, 18, meanwhile=late)
    succeeded(one.up())
    match request.param:
        case "rollback":
            return Case(one, "down", "#down", frozenset(OLD), NEW, OLD, 12)
        case "inserted":
            store(one, SINCE)
            after = OLD | {i: n - 1000 for i, n in SINCE.items()}
            return Case(one, "down", "#down", frozenset(SINCE), OLD | SINCE, after, 12, inserted=6)
        case _:
            stale = {i: NEW[i] for i in LATE}
            return Case(one, "down", "#down", frozenset(LATE), OLD | stale, OLD, 12, meanwhile=stale)


@contextmanager
def disturbed(
    case: Case,
    before: Callable[[Changes], None] = lambda _: None,
    after: Callable[[Changes], None] = lambda _: None,
) -> Iterator[None]:
    """Do something when one of the units is about to write, or is committed; either may raise."""
    once = TransactionalBackend._once

    def disturb(backend: TransactionalBackend, work: Callable[[Reader], Changes]) -> None:
        units: list[Changes] = []

        def watched(reader: Reader) -> Changes:
            changes = work(reader)
            if case.concerns(changes):
                before(changes)
                units.append(changes)
            return changes

        once(backend, watched)
        for changes in units:
            after(changes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionalBackend, "_once", disturb)
        yield


def cut_off() -> OperationFailure:
    """What the driver raises where it does not know, or knows that the transaction is gone."""
    return OperationFailure("cut off", 251, {"errorLabels": ["TransientTransactionError"]})


def test_a_unit_whose_reply_was_lost_is_neither_done_twice_nor_forgotten(case: Case) -> None:
    lost: list[Changes] = []

    def lose(changes: Changes) -> None:
        if not lost:
            lost.append(changes)
            raise cut_off()

    with disturbed(case, after=lose):
        result = succeeded(case.run())

    assert lost
    case.is_done(result)


def test_a_unit_whose_lease_was_taken_writes_nothing(case: Case) -> None:
    taken: list[Changes] = []

    def take(changes: Changes) -> None:
        if not taken:
            taken.append(changes)
            other = connect(Settings(uri=case.world.uri, database=case.world.database), write=True)
            other.break_lease()
            other.close()

    with disturbed(case, before=take):
        error = case.run().error

    assert taken
    assert isinstance(error, LeaseLost)
    assert error.exit_code == 7
    assert case.values() == case.before
    succeeded(case.run())
    assert case.values() == case.after


def test_a_unit_that_collides_is_halved_until_it_does_not(case: Case) -> None:
    sizes: list[int] = []

    def collide(changes: Changes) -> None:
        sizes.append(len(changes.writes))
        if len(changes.writes) > 2:
            raise Collision("somebody else writes here")

    with disturbed(case, before=collide):
        result = succeeded(case.run())

    assert sizes[0] == len(case.ids)
    assert sizes[:3] == sorted(sizes[:3], reverse=True)
    case.is_done(result)


def test_a_document_that_collides_for_ever_is_named_and_a_later_run_goes_on(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never the same twice: one that is locked all the time is waited for, as `test_waiting` shows."""
    victim = sorted(case.ids)[3]
    monkeypatch.setattr(Holdup, "goes_on", lambda *_: False)

    def collide(changes: Changes) -> None:
        if victim in written(changes):
            raise Collision("somebody else writes here")

    with disturbed(case, before=collide):
        error = case.run().error

    assert isinstance(error, Contended)
    assert (error.id, error.version) == (victim, "0001")
    assert error.hint == f"try again at a quieter moment: goaime-migrate {case.command}"
    assert case.values()[victim] == case.before[victim]
    succeeded(case.run())
    assert case.values() == case.after


# --- what a try had found -----------------------------------------------------------------------------------------


@pytest.fixture
def conflicting(one: World) -> Case:
    """A canary, one of whose documents the application has changed since where the migration had."""
    one.write("0001_grow.py", GROW)
    store(one, OLD)
    with one.migrator() as migrator:
        succeeded(migrator.up(where={"_id": {"$in": [2, 5, 9]}}))
    store(one, {5: 7})
    return Case(one, "up", "#3-tail", frozenset(), OLD, NEW | {5: 7}, 9)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_conflict_that_a_lost_try_had_found_is_kept(
    conflicting: Case, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    monkeypatch.setattr(Case, "concerns", lambda case, changes: tail_of(changes))
    lost: list[Changes] = []

    def lose(changes: Changes) -> None:
        lost.append(changes)
        if len(lost) == 1:
            raise cut_off()

    def fail(changes: Changes) -> None:
        if 1 <= len(lost) < failures:
            lost.append(changes)
            raise cut_off()

    with disturbed(conflicting, before=fail, after=lose):
        error = conflicting.run().error

    assert len(lost) >= failures
    assert isinstance(error, Conflicts)
    assert (error.exit_code, error.version, error.id, error.field) == (1, "0001", 5, "n")
    assert conflicting.world.states()[0] == "partial"
    assert conflicting.values() == conflicting.after
    result = succeeded(conflicting.world.down(on_conflict=OnConflict.RESTORE))
    assert [c.id for c in result.conflicts] == [5]
    assert conflicting.values() == OLD


def tail_of(changes: Changes) -> bool:
    """Whether this is a unit of the tail that moves its record forward."""
    moves = [m for m in changes.last if isinstance(m, Move)]
    return any("#3-tail" in str(m.filter["_id"]) and "seq" in m.set for m in moves)


@pytest.mark.parametrize("case", ["rollback"], indirect=True)
@pytest.mark.parametrize("failures", [1, 2])
def test_what_a_lost_try_had_taken_back_is_counted_as_it_found_it(case: Case, failures: int) -> None:
    """One that the application has changed elsewhere and one that conflicts, in a unit that is not a whole segment."""
    case.world.change("c", 1, more=1)
    case.world.change("c", 2, n=-1)
    lost: list[Changes] = []

    def small(changes: Changes) -> None:
        if len(changes.writes) > 6:
            raise Collision("somebody else writes here")
        if 1 <= len(lost) < failures:
            lost.append(changes)
            raise cut_off()

    def lose(changes: Changes) -> None:
        lost.append(changes)
        if len(lost) == 1:
            raise cut_off()

    with disturbed(case, before=small, after=lose):
        result = succeeded(case.run())

    assert len(lost) >= failures
    assert (result.documents.matched, result.documents.changed, result.documents.unchanged) == (12, 11, 0)
    assert [c.id for c in result.conflicts] == [2]
