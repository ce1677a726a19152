"""Where a rehearsal has its copy."""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path

import pytest

from goaime_migrate.config import copies
from goaime_migrate.events import Event, Notice
from goaime_migrate.rehearse import scratch


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def leave(folder: Path, name: str) -> Path:
    home = folder / name
    (home / "dump").mkdir(parents=True)
    (home / "owner").touch()
    return home


def test_what_a_dead_one_has_left_is_removed_and_what_is_used_stays(temporary: Path) -> None:
    dead = leave(temporary, "goaime-migrate-rehearsal-dead")
    alive = leave(temporary, "goaime-migrate-rehearsal-alive")
    unmarked = temporary / "goaime-migrate-rehearsal-unmarked"
    unmarked.mkdir()
    told: list[Event] = []
    with (alive / "owner").open() as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        with scratch._folder(told.append) as folder:
            assert sorted(temporary.iterdir()) == sorted([alive, unmarked, folder.parent])
            with scratch._folder(told.append) as another:
                assert another != folder
                assert folder.exists()
    assert sorted(temporary.iterdir()) == sorted([alive, unmarked])
    assert [e.text for e in told if isinstance(e, Notice)] == [
        f"removed {dead}, which a rehearsal had left that was killed"
    ]


@pytest.mark.parametrize("name", ["shop", "ü" * 31, "x" * 63])
def test_names_that_a_server_takes(name: str) -> None:
    names = copies.place_names(name)
    assert len(set(names)) == copies.PLACES
    assert all(len(each.encode()) <= 63 for each in names)
    assert set(names).isdisjoint(copies.place_names(name[:-1] + "y"))
