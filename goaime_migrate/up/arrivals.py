"""Documents that were made, held against what the target has: which are written, and which must not be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Write
from goaime_migrate.errors import DuplicateKey
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.journal.entry import Entry, digest
from goaime_migrate.transform.derivation import DeriveStep, Made


@dataclass
class Arrivals:
    """What comes of a batch of documents that were made."""

    writes: list[Write] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    fresh: set[bytes] = field(default_factory=set)
    """The sources of which anything new was made."""
    there: int = 0
    """How many were in the target already."""


def settle(
    step: DeriveStep, made: Sequence[Made], there: Mapping[bytes, bytes], ours: Mapping[bytes, Entry]
) -> Arrivals:
    """Documents by several sources are written once, and each source is noted.

    `there`: what the target has with these `_id`s; `ours`: those among them that the pass has written. Raises
    DuplicateKey for one that is there with other values.
    """
    arrivals = Arrivals()
    for identity, group in together(step, made).items():
        current, document = there.get(identity), group[0].document
        entries = [
            Entry.insertion(identity, document, source) for source in dict.fromkeys(m.source for m in group)
        ]
        if current is None:
            arrivals.writes.append(Write(identity, None, document))
            arrivals.entries += entries
            arrivals.fresh.add(group[0].source)
            continue
        arrivals.there += 1
        if identity in ours and ours[identity].after_hash == digest(document):
            arrivals.entries += entries  # whatever the application may have made of it since
        elif current != document:
            raise taken(step, group[0], ours.get(identity))
    return arrivals


def together(step: DeriveStep, made: Iterable[Made]) -> dict[bytes, list[Made]]:
    """What was made, by `_id`. Raises DuplicateKey where two have the same and differ."""
    groups: dict[bytes, list[Made]] = {}
    for each in made:
        group = groups.setdefault(each.id, [])
        if group and group[0].document != each.document:
            raise taken(step, each, Entry.insertion(each.id, None, group[0].source))
        group.append(each)
    return groups


def taken(step: DeriveStep, made: Made, ours: Entry | None) -> DuplicateKey:
    """The error for a document that another one of its `_id` stands in the way of."""
    identity, source = raw_bson.id_value(made.id), raw_bson.id_value(made.source)
    if ours is not None and ours.source == made.source:
        reason = "has made of the same source already, with other values"
    elif ours is not None and ours.source is not None:
        reason = f"has made of {raw_bson.id_value(ours.source)!r} already, with other values"
    else:
        reason = "did not make and that is there already, with other values"
    return DuplicateKey(
        f"{step.target}: {step.name} makes of {source!r} of {step.collection} a document {identity!r}, which it {reason}",
        version=step.version,
        id=identity,
        field="_id",
        hint=Hint("let it give another _id in {}, or move the other document, then: {}", step.source, UP),
    )
