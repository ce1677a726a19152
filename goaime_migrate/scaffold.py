"""New files: a project's first ini and folder, and the next migration from a template."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from goaime_migrate.config import INI, PYPROJECT, SECTION, SERVERS_OWN, Settings, in_pyproject
from goaime_migrate.errors import FolderMissing, UsageError
from goaime_migrate.migration import FILE_NAME, PLACEHOLDER, version_of
from goaime_migrate.results import InitResult, NewResult

_INI = """\
# Configuration of goaime-migrate. Every key can be overridden by GOAIME_MIGRATE_<KEY> and by a flag.
[goaime-migrate]

# Where the database is: mongodb://…, or dump:PATH for a directory in mongodump's format.
uri = ${MONGODB_URI:-mongodb://localhost:27017}

# Which database; one in the path of a uri that comes from a variable or a flag wins over it.
database = @database@

# The folder of the migration files, relative to this file.
migrations = migrations
"""

_TEMPLATES = {
    "transform": '''"""$title."""

from goaime_migrate import Document, TransformDocuments


def $name(document: Document) -> None:
    """Change the document in place. Pure: no clock, no random, no database."""
    document.setdefault("new_field", None)


operations = [
    TransformDocuments("$collection", $name),
]
''',
    "pipeline": '''"""$title."""

from goaime_migrate import UpdateDocuments

operations = [
    UpdateDocuments("$collection", [{"$$set": {"new_field": {"$$ifNull": ["$$new_field", None]}}}]),
]
''',
    "index": '''"""$title."""

from goaime_migrate import CreateIndex

operations = [
    CreateIndex("$collection", [("field", 1)]),
]
''',
    "insert": '''"""$title."""

from goaime_migrate import InsertDocuments

# A document whose key is there already is left as it is.
operations = [
    InsertDocuments("$collection", [{"_id": "first", "name": "First"}], key="_id"),
]
''',
    "delete": '''"""$title."""

from goaime_migrate import DeleteDocuments

operations = [
    DeleteDocuments("$collection", where={"field": "obsolete"}),
]
''',
    "derive": '''"""$title."""

from collections.abc import Iterator

from goaime_migrate import DeriveDocuments, Document


def $name(document: Document) -> Iterator[Document]:
    """Yield what is to be made of a document, each with its `_id`. Pure: no clock, no random, no database."""
    for number, item in enumerate(document.get("items", [])):
        yield {"_id": f"{document['_id']}-{number}", "item": item}


operations = [
    DeriveDocuments("$collection", "${collection}_items", $name),
]
''',
    "python": '''"""$title."""

from typing import Any


def up(db: Any) -> None:
    """Starts again after a crash: must be idempotent."""
    db.$collection.update_many({"new_field": {"$$exists": False}}, {"$$set": {"new_field": None}})


def down(db: Any) -> None:
    """Take it back."""
    db.$collection.update_many({}, {"$$unset": {"new_field": ""}})
''',
}
KINDS = tuple(_TEMPLATES)


def init(folder: Path) -> InitResult:
    """Write the ini and the migrations folder into a project; what is there already is left alone.

    Raises UsageError where the ini would put a pyproject.toml with our table out of force.
    """
    created, kept = [], []
    ini, migrations = folder / INI, folder / "migrations"
    if not ini.exists() and in_pyproject(folder):
        raise UsageError(
            f"{PYPROJECT} has [tool.{SECTION}] already, and {INI} would put it out of force",
            hint=("" if migrations.exists() else "mkdir -p migrations, then ") + "goaime-migrate new NAME",
        )
    text = _INI.replace("@database@", _database(folder))
    for path, make in ((ini, lambda: ini.write_text(text, encoding="utf-8")), (migrations, migrations.mkdir)):
        if path.exists():
            kept.append(str(path))
        else:
            _write(path, make)
            created.append(str(path))
    return InitResult(tuple(created), tuple(kept))


def new(settings: Settings, name: str, kind: str) -> NewResult:
    """Write the next migration. Raises FolderMissing, UsageError."""
    if kind not in _TEMPLATES:
        raise UsageError(f"there is no template {kind!r}", hint=f"--kind is one of {', '.join(KINDS)}")
    if not settings.migrations.is_dir():
        raise FolderMissing(
            f"there is no migrations folder {settings.migrations}",
            hint=f"mkdir -p {settings.migrations}, or set migrations = FOLDER"
            if settings.config_file
            else "goaime-migrate init, or set migrations = FOLDER",
        )
    # Some type the file's whole name; its number is ours to choose.
    bare = re.sub(r"^\d+_|\.py$", "", name.strip())
    word = re.sub(r"\W+", "_", bare.lower()).strip("_")
    if not word:
        raise UsageError(
            f"{name!r} holds no word to name a migration by", hint="goaime-migrate new add_user_id"
        )
    numbers = [int(m["number"]) for p in settings.migrations.iterdir() if (m := FILE_NAME.fullmatch(p.name))]
    version = version_of(max(numbers, default=0) + 1)
    path = settings.migrations / f"{version}_{word}.py"
    function = word if word.isidentifier() and not keyword.iskeyword(word) else f"migrate_{word}"
    title = word.replace("_", " ").capitalize()
    text = Template(_TEMPLATES[kind]).substitute(title=title, name=function, collection=PLACEHOLDER)
    _write(path, lambda: path.write_text(text, encoding="utf-8"))
    return NewResult(version, str(path))


def _database(folder: Path) -> str:
    """A database name out of the folder's."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_")[:63] or "app"
    return f"{name}_app" if name in SERVERS_OWN else name


def _write(path: Path, make: object) -> None:
    assert callable(make)
    try:
        make()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}", hint="check the folder's permissions"
        ) from error
