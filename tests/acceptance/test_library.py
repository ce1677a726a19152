"""docs/library.md is executed: its blocks, one after the other, as one program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bson import encode

from tests.world import REPOSITORY

PAGE = (REPOSITORY / "docs" / "library.md").read_text(encoding="utf-8")


def test_the_page_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("migrations", "dump/shop"):
        (tmp_path / folder).mkdir(parents=True)
    source = "from goaime_migrate import AddField\noperations = [AddField('c', 'n', 1)]\n"
    (tmp_path / "migrations" / "0001_add.py").write_text(source)
    (tmp_path / "dump" / "shop" / "c.bson").write_bytes(encode({"_id": 1}) + encode({"_id": 2}))
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    exec(compile("\n".join(blocks), "library.md", "exec"), {})
