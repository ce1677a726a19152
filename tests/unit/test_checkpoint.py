"""A checkpoint and its guarded unit of work, over a database that says what it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bson import encode

from goaime_migrate.backends.ports import Changes, Collision, Committed, GuardFailed, Move, Put, Reader
from goaime_migrate.errors import Contended, LeaseLost
from goaime_migrate.results import Document
from goaime_migrate.run import pacing
from goaime_migrate.run.checkpoint import Checkpoint, Result, Try, Unit, adopt, close, commit, commit_all
from goaime_migrate.run.pacing import Pacing
from goaime_migrate.run.run import Run

FENCE = 3


@dataclass(frozen=True)
class Count:
    """A position that is a number."""

    done: int = 0

    def record(self) -> Document:
        return {"count": self.done}

    def read(self, record: Document) -> Count:
        return Count(record["count"])


@dataclass
class Database:
    """One progress record after the other. `script`: what happens to the next units of work, which else succeed."""

    records: dict[str, Document] = field(default_factory=dict)
    script: list[str] = field(default_factory=list)
    units: list[Changes] = field(default_factory=list)

    def find(self, collection: str, filter: Document) -> list[Document]:
        return [dict(d) for d in self.records.values() if all(d.get(k) == v for k, v in filter.items())]

    def transact(self, work: Callable[[Reader], Changes]) -> Committed:
        while True:
            changes = work(cast(Reader, self))
            if not changes.last:
                return Committed()
            self.units.append(changes)
            match self.script.pop(0) if self.script else "":
                case "collides":
                    raise Collision("somebody else writes here")
                case "misses":
                    return Committed(missed=[encode({"_id": 7})])
                case "loses the reply":
                    self._apply(changes)
                case "is cut off":
                    pass
                case "is fenced off":
                    for record in self.records.values():
                        record["fence"] += 1
                case _:
                    self._apply(changes)
                    return Committed()

    def _apply(self, changes: Changes) -> None:
        for change in changes.last:
            if isinstance(change, Put):
                self.records[change.document["_id"]] = change.document
            elif isinstance(change, Move):
                record = self.records[change.filter["_id"]]
                if any(record[name] != value for name, value in change.filter.items()):
                    raise GuardFailed
                record.update(change.set)


def run_over(database: Database) -> Run:
    """A run that holds the lease."""
    lease = SimpleNamespace(fence=FENCE, lost=LeaseLost)
    run = SimpleNamespace(backend=database, lease=lease, check=lambda: None, transact=database.transact)
    run.before_batch, run.batch_of, run.after_batch = lambda: None, lambda size: size, lambda _: None
    run.fenced_error = lambda: LeaseLost("fenced off")
    run.record = lambda *changes: database.transact(lambda _: Changes(last=changes))
    return cast(Run, run)


@pytest.fixture
def database() -> Database:
    return Database()


@pytest.fixture
def at(database: Database) -> Checkpoint[Count]:
    """A partition that nobody has walked in, taken up."""
    (taken,) = adopt(run_over(database), [Checkpoint("p#x", "p", "x", Count())], [{"id": "session"}])
    return taken


def counting(found: Iterator[str], documents: int = 8) -> Callable[[Reader, Checkpoint[Count], Try], Any]:
    def plan(_: Reader, before: Checkpoint[Count], this: Try) -> Unit[Count, str]:
        size = min(documents, this.size)
        moved = before.next(Count(before.position.done + size))
        return Unit(Changes(), Result(moved, next(found), size, encode({"_id": 5})))

    return plan


def commit_once(
    database: Database, at: Checkpoint[Count], *found: str, documents: int = 8
) -> Result[Count, str]:
    plan = counting(iter(found), documents)
    return commit(run_over(database), at, lambda r, this: plan(r, at, this), Pacing(8), "0001")


def test_a_checkpoint_is_stored_with_the_fence_and_the_sessions_of_its_run(
    database: Database, at: Checkpoint[Count]
) -> None:
    stored = {"_id": "p#x", "kind": "partition", "format": 2, "pass": "p", "walk": "x", "fence": FENCE}
    progress = {"seq": 0, "done": False, "count": 0}
    assert database.records == {"p#x": {**stored, "lsids": [{"id": "session"}], **progress}}
    assert at.read(database.records["p#x"]) == at


def test_who_takes_a_partition_up_goes_on_where_it_is_and_knows_all_sessions(
    database: Database, at: Checkpoint[Count]
) -> None:
    after = commit_once(database, at, "a").next

    (taken,) = adopt(run_over(database), [Checkpoint("p#x", "p", "x", Count())], [{"id": "other"}])

    assert taken == replace(after, sessions=({"id": "session"}, {"id": "other"}))
    assert database.records["p#x"]["lsids"] == [{"id": "session"}, {"id": "other"}]


def test_a_unit_moves_its_record_once_and_says_what_it_has_found(
    database: Database, at: Checkpoint[Count]
) -> None:
    done = commit_once(database, at, "a")

    assert (done.next.seq, done.next.position, done.found, done.replied) == (1, Count(8), "a", True)
    assert database.records["p#x"] == done.next.record()


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (["loses the reply"], "a"),
        (["is cut off", "loses the reply"], "b"),
        (["collides", "loses the reply", "is cut off"], "b"),
    ],
    ids=", ".join,
)
def test_a_try_that_was_committed_is_told_by_what_it_has_recorded(
    database: Database, at: Checkpoint[Count], script: list[str], found: str
) -> None:
    sizes, tries = iter([8, 4, 2, 1]), iter("abcd")
    database.script = script

    def plan(_: Reader, this: Try) -> Unit[Count, str]:
        size = next(sizes)
        return Unit(Changes(), Result(at.next(Count(size)), next(tries), size))

    done = commit(run_over(database), at, plan, Pacing(8), "0001")

    assert (done.found, done.replied) == (found, False)
    assert done.next.record() == database.records["p#x"]


def test_of_tries_that_would_have_recorded_the_same_the_last_one_knows_best(
    database: Database, at: Checkpoint[Count]
) -> None:
    database.script = ["loses the reply"]

    assert commit_once(database, at, "a", "b").found == "b"


@pytest.mark.parametrize("script", [["is fenced off"], ["is cut off", "is fenced off"]], ids=", ".join)
def test_a_run_that_is_fenced_off_changes_nothing(
    database: Database, at: Checkpoint[Count], script: list[str]
) -> None:
    database.script = script

    with pytest.raises(LeaseLost):
        commit_once(database, at, *"abc")

    assert database.records["p#x"]["count"] == 0


def test_a_guard_that_fails_though_nothing_has_moved_is_a_lost_lease(
    database: Database, at: Checkpoint[Count]
) -> None:
    def fail(_: Callable[[Reader], Changes]) -> Committed:
        raise GuardFailed

    run = run_over(database)
    cast(Any, run).transact = fail
    with pytest.raises(LeaseLost):
        commit(run, at, lambda _, this: Unit(Changes(), Result(at.next(Count()), "", 0)), Pacing(), "0001")


def test_collisions_halve_and_the_one_document_that_is_left_is_named(
    database: Database, at: Checkpoint[Count], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "PATIENCE", 3)
    database.script = ["collides"] * 100

    with pytest.raises(Contended) as caught:
        commit_once(database, at, *"abcdefgh")

    sizes = [unit.last[-1].set["count"] for unit in database.units[1:] if isinstance(unit.last[-1], Move)]
    assert sizes == [8, 4, 2, 1, 1, 1]
    assert (caught.value.id, caught.value.version) == (5, "0001")
    assert caught.value.hint.endswith("goaime-migrate up")


def test_what_others_change_each_time_ends_the_run_and_is_named(
    database: Database, at: Checkpoint[Count], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "PATIENCE", 3)
    database.script = ["misses"] * 100

    with pytest.raises(Contended, match="it had changed each time") as caught:
        commit_once(database, replace(at, walk="down"), *"abcdefgh")

    assert caught.value.id == 7
    assert caught.value.hint.endswith("goaime-migrate down")


def test_the_next_try_knows_what_the_one_before_has_missed(database: Database, at: Checkpoint[Count]) -> None:
    database.script = ["misses"]
    tries: list[Try] = []

    def plan(_: Reader, this: Try) -> Unit[Count, str]:
        tries.append(this)
        return Unit(Changes(), Result(at.next(Count(1)), "", 1))

    commit(run_over(database), at, plan, Pacing(8), "0001")

    assert [this.missed for this in tries] == [frozenset(), {encode({"_id": 7})}]


def test_many_documents_are_done_in_units_that_are_as_large_as_others_let_them_be(
    database: Database, at: Checkpoint[Count]
) -> None:
    database.script = ["", "collides", "loses the reply"]
    seen: list[Sequence[bytes]] = []
    ids = [encode({"_id": n}) for n in range(20)]

    def plan(
        _: Reader, before: Checkpoint[Count], ids: Sequence[bytes], this: Try
    ) -> Unit[Count, Sequence[bytes]]:
        return Unit(Changes(), Result(before.next(Count(before.position.done + len(ids))), ids, len(ids)))

    for done in commit_all(run_over(database), at, ids, plan, Pacing(8, 8), "0001"):
        seen.append(done.found)

    assert [identity for found in seen for identity in found] == ids
    assert database.records["p#x"]["count"] == 20
    assert [len(found) for found in seen] == [8, 4, 4, 4]


def test_a_partition_that_is_closed_has_nothing_left_to_do(database: Database, at: Checkpoint[Count]) -> None:
    assert close(run_over(database), at).done
    assert database.records["p#x"]["done"]
    database.records["p#x"]["fence"] = FENCE + 1
    with pytest.raises(LeaseLost):
        close(run_over(database), at)
