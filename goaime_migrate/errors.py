"""Everything that can go wrong, as values: a code, an exit status, what, where and the next command.

The docstring of a class is the long form that ``goaime-migrate explain CODE`` prints: its first line names the error
in lists, then come what has happened and how, what is kept, and what to do. The tree::

    MigrateError
    ├── WorkerFailed (exit 1)        another process cannot take part
    ├── UsageError (exit 2)          configuration, credentials, targets, folders
    ├── HistoryError (exit 4)        the files do not match what was applied
    ├── MigrationFailed (exit 1)     a migration stopped; its state is kept, ``up`` resumes
    ├── PromiseBroken (exit 5)       ``verify`` found a difference
    ├── PendingMigrations (exit 3)   ``status --check`` and ``wait``
    ├── LockHeld (exit 6), LeaseLost (exit 7), ServerUnreachable (exit 8)
    ├── Refused (exit 9)             would not be safe, or was not confirmed
    └── Interrupted (exit 130, 143)
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from goaime_migrate.redaction import redact


class MigrateError(Exception):
    """Something went wrong that the tool has no better name for.

    Mostly it is a mistake in the tool itself, which the message then says, or a result that could not be
    printed. What had been committed before is recorded, and a batch that was not committed has changed
    nothing.

    See where the database stands with `goaime-migrate status`; `goaime-migrate up` goes on from there. The
    same command with --verbose shows the traceback: please report it.
    """

    code: ClassVar[str] = "GM000"
    exit_code: int = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        version: str | None = None,
        id: Any = None,
        field: str | None = None,
        detail: str = "",
    ) -> None:
        self.message = redact(message)
        """Whoever catches it may log it as it is: what users' code says in it has lost its passwords."""
        super().__init__(self.message)
        self.hint = hint
        self.version = version
        self.id = id
        self.field = field
        self.detail = redact(detail)
        """Evidence for people, several lines at most: the user's own traceback lines, a document."""

    def at(self, version: str) -> MigrateError:
        """Name the version where this happened, unless something closer to the cause already did."""
        self.version = self.version or version
        return self


class WorkerFailed(MigrateError):
    """A process that was to share the work could not take part.

    A large collection of a replica set is shared by several processes. One of them could not be started,
    did not get ready, or could not load the migrations as this process did: on a cluster, because the
    package or the migrations folder is not in the same place there. What all of them had committed is kept.

    `goaime-migrate up --workers 1` does the work without others and goes on from where this run stopped.
    """

    code = "GM001"


@dataclass(frozen=True)
class Problem:
    """A difference between the files and the history, as ``status`` lists it."""

    code: str
    version: str | None
    message: str
    hint: str


class UsageError(MigrateError):
    """The command line asks for something that does not exist or cannot be combined.

    A command, an option or a value is not one that the tool knows, or two of them contradict each other.
    Nothing was changed.

    The last line of the message says what was probably meant. `goaime-migrate --help` lists the commands,
    and `goaime-migrate up --help` the options of one of them. Options come after the command.
    """

    code = "GM100"
    exit_code = 2


class InvalidConfiguration(UsageError):
    """The configuration cannot be understood: a key, a value or a variable.

    Settings come from one file, from variables GOAIME_MIGRATE_<KEY> and from flags, the later ones winning.
    The message names the key and where it stands: it is unknown or misspelt, its value has the wrong form,
    or it needs a ${VAR} that is not set. The database was not touched.

    Mend it where the message says. `goaime-migrate init` writes a file with which to begin, and any command
    with --verbose shows where each setting came from.
    """

    code = "GM101"


class InvalidUri(UsageError):
    """The connection string is neither a valid mongodb:// URI nor dump:PATH.

    Often a special character in the user name or the password is not percent-encoded: @ is written %40, :
    is %3A, / is %2F and % is %25. The driver may also not know an option of it. The message hides what may
    belong to a password.

    Correct uri in the configuration, or try another one: `goaime-migrate status --uri
    mongodb://HOST:27017/NAME`.
    """

    code = "GM102"


class AuthenticationFailed(UsageError):
    """The server answered, and refused the user name or the password.

    The address is right, but nobody can log in with this connection string. Besides a wrong password it may
    be the wrong database of users: authSource=admin, say, where the user was made in admin. Nothing was
    read or changed.

    Correct user, password or authSource in uri, then see whether `goaime-migrate status` can read.
    """

    code = "GM103"


class FolderMissing(UsageError):
    """The migrations folder, or the folder of the dump, does not exist.

    Neither is ever made by accident: a misspelt path would look like a project without migrations, or like
    an empty database. Relative paths count from the folder of the configuration file where they are written
    there, else from the working directory. Nothing was changed.

    Correct migrations or uri. `goaime-migrate init` makes the folder of a new project.
    """

    code = "GM104"


