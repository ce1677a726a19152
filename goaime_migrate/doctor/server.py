"""The server: what it is, how its clock goes, who replicates it, what its oplog and its cache hold."""

from __future__ import annotations

from collections.abc import Sequence

from goaime_migrate.backends.ports import Mode
from goaime_migrate.backends.ports.checkup import Member
from goaime_migrate.doctor.patient import Patient, Said, fault, warn
from goaime_migrate.run.pacing import BATCH_BYTES, LARGEST
from goaime_migrate.units import duration, size

_OLDEST = (4, 2)
"""The first release with transactions of any size."""
_SKEW_S = 5.0
_LAG_S = 10.0
_OPLOG_PART = 0.5
"""The part of the oplog that a migration may fill before it is told."""
_CACHE_PART = 0.2
"""The part of the cache that changes of open transactions may fill before the server refuses more."""


def server(patient: Patient) -> Said | None:
    """The release of the server, and what it is part of."""
    if patient.server is None:
        return None
    version, product = patient.server.version(), patient.backend.capabilities.product
    said = f"MongoDB {version}, {product}"
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST:
        return warn(f"{said}: nobody has tried a release before 4.2", "upgrade the server")
    return Said(said)


def mode(patient: Patient) -> Said:
    """How a batch is made safe here."""
    capabilities = patient.backend.capabilities
    if capabilities.product == "mongos" and not patient.settings.allow_untested_topology:
        return fault(
            "through mongos: nobody has run the fault tests on a sharded cluster, so that `up` refuses",
            "connect to a replica set, or take the risk: --allow-untested-topology",
        )
    if capabilities.mode is Mode.SINGLE_DOCUMENT:
        return warn(
            "single-document: no transactions and no change streams, one worker; what is killed is found out document "
            "by document",
            "run the server as a replica set of one: mongod --replSet rs0, then rs.initiate() in mongosh",
        )
    return Said(f"{capabilities.mode}: {_MODES[capabilities.mode]}")


_MODES = {
    Mode.TRANSACTIONAL: "a batch, its journal and its checkpoint are one transaction",
    Mode.EMBEDDED: "all is saved together at the end of a run",
}


def clock(patient: Patient) -> Said | None:
    """The server's clock against this machine's: the lock goes by the first, logs by both."""
    if patient.server is None:
        return None
    ahead = patient.server.clock_ahead()
    said = f"the server's clock is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) > _SKEW_S:
        return warn(said, "let NTP set both; the lock goes by the server's, so that nothing is at risk")
    return Said(said)


def members(patient: Patient) -> Said | None:
    """Whether a majority answers without delay, who is hidden or late on purpose, and who is behind."""
    if patient.server is None or not patient.backend.capabilities.product.startswith("replica set"):
        return None
    found = patient.server.members()
    said = f"{len(found)} {'member' if len(found) == 1 else 'members'}"
    if trouble := _no_majority(found):
        return fault(
            f"{said}: {trouble}", "bring members back, or take votes from those that are late or gone"
        )
    if odd := [text for member in found if (text := _oddity(member))]:
        return warn(
            f"{said}: {'; '.join(odd)}",
            "see rs.status() in mongosh; --max-lag waits for those that are behind, not for hidden or delayed ones",
        )
    return Said(f"{said}, none of them hidden, delayed or behind")


def _no_majority(found: Sequence[Member]) -> str:
    """Why no majority would confirm a write in time; empty where one does."""
    voters = [m for m in found if m.votes]
    prompt = [m for m in voters if m.healthy and not m.delay_s and m.state in ("PRIMARY", "SECONDARY")]
    needed = len(voters) // 2 + 1
    if len(prompt) >= needed:
        return ""
    return f"{len(prompt)} of {len(voters)} voting members have data without delay, and every write waits for {needed}"


def _oddity(member: Member) -> str:
    if not member.healthy or member.state not in ("PRIMARY", "SECONDARY", "ARBITER"):
        return f"{member.name} is {member.state.lower()}"
    if member.delay_s:
        return f"{member.name} is {duration(member.delay_s)} late on purpose"
    if member.hidden:
        return f"{member.name} is hidden"
    if member.lag_s is not None and member.lag_s > _LAG_S:
        return f"{member.name} is {duration(member.lag_s)} behind"
    return ""


def oplog(patient: Patient) -> Said | None:
    """The oplog against what `plan` predicts: members and change streams that fall off its end must begin anew."""
    if patient.server is None or not patient.backend.capabilities.change_streams:
        return None
    found = patient.server.oplog()
    said = f"it holds {size(found.max_bytes)}, at present {duration(found.seconds)}"
    if patient.predicted is None:
        return Said(f"{said}; what the pending versions write is not known")
    written = patient.predicted.oplog_bytes
    said += f"; pending versions write about {size(written)}"
    if written > found.max_bytes * _OPLOG_PART:
        larger = max(990, 3 * written // 1_000_000)
        return warn(
            f"{said}: members that lag, and change streams, may fall off its end",
            f"enlarge it: db.adminCommand({{replSetResizeOplog: 1, size: {larger}}}); or go slowly: up --max-lag 10",
        )
    return Said(said)


def cache(patient: Patient) -> Said | None:
    """The server's cache against the largest batches: the server refuses changes that fill too much of it."""
    if patient.server is None or not patient.backend.capabilities.transactions:
        return None
    held = patient.server.cache_bytes()
    if held is None:
        return None
    batches = _largest_batch(patient) * (patient.settings.workers or 2)
    if batches > held * _CACHE_PART:
        return warn(
            f"the cache of the server has {size(held)}, and batches of all workers may take {size(batches)} of it",
            "a batch that is refused is halved by itself; --batch-size 50, or --workers 1, keeps that from happening",
        )
    return Said(f"the cache of the server has {size(held)}, enough for the largest batches")


def _largest_batch(patient: Patient) -> int:
    """Bytes that a full batch writes, by what `plan` has seen of the documents."""
    if patient.plan is None or patient.predicted is None:
        return 0
    changed = sum(o.changed or 0 for step in patient.plan.steps for o in step.operations)
    each = patient.predicted.oplog_bytes // max(1, changed)
    return min(each * (patient.settings.batch_size or LARGEST), 3 * BATCH_BYTES)
