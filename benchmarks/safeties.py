"""What each safety costs: one run with all of them, one with each of them taken out.

There is no setting for that, and there will be none. Parts of the engine are replaced from here, in this process
alone. A part that is no longer there, or that no run ever calls, ends the benchmark: it would measure nothing.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from goaime_migrate.backends.ports import PROGRESS, Changes, Move, RecordChange


class NoSuchPart(Exception):
    """The engine has changed; this module has to follow it."""


@dataclass(frozen=True)
class Part:
    """A function of the engine: of a module, or of a class in it. `without` makes its replacement from it."""

    module: str
    path: str
    without: Callable[[Any], Any]

    def owner(self) -> tuple[Any, str]:
        """What it is an attribute of, and its name there. Raises NoSuchPart."""
        *classes, name = self.path.split(".")
        try:
            owner: Any = importlib.import_module(f"goaime_migrate.{self.module}")
            for each in classes:
                owner = vars(owner)[each]
            vars(owner)[name]
        except (ImportError, KeyError) as error:
            raise NoSuchPart(
                f"goaime_migrate.{self.module} has no {self.path} any more: mend benchmarks/safeties.py or profiling.py"
            ) from error
        return owner, name


@dataclass(frozen=True)
class Safety:
    """Something that `up` does for safety alone."""

    key: str
    title: str
    parts: Sequence[Part]


@contextmanager
def replaced(parts: Sequence[Part]) -> Iterator[None]:
    """With these parts taken out. Raises NoSuchPart, at the end also where one was never called."""
    calls = [0] * len(parts)
    with ExitStack() as stack:
        for number, part in enumerate(parts):
            owner, name = part.owner()
            original = vars(owner)[name]
            stack.callback(setattr, owner, name, original)
            setattr(owner, name, _counting(part.without, original, calls, number))
        yield
    for part, called in zip(parts, calls, strict=True):
        if not called:
            raise NoSuchPart(
                f"no run calls {part.module}.{part.path}: mend benchmarks/safeties.py or profiling.py"
            )


def _counting(without: Callable[[Any], Any], original: Any, calls: list[int], number: int) -> Any:
    """The replacement, of the same kind as the original: a class method stays one."""
    bound = isinstance(original, classmethod | staticmethod)
    plain = original.__func__ if bound else original
    function = without(plain)

    @functools.wraps(plain)
    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[number] += 1
        return function(*args, **kwargs)

    return type(original)(counted) if bound else counted


# The safeties


def _returning(value: Any) -> Callable[[Any], Callable[..., Any]]:
    """A replacement that does nothing."""
    return lambda _: lambda *_args, **_kwargs: value


def _entry_without_hashes(_: Any) -> Any:
    def of(cls: Any, before: bytes, _after: bytes, _fields: Any = None, *, partial: bool = False) -> Any:
        return cls(before, b"", {}, partial)

    return of


def _at_the_end(change: RecordChange) -> RecordChange | None:
    if not (isinstance(change, Move) and change.collection == PROGRESS):
        return change
    if not change.set.get("done"):
        return None
    return change._replace(filter={"_id": change.filter["_id"]})


def _cursor_stands_still(original: Any) -> Any:
    """Only the last batch of a partition moves it, and takes it from wherever it is: the counts are kept there."""

    def apply_singly(self: Any, changes: Iterator[RecordChange], session: Any) -> None:
        original(self, [moved for change in changes if (moved := _at_the_end(change)) is not None], session)

    return apply_singly


def _one_write_after_the_other(_: Any) -> Any:
    """What a batch does, in the same session, and each command by itself."""
    from goaime_migrate.backends.server.reader import MongoReader
    from goaime_migrate.backends.server.writes import Target, write

    def once(self: Any, work: Callable[[Any], Changes]) -> None:
        session = self._session
        changes = work(MongoReader(self._db, session))
        self._apply(changes.first, session)
        if changes.writes:
            missed = write(
                Target(self._db, changes.collection, session, bypass_validation=False), changes.writes
            )
            assert not missed
        self._apply(changes.last, session)

    return once


JOURNAL = Safety(
    "journal",
    "the journal of before-images",
    (
        Part("journal.segments", "Segment.adds", _returning([])),
        Part("journal.segments", "Entry.of", _entry_without_hashes),
    ),
)
CURSOR = Safety(
    "cursor",
    "the record with cursor and fence",
    (Part("backends.server.mongo", "MongoBackend._apply_singly", _cursor_stands_still),),
)
TRANSACTION = Safety(
    "transaction",
    "the transaction around a batch",
    (Part("backends.server.transactional", "TransactionalBackend._once", _one_write_after_the_other),),
)
TAIL = Safety(
    "tail",
    "the change stream and the tail",
    (
        Part("up.tail", "Tail.start", _returning(None)),
        Part("up.tail", "Tail.finish", _returning(None)),
    ),
)
CHECKS = Safety("checks", "model= and check=", (Part("transform.chain", "keeps_promises", _returning(True)),))
PROBE = Safety(
    "probe", "the probe of the first documents", (Part("up.pass_", "_is_settled", _returning(True)),)
)
EACH = (JOURNAL, CURSOR, TRANSACTION, TAIL, CHECKS, PROBE)
ALL = Safety("all", "all of these", tuple(part for safety in EACH for part in safety.parts))


def require_parts() -> None:
    """Find out before anything is measured whether the engine still has all that is replaced."""
    for part in ALL.parts:
        part.owner()
