"""Carrying only the fields that a step declares, where that gives the very same documents.

A document then travels as ``{_id, declared fields…}`` in its own order. What the step writes goes back as a change of
these fields alone: existing ones keep their place and new ones are appended, so the rest of the document, and the
order of its fields, need not be known, neither now nor when the change is taken back. A result that removes fields or
moves them does need the whole document; it is then read as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Capabilities
from goaime_migrate.errors import UndeclaredField
from goaime_migrate.transform.chain import Changed
from goaime_migrate.transform.step import Step

FROM = 1_000
"""From so many documents on it pays."""
_SETTING = ("$set", "$addFields")


def carried(steps: Sequence[Step], capabilities: Capabilities, documents: int) -> tuple[str, ...] | None:
    """The fields to carry for these steps; None where documents have to be carried whole.

    Of several steps one might remove what another has added, and the place of a field would be lost.
    """
    if len(steps) != 1 or documents < FROM or not capabilities.deltas:
        return None
    (step,) = steps
    if any(lookup.collection == step.collection for lookup in step.lookups.values()):
        return None  # the keys by which a document is found have to be known before it is written
    fields = _set_by(step) if step.pipeline else step.fields
    if fields is None or not all(map(_plain, fields)):
        return None
    if step.check is not None or (step.model is not None and not _sees_only(step.model, fields)):
        return None
    return tuple(dict.fromkeys(fields))


def _set_by(step: Step) -> tuple[str, ...] | None:
    """The top-level fields that a pipeline sets, if setting fields is all that it does."""
    if any(next(iter(stage)) not in _SETTING for stage in step.pipeline):
        return None
    return tuple(
        str(name).partition(".")[0] for stage in step.pipeline for name in next(iter(stage.values()))
    )


def _plain(name: str) -> bool:
    """Whether an update can name this field."""
    return bool(name) and "." not in name and not name.startswith("$") and name != "_id"


def _sees_only(model: type[BaseModel], fields: Sequence[str]) -> bool:
    """Whether a model says the same of a whole document and of these fields alone."""
    names = {f.validation_alias or f.alias or name for name, f in model.model_fields.items()}
    whole = model.__pydantic_decorators__.model_validators or model.__pydantic_decorators__.root_validators
    return names <= set(fields) and not whole and model.model_config.get("extra", "ignore") == "ignore"


def narrow(changed: Changed, step: Step, fields: Sequence[str]) -> Changed | None:
    """The change as one of its fields alone, None if it cannot be written and taken back so. Raises UndeclaredField."""
    before, after = raw_bson.fields(changed.before), raw_bson.fields(changed.after)
    names = list(after)
    if names[: len(before)] != list(before):
        return None
    added = {name.decode("utf-8", "replace") for name in names[len(before) :]}
    undeclared = added.difference(fields)
    if undeclared:
        raise UndeclaredField(
            f"{step.name} writes a field that fields= does not declare",
            version=step.version,
            id=raw_bson.id_value(changed.id),
            field=min(undeclared),
            hint=f"add it to fields= in {step.source}, or leave fields= out",
        )
    sets = raw_bson.differing(before, after)
    return Changed(changed.id, changed.before, changed.after, changed.touched, sets)
