"""What would make a deploy fail later, found now. Every check is a function of its own; nothing is written."""

from __future__ import annotations

from goaime_migrate.backends.ports import Backend
from goaime_migrate.config import Settings
from goaime_migrate.doctor import configured, documents, dump, history, rights, server
from goaime_migrate.doctor.patient import Patient, examine
from goaime_migrate.errors import MigrateError
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


def unopened(settings: Settings, name: str, error: MigrateError) -> DoctorResult:
    """What can be said where the database, or what is kept in it, could not be read."""
    found = Check(name, CheckStatus.ERROR, error.message, str(error.hint))
    said = configured.sources(settings)
    return DoctorResult((Check("config", said.status, said.message, said.remedy), found), error)
