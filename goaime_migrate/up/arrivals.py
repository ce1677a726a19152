"""Documents that were made, held against what the target has: which are written, and which must not be. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.backends.field_paths import value_at
from goaime_migrate.backends.ports import Write
from goaime_migrate.errors import DuplicateKey
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import NO_FIELDS, Entry
from goaime_migrate.journal.segments import Segment
from goaime_migrate.transform.derivation import DeriveStep, Made
from goaime_migrate.transform.insertion import InsertStep, key_of
from goaime_migrate.up.presence import Present

_ALONE = (None,)


@dataclass
class Arrivals:
    """What comes of a batch of documents that were made."""

    writes: list[Write] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    fresh: set[bytes] = field(default_factory=set)
    """The sources of which anything new was made."""
    kept: int = 0
    """Documents that this batch had written before it was cut off."""
    there: int = 0
    """Documents that were in the target already."""

    @classmethod
    def of_new(cls, made: Sequence[tuple[bytes | None, bytes, bytes]]) -> Self:
        """Nothing is there that one of these could be, and no two are the same: each of one source, or of none."""
        return cls(
            [Write(identity, None, document) for _, identity, document in made],
            [
                Entry(None, digest(document), NO_FIELDS, False, each, source)
                for source, each, document in made
            ],
            {source or identity for source, identity, _ in made},
        )

    def insert(self, document: Made, sources: Iterable[bytes | None]) -> None:
        """It is not there: so many sources make it, None for none."""
        _, identity, raw = document
        self.writes.append(Write(identity, None, raw))
        self.entries += Entry.insertions(identity, raw, sources)
        self.fresh.add(document.source)

    def keep(self, document: Made, entries: Iterable[Entry]) -> None:
        """It was written before."""
        self.kept += 1
        self.entries += entries
        self.fresh.add(document.source)


class Resumed(NamedTuple):
    """What the journal has of this very batch, which was cut off before the cursor moved: by source and `_id`."""

    entries: Mapping[tuple[bytes | None, bytes], Entry]

    @classmethod
    def of(cls, earlier: Segment | None, missed: frozenset[bytes]) -> Self:
        """All but those that are known not to have been written, since others of their `_id`s were there."""
        entries = () if earlier is None else earlier.entries
        return cls({(entry.source, entry.id): entry for entry in entries if entry.id not in missed})

    def others(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those besides these."""
        told = {(entry.source, entry.id) for entry in entries}
        return [entry for key, entry in self.entries.items() if key not in told]


def settle(
    step: DeriveStep,
    made: Sequence[Made],
    there: Present,
    ours: Mapping[bytes, Entry],
    resumed: Resumed,
    differ: Callable[[Made], bool],
) -> Arrivals:
    """What several sources have made alike is written once, and each of them is noted.

    `there`: what the target has with these `_id`s; `ours`: those among them that the pass has written; `differ` tells
    whether other sources make one otherwise by now. Raises DuplicateKey for one that is there with other values.
    """
    if not (there or resumed.entries) and _are_alone(made):
        return Arrivals.of_new(made)
    arrivals = Arrivals()
    for group in together(step, made):
        first = group[0]
        identity, current = first.id, there.get(first.id)
        sources = dict.fromkeys([each.source for each in group]) if len(group) > 1 else {first.source: None}
        if current is None:
            arrivals.insert(first, sources)
            continue
        arrivals.there += 1
        known = [resumed.entries[s, identity] for s in sources if (s, identity) in resumed.entries]
        if known:
            arrivals.keep(first, known)
        elif identity in ours:
            arrivals.entries += _again(step, first, sources, ours[identity], differ)
        elif current != first.document:
            raise taken_error(step, first, None)
    for entry in resumed.others(arrivals.entries):  # its source has changed since
        arrivals.kept += 1
        arrivals.entries.append(entry)
    return arrivals


