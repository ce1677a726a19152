"""Exit 9: refused, with nothing changed."""

from __future__ import annotations

from goaime_migrate.errors.base import MigrateError


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
    that only look. SetValidator, and taking back in a collection with a validator, also need dbAdmin;
    `--max-lag` needs clusterMonitor. What operations need is asked for before anything is done. What was
    committed before is kept.

    Grant the role as the last line of the message has it, or take another user, then run the command again;
    `goaime-migrate status` shows how far it had come.
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


class JournalIncomplete(Refused):
    """The journal of a version is gone, or is not all there: it can no longer be taken back exactly.

    Documents as they were before are not kept any more, because the journal is gone or the record of the pass
    in schema_versions_progress, or because records of schema_versions_journal were removed or are older than
    the others. What is missing cannot be told from
    what was inserted since, so that taking back would be guessing. All of the journal is looked at before
    anything is touched, also that of the versions above it; the message says how much is missing.

    Bring all collections schema_versions and schema_versions_* back from one and the same backup, and look
    again with `goaime-migrate status`. Without one, write a new migration that changes the documents
    forward: `goaime-migrate new NAME`. Or go back no further than to this version: `goaime-migrate down
    TARGET`.
    """

    code = "GM805"


class JournalPruned(Refused):
    """What a version was before is not kept any more: its journal was pruned, or the document was erased from it.

    `goaime-migrate prune` deletes the documents as they were before, and the collections that were kept
    aside, because somebody has said so. The message says who and when. From then on the version cannot be
    taken back, and nobody can be told what a document was before it. Nothing was touched, nor in the
    versions above it.

    Write a new migration that changes the documents forward: `goaime-migrate new NAME`. Or go back no
    further than to this version: `goaime-migrate down TARGET`. A backup from before that moment has it all.
    """

    code = "GM810"


class NewerFormat(Refused):
    """The records in the database were written by a newer release of the tool.

    This release cannot know what they mean, and would take the wrong decision. Some other machine, a build
    server perhaps, has been upgraded first. Nothing was touched.

    Upgrade here as well: `pip install --upgrade goaime-migrate`. Which release did what is in the last
    column of `goaime-migrate history`, where that can still be read.
    """

    code = "GM806"


class WouldFail(Refused):
    """A rule has found, before anything was done, that the migration would fail or lose something.

    The data that are there do not allow what a pending version does: two documents would have the same key in
    a unique index, a validator would refuse what a transform makes, a name is taken. Nothing was written,
    and nothing was recorded.

    The finding says by which documents, and what to do: mostly a migration to write before this one. Look
    again with `goaime-migrate plan`, which lists all findings. What was thought about can be allowed in the
    migration's file: `# allow: RULE because REASON`.
    """

    code = "GM807"


class NotReady(Refused):
    """`doctor` has found what would make a command fail.

    Something is missing that `up` or `down` will need: a privilege, a majority of the members, room on the
    disk, a whole journal, files that fit to what was applied. Each check that failed is listed with its
    evidence, and with what to do; warnings and what could not be seen stop nothing. Nothing was changed by
    looking.

    Do what the checks say, then look again: `goaime-migrate doctor`.
    """

    code = "GM809"


class NothingRuns(Refused):
    """There is no run that `throttle` could slow down.

    What it says belongs to the run that holds the lock, and ends with it: nobody holds the lock of this
    database, or the process that does is gone. It has perhaps just come to its end. Nothing was changed.

    Look with `goaime-migrate status`. A run is slow from its beginning with `goaime-migrate up --max-rate
    N`, or max_rate in the configuration.
    """

    code = "GM815"


class DatabaseRestored(Refused):
    """The database was restored, copied or replaced in the middle of a migration, and nobody can say how far it is.

    A dump that is made while a run is at work has the records of one moment and the documents of another.
    What a pass had written by then is told by the journal and by the documents themselves: where every
    document either is in the journal, or would still be changed, the next run simply goes on. Here some are
    neither; migrating them might be done a second time, taking them back not at all. Nothing was written.

    Restore a dump that was made while no run was at work, or with --oplog. If this one was, say so with
    `goaime-migrate repair`; `goaime-migrate up` then goes on from where the records say, and
    `goaime-migrate down` takes back what they know. `goaime-migrate status` shows what was restored.
    """

    code = "GM808"


class CannotTell(Refused):
    """`sweep` cannot tell documents in an old shape from those that were migrated, so it leaves them all.

    A transform is applied once more only where that does no harm: applied to its own result it changes nothing, or
    its `where=` leaves out what is done. One that counts something up, say, would count it twice. Nor is anything
    known after a plain `up(db)`, or where a version was recorded without being run: then there is no journal that
    `down` could take a document back from. The collection was left as it is; others were swept.

    Change such documents in a new migration, with a `where=` that leaves out what is done: `goaime-migrate new
    NAME`. Which documents look old is told by `goaime-migrate verify`, where that can be told.
    """

    code = "GM814"
