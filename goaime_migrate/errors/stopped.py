"""How else a command ends: promises, pending versions, the lock, the server, a signal, another process."""

from __future__ import annotations

from signal import Signals

from goaime_migrate.errors.base import MigrateError


class PromiseBroken(MigrateError):
    """`verify` found documents that do not keep the promises of the applied versions, or `try` such a result.

    Each `model=`, `check=` and `verify(db)` of an applied migration is a promise that holds until a newer
    version supersedes it. Mostly an old release of the application still writes the old shape, or a
    document was changed by hand. Nothing was changed by looking.

    The failures are listed by version, collection and `_id`. Mend the documents and what writes them, then
    look again with `goaime-migrate verify`; or go back to before that version: `goaime-migrate down
    TARGET`.
    """

    code = "GM401"
    exit_code = 5


class RehearsalFailed(MigrateError):
    """`rehearse` has carried the pending versions out on a copy, and something did not hold or did not come back.

    On the copy they were applied, verified, taken back and applied once more. A promise is broken, a
    transform makes something else the second time, or documents, indexes, validators or collections are
    not after the way back what they were before. The database itself was only read.

    Each check is listed with its evidence: the collection, the `_id`, the field. Correct the migration,
    look at one such document with `goaime-migrate try VERSION --id JSON`, then `goaime-migrate rehearse`
    again.
    """

    code = "GM402"
    exit_code = 5


class Stragglers(PromiseBroken):
    """`verify` found documents in an old shape: the applied transforms would change them.

    A transform that leaves its own results alone has seen to every document once; one that it would still change was
    written since, mostly by an old release of the application, or was put back from a backup. Nothing was
    changed by looking.

    Bring them forward with `goaime-migrate sweep`, which `goaime-migrate down` takes back with the rest; with
    --follow it stays until the old release is gone. Then look again with `goaime-migrate verify`.
    """

    code = "GM403"


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


class Interrupted(MigrateError):
    """The run was stopped by a signal, or by the program that called `interrupt()`.

    Ctrl-C is SIGINT and exit 130; a container or a build server that ends a job sends SIGTERM, exit 143.
    After the first signal the batch is finished and recorded; a second one stops at once, and the batch in
    flight is then not written. No document is left half changed. A plain `up(db)` has no batches: the first
    signal waits for its end, and what it had written before the second stays.

    `goaime-migrate up` goes on from there, `goaime-migrate down` goes on taking back; `goaime-migrate
    status` shows where it stands.
    """

    code = "GM901"
    exit_code = 130

    @classmethod
    def by(cls, signum: int, message: str, hint: str) -> Interrupted:
        """The error of what was stopped by this signal, or by whoever called `interrupt()` where it is 0.

        ``{}`` in the message stands for that.
        """
        error = cls(message.replace("{}", Signals(signum).name if signum else "interrupt()"), hint=hint)
        if signum:
            error.exit_code = 128 + signum
        return error


class WorkerFailed(MigrateError):
    """A process that was to share the work could not take part.

    A large collection of a replica set is shared by several processes. One of them could not be started,
    did not get ready, or could not load the migrations as this process did: on a cluster, because the
    package or the migrations folder is not in the same place there. What all of them had committed is kept.

    `goaime-migrate up --workers 1` does the work without others and goes on from where this run stopped.
    """

    code = "GM001"
