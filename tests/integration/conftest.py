"""The same behaviour on every engine."""

from pathlib import Path

import pytest

from tests.conftest import Backend
from tests.world import World


@pytest.fixture
def world(backend: Backend, tmp_path: Path) -> World:
    """An empty database of each kind, with an empty migrations folder."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    return World(backend.kind, backend.uri, backend.database, folder)
