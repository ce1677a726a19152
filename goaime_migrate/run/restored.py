"""A pass in a database that was restored or copied while it was unfinished.

Its records and its documents may be of different moments. How far it has come is then proved by the documents: one
that is in the journal is compared with what is written there, and one that is not has to be such as the transform
still changes, and would not change again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import PROGRESS, Backend, Origin, Put, Reader
from goaime_migrate.errors import DatabaseRestored
from goaime_migrate.errors.hint import REPAIR, Command, Hint
from goaime_migrate.journal import segments
from goaime_migrate.journal.index import Locator
from goaime_migrate.ledger import Ledger, PassRecord, put_pass
from goaime_migrate.run import reading
from goaime_migrate.run.collector import forget
from goaime_migrate.run.origin import moved_passes, pin, why_moved
from goaime_migrate.run.run import Run
from goaime_migrate.transform.chain import Chain
from goaime_migrate.transform.chains import chain_of, replay
from goaime_migrate.transform.step import Step

_EXAMPLES = 3
_CUT_OFF = "its way back was cut off, and nothing tells which documents that has come to"


@dataclass
class _Undecided:
    """Documents of which nobody can say whether a pass has written them."""

    documents: int = 0
    examples: list[Any] = field(default_factory=list)

    def add(self, ids: Sequence[bytes]) -> None:
        self.documents += len(ids)
        self.examples += map(raw_bson.id_value, ids[: _EXAMPLES - len(self.examples)])


def take_over(run: Run, record: PassRecord, steps: Sequence[Step]) -> PassRecord:
    """An unfinished pass as it can go on: bound to the database as it is now, if that is another one and it is safe.

    `steps`: its own, or none where their code is not at hand. Raises DatabaseRestored.
    """
    require_decided(run.backend, record, steps, Command((run.command,)), run.check)
    return _bind(run, record, run.backend.origin()) if why_moved(record, run.backend.origin()) else record


def moved_versions(ledger: Ledger, origin: Origin) -> tuple[str, ...]:
    """The versions whose passes are bound to another database or collection, ascending."""
    found = {
        version for pass_id in moved_passes(ledger, origin) for version in ledger.passes[pass_id].versions
    }
    return tuple(sorted(found, key=int))


def accept(run: Run, ledger: Ledger) -> None:
    """Bind all passes to the database as it is now, which somebody has said to be whole."""
    origin = run.backend.origin()
    for pass_id in moved_passes(ledger, origin):
        _bind(run, ledger.passes[pass_id], origin)


def _bind(run: Run, record: PassRecord, origin: Origin) -> PassRecord:
    """Record that a pass belongs to this database. What was watched before in another is not asked for again.

    Of one that is unfinished every document is looked at again before its end.
    """
    since = run.backend.operation_time()
    bound = replace(pin(record, origin), watched=None)
    if not record.finished:
        bound = replace(bound, since=since, restored=True)
    ways_back = run.backend.find(PROGRESS, {"_id": f"{record.id}#down"})
    again = [Put(PROGRESS, {**each, "since": since}) for each in ways_back]
    run.record(put_pass(bound), *again, forget(record.id))
    return bound


def require_decided(
    backend: Backend,
    record: PassRecord,
    steps: Sequence[Step],
    command: Command,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Refuse to go on with a pass, up or down, where the database is another one and that cannot be proved to be safe.

    Reads only; `check` is called on the way. Raises DatabaseRestored.
    """
    text = why_moved(record, backend.origin())
    if not text:
        return
    reason, example = _CUT_OFF, None
    if record.target_level is None:
        found = _Undecided()
        finder = _Finder(backend, record, steps)
        for documents in reading.batches(backend, record.collection):
            check()
            found.add(finder.undecided(documents))
        if not found.documents:
            return
        example, listed = found.examples[0], ", ".join(map(repr, found.examples))
        reason = (
            f"{found.documents:,} documents of {record.collection} are not in the journal, and nothing tells whether "
            f"they were migrated (_id {listed})"
        )
    raise DatabaseRestored(
        f"{text}, and the pass is unfinished: {reason}; nothing was written",
        version=record.versions[-1],
        id=example,
        hint=Hint(
            "restore a dump that was made while no run was at work; if this is one, say so: {}; then: {}",
            REPAIR,
            command,
        ),
    )


class _Finder:
    """Tells documents that the pass has certainly not written, or has in its journal, from others."""

    def __init__(self, reader: Reader, record: PassRecord, steps: Sequence[Step]) -> None:
        self._reader = reader
        self._record = record
        self._locator = Locator(reader, record.id)
        self._where = steps[0].where if steps else None
        known = steps and record.settled
        self._chain = chain_of(record.id, steps, began=record.started_at) if known else None

    def undecided(self, documents: Sequence[bytes]) -> list[bytes]:
        """The raw ids of the others."""
        ids = [raw_bson.id_of(document) for document in documents]
        known = self._locator.scanned(ids)
        other = segments.known(self._reader, self._record.id, ids)
        seen = {*known.entries, *known.unchanged, *other.entries, *other.unchanged}
        rest = [identity for identity in ids if identity not in seen]
        if not rest or self._chain is None:
            return rest
        old = self._old(self._chain, self._reader.by_ids(self._record.collection, rest, self._where))
        return [identity for identity in rest if identity not in old]

    def _old(self, chain: Chain, documents: Sequence[bytes]) -> set[bytes]:
        """Those that the chain changes, and would not change again: no result of it is among them.

        Nor is one that it refuses.
        """
        once = replay(chain, self._reader, documents)
        old = {raw_bson.id_of(d) for d, after in zip(documents, once, strict=True) if after is None}
        results = [a for d, a in zip(documents, once, strict=True) if a is not None and a != d]
        twice = replay(chain, self._reader, results)
        chain.tables.rollback()
        return old | {raw_bson.id_of(a) for a, again in zip(results, twice, strict=True) if again == a}
