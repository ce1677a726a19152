"""What a document was before and after each step of an edit, as far as that can be proved.

The journal has the image before, and of what was written a hash of each changed field. What was written is found again
in what the document was later, or by taking the steps once more with the lookups that were frozen for them; it counts
only if the hash is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Reader
from goaime_migrate.blame.entries import Edit
from goaime_migrate.errors import MigrationFailed
from goaime_migrate.journal.digest import digest
from goaime_migrate.journal.entry import Entry
from goaime_migrate.migration import Migration
from goaime_migrate.results import ChangeKind
from goaime_migrate.run.code import steps_at_hand
from goaime_migrate.transform.chains import chain_of

Fields = Mapping[bytes, bytes]
"""Elements by the names of the fields."""
_NOTHING: Fields = {}


@dataclass(frozen=True)
class Difference:
    """What one version, or several that cannot be told apart, made of a document."""

    versions: tuple[str, ...]
    before: Fields
    after: Fields
    unknown: frozenset[bytes] = field(default_factory=frozenset)
    """The fields that were written with what nobody knows any more."""

    @property
    def names(self) -> list[bytes]:
        """The fields that differ, those that were there first in their order."""
        changed = [n for n in self.before if n in self.unknown or self.after.get(n) != self.before[n]]
        return [*changed, *(n for n in (*self.after, *self.unknown) if n not in self.before)]


def images(reader: Reader, edit: Edit, migrations: Mapping[str, Migration]) -> list[bytes] | None:
    """The document before the first step of an edit and after each; None where taking them again does not prove it.

    Only what depends on nothing but the document and frozen lookups can be taken again.
    """
    record, before = edit.record, edit.entry.before
    steps = steps_at_hand(record, migrations)[: edit.level]
    replayable = steps and not any(step.pipeline or step.deletes or step.inserts for step in steps)
    if not replayable or before is None or edit.entry.comes_or_goes or edit.kind is ChangeKind.DOWN:
        return None
    found = [before]
    try:
        for step in steps:
            chain = chain_of(record.id, [step], began=record.started_at)
            (after,) = chain.run(reader, [found[-1]]).applied_to([found[-1]])
            found.append(after)
    except MigrationFailed:
        return None
    return found if digest(found[-1]) == edit.entry.after_hash else None


def differences(edit: Edit, proved: Sequence[bytes] | None, later: Iterable[bytes]) -> Iterator[Difference]:
    """What each version of an edit has changed; `later`: what the document was after it, the earliest first."""
    if proved is None:
        yield _from_hashes(edit, list(later))
        return
    start = 0
    steps = [version for version, _, _ in edit.record.steps[: edit.level]]
    for version in dict.fromkeys(steps):
        end = start + steps.count(version)
        if proved[start] != proved[end]:
            yield Difference(
                (version,), raw_bson.fields(proved[start]), raw_bson.fields(proved[end]), frozenset()
            )
        start = end


def _from_hashes(edit: Edit, later: Sequence[bytes]) -> Difference:
    """By what the journal says of each field that was written, found again in what the document was later."""
    entry = edit.entry
    if entry.after_hash is None:
        return Difference(edit.versions, _without_id(entry.before), _NOTHING)
    if entry.before is None:
        whole = next((document for document in later if digest(document) == entry.after_hash), None)
        return Difference(edit.versions, _NOTHING, _without_id(whole))
    before = raw_bson.fields(entry.before)
    candidates = [raw_bson.fields(document) for document in later]
    written = {_name(text): made for text, made in entry.fields.items()}
    found = {name: _find_element(name, made, candidates) for name, made in written.items() if made}
    after = {name: element for name, element in before.items() if name not in written}
    after |= {name: element for name, element in found.items() if element is not None}
    unknown = frozenset(name for name, element in found.items() if element is None)
    return Difference(edit.versions, before, after, unknown)


def _find_element(name: bytes, made: bytes, candidates: Sequence[Fields]) -> bytes | None:
    """The element with this hash, if it is there."""
    elements = (fields.get(name) for fields in candidates)
    return next((each for each in elements if each is not None and digest(each) == made), None)


def _without_id(document: bytes | None) -> Fields:
    found = {} if document is None else raw_bson.fields(document)
    found.pop(b"_id", None)
    return found


def _name(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def put_back(document: bytes | None, entry: Entry) -> bytes | None:
    """The document as it was before an entry, where it is known as it was after it."""
    if not entry.partial:
        return entry.before
    if document is None or entry.before is None:
        return None
    before, fields = raw_bson.fields(entry.before), dict(raw_bson.fields(document))
    for name in map(_name, entry.fields):
        if name in before:
            fields[name] = before[name]
        else:
            fields.pop(name, None)
    return raw_bson.join(fields.values())
