"""What documents become: their sizes, their types, their dates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Filter
from goaime_migrate.errors import ResultTooLarge
from goaime_migrate.operations import CreateIndex
from goaime_migrate.results import Severity
from goaime_migrate.rules.questions import Expiries, Sizes, Types
from goaime_migrate.rules.registry import TURNS, Said
from goaime_migrate.rules.seen import Result
from goaime_migrate.rules.turn import Turn
from goaime_migrate.transform.probe import combine

_EXAMPLES = 5
_SAMPLE = 2_000
"""Documents whose types are looked at before an index is made on them."""


@TURNS.rule("result-size", Severity.WARNING)
def result_size(turn: Turn) -> Iterator[Said]:
    """Results are larger than 12 MB, and near the 16 MB that no document may exceed; those that do are an error."""
    advice = f"move what grows into a collection of its own, DeriveDocuments({turn.written!r}, …)"
    error = turn.seen.error if turn.seen is not None and turn.walks else None
    if isinstance(error, ResultTooLarge):
        yield Said(error.message, advice, {"ids": [error.id]}, severity=Severity.ERROR)
    for sizes in turn.answers(Sizes):
        if sizes.count:
            yield Said(
                f"{sizes.count:,} {'result is' if sizes.count == 1 else 'results are'} larger than 12 MB, the largest "
                f"has {sizes.greatest / 1e6:.1f} MB; MongoDB stores at most 16 MiB",
                advice,
                {"documents": sizes.count, "bytes": sizes.greatest, "ids": sizes.ids},
            )


@TURNS.rule("mixed-types", Severity.WARNING)
def mixed_types(turn: Turn) -> Iterator[Said]:
    """A field that a pass changes, or that an index is made on, has values of two types afterwards.

    A sort, a range and a unique index keep them apart. Numbers are one type, and null goes with every other.
    """
    for types in [*turn.answers(Types), *_stored_types(turn)]:
        for name in sorted(types.after):
            families = types.after[name]
            indexed = name in types.paths
            if len(families) < 2 or not (indexed or (name in types.changed and _is_new(types, name))):
                continue
            counts = ", ".join(f"{count:,} {family}" for family, count in families.most_common())
            yield Said(
                f"{name} of {turn.collection} has several types{'' if turn.untouched else ' afterwards'}: {counts}",
                f"convert those that are rare: ConvertField({turn.collection!r}, {name!r}, TYPE), or a transform that "
                "leaves no document with the other type",
                {
                    "types": dict(families),
                    "examples": [{"type": each, "id": types.examples.get((name, each))} for each in families],
                },
            )


def _stored_types(turn: Turn) -> Iterator[Types]:
    """Those of a sample of what is there, where an index is made on documents that nothing changes before."""
    creating = turn.only(CreateIndex)
    if creating is None or turn.begun or turn.stored is None or not turn.untouched:
        return
    types = Types(list(creating.index["key"]))
    documents = turn.database.sample(turn.stored, _SAMPLE)
    types.look([Result(document, document, changed=False) for document in documents])
    yield types


def _is_new(types: Types, name: str) -> bool:
    """Whether the mixture was not there before, under this name or under one that is gone."""
    before = [types.before[each] for each in types.before if each == name or each not in types.after]
    return types.after[name] not in before and set(types.after[name]) != set(types.before.get(name, ()))


@TURNS.rule("ttl-expires", Severity.WARNING)
def ttl_expires(turn: Turn) -> Iterator[Said]:
    """A TTL index deletes documents, which no `down` brings back: by a date that a pass changes, or because it is new."""
    creating = turn.only(CreateIndex)
    for expiries in turn.answers(Expiries):
        beside = _expired_beside(turn, creating)
        if expiries.count or beside.documents:
            ids = [*expiries.ids, *beside.ids][:_EXAMPLES]
            yield _expiring(turn, expiries.index, expiries.count + beside.documents, ids)
    if creating is not None and turn.untouched and not turn.begun:
        found = _expired_now(turn, creating)
        if found.documents:
            index = {"name": creating.name, "expireAfterSeconds": creating.index["expireAfterSeconds"]}
            yield _expiring(turn, index, found.documents, found.ids)


class _Expired(NamedTuple):
    """Documents that a TTL index deletes."""

    documents: int = 0
    ids: Sequence[object] = ()


def _expired_beside(turn: Turn, creating: CreateIndex | None) -> _Expired:
    """Of a new index, those that the pass before it leaves out by its `where=`."""
    if creating is None or turn.seen is None or not turn.seen.where:
        return _Expired()
    return _expired_now(turn, creating, {"$nor": [turn.seen.where]})


def _expired_now(turn: Turn, creating: CreateIndex, only: Filter | None = None) -> _Expired:
    """As documents are stored."""
    seconds, path = creating.index.get("expireAfterSeconds"), next(iter(creating.index["key"]))
    if not isinstance(seconds, int | float) or turn.stored is None:
        return _Expired()
    from datetime import timedelta

    old: Filter = {path: {"$lt": turn.database.now() - timedelta(seconds=float(seconds))}}
    where = combine(old, only)
    count = turn.database.count(turn.stored, where)
    found = turn.database.documents(turn.stored, where=where, limit=_EXAMPLES, fields=()) if count else []
    return _Expired(count, [raw_bson.id_value(raw_bson.id_of(document)) for document in found])


def _expiring(turn: Turn, index: object, count: int, ids: Sequence[object]) -> Said:
    assert isinstance(index, dict)
    least = "at least " if turn.seen is not None and turn.seen.sampled else ""
    return Said(
        f"the TTL index {index['name']!r} of {turn.collection} then deletes {least}{count:,} "
        f"{'document' if count == 1 else 'documents'} at once, and `down` cannot bring them back",
        f"see that the dates are right; a copy is kept by CreateCollection and a plain up(db), or give the index a "
        f"longer expireAfterSeconds than {index['expireAfterSeconds']}",
        {"documents": count, "expire_after_s": index["expireAfterSeconds"], "ids": list(ids)},
    )
