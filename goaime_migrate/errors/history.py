"""Exit 4: the files do not match what was applied."""

from __future__ import annotations

from goaime_migrate.errors.base import MigrateError, Problem


class HistoryError(MigrateError):
    """The files in the migrations folder do not match what the database says was applied.

    This is the family of all such errors, each of which has a code of its own, from GM201 on. As long as
    there is one of them `up` changes nothing, since nobody could say what its result would be.

    `goaime-migrate status` lists all of them with what mends each; `goaime-migrate repair` accepts what can
    be accepted.
    """

    code = "GM200"
    exit_code = 4

    def problem(self) -> Problem:
        """This error as a line of ``status``."""
        return Problem(self.code, self.version, self.message, self.hint)


class EditedMigration(HistoryError):
    """A file was changed after it had been applied.

    Its code no longer says what was done to the database, and a new database would get something else than
    this one. Each applied version is recorded with a checksum of its code; comments, formatting and
    docstrings do not count. The documents are as they were, and `up` does nothing as long as this lasts.

    Restore the file and put the change into a new migration. If the edit makes no difference to the
    documents, accept it: `goaime-migrate repair`.
    """

    code = "GM201"


class MissingMigration(HistoryError):
    """A version is applied whose file is gone.

    The file was deleted or renumbered, or it is on another branch than the one that is checked out. The
    database still has what it did, and the journal still has the documents from before.

    Restore the file; or take the version back, which needs its code only for functions and `reverse=`:
    `goaime-migrate down`. If it is gone for good and what it did is to stay, `goaime-migrate repair` drops
    its record.
    """

    code = "GM202"


class DuplicateVersion(HistoryError):
    """Two files have the same number.

    That happens when two branches that both add a migration are merged. Which of the two comes first would
    be left to chance, so neither is applied, and nothing else is until it is settled.

    `goaime-migrate status` says whether one of them is applied already, and its name. Give the other one
    the next free number; if none is applied, the one that was merged later.
    """

    code = "GM203"


class VersionGap(HistoryError):
    """The numbers of the files are not consecutive: one is missing.

    A file was deleted, or is still on another branch. If it came later it would have to run below what is
    applied by then, so nothing is applied across the gap. A gap with only applied versions above it is no
    problem.

    Restore the file; or put one in its place that does nothing, with the line operations = []. If none of
    the later files is applied anywhere they may be renumbered instead. `goaime-migrate status` shows what
    is applied here.
    """

    code = "GM204"


class OutOfOrder(HistoryError):
    """A pending file has a lower number than a version that is already applied.

    It was merged late from another branch. Other databases may have had it in its place; here it would run
    on documents that later migrations have changed already, with a result that nobody has tried. Nothing
    was applied.

    Give it the next free number, higher than every version that is applied anywhere, then try it:
    `goaime-migrate plan`.
    """

    code = "GM205"


class LoadFailed(HistoryError):
    """A migration file does not load.

    It has a syntax error, is not UTF-8, or its import raised an exception; the message names the file and
    the line. Files are loaded before anything else, so that nothing was changed.

    Correct the file. `goaime-migrate lint` looks at all files without a database.
    """

    code = "GM206"


class InvalidMigration(HistoryError):
    """A migration file loads, but does not declare what the tool needs.

    A file defines a list named operations or a function `up(db)`, and its name is a number, an underscore
    and a word. An operation may also have an argument that it does not know, or that makes no sense.
    Nothing was changed.

    Correct the file, then look at all of them: `goaime-migrate lint`. `goaime-migrate new NAME` writes one
    that is right.
    """

    code = "GM207"


class PinnedPassEdited(HistoryError):
    """A file was edited after part of its documents had been migrated.

    The run had stopped in the middle. Those documents have the result of the old code, the rest would get
    that of the new one. Everything is recorded, which documents are migrated as well as how they were
    before.

    `goaime-migrate down` takes the migrated part back, after which the new code is simply used. If both
    results are right side by side `goaime-migrate repair` accepts going on with the new code. Or restore
    the file.
    """

    code = "GM208"


class LintProblems(HistoryError):
    """`lint` found problems in the migration files.

    Each is listed with its file, its line and what mends it. Files that do not load, gaps and numbers that
    stand twice would stop `up`. Clock, random and environment in a transform would give something else the
    second time, since a transform may be called more than once for a document.

    Mend the files, then look again: `goaime-migrate lint`. No database was opened.
    """

    code = "GM209"


class DamagedRecord(HistoryError):
    """A record in the `schema_versions` collections is not one that this tool has written, or is gone.

    Somebody has changed or removed it by hand, or a restore has brought back only some of these
    collections. A version whose record is gone, while its pass or its journal is still there, is not
    pending: it has run. The tool does not guess what it may have been: with a wrong record a document could
    be migrated twice. Your documents were not touched.

    Restore all collections schema_versions and schema_versions_* from one and the same backup, then look
    with `goaime-migrate status`. A lock that cannot be read needs no backup: `goaime-migrate unlock --force`
    ends it.
    """

    code = "GM210"


class Renumbered(HistoryError):
    """An applied version is not the file that has its number now.

    Both the name and the code differ, so it is another migration and not an edited one. Mostly two
    branches that had the same number were merged and one file was renumbered; or a file was put before one
    that had been applied already; or another project keeps its records in the same database. The message
    says which file has the recorded code now, and which has never run here. Nothing is applied meanwhile.

    Let what was applied keep its number, and give the other file the next free one. Where no file that has
    never run would then stand below one that has, `goaime-migrate repair` lets the records follow the
    files. `goaime-migrate down` takes back what was applied from its journal, under its old number. Two
    projects that share a database have records of different names, by the key records.
    """

    code = "GM211"


class HelperChanged(HistoryError):
    """A module beside the migrations is not what it was when a version that imports it was applied.

    A migration may import modules from its folder, and each is recorded with the version. The documents
    have the result of the old code; another database would get that of the new one. This is a warning:
    nothing is refused.

    If the change makes a difference to documents, put what the applied version used back, and what is new
    into a module of another name. `goaime-migrate status` lists such versions.
    """

    code = "GM212"


class FileNotTaken(HistoryError):
    """Something in the migrations folder looks like a migration, and is not taken for one.

    It is a folder, a link to nothing, its number has more than nine digits, or its name does not end with
    .py. It will never be run. This is a warning of `goaime-migrate status`, and a problem for
    `goaime-migrate lint`; `up` goes on without it.

    Give it a name like 0001_add_user_id.py, or one that does not begin with a number if it is none; then
    look again: `goaime-migrate lint`.
    """

    code = "GM213"
