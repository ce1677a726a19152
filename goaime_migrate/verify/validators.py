"""Validators as promises: whether the documents that are there meet what SetValidator asks of those that are written."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import CollectionReader, Filter
from goaime_migrate.errors import MissingCapability, UsageError
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.operations import DropCollection, RenameCollection, SetValidator
from goaime_migrate.results import UncheckedPromise, VerifyFailure
from goaime_migrate.verify.promises import MOST


class Rule(NamedTuple):
    """The validator that a version has set, on the collection as it is called by now."""

    version: str
    collection: str
    validator: Filter
    text: str


def promises(operation: Operation) -> bool:
    """Whether an operation sets a validator that is looked at."""
    return (
        isinstance(operation, SetValidator)
        and operation.options["validationLevel"] != "off"
        and bool(operation.options["validator"])
    )


def in_force(applied: Sequence[Migration], kept: Container[Migration]) -> list[Rule]:
    """The validators that these migrations have left behind, of those that are `kept`, by collection."""
    rules: dict[str, Rule] = {}
    for m in applied:
        for operation in m.operations:
            if isinstance(operation, RenameCollection) and operation.old in rules:
                rules[operation.new] = rules.pop(operation.old)._replace(collection=operation.new)
            elif isinstance(operation, DropCollection):
                rules.pop(operation.name, None)
            elif isinstance(operation, SetValidator) and operation.collection is not None:
                name = operation.collection
                rules.pop(name, None)
                if m in kept and promises(operation):
                    whole: Any = operation.options["validator"]
                    rules[name] = Rule(m.version, name, whole, operation.describe())
    return [rules[name] for name in sorted(rules)]


def misfits(
    backend: CollectionReader, rule: Rule, sample: int | None
) -> list[VerifyFailure] | UncheckedPromise:
    """The documents, or those of a sample, that the database itself would refuse; or why it cannot be asked."""
    where = {"$nor": [rule.validator]}
    try:
        if sample is None:
            found = backend.documents(rule.collection, where=where, limit=MOST, fields=())
        else:
            ids = [raw_bson.id_of(document) for document in backend.sample(rule.collection, sample)]
            found = backend.by_ids(rule.collection, ids, where=where, fields=())
    except (MissingCapability, UsageError) as error:
        return UncheckedPromise(rule.version, rule.collection, error.message)
    reason = f"does not meet its validator ({rule.text})"
    return [
        VerifyFailure(
            rule.version, rule.collection, raw_bson.id_value(raw_bson.id_of(document)), None, reason
        )
        for document in found
    ]
