"""What no server takes for a collection that is to be created: refused when the file is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goaime_migrate.operations.base import require
from goaime_migrate.operations.index_options import require_known

_OPTIONS = frozenset(
    {
        "autoIndexId",
        "capped",
        "changeStreamPreAndPostImages",
        "clusteredIndex",
        "collation",
        "comment",
        "encryptedFields",
        "expireAfterSeconds",
        "flags",
        "indexOptionDefaults",
        "max",
        "pipeline",
        "recordPreImages",
        "size",
        "storageEngine",
        "temp",
        "timeseries",
        "validationAction",
        "validationLevel",
        "validator",
        "viewOn",
        "writeConcern",
    }
)
_OF_THE_DRIVER = frozenset(
    {"check_exists", "codec_options", "read_concern", "read_preference", "session", "write_concern"}
)
LEVELS, ACTIONS = ("off", "strict", "moderate"), ("error", "warn")


def require_options(name: str, options: Mapping[str, Any]) -> None:
    """Refuse options that the server would refuse for certain. Raises InvalidMigration."""
    what = f"the collection {name!r}"
    require_known(options.keys() - _OF_THE_DRIVER, _OPTIONS, what)
    _require_capped(options, what)
    require(
        options.get("validationLevel", "strict") in LEVELS,
        f"{what}: validationLevel must be {', '.join(LEVELS)}, not {options.get('validationLevel')!r}",
    )
    require(
        options.get("validationAction", "error") in ACTIONS,
        f"{what}: validationAction must be {', '.join(ACTIONS)}, not {options.get('validationAction')!r}",
    )
    for stage in options.get("pipeline", ()):
        writes = isinstance(stage, Mapping) and stage.keys() & {"$out", "$merge"}
        require(not writes, f"{what}: the pipeline of a view writes nothing", "leave $out and $merge out")
    require("pipeline" not in options or "viewOn" in options, f"{what}: pipeline goes with viewOn")
    series = options.get("timeseries")
    require(
        series is None or (isinstance(series, Mapping) and "timeField" in series),
        f"{what}: timeseries must name its timeField, not {series!r}",
        "timeseries={'timeField': 'at'}",
    )
    require(
        "expireAfterSeconds" not in options or series is not None or "clusteredIndex" in options,
        f"{what}: expireAfterSeconds goes with timeseries or clusteredIndex",
        "CreateIndex(…, expireAfterSeconds=…)",
    )


def _require_capped(options: Mapping[str, Any], what: str) -> None:
    size = options.get("size")
    if options.get("capped"):
        require(
            isinstance(size, int | float) and size >= 1,
            f"{what} is capped, and needs a size in bytes" + ("" if size is None else f", not {size!r}"),
            "size=1048576",
        )
    elif "viewOn" not in options:
        odd = [each for each in ("size", "max") if each in options]
        require(not odd, f"{what}: {' and '.join(odd)} goes with capped=True", "add capped=True")


def require_new_name(name: str) -> None:
    """Refuse what no server lets a collection be called. Raises InvalidMigration."""
    odd = name.startswith(".") or name.endswith(".") or ".." in name or "$" in name
    require(
        not odd,
        f"no collection can be called {name!r}",
        "a name has no dollar, begins and ends with no dot, and has no two dots together",
    )
