"""The lock: a lease with a heartbeat and a fencing token.

The fence is a number that grows with every owner. Whatever a run writes, it writes on condition that its fence is
still the newest (see `backends`), so a run that lost its lease without noticing cannot write. The lease itself only
keeps runs from getting in each other's way.
"""

from __future__ import annotations

import getpass
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bson import ObjectId

from goaime_migrate.backends.ports import LOCK, LeaseRecord, LeaseStore, Move, Owner
from goaime_migrate.errors import LeaseLost, LockHeld, MigrateError
from goaime_migrate.errors.hint import STATUS, UNLOCK, UP, Hint
from goaime_migrate.events import Listener, LockWaiting, Notice

if TYPE_CHECKING:
    from goaime_migrate.results import Throttle

TTL_S = 30.0
HEARTBEAT_S = 5.0
"""How often the lease is renewed, and how late at most a run hears what `throttle` has told it."""
MARGIN_S = 3.0
"""A holder stops this long before its lease can have ended."""
_POLL_S = 0.25
TAKEN = "another run has taken it over, or `unlock --force` has ended it"


def this_process() -> Owner:
    """Who asks: a new run of this very process."""
    return Owner(
        run=uuid.uuid4().hex,
        who=_user(),
        host=os.uname().nodename,
        pid=os.getpid(),
        boot=_boot(),
        started=_start_time(os.getpid()),
    )


