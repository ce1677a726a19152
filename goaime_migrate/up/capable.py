"""Which collections a pass can walk over and write, and which it cannot look into meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from goaime_migrate.backends.ports import Catalogue, CollectionInfo
from goaime_migrate.errors import MissingCapability
from goaime_migrate.transform.lookups import joined_collections
from goaime_migrate.transform.step import Step

_INSTEAD = "migrate the collection behind it, or copy it to an ordinary one in a plain up(db)"


def require_capable(backend: Catalogue, collection: str) -> None:
    """Refuse a collection whose documents cannot be replaced one by one. Raises MissingCapability."""
    info = backend.collections().get(collection)
    if info is not None and info.unwalkable:
        raise MissingCapability(f"{collection} cannot be migrated: {info.unwalkable}", hint=_INSTEAD)


def require_lookups(backend: Catalogue, steps: Sequence[Step]) -> None:
    """Refuse to look into a view of the collection that is written: what it shows changes with every batch.

    Raises MissingCapability.
    """
    lookups = [lookup for step in steps for lookup in step.looked_up.values()]
    looked_up = {lookup.collection for lookup in lookups if lookup.pipeline is None}
    if not looked_up - {steps[0].writes}:
        return
    known = backend.collections()
    for name in sorted(looked_up):
        if steps[0].writes in _seen_through(known, name):
            raise MissingCapability(
                f"the lookup into {name!r} sees {steps[0].writes!r}, which the same pass writes, through a view",
                version=steps[0].version,
                hint=f"look into {steps[0].writes!r} itself: that gives the state before the pass",
            )


def _seen_through(known: Mapping[str, CollectionInfo], name: str) -> set[str]:
    """The collections that a view shows documents of, through other views too; none for what is no view."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        info = known.get(waiting.pop())
        if info is not None and info.kind == "view":
            below = {info.options["viewOn"], *joined_collections(info.options.get("pipeline", ()))} - seen
            seen |= below
            waiting += below
    return seen
