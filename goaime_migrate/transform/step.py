"""A step: one transform of one version, how it is called, and what is held against its results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bson import Regex

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Filter
from goaime_migrate.errors import InvalidResult, ResultBreaksPromise, ResultTooLarge, TransformFailed
from goaime_migrate.errors.hint import DOWN, REPAIR, UP, Hint
from goaime_migrate.results import Document
from goaime_migrate.transform.lookups import Lookup, Now
from goaime_migrate.transform.path_stages import Marking
from goaime_migrate.transform.paths import CannotChange

if TYPE_CHECKING:
    from pydantic import BaseModel

_AGAIN = Hint("{}", UP)
_CORRECT = Hint("correct the document or the migration, then: {}", UP)
CORRECTED = Hint("{}, which accepts the edit, and {}", REPAIR, DOWN)
"""The way on once a `reverse=` is corrected: `down` takes back with the code that was applied, or was accepted."""
_NO_IDS = (list, tuple, Regex, re.Pattern)
_FIELD = re.compile(r"(?P<field>[A-Za-z_$][\w$-]*(?:\.[\w$-]+)*): ")
UNENCODABLE = raw_bson.UNENCODABLE
"""What encoding raises."""


@dataclass(frozen=True)
class Step:
    """One transform of one version. `source` is the migration's file, whose lines a traceback may show."""

    version: str
    collection: str
    source: str
    transform: Callable[..., Document | None]
    lookups: Mapping[str, Lookup | Now] = field(default_factory=dict)
    """What the functions are given by name, besides the document."""
    where: Filter | None = None
    fields: tuple[str, ...] | None = None
    reverse: Callable[..., Document | None] | None = None
    model: type[BaseModel] | None = None
    check: Callable[..., Iterable[str] | None] | None = None
    reverse_lookups: tuple[str, ...] = ()
    pipeline: tuple[Document, ...] = ()
    """Update stages for the server to run, in place of the transform."""
    then: Hint = _AGAIN
    """What leads on once its file is corrected."""
    stages: tuple[Document, ...] = ()
    """Update stages that do what the transform does, to documents that survive decoding and encoding."""
    adds: bytes | None = None
    """The one BSON element that the transform appends to documents that have no field of its name, and all it does."""
    removes: tuple[bytes, ...] = ()
    """The top-level fields that the transform removes, if it does nothing else."""
    marking: Marking | None = None
    """The stages for a server that computes what comes of a document, and marks what it has to be decoded for."""
    number: int = 0
    """Which operation of its version it is."""

    def reversed(self) -> Step:
        """The step that takes documents back which were inserted since `up`."""
        assert self.reverse is not None
        lookups = {name: self.lookups[name] for name in self.reverse_lookups}
        return Step(self.version, self.collection, self.source, self.reverse, lookups, then=CORRECTED)

    @property
    def writes(self) -> str:
        """The collection that it writes."""
        return self.collection

    @property
    def deletes(self) -> bool:
        """Whether it deletes documents, and changes none."""
        return False

    @property
    def inserts(self) -> bool:
        """Whether it inserts documents, and changes none."""
        return False

    @property
    def on_stored(self) -> bool:
        """Whether it sees what is stored, and not what steps before it in a plan would make of that."""
        return bool(self.where or self.pipeline)

    @cached_property
    def looked_up(self) -> Mapping[str, Lookup]:
        """The lookups by name, and nothing else that is given."""
        return {name: given for name, given in self.lookups.items() if isinstance(given, Lookup)}

    @cached_property
    def name(self) -> str:
        """The transform's own name."""
        return getattr(self.transform, "__name__", repr(self.transform))


def never(_: Document) -> None:
    """The transform of a step that changes no document."""
    raise AssertionError("this step has no transform")


def always(_: Document) -> bool:
    """Says that any document goes."""
    return True


def call(
    step: Step,
    function: Callable[..., Any],
    document: Document,
    arguments: Mapping[str, Any],
    identity: bytes,
) -> Any:
    """What a function of a migration returns. Raises TransformFailed."""
    try:
        return function(document, **arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise transform_failed(step, error, identity) from error


def apply(
    step: Step,
    function: Callable[..., Document | None],
    document: Document,
    arguments: Mapping[str, Any],
    identity: bytes,
) -> Document:
    """Call a transform or a reverse. Raises TransformFailed, InvalidResult."""
    result = call(step, function, document, arguments, identity)
    if result is None:
        return document
    if not isinstance(result, dict):
        raise InvalidResult(
            f"{step.name} returned {type(result).__name__}; it must change its document and return None, "
            "or return a dict",
            version=step.version,
            id=raw_bson.id_value(identity),
            hint=Hint("correct {}, then: {}", step.source, step.then),
        )
    if "_id" in result and next(iter(result)) != "_id":
        result = {"_id": result["_id"], **result}
    return result


def transform_failed(step: Step, error: BaseException, identity: bytes) -> TransformFailed:
    """The error for a function that raised, with the document that it was called for."""
    if isinstance(error, CannotChange):
        return TransformFailed(
            str(error),
            version=step.version,
            id=raw_bson.id_value(identity),
            field=error.field,
            hint=_CORRECT if step.then != CORRECTED else Hint("correct the document, then: {}", DOWN),
        )
    text = str(error) if not isinstance(error, KeyError) else f"no key {error}"
    match = _FIELD.match(text)
    name = match["field"] if match else None
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        name = error.args[0]
    return TransformFailed(
        f"{step.name} raised {type(error).__name__}: {text}",
        version=step.version,
        id=raw_bson.id_value(identity),
        field=name,
        detail=own_lines(error, step.source),
        hint=_CORRECT
        if step.then != CORRECTED
        else Hint("correct the document, then: {}; or correct {}, then: {}", DOWN, step.source, CORRECTED),
    )


def own_lines(error: BaseException, source: str) -> str:
    """The traceback, cut down to the lines of the migration's own file."""
    import traceback

    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == source]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    return "".join(lines).rstrip()


