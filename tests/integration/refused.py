"""A small collection, a transform over it, and the error of a run."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from goaime_migrate import errors
from goaime_migrate.config import Settings
from goaime_migrate.migrator import Migrator
from tests.world import World

GROW = """
    from goaime_migrate import TransformDocuments

    def grow(d):
        {body}

    operations = [TransformDocuments("c", grow{options})]
    """
DOCUMENTS = [{"_id": i, "n": i} for i in range(5)]


def grow(body: str = 'd["n"] += 1000', options: str = "") -> str:
    return GROW.format(body=body, options=f", {options}" if options else "")


def refusal(world: World, *, down: bool = False) -> errors.MigrateError:
    """The error of a run, raised or returned."""
    try:
        result = (world.down if down else world.up)()
    except errors.MigrateError as error:
        return error
    assert result.error is not None
    return result.error


def values(world: World) -> list[Any]:
    return [d.get("n") for d in world.documents("c")]


# --- files -----------------------------------------------------------------------------------------------------


def file_problem(world: World, kind: type[errors.HistoryError], code: str) -> errors.MigrateError:
    """`up` is refused, `status` lists it, and neither writes anything."""
    before = world.raws("c"), world.raws("schema_versions")
    error = refusal(world)
    assert type(error) is kind
    assert (error.code, error.exit_code) == (code, 4)
    assert error.hint
    assert code in [p.code for p in world.status().problems]
    assert (world.raws("c"), world.raws("schema_versions")) == before
    return error


def opened(uri: str, tmp_path: Path, **settings: Any) -> errors.MigrateError:
    """The error of `status`, and of `up`, at this address."""
    (tmp_path / "migrations").mkdir(exist_ok=True)
    (tmp_path / "migrations" / "0001_n.py").write_text(
        "from goaime_migrate import AddField\noperations = [AddField('c', 'n', 1)]\n"
    )
    values = Settings(
        uri=uri, migrations=tmp_path / "migrations", lock_timeout=1, **{"database": "refused", **settings}
    )
    with Migrator(values) as migrator, pytest.raises(errors.MigrateError) as reading:
        migrator.status()
    with Migrator(values) as migrator, pytest.raises(errors.MigrateError) as writing:
        migrator.up()
    assert type(reading.value) is type(writing.value)
    return writing.value


def said(error: errors.MigrateError) -> str:
    """Everything that an error shows, its traceback included."""
    return f"{error.hint} {error.detail} {''.join(traceback.format_exception(error))}"
