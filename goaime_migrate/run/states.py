"""How the state of a version may change. A pending version has no record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from goaime_migrate.errors import DamagedRecord
from goaime_migrate.errors.hint import FROM_BACKUP
from goaime_migrate.ledger import VersionRecord
from goaime_migrate.results import State

ARROWS: Mapping[tuple[State, State], str] = {
    (State.PENDING, State.RUNNING): "the first of its operations is about to start",
    (State.RUNNING, State.RUNNING): "the next of them is; or `up` goes on where a run was killed",
    (State.PARTIAL, State.RUNNING): "`up` goes on with it",
    (State.FAILED, State.RUNNING): "`up` tries again",
    (State.RUNNING, State.APPLIED): "all its operations are done and its `verify` holds",
    (State.RUNNING, State.PARTIAL): "the run was interrupted, failed elsewhere in the pass, or was a canary",
    (State.RUNNING, State.FAILED): "one of its own operations stopped, or its `verify` does not hold",
    (State.RUNNING, State.PENDING): "the run was interrupted before any of its operations had started",
    (State.RUNNING, State.REVERTING): "`down` begins with what a run that was killed has left",
    (State.PARTIAL, State.REVERTING): "`down` begins with what an interrupted run has left",
    (State.FAILED, State.REVERTING): "`down` begins with what a failed run has left",
    (State.APPLIED, State.REVERTING): "the first of its operations is about to be taken back",
    (State.REVERTING, State.REVERTING): "the next of them is; or `down` goes on where it was cut off",
    (State.REVERTING, State.PENDING): "none of its operations is in effect any more",
}
"""Every change of state that there is, with when it happens.

What `repair` drops, because its file was removed, changes no state: it is not known any more.
"""


def require_arrow(version: str, before: State, after: State) -> None:
    """Refuse a change of state that there is not: the records contradict each other. Raises DamagedRecord."""
    if (before, after) not in ARROWS:
        raise DamagedRecord(
            f"the record {version!r} of the versions says {before}, and nothing that is {before} "
            f"becomes {after}",
            version=version,
            hint=FROM_BACKUP,
        )


def with_state(record: VersionRecord, state: State) -> VersionRecord:
    """The record in another state. Raises DamagedRecord."""
    require_arrow(record.version, record.state, state)
    return replace(record, state=state)