def encoded(step: Step, document: Document, identity: bytes) -> bytes:
    """The bytes of a document that a step has made. Raises InvalidResult, ResultTooLarge."""
    try:
        current = raw_bson.encode(document)
    except UNENCODABLE as error:
        name, value = _culprit(document)
        raise InvalidResult(
            f"{step.name} made a document that BSON cannot hold: {error}",
            version=step.version,
            id=raw_bson.id_value(identity),
            field=name,
            detail=f"{name} = {value!r:.200}",
            hint=Hint("correct {}, then: {}", step.source, step.then),
        ) from error
    if len(current) > raw_bson.MAX_DOCUMENT:
        check_size(step, step.name, current, identity)
    return current


def check_size(step: Step, name: str, result: bytes, identity: bytes) -> None:
    """Refuse a result that no collection can hold. Raises ResultTooLarge."""
    if len(result) > raw_bson.MAX_DOCUMENT:
        raise ResultTooLarge(
            f"{name} made a document of {len(result):,} bytes; MongoDB stores at most {raw_bson.MAX_DOCUMENT:,}",
            version=step.version,
            id=raw_bson.id_value(identity),
            hint=Hint("shorten the document or the result of the migration, then: {}", step.then),
        )


def is_id(value: Any) -> bool:
    """Whether MongoDB takes a value for an `_id`."""
    return not isinstance(value, _NO_IDS)


def _culprit(document: Document) -> tuple[str | None, Any]:
    """The first top-level field that cannot be encoded by itself."""
    for name, value in document.items():
        try:
            raw_bson.encode({name: value})
        except UNENCODABLE:
            return str(name), value
    return None, None


def keeps_promises(step: Step, document: Document, arguments: Mapping[str, Any]) -> bool:
    """Whether a document is what `model=` and `check=` say. Fields that these set are set in a copy."""
    if step.model is not None:
        from pydantic import ValidationError

        try:
            step.model.model_validate(document.copy())
        except ValidationError:
            return False
    return step.check is None or not _findings(step, document, arguments)


def promise_broken(
    step: Step, document: Document, arguments: Mapping[str, Any], identity: bytes
) -> ResultBreaksPromise:
    """The error for one that is not."""
    name, reason = next(broken_promises(step, document, arguments), (None, "not each time it is asked"))
    return ResultBreaksPromise(
        f"the result of {step.name} breaks its promise: {f'{name}: ' if name else ''}{reason}",
        version=step.version,
        id=raw_bson.id_value(identity),
        field=name,
        hint=_CORRECT,
    )


def broken_promises(
    step: Step, document: Document, arguments: Mapping[str, Any]
) -> Iterator[tuple[str | None, str]]:
    """Each way in which a document breaks `model=` and `check=`, as (field, reason)."""
    if step.model is not None:
        from pydantic import ValidationError

        try:
            step.model.model_validate(document.copy())
        except ValidationError as error:
            for problem in error.errors(include_url=False):
                yield ".".join(map(str, problem["loc"])) or None, problem["msg"]
    yield from broken_checks(step, document, arguments)


def listed(said: Iterable[object] | None) -> list[str]:
    """The findings of a `check=` or a `verify(db)`. A text is one, not one for each of its letters."""
    return [said] if isinstance(said, str) and said else [str(finding) for finding in said or ()]


def broken_checks(
    step: Step, document: Document, arguments: Mapping[str, Any]
) -> Iterator[tuple[str | None, str]]:
    """Each way in which a document breaks `check=`, as (field, reason)."""
    for text in _findings(step, document, arguments):
        match = _FIELD.match(text)
        yield (match["field"] if match else None), text


def _findings(step: Step, document: Document, arguments: Mapping[str, Any]) -> list[str]:
    """What `check=` says against a document."""
    if step.check is None:
        return []
    try:
        return listed(step.check(document.copy(), **arguments))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (a check says no by raising, with whatever it likes)
        return [str(error) or type(error).__name__]
