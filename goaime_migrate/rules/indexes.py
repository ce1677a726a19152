"""Indexes beside each other: names, keys, limits, and what a build takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from goaime_migrate.backends.index_identity import differences, inherit_collation, is_text, same
from goaime_migrate.operations import CreateIndex, DropIndex
from goaime_migrate.results import Document, Severity
from goaime_migrate.rules.outline import ALL, Shape, is_dropped
from goaime_migrate.rules.registry import TURNS, Said
from goaime_migrate.rules.turn import LARGE, LARGE_BYTES, Turn
from goaime_migrate.units import duration
from goaime_migrate.units import size as octets

_MOST = 64
_BYTES_A_SECOND = 50_000_000
_DOCUMENTS_A_SECOND = 100_000
"""What a build reads in a second, roughly: on slow disks it is less."""


@TURNS.rule("index-conflict", Severity.ERROR, early=True)
def index_conflict(turn: Turn) -> Iterator[Said]:
    """An index of the same name, or on the same keys, is there with other options: the server refuses the new one."""
    creating, shape = turn.only(CreateIndex), turn.shape
    if creating is None or shape is None or turn.begun:
        return
    wanted = inherit_collation(creating.index, shape.options)
    for there in shape.indexes:
        if there["name"] == creating.replaces:
            continue
        if what := _in_the_way(there, wanted):
            yield Said(
                f"{turn.collection} has an index {there['name']!r} already, which {what}",
                _ways_out(creating, shape, there, wanted),
                {"there": _shown(there), "wanted": _shown(wanted)},
            )


def _in_the_way(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Why the server would not have an index beside this one, or would not take it for that; empty where it would."""
    same_name = there["name"] == wanted["name"]
    if is_text(there) or is_text(wanted):  # which the server lists in words of its own
        second = is_text(there) and is_text(wanted) and not same_name
        return f"is a text index as {wanted['name']!r} is: a collection has only one" if second else ""
    differing = differences(there, wanted)
    if not (differing if same_name else same(there, wanted)):
        return ""
    if same_name:
        return f"differs from what is declared in {', '.join(differing)}"
    how = f"in {', '.join(differing)}" if differing else "in its name alone"
    return f"is on the same keys as {wanted['name']!r}, and differs from it {how}"


def _ways_out(creating: CreateIndex, shape: Shape, there: Document, wanted: Document) -> str:
    """What can be done about an index in the way, the least first."""
    if there["name"] == "_id_":
        return "leave it out: the index on _id is always there"
    ways: list[str] = []
    free, text = wanted["name"], is_text(there) or is_text(wanted)
    if there["name"] == free:
        taken = {index["name"] for index in shape.indexes}
        free = next(name for n in count(2) if (name := f"{free}_{n}") not in taken)
        if not text and not any(same(index, wanted) for index in shape.indexes):
            ways.append(f"CreateIndex(…, name={free!r}) stands beside it")
    elif not text and not differences(there, wanted):
        ways.append(f"leave it out, for {there['name']!r} does the same")
    if creating.replaces is None:
        ways.append(
            f"CreateIndex(…, name={free!r}, replaces={there['name']!r}) puts the new one in its place"
        )
    return "; or ".join([*ways, f"DropIndex({creating.collection!r}, {there['name']!r}) before it"])


@TURNS.rule("index-limit", Severity.ERROR, early=True)
def index_limit(turn: Turn) -> Iterator[Said]:
    """A collection has at most 64 indexes."""
    creating, shape = turn.only(CreateIndex), turn.shape
    if creating is None or shape is None or turn.begun:
        return
    names = {index["name"] for index in shape.indexes} | {"_id_"}
    beside = {index["name"] for index in shape.indexes if index["name"] == creating.replaces}
    if any(
        same(index, inherit_collation(creating.index, shape.options))
        for index in shape.indexes
        if index["name"] in beside
    ):
        return  # the old one has to go first
    if creating.name not in names and len(names) >= _MOST:
        yield Said(
            f"{turn.collection} has {len(names)} indexes, and can have no more than {_MOST}",
            f"DropIndex({turn.collection!r}, …) before it, for one that no query uses ($indexStats tells which)",
            {"indexes": len(names)},
        )


