"""Validators and the documents that they would meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Filter
from goaime_migrate.errors import MigrateError
from goaime_migrate.operations import SetValidator
from goaime_migrate.results import Document, Severity
from goaime_migrate.rules.catalogue import TURNS, Said
from goaime_migrate.rules.questions import EXAMPLES, Misfits
from goaime_migrate.rules.turn import Turn

_MOST = 1_000
"""Misfits up to which they are counted."""


@TURNS.rule("validator-refuses", Severity.ERROR)
def validator_refuses(turn: Turn) -> Iterator[Said]:
    """A validator that is in force by then does not let pass what a pass writes: the run would stop at that document.

    One that a version before it sets counts, one that a version before it takes away does not.
    """
    if not turn.walks or turn.shape is None:
        return
    for misfits in turn.answers(Misfits):
        if misfits.reason:
            yield _untold(turn, misfits.reason)
        elif misfits.count:
            held = turn.database.capabilities.validators
            yield Said(
                f"{_documents(misfits.count, 'result')} of the pass over {turn.collection} "
                f"{'does' if misfits.count == 1 else 'do'} not meet its validator"
                + ("" if held else ", which a server that restores the dump will hold against them"),
                f"set the new validator first, SetValidator({turn.collection!r}, …, level='off') before the pass and "
                "the one for the new shape after it; or correct the transform",
                _evidence(misfits, turn.shape.options),
                severity=Severity.ERROR if held else Severity.WARNING,
            )


@TURNS.rule("validator-misfits", Severity.WARNING)
def validator_misfits(turn: Turn) -> Iterator[Said]:
    """Documents do not meet a validator that is to be set, as they will be by then.

    It stops nothing: they stay as they are, and the application's next write to one of them fails.
    """
    setting, shape = turn.only(SetValidator), turn.shape
    if setting is None or shape is None or shape.stored is None or not setting.options["validator"]:
        return
    wanted: Filter = setting.options["validator"]
    if turn.untouched:
        yield from _stored_misfits(turn, wanted, None)
        return
    for misfits in turn.answers(Misfits):
        if misfits.reason:
            yield _untold(turn, misfits.reason)
        elif misfits.count:
            yield _misfits(turn, misfits.count, _evidence(misfits, setting.options))
    if turn.seen is not None and turn.seen.where and not turn.seen.sampled:
        yield from _stored_misfits(turn, wanted, {"$nor": [turn.seen.where]})
    if not turn.asked or turn.unknown:
        yield _untold(turn, turn.unknown or shape.unknown or "a document stops the pass before it")


def _stored_misfits(turn: Turn, wanted: Filter, only: Filter | None) -> Iterator[Said]:
    """What the database says of the documents that are there, or of those that a pass does not touch."""
    assert turn.stored is not None
    refused: Filter = {"$nor": [wanted]}
    where = {"$and": [only, refused]} if only else refused
    try:
        count = turn.database.count(turn.stored, where, limit=_MOST)
        found = turn.database.documents(turn.stored, where=where, limit=EXAMPLES, fields=()) if count else []
    except MigrateError as error:
        yield _untold(turn, error.message)
        return
    if count:
        ids = [raw_bson.id_value(raw_bson.id_of(document)) for document in found]
        yield _misfits(turn, count, {"documents": count, "complete": count < _MOST, "ids": ids})


def _misfits(turn: Turn, count: int, evidence: Document) -> Said:
    setting = turn.only(SetValidator)
    assert setting is not None
    told = setting.options["validationAction"] == "warn"
    return Said(
        f"{_documents(count)} of {turn.collection} {'does' if count == 1 else 'do'} not meet the validator: it stays "
        f"as it is, and the next write to it {'is warned of in the log' if told else 'fails'}"
        if count == 1
        else f"{_documents(count)} of {turn.collection} do not meet the validator: they stay as they are, and the next "
        f"write to one of them {'is warned of in the log' if told else 'fails'}",
        f"mend them in a migration before this one, TransformDocuments({turn.collection!r}, …); or set it with "
        "level='moderate', which lets documents that do not meet it be written as before",
        evidence,
    )


def _untold(turn: Turn, why: str) -> Said:
    return Said(
        f"whether documents of {turn.collection} meet the validator cannot be told here: {why}",
        "plan it on a server, or on a copy of the database on which what comes before is applied",
        severity=Severity.NOTE,
    )


def _documents(count: int, noun: str = "document") -> str:
    number = f"at least {count:,}" if count >= _MOST else f"{count:,}"
    return f"{number} {noun}" + ("" if count == 1 else "s")


def _evidence(misfits: Misfits, options: Mapping[str, Any]) -> Document:
    schema = options.get("validator", {})
    required = schema.get("$jsonSchema", {}).get("required") if isinstance(schema, Mapping) else None
    return {
        "documents": misfits.count,
        "looked_at": misfits.looked_at,
        "ids": misfits.ids,
        **({"required": list(required)} if required else {}),
    }
