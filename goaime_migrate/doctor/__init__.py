"""What would make a deploy fail later, found now. Every check is a function of its own; nothing is written."""

from __future__ import annotations

from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import Settings
from goaime_migrate.doctor import configured, documents, dump, history, rights, server
from goaime_migrate.doctor.patient import Patient, examine
from goaime_migrate.errors import DamagedRecord, FolderMissing, MigrateError, MissingPrivilege, NewerFormat
from goaime_migrate.events import Listener
from goaime_migrate.ledger import Ledger
from goaime_migrate.planner import Facts
from goaime_migrate.results import Check, CheckStatus, DoctorResult

_CHECKS = (
    configured.config,
    configured.uri,
    server.server,
    server.mode,
    server.clock,
    server.members,
    dump.folder,
    dump.permissions,
    dump.locks,
    rights.privileges,
    history.history,
    history.lock,
    history.records,
    history.origin,
    documents.id_types,
    documents.plan,
    server.oplog,
    server.cache,
    documents.disk,
)


def checkup(
    backend: Backend, facts: Facts, ledger: Ledger, settings: Settings, listener: Listener
) -> DoctorResult:
    """Every check that concerns this database, in order. Raises ServerUnreachable where it goes away meanwhile."""
    patient = Patient(backend, facts, ledger, settings, listener)
    return DoctorResult(tuple(check for function in _CHECKS for check in examine(function, patient)))


def checkup_without_database(settings: Settings, error: MigrateError) -> DoctorResult:
    """What can be said where the database, its records or the files could not be read."""
    said = configured.sources(settings)
    found = Check(_about(error), CheckStatus.ERROR, error.message, error.hint)
    return DoctorResult((Check("config", said.status, said.message, said.remedy), found), error)


def _about(error: MigrateError) -> str:
    """The check that would have found it."""
    if isinstance(error, MissingPrivilege):
        return "privileges"
    if isinstance(error, DamagedRecord | NewerFormat):
        return "records"
    return "migrations" if isinstance(error, FolderMissing) else "server"
