"""`try`: one document through one version, once or on every save."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from goaime_migrate import errors
from goaime_migrate.cli.ending import fail, finish
from goaime_migrate.cli.ids import first_known, ids_of
from goaime_migrate.cli.invocation import Invocation, filter_of, object_of
from goaime_migrate.cli.options import Argument, Option
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.errors.hint import Command
from goaime_migrate.render import trying

if TYPE_CHECKING:
    from goaime_migrate.config import Settings

LOOK_EVERY_S = 0.3


Id = Annotated[
    str | None,
    Option(
        "--id",
        metavar="JSON",
        help="The document with this _id, in Extended JSON; a bare word is a string, or an ObjectId.",
    ),
]
FirstMatch = Annotated[
    str | None, Option("--where", metavar="JSON", help="The first document that matches this filter.")
]
Doc = Annotated[
    Path | None,
    Option(
        "--doc",
        metavar="FILE",
        help="The document in this file, in Extended JSON; a database is needed only by lookups.",
    ),
]


Whose = Annotated[
    str | None, Option(metavar="NAME", help="Whose document it is, where the version works on several.")
]


def try_(
    run: Invocation,
    version: Annotated[str, Argument(metavar="VERSION", help="The version: 3, 0003, or a part of its name.")],
    *,
    id: Id = None,
    where: FirstMatch = None,
    doc: Doc = None,
    collection: Whose = None,
    watch: Annotated[
        bool, Option("--watch", help="Again whenever a file of the migrations, or FILE, is saved.")
    ] = False,
) -> Outcome:
    """Take one document through one version, operation by operation, and write nothing.

    A document of the database goes through the pending versions before it first.
    """
    if sum(given is not None for given in (id, where, doc)) != 1:
        raise errors.UsageError(
            "one document is tried: which one?", hint="say just one of --id JSON, --where JSON and --doc FILE"
        )
    either = _either(id, where)
    settings = _settings(run, doc)
    words = tuple(_words(id=id, where=where, doc=doc, collection=collection))

    def attempt() -> Outcome:
        document = None if doc is None else _document(doc)
        with run.migrator(settings) as migrator:
            result = first_known(
                either,
                lambda found_by: migrator.try_(version, document, where=found_by, collection=collection),
            )
        if result.error is not None:
            plain = Command(("try", result.version))
            result.error.advise(result.error.hint.instead(plain, plain.to(*words)))
        return Outcome(result, lambda style: trying.trial(result, style), result.error, read=True)

    if watch:
        _watch(run, attempt, settings.migrations, doc)
    return attempt()


def _either(id: str | None, where: str | None) -> Sequence[dict[str, Any] | None]:
    """The filters of which the first that finds a document counts."""
    return [filter_of(where)] if id is None else [{"_id": {"$eq": each}} for each in ids_of(id, "--id")]


def _settings(run: Invocation, doc: Path | None) -> Settings:
    """The settings; a document that is handed over can be tried where no database is named."""
    try:
        return run.settings()
    except errors.InvalidConfiguration as error:
        if doc is None or error.field != "uri":
            raise
        return run.settings(need_uri=False)


def _words(**given: object) -> Iterator[str]:
    """The options as they were given, for a command that is to be copied."""
    for name, value in given.items():
        if value is not None:
            yield from (f"--{name}", shlex.quote(str(value)))


def _document(file: Path) -> dict[str, Any]:
    """The document in a file. Raises UsageError."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise errors.UsageError(f"{file} cannot be read: {reason}", hint="--doc FILE names a file") from None
    return object_of(text, str(file), """a document in Extended JSON: {"_id": 1, "name": "Ann"}""")


def _watch(run: Invocation, attempt: Callable[[], Outcome], folder: Path, doc: Path | None) -> NoReturn:
    """Try again whenever something is saved, until a signal ends it. Mistakes in what is being edited are shown."""
    console, json = run.console, run.common.json
    while True:
        before = _file_states(folder, doc)
        if console.redraws and not json:
            console.result("\x1b[2J\x1b[H", end="")
        try:
            finish(console, attempt(), json=json)
        except errors.MigrateError as error:
            fail(console, error, run.command, json=json)
        console.message("watching; Ctrl-C ends it")
        while _file_states(folder, doc) == before:
            time.sleep(LOOK_EVERY_S)


def _file_states(folder: Path, doc: Path | None) -> dict[Path, tuple[int, int]]:
    """The files that matter, with what changes when they are saved."""
    found = {}
    for path in (*folder.rglob("*.py"), *([] if doc is None else [doc])):
        with suppress(OSError):  # gone for a moment, while an editor replaces it
            status = path.stat()
            found[path] = status.st_mtime_ns, status.st_size
    return found
