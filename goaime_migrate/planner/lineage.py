"""Which passes have walked over a collection, whatever it was called by then."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, NamedTuple

from goaime_migrate.planner.facts import is_function
from goaime_migrate.planner.taking_back import renaming

if TYPE_CHECKING:
    from goaime_migrate.ledger import Ledger, OperationRecord, PassRecord, VersionRecord


class Visit(NamedTuple):
    """A pass that has walked over the collection or written it."""

    record: PassRecord
    versions: tuple[VersionRecord, ...]
    wrote: bool
    """Whether it has written it; else it has made documents of another collection out of it."""

    @property
    def pruned(self) -> VersionRecord | None:
        """The first of its versions whose journal was pruned."""
        return next((version for version in self.versions if version.rollback), None)


class Lineage(NamedTuple):
    """The passes over a collection, the oldest first, and the functions that may have written it as well."""

    today: str
    """What it is called now."""
    visits: tuple[Visit, ...]
    functions: tuple[str, ...]
    """The versions that are plain functions."""
    names: frozenset[str]
    """All that it was ever called."""


def lineage(ledger: Ledger, collection: str, there: Container[str]) -> Lineage:
    """That of a collection by its name of today; or by an earlier one, if none is called so today."""
    operations = list(_operations(ledger))
    today = collection if collection in there else _todays_name(operations, collection)
    name, visits, functions, names = today, dict[str, Visit](), dict[str, None](), {today, collection}
    for version, operation in reversed(operations):
        moved = renaming(version, operation)
        record = ledger.passes.get(operation.pass_id or "")
        if moved is not None and name == moved[0]:
            name = moved[1]
            names.add(name)
        elif moved is not None and name == moved[1]:
            break  # another collection had the name before
        elif is_function(operation):
            functions[version] = None
        elif record is not None and name in (record.collection, record.writes):
            members = tuple(ledger.versions[v] for v in record.versions if v in ledger.versions)
            visits.setdefault(record.id, Visit(record, members, record.writes == name))
    return Lineage(today, tuple(reversed(visits.values())), tuple(reversed(functions)), frozenset(names))


def _operations(ledger: Ledger) -> Iterator[tuple[str, OperationRecord]]:
    """All operations that are in effect, the oldest first."""
    for version, record in ledger.versions.items():
        yield from ((version, operation) for operation in record.operations if operation.started)


def _todays_name(operations: list[tuple[str, OperationRecord]], collection: str) -> str:
    """What a collection is called by now that had this name last before it was given another."""
    name = collection
    moves = [moved for version, operation in operations if (moved := renaming(version, operation))]
    last = max((at for at, (_, before) in enumerate(moves) if before == collection), default=len(moves))
    for after, before in moves[last:]:
        name = after if before == name else name
    return name
