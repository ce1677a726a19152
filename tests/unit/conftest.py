"""What several modules of unit tests have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from goaime_migrate import cli
from tests.unit.command_line import Ended, Fake, Run


@pytest.fixture
def migrator(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    module = ModuleType("goaime_migrate.migrator")
    module.Migrator = fake  # type: ignore[attr-defined]
    module.init = fake.__getattr__("init")  # type: ignore[attr-defined]
    module.new = fake.__getattr__("new")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "goaime_migrate.migrator", module)
    monkeypatch.setattr("goaime_migrate.migrator", module, raising=False)
    return fake


@pytest.fixture
def run(
    migrator: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    (tmp_path / "alembic-style.ini").write_text("[goaime-migrate]\nuri = mongodb://app:s3cr3t@h/\n")
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("GOAIME_MIGRATE_"):
            monkeypatch.delenv(name)

    def call(*words: str) -> Ended:
        status = cli.main(words)
        out, err = capsys.readouterr()
        assert "s3cr3t" not in out + err
        return Ended(status, out, err)

    with Path(os.devnull).open() as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        yield call


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Somebody at a terminal who types this."""

    class Terminal:
        def __init__(self, text: str) -> None:
            self.text = text

        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return self.text

        def close(self) -> None:
            pass

    return lambda text: monkeypatch.setattr("sys.stdin", Terminal(text))
