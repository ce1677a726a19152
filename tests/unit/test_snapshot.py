"""What a reader of a dump takes for one generation while a writer is at work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bson
import pytest

from goaime_migrate.backends.dump import snapshot
from goaime_migrate.backends.dump.folder import Folder


def test_a_file_that_goes_while_the_folder_is_listed_is_no_sign_of_an_empty_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "users.bson").write_bytes(bson.encode({"_id": 1}))
    names, interrupted = Folder.names, [True, True]

    def cut_off(self: Folder) -> Iterator[tuple[str, os.stat_result]]:
        if interrupted:
            interrupted.pop()
            raise FileNotFoundError("born7.bson")
        return names(self)

    monkeypatch.setattr(Folder, "names", cut_off)
    taken = snapshot.take(tmp_path, "app")
    try:
        assert list(taken.files) == ["users.bson"]
    finally:
        taken.close()


def test_a_folder_that_is_not_there_is_a_database_without_files(tmp_path: Path) -> None:
    assert snapshot.take(tmp_path, "app").files == {}
    assert snapshot.signature(tmp_path, "app") == (None, ())


def test_a_file_that_goes_while_it_is_looked_at_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process gives it its final name in between."""
    (tmp_path / "new").touch()
    looked_at = os.stat

    def look_and_lose(path: Any, **options: Any) -> os.stat_result:
        found = looked_at(path, **options)
        (tmp_path / "new").unlink(missing_ok=True)
        return found

    with Folder.at(tmp_path) as folder, monkeypatch.context() as racing:
        racing.setattr(os, "stat", look_and_lose)
        os.close(folder.open_shared("new"))
    assert (tmp_path / "new").exists()
