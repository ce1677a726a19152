"""Carrying only the fields that a step declares, where that gives the very same documents.

A document then travels as ``{_id, declared fields…}`` in its own order. What the step writes goes back as a change of
these fields alone: existing ones keep their place and new ones are appended, so the rest of the document, and the
order of its fields, need not be known, neither now nor when the change is taken back. A result that removes fields or
moves them does need the whole document; it is then read as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from goaime_migrate.backends import raw_bson, raw_difference
from goaime_migrate.backends.ports import Capabilities
from goaime_migrate.errors import UndeclaredField, Unrepresentable
from goaime_migrate.transform.chain import Changed
from goaime_migrate.transform.step import Step

if TYPE_CHECKING:
    from pydantic import BaseModel

FROM = 1_000
"""From so many documents on it pays."""
_SETTING = ("$set", "$addFields")
_ENTRANCES = ("__get_pydantic_core_schema__", "model_validate")
"""A model that has its own of these may look at anything."""


def carried(steps: Sequence[Step], capabilities: Capabilities, documents: int) -> tuple[str, ...] | None:
    """The fields to carry for these steps; None where documents have to be carried whole.

    Of several steps one might remove what another has added, and the place of a field would be lost.
    """
    if len(steps) != 1 or documents < FROM or not capabilities.deltas:
        return None
    (step,) = steps
    if any(lookup.collection == step.collection for lookup in step.looked_up.values()):
        return None  # the keys by which a document is found have to be known before it is written
    if any("$unset" in stage for stage in step.stages):
        return None  # the place of a field that goes is known of whole documents only
    fields = _set_by(step) if step.pipeline else step.fields
    if fields is None or not all(map(_plain, fields)):
        return None
    seen = frozenset[str]() if step.model is None else looked_at(step.model)
    if step.check is not None or seen is None or not seen.issubset(fields):
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


def looked_at(model: type[BaseModel]) -> frozenset[str] | None:
    """The fields that a model looks at: it says the same of a document that has no others. None if it may see all."""
    from pydantic import BaseModel

    validators, config = model.__pydantic_decorators__, model.model_config
    if validators.model_validators or validators.root_validators or config.get("extra", "ignore") != "ignore":
        return None
    if model.__pydantic_custom_init__ or model.__pydantic_root_model__ or not model.__pydantic_complete__:
        return None
    if any(getattr(model, own).__func__ is not getattr(BaseModel, own).__func__ for own in _ENTRANCES):
        return None
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    aliases = {name: field.validation_alias or field.alias for name, field in model.model_fields.items()}
    names = [alias or name for name, alias in aliases.items()] + (list(aliases) if by_name else [])
    if not all(isinstance(name, str) and (_plain(name) or name == "_id") for name in names):
        return None
    return frozenset(map(str, names))


def narrow(changed: Changed, step: Step, fields: Sequence[str]) -> Changed | None:
    """The change as one of its fields alone, None if it cannot be written and taken back so.

    Raises UndeclaredField, Unrepresentable.
    """
    if changed.sets is not None:
        return changed
    assert changed.before is not None
    assert changed.after is not None
    sets = raw_difference.set_or_appended(changed.before, changed.after)
    if sets is None:
        return None
    if any(raw_bson.is_twice(changed.before, name) for name, _ in sets):
        identity = raw_bson.id_value(changed.id)
        raise Unrepresentable.because("it has the same key twice", id=identity, version=step.version)
    undeclared = {name for name, _ in sets} - _names(tuple(fields))
    if undeclared and (undeclared := undeclared.difference(raw_bson.fields(changed.before))):
        raise UndeclaredField(
            f"{step.name} writes a field that fields= does not declare",
            version=step.version,
            id=raw_bson.id_value(changed.id),
            field=min(undeclared).decode("utf-8", "replace"),
            hint=f"add it to fields= in {step.source}, or leave fields= out",
        )
    return Changed(changed.id, changed.before, changed.after, changed.touched, sets)


@lru_cache
def _names(fields: tuple[str, ...]) -> frozenset[bytes]:
    """The declared fields as they are named in raw documents."""
    return frozenset(name.encode("utf-8", "surrogateescape") for name in fields)


def part(document: bytes, fields: Sequence[str]) -> bytes:
    """What is carried of a document: its `_id` and these fields."""
    carried = {"_id", *fields}
    there = raw_bson.fields(document).items()
    return raw_bson.join([element for name, element in there if name.decode("utf-8", "replace") in carried])