def _again(
    step: DeriveStep, made: Made, sources: Iterable[bytes], ours: Entry, differ: Callable[[Made], bool]
) -> list[Entry]:
    """The entries of sources that make what the pass has written, whatever the application may have made of it since.

    Where they make something else, the application has changed those that had made it before, or nobody can be right.
    What was changed the tail will come to, and then write what all of them make.
    """
    if ours.after_hash != digest(made.document) and differ(made):
        raise taken_error(step, made, ours)
    return [Entry(None, ours.after_hash, inserted=made.id, source=source) for source in sources]


def _are_alone(made: Sequence[Made]) -> bool:
    """Whether no two of these have one `_id`."""
    return len({id_key(each.id) for each in made}) == len(made)


def together(step: DeriveStep, made: Iterable[Made]) -> Iterable[list[Made]]:
    """What was made, those together that have one `_id`. Raises DuplicateKey where two have the same and differ."""
    groups: dict[Any, list[Made]] = {}
    for each in made:
        group = groups.setdefault(id_key(each.id), [each])
        if group[0] is each:
            continue
        if group[0].document != each.document:
            raise taken_error(step, each, Entry.insertion(each.id, None, group[0].source))
        group.append(each)
    return groups.values()


def taken_error(step: DeriveStep, made: Made, ours: Entry | None) -> DuplicateKey:
    """The error for a document that another one of its `_id` stands in the way of."""
    identity, source = raw_bson.id_value(made.id), raw_bson.id_value(made.source)
    if ours is not None and ours.source == made.source:
        reason = "which it has made of the same one already, with other values"
    elif ours is not None and ours.source is not None:
        reason = f"which it has made of {raw_bson.id_value(ours.source)!r} too, with other values"
    else:
        reason = "and one is there already, with other values"
    return DuplicateKey(
        f"{step.target}: {step.name} makes a document {identity!r} of {source!r} in {step.collection}, {reason}",
        version=step.version,
        id=identity,
        field="_id",
        hint=Hint(
            "let it give another _id in {}, or move the other document away, then: {}", step.source, UP
        ),
    )


class Found(NamedTuple):
    """What is in the collection of a list: by `_id`, and by key, where that is something else."""

    ids: Present
    keys: Mapping[tuple[Any, ...], bytes] = {}

    def __bool__(self) -> bool:
        return bool(self.ids or self.keys)


def settle_listed(step: InsertStep, documents: Sequence[bytes], found: Found, resumed: Resumed) -> Arrivals:
    """A document whose key is there is left out. Raises DuplicateKey where it is not, and the `_id` is."""
    if not (found or resumed.entries):
        return Arrivals.of_new([(None, raw_bson.id_of(document), document) for document in documents])
    arrivals = Arrivals()
    for document in documents:
        identity = raw_bson.id_of(document)
        made = Made(identity, identity, document)
        entry = resumed.entries.get((None, made.id))
        same = _same(step, made, found)
        if entry is not None and (same == made.id or made.id in found.ids):
            arrivals.keep(made, [entry])
        elif same is not None:
            arrivals.there += made.id in found.ids
        elif (other := found.ids.get(made.id)) is not None:
            raise _id_taken(step, made, other)
        else:
            arrivals.insert(made, _ALONE)
    return arrivals


def _same(step: InsertStep, made: Made, found: Found) -> bytes | None:
    """The raw `_id` of the document that is the same one, if there is one."""
    if step.key == ("_id",):
        return made.id if made.id in found.ids else None
    return found.keys.get(key_of(raw_bson.decode(made.document), step.key))


def _id_taken(step: InsertStep, made: Made, other: bytes) -> DuplicateKey:
    identity = raw_bson.id_value(made.id)
    mine, its = (
        ", ".join(f"{path} {value_at(raw_bson.decode_any(document), path)!r:.100}" for path in step.key)
        for document in (made.document, other)
    )
    return DuplicateKey(
        f"{step.collection}: the document to be inserted with {mine} has the _id {identity!r}, and so has another one, "
        f"with {its}",
        version=step.version,
        id=identity,
        field="_id",
        hint=Hint(
            "give it another _id in {}, or leave that out, or move the other document away, then: {}",
            step.source,
            UP,
        ),
    )
