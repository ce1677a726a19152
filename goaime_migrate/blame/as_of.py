"""A document as it was before a version."""

from __future__ import annotations

from goaime_migrate.backends import raw_bson
from goaime_migrate.blame import Subject
from goaime_migrate.blame.entries import Edit
from goaime_migrate.blame.images import images, put_back
from goaime_migrate.errors import JournalPruned, MissingMigration
from goaime_migrate.errors.hint import Command, Hint
from goaime_migrate.planner import check_code
from goaime_migrate.results import AsOfResult, ChangeKind

_BLAME = Command(("blame",))


def as_of(this: Subject, version: str) -> AsOfResult:
    """From the journal of the first pass since then that has written it, or as it is now where none has.

    Raises JournalPruned, MissingMigration, EditedMigration where that cannot be told.
    """
    document, lost = this.current, ""
    for visit, found in reversed(this.found):
        since = [v for v in visit.record.versions if _reaches(v, version)]
        if not since:
            continue
        if visit.pruned or found.erased:
            lost = f"{', '.join(since)}: {visit.pruned.pruned_by if visit.pruned else 'it was erased from the journal'}"
            continue
        for edit in reversed(found.edits):
            if edit.kind is not ChangeKind.DOWN and any(_reaches(v, version) for v in edit.versions):
                lost = _why_lost(edit, document, lost)
                document = _before(this, edit, document, version)
    if lost:
        raise JournalPruned(
            f"what the document was before {version} is not kept any more: {lost}",
            version=version,
            hint=Hint("what is known of it: {}", _BLAME.to(this.collection, "ID")),
        )
    functions = [v for v in this.line.functions if _reaches(v, version)]
    notes = tuple(f"{v} is a plain function: what it has written is in no journal" for v in functions)
    shown = None if document is None else raw_bson.decode_any(document)
    return AsOfResult(this.collection, this.id, version, shown, notes)


def _why_lost(edit: Edit, document: bytes | None, lost: str) -> str:
    """Why what a document was before an edit is not known, where it is not; `lost`: why it is not known after it."""
    if not edit.entry.partial:
        return ""
    fields = ", ".join(edit.entry.fields)
    return lost or (f"of {fields} the journal has it, the rest has gone with it" if document is None else "")


def _reaches(version: str, limit: str) -> bool:
    return int(version) >= int(limit)


def _before(this: Subject, edit: Edit, document: bytes | None, version: str) -> bytes | None:
    """The document before those steps of an edit that belong to this version or a later one."""
    steps = [v for v, _, _ in edit.record.steps[: edit.level]]
    stay = next((place for place, v in enumerate(steps) if _reaches(v, version)), 0)
    if not stay:
        return put_back(document, edit.entry)
    proved = images(this.backend, edit, this.facts.code)
    if proved is None:
        for member, _, checksum in edit.record.steps:
            check_code(this.facts, member, checksum)
        raise MissingMigration(
            f"what the document was between {steps[0]} and {version} is not kept, and taking {steps[0]} once more "
            "does not come out as it did",
            version=version,
            hint=Hint(
                "what it was before all of them: {}", _BLAME.to(this.collection, "ID", "--as-of", steps[0])
            ),
        )
    return proved[stay] if not edit.entry.partial else _with_fields(document, edit, proved[stay])


def _with_fields(document: bytes | None, edit: Edit, part: bytes) -> bytes | None:
    """The document with the fields of a part of it in the place of its own."""
    return put_back(document, edit.entry._replace(before=part))