class DumpUnreadable(UsageError):
    """A file of the dump directory cannot be read, or is not what mongodump writes.

    It is cut short, is not BSON, is named twice, may not be read, or is being written by another program
    just now. The message names the file and the byte up to which it is good. Nothing in the directory was
    changed.

    Restore the file from where it came, or dump the collection again with mongodump; then look with
    `goaime-migrate status`.
    """

    code = "GM105"


class UnknownTarget(UsageError):
    """The target names no version, or more than one.

    A target is a version (0003 or 3), a part of a name that only one version has, head, base, or a number
    of steps (+2, -1). Nothing was changed.

    `goaime-migrate status` lists the versions; the number is never ambiguous.
    """

    code = "GM106"


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
    """A record in the `schema_versions` collections is not one that this tool has written.

    Somebody has changed or removed it by hand, or a restore has brought back only some of these
    collections. The tool does not guess what it may have been: with a wrong record a document could be
    migrated twice. Your documents were not touched.

    Restore all collections schema_versions and schema_versions_* from one and the same backup, then look
    with `goaime-migrate status`.
    """

    code = "GM210"


class MigrationFailed(MigrateError):
    """A migration stopped.

    This is the family of all errors in the middle of a run, each of which has a code of its own, from GM301
    on. The batch that met it was not written. What was committed before stays, and is recorded with the
    documents from before.

    Remove the cause that the message names, then `goaime-migrate up` goes on from there; or `goaime-migrate
    down` takes back what there is.
    """

    code = "GM300"
    exit_code = 1


class TransformFailed(MigrationFailed):
    """A transform raised an exception for one document.

    The message names the `_id`, the field where it is known, and the line of the file. Nothing of that
    document's batch was written; the batches before are kept, and no document is transformed twice.

    Correct the document, or the migration so that it can bear such a document. Try it on the real
    documents, without writing: `goaime-migrate plan`. Then `goaime-migrate up` goes on. If documents had
    been migrated by the old code, `goaime-migrate down` takes those back first.
    """

    code = "GM301"


class ResultTooLarge(MigrationFailed):
    """A document became larger than the 16 MB that MongoDB can store.

    Mostly an array or a text grows with every document that is looked up. Nothing of that document's batch
    was written, and the batches before are kept.

    Shorten the document or what the migration puts into it, or keep what grows in a collection of its own;
    then `goaime-migrate up` goes on.
    """

    code = "GM302"


class IdChanged(MigrationFailed):
    """A migration changed or removed `_id`.

    A document is known by its `_id`: MongoDB cannot change it in place, and the journal could not find it
    again. Nothing of that document's batch was written, and the batches before are kept.

    Leave `_id` as it is. New ids take copies: insert them in a plain up(db), delete the old ones in a later
    migration. Try the corrected file with `goaime-migrate plan`.
    """

    code = "GM303"


class InvalidResult(MigrationFailed):
    """A transform returned something that cannot be stored as a document.

    A transform changes its document in place and returns nothing, or it returns a new dict. What it makes
    may hold only what BSON knows: no set, no Decimal of Python, no object of your own. The message names
    the document and the value. Nothing of its batch was written.

    Correct the migration, try it with `goaime-migrate plan`, then `goaime-migrate up` goes on.
    """

    code = "GM304"


class PromiseFailed(MigrationFailed):
    """A result does not satisfy its migration's own `model=`, `check=` or `verify`.

    These say what a document has to look like afterwards, and are asked before it is written: nothing of
    that document's batch was. A module's `verify(db)` is asked when all its documents are written; those
    are kept, and the version does not count as applied.

    Correct the document, the migration or the promise, whichever is wrong; then `goaime-migrate up` goes
    on.
    """

    code = "GM305"


class UndeclaredField(MigrationFailed):
    """A transform uses a field that its `fields=` does not declare.

    With `fields=` a transform is given only those fields of a document, so that it would not see the other
    one. The first documents are therefore transformed both whole and in part, and the results differ.
    Nothing of that batch was written.

    Add the field to `fields=`, or leave `fields=` out, which is slower and always right. Try it with
    `goaime-migrate plan`, then `goaime-migrate up`.
    """

    code = "GM306"


class DuplicateKey(MigrationFailed):
    """A unique index refuses a result: another document has that key already.

    Either a migration gives two documents the same value, or an index that is to be unique is created over
    values that stand twice. Nothing of that batch was written, or the index was not made; what came before
    is kept.

    Make the values differ, or drop the index in a migration before this one; then `goaime-migrate up` goes
    on.
    """

    code = "GM307"


class ValidatorRejected(MigrationFailed):
    """The collection's own validator refuses a result.

    The collection has rules that the server enforces, and what the migration makes breaks one. The evidence
    says which. Nothing of that document's batch was written, and the batches before are kept.

    Correct the migration, or set the new rules first, with SetValidator in a migration before this one;
    then `goaime-migrate up` goes on.
    """

    code = "GM308"


