"""What is recorded of earlier runs: whether it fits the files, is whole, and is about this very database."""

from __future__ import annotations

from goaime_migrate import planner
from goaime_migrate.doctor.patient import Patient, Said, fault, warn
from goaime_migrate.errors import DatabaseRestored, MigrateError
from goaime_migrate.events import Examined
from goaime_migrate.journal.audit import require_whole


def history(patient: Patient) -> Said:
    """Whether the files are what was applied, and what is not applied yet."""
    status = patient.status
    if status.problems:
        first, more = status.problems[0], len(status.problems) - 1
        return fault(f"{first.message}{f' (and {more} more)' if more else ''}", first.hint)
    own = [warning for warning in status.warnings if warning.code != DatabaseRestored.code]
    if own:
        return warn(own[0].message, own[0].hint)
    pending = f"pending: {', '.join(status.pending)}" if status.pending else "nothing is pending"
    return Said(f"at {status.current or 'base'}; {pending}")


def lock(patient: Patient) -> Said | None:
    """Who holds the lock."""
    if not patient.backend.capabilities.leases:
        return None
    held = patient.status.lock
    if held is None:
        return Said("free")
    return warn(
        f"held by {held.who} on {held.host}, process {held.pid}", "wait for that run, or look at: status"
    )


def records(patient: Patient) -> Said:
    """Whether every journal is there from its first segment to its last, as it was written, so that `down` can go back.

    Reads all of them. While a run is at work they are not of one moment.
    """
    patient.backend.require_own_records()
    kept = patient.ledger.journaled
    if patient.status.lock is not None:
        return warn("not looked at: a run is at work", "ask again when it has come to its end")
    for lost in (*planner.lost_records(patient.facts), *planner.lost_passes(patient.facts)):
        return fault(lost.message, str(lost.hint))
    for number, record in enumerate(kept):
        patient.listener(Examined(record.versions, "reading journals", number, len(kept)))
        try:
            require_whole(patient.backend, record)
        except MigrateError as error:
            return fault(error.message, str(error.hint))
    count = len(kept)
    return Said(
        f"{count} {'journal is' if count == 1 else 'journals are'} whole" if count else "no journal is kept"
    )


def origin(patient: Patient) -> Said:
    """Whether this is the database, and these the collections, in which the versions were applied."""
    for warning in patient.status.warnings:
        if warning.code == DatabaseRestored.code:
            return warn(warning.message, warning.hint)
    return Said("neither the database nor a collection of it was restored or replaced since")
