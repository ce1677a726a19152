"""Files and histories as the planner sees them, made up for tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from goaime_migrate.errors import HistoryError, MigrateError
from goaime_migrate.ledger import OperationRecord, PassRecord, VersionRecord
from goaime_migrate.migration import Helper, Migration
from goaime_migrate.planner import Facts
from goaime_migrate.results import Document, State


@dataclass(frozen=True)
class Op:
    """An operation as the planner sees it."""

    collection: str | None = "c"
    fusion: object | None = b""
    reads: frozenset[str] = frozenset()
    reversible: bool = True
    walks: bool = True
    selective: bool = True
    text: str = "an operation"

    @property
    def names(self) -> frozenset[str]:
        return self.reads | {self.collection or ""}

    def describe(self) -> str:
        return self.text


class DoneOp(OperationRecord):
    """What the ledger knows of it."""

    def __init__(
        self,
        pass_id: str | None = None,
        started: bool = True,
        done: bool = True,
        undo: Document | None = None,
        text: str = "an operation",
    ) -> None:
        super().__init__(text, pass_id, undo, started, done)


class Record(VersionRecord):
    """What the ledger knows of a version. Its name is that of the file, if nothing else is said."""

    def __init__(
        self,
        version: str,
        name: str = "",
        state: State = State.APPLIED,
        checksum: str = "same",
        rollback: str | None = None,
        operations: Sequence[OperationRecord] = (DoneOp(),),
        helpers: Sequence[Helper] = (),
    ) -> None:
        name = name or OF.get(version, "more")
        super().__init__(
            version, name, "", state, checksum, tuple(operations), rollback=rollback, helpers=tuple(helpers)
        )


class Pass(PassRecord):
    """What the ledger knows of a pass. Its steps are the first operation of each version, if nothing else is said."""

    def __init__(
        self,
        id: str,
        versions: Sequence[str],
        finished: bool = True,
        committed: bool = True,
        reverses: Sequence[bool] = (),
        collection: str = "c",
        target_level: int | None = None,
        steps: Sequence[tuple[str, int, str]] = (),
    ) -> None:
        pinned = tuple(steps) or tuple((v, 0, "same") for v in versions)
        super().__init__(
            id,
            collection,
            pinned,
            len(pinned),
            finished,
            settled=None,
            total=None,
            upper=None,
            canary=None,
            filtered=False,
            complete=True,
            reverses=tuple(reverses),
            target_level=target_level,
            committed=committed,
        )


NAMES = ("link_users", "enrich_problems", "compute_analytics", "reorder_fields")
OF = {f"{i:04d}": name for i, name in enumerate(NAMES, 1)}


def file(version: str, checksum: str = "same", *operations: Op, name: str = "") -> Migration:
    name = name or OF.get(version, "more")
    path = Path(f"{version}_{name}.py")
    return Migration(version, name, "", checksum, path, operations or (Op(),))


def facts(
    files: int | Sequence[Migration] = 4,
    applied: int = 0,
    *,
    records: Sequence[Record] = (),
    passes: Sequence[Pass] = (),
    broken: Sequence[HistoryError] = (),
    touched: set[str] | None = None,
) -> Facts:
    """Files 0001 to 000`files`, of which 0001 to 000`applied` are applied; `records` come on top."""
    migrations = [file(f"{i:04d}") for i in range(1, files + 1)] if isinstance(files, int) else files
    known = {f"{i:04d}": Record(f"{i:04d}", OF[f"{i:04d}"]) for i in range(1, applied + 1)}
    known |= {r.version: r for r in records}
    return Facts(
        migrations,
        broken,
        dict(sorted(known.items())),
        {p.id: p for p in passes},
        frozenset(known if touched is None else touched),
    )


def refusal(call: Any, *args: Any) -> MigrateError:
    with pytest.raises(MigrateError) as caught:
        call(*args)
    return caught.value