class Unrepresentable(MigrationFailed):
    """A document would have to change that cannot be decoded and encoded without loss.

    It holds text that is not UTF-8, for example, or the same key twice; some drivers have written such
    documents. Where a migration does not change it, it is left as it is. Here it would have to be written
    anew, and something would be lost. Nothing of its batch was written.

    Mend this one document by hand, in mongosh, then `goaime-migrate up` goes on.
    """

    code = "GM309"


class FunctionFailed(MigrationFailed):
    """A plain `up(db)` or `down(db)` raised an exception.

    The message has the exception and the line. Such a function writes directly: on a server what it had
    written before stays written, in a dump directory nothing of it is kept. It will be run again from its
    beginning, so that it has to bear what it finds half done.

    Correct the file; then `goaime-migrate up`, or `goaime-migrate down` where it was `down(db)` that
    failed.
    """

    code = "GM310"


class Contended(MigrationFailed):
    """The application writes so often that the migration cannot be finished.

    A batch that meets a write of the application is read and tried again, in ever smaller batches. One
    document was written to again and again all that time, or new documents of the old shape come faster
    than they can be migrated. No write of the application was lost, and what was committed is kept.

    Try again at a quieter moment: `goaime-migrate up` goes on, `goaime-migrate down` goes on taking back.
    """

    code = "GM311"


class CollectionChanged(MigrationFailed):
    """The collection was dropped, renamed or replaced while it was worked on.

    The tool knows a collection by more than its name, and does not go on in another one: documents that are
    gone would count as deleted, and new ones as migrated. What was committed, and the journal, are kept.

    Bring the collection back under its name, then `goaime-migrate up` goes on; or `goaime-migrate down`
    takes back what there is. If its documents are gone for good an empty collection is enough for `down`.
    """

    code = "GM312"


class Conflicts(MigrationFailed):
    """The application has changed documents in the very fields that the run would write.

    `down --on-conflict stop` stops at the first such document. `up` stops where a document was changed in
    the middle of a run and the transform cannot be applied to it a second time. The application's values
    are kept, and so is all that was committed.

    For the way back choose what is to win: `goaime-migrate down --on-conflict keep` leaves the
    application's values, restore brings the old ones back; either goes on from there.
    `goaime-migrate up` would finish the way back too, with keep, and then apply the versions again.

    Where `up` has stopped, put those documents right, then `goaime-migrate up`.
    """

    code = "GM313"


class OperationFailed(MigrationFailed):
    """The server, or the dump directory, refused an operation.

    An index, a validator, a pipeline or a change of a collection could not be carried out, and the message
    has the reason in the server's words: there is no such collection, say, or one of the new name exists
    already. What came before is kept and recorded.

    Remove the cause or correct the migration; then `goaime-migrate up` goes on from this operation.
    """

    code = "GM314"


class SaveFailed(MigrationFailed):
    """The dump directory could not be written.

    The disk is full, the folder may not be written to, or it lies on two file systems. A dump is written
    beside itself and put into place as a whole, so that it is as it was before; only if the message says
    that it was saved must the next command finish it before anybody else reads it.

    Free some space or correct the permissions, then run `goaime-migrate up` again.
    """

    code = "GM315"


class PromiseBroken(MigrateError):
    """`verify` found documents that do not keep the promises of the applied versions.

    Each `model=`, `check=` and `verify(db)` of an applied migration is a promise that holds until a newer
    version supersedes it. Mostly an old release of the application still writes the old shape, or a
    document was changed by hand. Nothing was changed by looking.

    The failures are listed by version, collection and `_id`. Mend the documents and what writes them, then
    look again with `goaime-migrate verify`; or go back to before that version: `goaime-migrate down
    TARGET`.
    """

    code = "GM401"
    exit_code = 5


class PendingMigrations(MigrateError):
    """There are versions that are not applied.

    `status --check` says so at once, `wait` when its time is over. Both only read. A version that was begun
    and not finished counts as well.

    Apply them: `goaime-migrate up`. If a run is at work already follow it with `goaime-migrate status
    --watch`, or give `goaime-migrate wait` a longer --timeout.
    """

    code = "GM501"
    exit_code = 3


class LockHeld(MigrateError):
    """Another run holds the lock.

    Only one run may change the database. This one has waited as long as `lock_timeout` says, 60 seconds
    where nothing is set, and has changed nothing. The lock of a run that has died ends by itself, within
    half a minute.

    Try again later, or wait longer: `goaime-migrate up --lock-timeout 600`. `goaime-migrate unlock` shows
    who holds it and whether they are alive.
    """

    code = "GM601"
    exit_code = 6