class Lease:
    """The lock while it is held. Every method may be called from any thread."""

    speaks = True
    """Whether this process says what the whole run waits for."""

    def __init__(self, backend: LeaseStore, record: LeaseRecord, requested: float) -> None:
        self._backend = backend
        self.record = record
        self._deadline = requested + TTL_S - MARGIN_S
        self._stop = threading.Event()
        self._lost = ""
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def fence(self) -> int:
        """The fencing token."""
        return self.record.fence

    @property
    def throttle(self) -> Throttle | None:
        """What the run was told from another terminal, as of the last heartbeat."""
        return self.record.throttle

    def check(self) -> None:
        """Raise LeaseLost once the lease may have ended, by this process's own monotonic clock."""
        if self._backend.capabilities.leases and (self._lost or time.monotonic() >= self._deadline):
            raise self.lost_error(self._lost or "the lease could not be renewed in time")

    def lost_error(self, why: str) -> LeaseLost:
        """The error for a run whose lease has gone to somebody else."""
        return LeaseLost(
            f"the lock was lost: {why}",
            hint=Hint("see whether another run goes on: {}; if none does: {}", STATUS, UP),
        )

    def renew(self) -> None:
        """Renew at once: before a step that cannot be fenced. Raises LeaseLost."""
        self.check()
        self._renew()
        self.check()

    def waits(self, reason: str | None) -> None:
        """Let `status` say what the run waits for; None when it goes on."""
        with suppress(MigrateError):  # it is a word for people
            self._backend.note_waiting(self.record, reason)

    def guard(self) -> Move:
        """The change that makes a unit of work fail unless the lease is still this one.

        What it sets is another value each time: a server passes over a write that changes nothing, and a transaction
        that has merely read the lease would be committed though somebody else has taken it.
        """
        owner = self.record.owner
        mine = {"_id": "lock", "run": owner.run, "fence": self.record.fence}
        return Move(LOCK, mine, {"touched": ObjectId()})

    def _renew(self) -> None:
        requested = time.monotonic()
        renewed = self._backend.renew_lease(self.record, TTL_S)
        if renewed is not None:
            self.record = renewed
            self._deadline = requested + TTL_S - MARGIN_S
        else:
            self._lost = TAKEN

    def _beat(self) -> None:
        """Renew until told to stop. A failed renewal is tried again until the deadline says it is too late."""
        pause = HEARTBEAT_S
        while not self._stop.wait(pause) and not self._lost:
            pause = HEARTBEAT_S
            try:
                self._renew()
            except MigrateError:
                pause = 1.0

    def start(self) -> None:
        """Start the heartbeat; where a lease has no end, it only hears what others say."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the heartbeat and give the lease back."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=HEARTBEAT_S)
        if not self._backend.capabilities.leases:
            self._backend.release_lease(self.record)  # saves what was done: a failure must be heard
        elif not self._lost:
            with suppress(MigrateError):  # it expires by itself
                self._backend.release_lease(self.record)


class Deputy(Lease):
    """The lease as a process knows it that works for the holder: it neither renews it nor knows when it ends.

    `check` asks only whether the holder still wants the work, and raises if not. What keeps a deputy of a former
    holder from writing is the fence in the record that it moves.
    """

    speaks = False

    def __init__(
        self,
        backend: LeaseStore,
        record: LeaseRecord,
        check: Callable[[], None],
        throttle: Callable[[], Throttle | None],
    ) -> None:
        super().__init__(backend, record, 0.0)
        self._asked = check
        self._told = throttle

    @property
    def throttle(self) -> Throttle | None:
        """What the holder has heard."""
        return self._told()

    def check(self) -> None:
        """Whatever the run says of its lease that this works for."""
        self._asked()


@contextmanager
def hold(backend: LeaseStore, timeout_s: float, listener: Listener) -> Iterator[Lease]:
    """Hold the lock for a while. Waits up to `timeout_s`, then raises LockHeld naming the holder."""
    lease = _acquire(backend, this_process(), timeout_s, listener)
    lease.start()
    try:
        yield lease
    except BaseException:
        with suppress(MigrateError):  # the run's own error matters more
            lease.stop()
        raise
    lease.stop()


def _acquire(backend: LeaseStore, me: Owner, timeout_s: float, listener: Listener) -> Lease:
    started, told = time.monotonic(), 0.0
    dead: LeaseRecord | None = None
    while True:
        requested = time.monotonic()
        record = backend.try_lease(me, TTL_S, dead=dead)
        if record.owner.run == me.run:
            confirmed = _confirm(backend, record, requested)
            if confirmed is None:
                continue
            if dead is not None:
                listener(Notice(f"took the lock over from {describe(dead)}, which is gone"))
            return Lease(backend, record, confirmed)
        dead = record if is_gone(record) else None
        waited = time.monotonic() - started
        if dead is None:
            if waited >= timeout_s:
                raise _held_error(record, timeout_s)
            if waited >= told:
                listener(LockWaiting(describe(record), waited, timeout_s))
                told += 1.0
            time.sleep(min(_POLL_S, max(0.0, timeout_s - waited)))


def _confirm(backend: LeaseStore, record: LeaseRecord, requested: float) -> float | None:
    """Since when the lease is mine for sure; None where it is not any more. Taking it may have had to wait long."""
    if time.monotonic() - requested <= HEARTBEAT_S:
        return requested
    requested = time.monotonic()
    return requested if backend.renew_lease(record, TTL_S) else None


def _held_error(record: LeaseRecord, timeout_s: float) -> LockHeld:
    until = "" if record.expires_at is None else f", until {record.expires_at:%H:%M:%S} UTC unless renewed"
    return LockHeld(
        f"the lock is held by {describe(record)}{until}; waited {timeout_s:g} s",
        hint=Hint("try again later; see who it is: {}", UNLOCK),
    )


def describe(record: LeaseRecord) -> str:
    """The holder, for people."""
    owner = record.owner
    return f"{owner.who or 'somebody'} on {owner.host or 'an unknown host'}, process {owner.pid}"


def is_gone(record: LeaseRecord) -> bool:
    """Whether the holder was a process of this very host and boot, and is provably no more."""
    owner, boot = record.owner, _boot()
    if not boot or (owner.host, owner.boot) != (os.uname().nodename, boot):
        return False
    started = _start_time(owner.pid)
    return bool(owner.started) and started != owner.started


def _start_time(pid: int) -> str:
    """When the process started, in clock ticks since boot; empty for a process that is gone or a zombie."""
    fields = _read_file(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else ""


def _boot() -> str:
    """This boot of this host, and the space in which its process ids mean something (containers have their own)."""
    boot = _read_file("/proc/sys/kernel/random/boot_id")
    try:
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}" if boot else ""
    except OSError:
        return ""


def _read_file(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
