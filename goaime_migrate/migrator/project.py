"""Files that are written for a project, without a database."""

from __future__ import annotations

from pathlib import Path

from goaime_migrate import results
from goaime_migrate.config import Settings


def init(folder: Path) -> results.InitResult:
    """Write a first configuration and a folder for the migrations; what is there already is left alone."""
    from goaime_migrate import scaffold

    return scaffold.init(folder)


def new(settings: Settings, name: str, kind: str) -> results.NewResult:
    """Write the next migration file from a template."""
    from goaime_migrate import scaffold

    return scaffold.new(settings, name, kind)