@TURNS.rule("index-missing", Severity.WARNING)
def index_missing(turn: Turn) -> Iterator[Said]:
    """`DropIndex` names an index that is not there: nothing will be done.

    An error where it is `replaces=` of a `CreateIndex`: that is refused, unless the new index is there.
    """
    yield from _none_to_replace(turn)
    dropping, shape = turn.only(DropIndex), turn.shape
    if dropping is None or turn.begun:
        return
    there = [index["name"] for index in shape.indexes if is_dropped(index, ALL)] if shape else []
    if any(is_dropped(index, dropping.name) for index in (shape.indexes if shape else ())):
        return
    what = "no index that can be dropped" if dropping.name == ALL else f"no index {dropping.name!r}"
    yield Said(
        f"{turn.collection} has {what}: nothing will be dropped",
        f"correct the name; {_list(there)}",
        {"indexes": there},
    )


def _none_to_replace(turn: Turn) -> Iterator[Said]:
    creating, shape = turn.only(CreateIndex), turn.shape
    if creating is None or creating.replaces is None or turn.begun:
        return
    there = [index["name"] for index in shape.indexes if is_dropped(index, ALL)] if shape else []
    if creating.replaces not in there and creating.name not in there:
        yield Said(
            f"{turn.collection} has no index {creating.replaces!r} for {creating.name!r} to replace: it will be refused",
            f"correct replaces={creating.replaces!r}, or leave it out; {_list(there)}",
            {"indexes": there},
            severity=Severity.ERROR,
        )


def _list(names: Sequence[str]) -> str:
    return f"there {'are' if len(names) > 1 else 'is'} {', '.join(map(repr, names)) or 'none'}"


@TURNS.rule("index-redundant", Severity.WARNING)
def index_redundant(turn: Turn) -> Iterator[Said]:
    """The keys of an index are the first keys of another, which serves the same queries: one of them is in vain."""
    creating, shape = turn.only(CreateIndex), turn.shape
    if creating is None or shape is None:
        return
    wanted = creating.index
    gone = (wanted["name"], "_id_", creating.replaces)
    for there in shape.indexes:
        if there["name"] in gone:
            continue
        if _is_prefix(wanted, there):
            yield Said(
                f"{wanted['name']!r} has the first keys of {there['name']!r}, which serves the same queries",
                "leave it out",
                {"there": _shown(there), "wanted": _shown(wanted)},
            )
        elif _is_prefix(there, wanted):
            yield Said(
                f"{there['name']!r} has the first keys of {wanted['name']!r}, which serves the same queries",
                f"CreateIndex(…, replaces={there['name']!r})",
                {"there": _shown(there), "wanted": _shown(wanted)},
            )


@TURNS.rule("index-build", Severity.WARNING)
def index_build(turn: Turn) -> Iterator[Said]:
    """An index is built on a large collection, of 100,000 documents or 1 GB: how long that may take.

    Reads and writes go on, but slower; the build cannot be paused, and starts again after a crash of the server.
    """
    creating, shape = turn.only(CreateIndex), turn.shape
    if creating is None or shape is None or shape.stored is None or turn.begun:
        return
    if any(index["name"] == creating.name for index in shape.indexes):
        return
    size = turn.database.size(shape.stored)
    if size.documents < LARGE and size.size < LARGE_BYTES:
        return
    seconds = max(size.documents / _DOCUMENTS_A_SECOND, size.size / _BYTES_A_SECOND)
    yield Said(
        f"{creating.name!r} is built over {size.documents:,} documents, {octets(size.size)}: about "
        f"{duration(seconds)} or more, during which reads and writes are slower",
        "in a version of its own, at a quiet time; or build it beforehand with the name that it has here, member by "
        "member where that is how you do it: an index that is there already is left as it is",
        {"documents": size.documents, "bytes": size.size, "seconds": round(seconds, 1)},
    )


def _is_prefix(shorter: Mapping[str, Any], longer: Mapping[str, Any]) -> bool:
    """Whether an index does nothing that a longer one would not do as well."""
    keys, others = list(shorter["key"].items()), list(longer["key"].items())
    plain = not any(
        shorter.get(o) or longer.get(o) for o in ("sparse", "partialFilterExpression", "collation")
    )
    needed = shorter.get("unique") or shorter.get("expireAfterSeconds") is not None
    return plain and not needed and len(keys) < len(others) and others[: len(keys)] == keys


def _shown(index: Mapping[str, Any]) -> Document:
    return {name: value for name, value in index.items() if name != "v"}
