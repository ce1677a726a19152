"""What the functions of a migration take: the document, and the lookups that their parameters name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from goaime_migrate.operations.base import require
from goaime_migrate.results import Document
from goaime_migrate.transform.lookups import Lookup, Now

_OPTIONS = ("where", "fields", "reverse", "model", "check")


def require_lookups(
    transform: Callable[..., Any], lookups: Mapping[str, object], *, options: Sequence[str] = _OPTIONS
) -> None:
    """Refuse a keyword that is no option, and no `Lookup` or `Now()` for a parameter of the transform.

    `options` are those of the operation. Raises InvalidMigration.
    """
    for name, lookup in lookups.items():
        require(lookup is not Now, f"{name}= is the class Now", f"{name}=Now()")
        require(
            isinstance(lookup, Lookup | Now),
            f"{name}= is neither an option nor a Lookup nor Now()",
            f"the options are {', '.join(options)}; a lookup is declared as {name}=Lookup('collection', key='field')",
        )
    parameters = _parameters(transform)
    if parameters is not None:
        loose = any(p.kind is p.VAR_KEYWORD for p in parameters)
        names = {p.name for p in parameters[1:]}
        for name in lookups:
            require(loose or name in names, f"the lookup {name!r} is not a parameter of {name_of(transform)}")


def require_parameters(
    function: Callable[..., Any], lookups: Mapping[str, object], what: str, named: str
) -> None:
    """Refuse a function that takes no document, or wants what no lookup gives it. Raises InvalidMigration."""
    parameters = _parameters(function)
    if parameters is None:
        return
    require(parameters, f"{what} takes no document", "its first parameter is the document")
    for p in parameters[1:]:
        given = p.name in lookups or p.default is not p.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        require(given, f"{named} wants {p.name!r}, and no lookup has that name", f"{p.name}=Lookup(…)")


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """The parameters of a function; None for one that does not tell them."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def name_of(function: Callable[..., Any]) -> str:
    """What a function is called, for people."""
    return getattr(function, "__name__", repr(function))


def collections_of(lookups: Mapping[str, Lookup | Now]) -> frozenset[str]:
    """The collections that are looked into."""
    return frozenset().union(*(given.reads for given in lookups.values() if isinstance(given, Lookup)))


def lookup_names(function: Callable[..., Any] | None, lookups: Mapping[str, object]) -> tuple[str, ...]:
    """The lookups that a function's signature names."""
    parameters = () if function is None else _parameters(function) or ()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return tuple(lookups)
    return tuple(name for name in lookups if name in {p.name for p in parameters})


def with_named_lookups(
    check: Callable[..., Iterable[str] | None] | None, lookups: Mapping[str, object]
) -> Callable[..., Iterable[str] | None] | None:
    """A check that may leave out lookups that it does not need."""
    if check is None or set(lookup_names(check, lookups)) == set(lookups):
        return check
    wanted = lookup_names(check, lookups)

    def narrowed(document: Document, **given: Any) -> Iterable[str] | None:
        return check(document, **{name: given[name] for name in wanted})

    return narrowed
