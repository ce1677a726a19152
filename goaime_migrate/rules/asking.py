"""Which questions a turn has to the results of the pass that its collection has behind it."""

from __future__ import annotations

from collections.abc import Iterator

from goaime_migrate.errors import MissingCapability
from goaime_migrate.operations import CreateIndex, SetValidator
from goaime_migrate.results import Document
from goaime_migrate.rules.outline import Shape, unique
from goaime_migrate.rules.questions import Expiries, Keys, Misfits, Sizes, Types
from goaime_migrate.rules.seen import Question
from goaime_migrate.rules.turn import Turn

LARGE_RESULT = 12 * 1024 * 1024
"""Bytes from which on a document is near the limit of 16 MB."""


def questions_of(turn: Turn) -> list[Question]:
    """A pass asks by what its collection has by then; an index or a validator by what it will hold."""
    shape = turn.shape
    if shape is None:
        return []
    if turn.walks:
        return [Types(), Sizes(LARGE_RESULT), *_by_indexes(turn, shape), *_by_validator(turn, shape)]
    if (creating := turn.only(CreateIndex)) is not None:
        return list(_by_index(turn, creating.index))
    if (setting := turn.only(SetValidator)) is not None:
        return list(_by_options(turn, shape, setting.options, written_only=False))
    return []


def _by_indexes(turn: Turn, shape: Shape) -> Iterator[Question]:
    for index in unique(shape.indexes):
        yield from _keys(index)
    for index in shape.indexes:
        yield from _expiries(turn, index, fresh=False)


def _by_index(turn: Turn, index: Document) -> Iterator[Question]:
    yield Types(list(index["key"]))
    if index.get("unique"):
        yield from _keys(index)
    yield from _expiries(turn, index, fresh=True)


def _keys(index: Document) -> Iterator[Question]:
    """Of an index that only the server itself can judge nothing is asked; its rule says so."""
    try:
        yield Keys(index)
    except MissingCapability:
        return


def _expiries(turn: Turn, index: Document, *, fresh: bool) -> Iterator[Question]:
    if isinstance(index.get("expireAfterSeconds"), int | float):
        yield Expiries(index, turn.database.now(), fresh=fresh)


def _by_validator(turn: Turn, shape: Shape) -> Iterator[Question]:
    yield from _by_options(turn, shape, shape.options, written_only=True)


def _by_options(turn: Turn, shape: Shape, options: Document, *, written_only: bool) -> Iterator[Question]:
    wanted, level = options.get("validator"), options.get("validationLevel", "strict")
    if not wanted or level == "off":
        return
    if written_only and options.get("validationAction", "error") != "error":
        return
    moderate = written_only and level == "moderate"
    yield Misfits(
        turn.database, shape.stored or shape.name, wanted, moderate=moderate, written_only=written_only
    )