class LeaseLost(MigrateError):
    """This run has lost its lock, and another may have taken over.

    It was frozen or cut off from the server for longer than its lease, or somebody has ended the lease.
    From then on the database refuses what this run would write, so that the two cannot disturb each other.
    What it had committed before is kept.

    Nothing has to be done if another run is at work: `goaime-migrate status` shows it. Else `goaime-migrate
    up` goes on.
    """

    code = "GM602"
    exit_code = 7


class ServerUnreachable(MigrateError):
    """No server answers, or there is no primary, or no majority of the replica set.

    The server is down or still starting, the address or the port is wrong, or a firewall is in between. A
    run that was at work has tried for about a minute, which an election does not need. What was committed
    is kept, and a batch whose reply was lost is looked up before anything is done again.

    See that the server runs and that uri names it; then `goaime-migrate up` goes on.
    """

    code = "GM701"
    exit_code = 8


class Refused(MigrateError):
    """The command would not be safe as things are.

    Something else has to be done first: an unfinished pass goes on or is taken back, a canary gets a plan
    of a single pass, a dump directory is let go of by who has locked it. The message says which, and
    nothing was changed.

    Follow its last line. `goaime-migrate status` shows what is unfinished, and `goaime-migrate plan` what
    would be done.
    """

    code = "GM800"
    exit_code = 9


class Irreversible(Refused):
    """A version in the way has no way back.

    It defines `up(db)` and no `down(db)`, so that nobody has said how to take it back. The whole command
    was refused before anything was touched, also for the versions above it.

    Define `down(db)` in its file and accept the edit with `goaime-migrate repair`, then `goaime-migrate
    down`; or write a new migration that changes things forward. `goaime-migrate lint` tells such files
    beforehand.
    """

    code = "GM801"


class NotConfirmed(Refused):
    """The command asks before it acts, and nobody has said yes.

    The answer was no, or standard input is no terminal, as in a pipeline of a build server, where nobody
    could be asked. Nothing was changed.

    What it would do is shown before the question, and by --dry-run. If that is right: `goaime-migrate down
    --yes`, and likewise for the other commands that ask.
    """

    code = "GM802"


class MissingPrivilege(Refused):
    """The user of the connection string may not do what the command needs.

    The role readWrite on the database is enough for documents, indexes and collections, read for commands
    that only look. SetValidator, and taking back in a collection with a validator, also need dbAdmin. What
    was committed before is kept.

    Grant the role or take another user, then run the command again; `goaime-migrate status` shows how far
    it had come.
    """

    code = "GM803"


class MissingCapability(Refused):
    """This server, collection or dump directory cannot do what the command needs.

    A view, a capped or a time-series collection cannot be migrated document by document. A sharded cluster,
    through mongos, is refused because the fault tests have never run on one. A dump directory knows only
    those filters and pipelines that mongomock knows. The message says which it was.

    Migrate the collection behind a view; restore a dump into a server with mongorestore and migrate it
    there. The risk of an untested topology is taken with `goaime-migrate up --allow-untested-topology`.
    """

    code = "GM804"


class JournalPruned(Refused):
    """The journal of a version is gone: it can no longer be taken back exactly.

    The documents as they were before are not kept any more, so that taking back would be guessing. The
    command was refused before anything was touched, also for the versions above it.

    Write a new migration that changes the documents forward: `goaime-migrate new NAME`. Or go back no
    further than to this version: `goaime-migrate down TARGET`.
    """

    code = "GM805"


class NewerFormat(Refused):
    """The records in the database were written by a newer release of the tool.

    This release cannot know what they mean, and would take the wrong decision. Some other machine, a build
    server perhaps, has been upgraded first. Nothing was touched.

    Upgrade here as well: `pip install --upgrade goaime-migrate`. Which release did what is in the last
    column of `goaime-migrate history`, where that can still be read.
    """

    code = "GM806"


class Interrupted(MigrateError):
    """The run was stopped by a signal.

    Ctrl-C is SIGINT and exit 130; a container or a build server that ends a job sends SIGTERM, exit 143.
    After the first signal the batch is finished and recorded; a second one stops at once, and the batch in
    flight is then not written. No document is left half changed.

    `goaime-migrate up` goes on from there, `goaime-migrate down` goes on taking back; `goaime-migrate
    status` shows where it stands.
    """

    code = "GM901"
    exit_code = 130


def catalogue() -> dict[str, type[MigrateError]]:
    """Every error class by its code."""
    return {cls.code: cls for cls in _tree(MigrateError)}


def explanation(cls: type[MigrateError]) -> str:
    """The long form of an error: the paragraphs of its docstring, each on a line, with an empty one between."""
    paragraphs = (inspect.getdoc(cls) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _tree(cls: type[MigrateError]) -> Iterator[type[MigrateError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from _tree(sub)
