"""Validators and the documents that they would meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from goaime_migrate.backends.ports import Filter
from goaime_migrate.errors import MigrateError, OperationFailed, UsageError
from goaime_migrate.operations import CreateCollection, DeleteDocuments, SetValidator
from goaime_migrate.results import Document, Severity
from goaime_migrate.rules.misfits import misfits
from goaime_migrate.rules.questions import Misfits
from goaime_migrate.rules.registry import TURNS, Said
from goaime_migrate.rules.turn import Turn
from goaime_migrate.transform.probe import evaluate


@TURNS.rule("validator-refuses", Severity.ERROR)
def validator_refuses(turn: Turn) -> Iterator[Said]:
    """A validator that is in force by then does not let pass what a pass writes: the run would stop at that document.

    One that a version before it sets counts, one that a version before it takes away does not.
    """
    if not turn.walks or turn.shape is None:
        return
    if turn.unknown and turn.shape.options.get("validator"):
        yield _untold(turn, turn.unknown)
    for found in turn.answers(Misfits):
        if found.reason:
            yield _untold(turn, found.reason)
        elif found.count:
            held = turn.database.capabilities.validators
            yield Said(
                f"{_documents(found.count, 'result')} of the pass over {turn.collection} "
                f"{'does' if found.count == 1 else 'do'} not meet its validator"
                + ("" if held else ", which a server that restores the dump will hold against them"),
                f"set the new validator first, SetValidator({turn.collection!r}, …, level='off') before the pass and "
                "the one for the new shape after it; or correct the transform",
                _evidence(found, turn.shape.options),
                severity=Severity.ERROR if held else Severity.WARNING,
            )


@TURNS.rule("validator-invalid", Severity.ERROR, early=True)
def validator_invalid(turn: Turn) -> Iterator[Said]:
    """The server does not know what a validator that is to be set asks: a keyword, a type, an operator."""
    operation: object = turn.operations[0]
    if turn.begun or not turn.database.capabilities.validators:
        return
    if isinstance(operation, SetValidator | CreateCollection):
        wanted = operation.options.get("validator") or {}
        try:
            evaluate(turn.database, turn.stored or turn.collection or "", wanted)
        except (OperationFailed, UsageError) as error:
            yield Said(
                f"the validator of {turn.collection} cannot be used: {error.message}",
                "correct it; what a $jsonSchema of MongoDB may have is in its manual",
                {"validator": wanted},
            )


@TURNS.rule("validator-misfits", Severity.WARNING)
def validator_misfits(turn: Turn) -> Iterator[Said]:
    """Documents do not meet a validator that is to be set, as they will be by then.

    It stops nothing: they stay as they are, and the application's next write to one of them fails. A note where that
    does not, since the level is moderate or the action a warning.
    """
    setting, shape = turn.only(SetValidator), turn.shape
    if setting is None or shape is None or not _refuses(setting.options):
        return
    wanted: Filter = setting.options["validator"]
    gone = list(_deleted_later(turn))
    if turn.untouched:
        yield from _stored_misfits(turn, wanted, {"$nor": gone} if gone else None)
        return
    yield from _made_misfits(turn, setting.options)
    if turn.seen is not None and turn.seen.where and not turn.seen.sampled:
        yield from _stored_misfits(turn, wanted, {"$nor": [turn.seen.where, *gone]})
    if turn.unseen:
        yield _untold(turn, turn.unseen)


def _deleted_later(turn: Turn) -> Iterator[Filter]:
    """What pending versions delete of the documents as they are then: those stay for nobody to write."""
    for operation in turn.later:
        if turn.collection not in operation.names:
            continue
        if (
            not isinstance(operation, DeleteDocuments)
            or operation.when is not None
            or operation.where is None
        ):
            return
        yield operation.where


def _refuses(options: Document) -> bool:
    return bool(options["validator"]) and options["validationLevel"] != "off"


def _made_misfits(turn: Turn, options: Document) -> Iterator[Said]:
    """What was seen of the documents that a pass before it makes."""
    for found in turn.answers(Misfits):
        if found.reason:
            yield _untold(turn, found.reason)
        elif found.count:
            yield _misfits(turn, found.count, _evidence(found, options))


def _stored_misfits(turn: Turn, wanted: Filter, only: Filter | None) -> Iterator[Said]:
    """What the database says of the documents that are there, or of those that a pass does not touch."""
    if turn.stored is None:
        return
    try:
        found = misfits(turn.database, turn.stored, wanted, only=only)
    except MigrateError as error:
        yield _untold(turn, error.message)
        return
    if found.count:
        evidence = {"documents": found.count, "looked_at": found.documents, "ids": list(found.examples)}
        yield _misfits(turn, found.count, {**evidence, "estimated": found.estimated})


def _misfits(turn: Turn, count: int, evidence: Document) -> Said:
    setting = turn.only(SetValidator)
    assert setting is not None
    options = setting.options
    later = [o for o in turn.later if o.walks and turn.collection in o.names]
    advice = f"mend them before it, in the same file: TransformDocuments({turn.collection!r}, …)"
    if later:
        doing = "; ".join(operation.describe() for operation in later)
        advice = f"put it behind what this plan does to {turn.collection} later, which may mend them: {doing}"
    if _refuses_writes(options):
        advice += (
            "; or set it with level='moderate', which lets documents that do not meet it be written as before"
        )
    about, do = "about " if evidence.get("estimated") else "", "does" if count == 1 else "do"
    return Said(
        f"{about}{_documents(count)} of {turn.collection} {do} not meet the validator: "
        f"{_consequence(options)}",
        advice,
        evidence,
        severity=Severity.WARNING if _refuses_writes(options) else Severity.NOTE,
    )


def _refuses_writes(options: Document) -> bool:
    """Whether documents that are there already are held to it, so that a write to one of them fails."""
    return bool(options["validationLevel"] == "strict" and options["validationAction"] == "error")


def _consequence(options: Document) -> str:
    """What the server does with such a document from then on."""
    if options["validationLevel"] == "moderate":
        return "as they are there already, they may be updated as before"
    if options["validationAction"] == "warn":
        return "the server will log every write that leaves one so"
    return "the server will refuse every write that leaves one so"


def _untold(turn: Turn, why: str) -> Said:
    return Said(
        f"whether documents of {turn.collection} meet the validator cannot be told here: {why}",
        "plan it on a server, or on a copy of the database on which what comes before is applied",
        severity=Severity.NOTE,
    )


def _documents(count: int, noun: str = "document") -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _evidence(found: Misfits, options: Mapping[str, Any]) -> Document:
    schema = options.get("validator", {})
    required = schema.get("$jsonSchema", {}).get("required") if isinstance(schema, Mapping) else None
    return {
        "documents": found.count,
        "looked_at": found.looked_at,
        "ids": found.ids,
        **({"required": list(required)} if required else {}),
    }
