"""The document that the lease is: how it is matched, claimed and read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from goaime_migrate.backends.ports import LOCK, PAUSED, LeaseRecord, Owner, Pause
from goaime_migrate.backends.record_codec import record_of
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.errors import DamagedRecord
from goaime_migrate.errors.hint import UNLOCK, Hint
from goaime_migrate.results import Document, Throttle, Waiting

LOCK_ID = "lock"
_PAUSES = 100
"""So many of the last are known: who pauses a run does it by hand."""
_MEND = Hint("end it, whoever has it: {}", UNLOCK.to("--force"))
OF_THE_RUN = ("waiting", "throttle", "pauses")
"""What is said of, and to, the run that holds the lease: it ends with it."""
_ABSENT: Document = {
    **dict.fromkeys(("run", "who", "host", "boot", "started"), ""),
    **dict.fromkeys(("pid", "fence"), 0),
    **dict.fromkeys(("acquired_at", "expires_at")),
    "live": True,
    "waiting": None,
    "throttle": None,
    "pauses": [],
}
"""What the record of a lease need not have, and what it is taken for then."""


def while_held(lease: LeaseRecord) -> Document:
    """Matches the lease while it is still this one."""
    return {"_id": LOCK_ID, "run": lease.owner.run, "fence": lease.fence}


def is_same(lease: LeaseRecord, dead: LeaseRecord | None) -> bool:
    """Whether it is still the lease of an owner whose process is known to be gone."""
    return dead is not None and (lease.owner.run, lease.fence) == (dead.owner.run, dead.fence)


def free(dead: LeaseRecord | None) -> list[Document]:
    """Whether the lease may be taken, by the server's own clock; one of these has to hold."""
    either: list[Document] = [
        {"$ne": [{"$type": "$expires_at"}, "date"]},
        {"$lte": ["$expires_at", "$$NOW"]},
    ]
    if dead is not None:
        either.append({"$and": [{"$eq": ["$run", dead.owner.run]}, {"$eq": ["$fence", dead.fence]}]})
    return either


def claim_update(
    owner: Owner, lsid: Document | None, ttl_s: float, dead: LeaseRecord | None
) -> list[Mapping[str, Any]]:
    """The update that takes the lease if it is free, and else changes nothing."""
    mine: Document = {
        "run": {"$literal": owner.run},
        "who": {"$literal": owner.who},
        "host": {"$literal": owner.host},
        "pid": owner.pid,
        "boot": {"$literal": owner.boot},
        "started": {"$literal": owner.started},
        "lsid": {"$literal": lsid},
        "fence": {"$add": [{"$ifNull": ["$fence", 0]}, 1]},
        "acquired_at": "$$NOW",
        "expires_at": {"$add": ["$$NOW", int(ttl_s * 1000)]},
        "format": 1,
        **dict.fromkeys(OF_THE_RUN, "$$REMOVE"),
    }
    chosen = {name: {"$cond": ["$free", value, f"${name}"]} for name, value in mine.items()}
    return [{"$set": {"free": {"$or": free(dead)}}}, {"$set": chosen}, {"$unset": "free"}]


def waiting_update(reason: str | None) -> list[Mapping[str, Any]]:
    """The update that says what the owner of the lease waits for; a pause that is over is noted."""
    waiting = "$$REMOVE" if reason is None else {"reason": {"$literal": reason}, "since": "$$NOW"}
    over = [{"since": "$waiting.since", "until": "$$NOW"}]
    noted = {"$slice": [{"$concatArrays": [{"$ifNull": ["$pauses", []]}, over]}, -_PAUSES]}
    pauses = {"$cond": [{"$eq": ["$waiting.reason", PAUSED]}, noted, "$pauses"]}
    return [{"$set": {"pauses": pauses, "waiting": waiting}}]


def throttle_update(words: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The update that tells the owner of the lease how fast to go: what is not among the words stays as it is.

    Without a word it is told nothing any more, as it is where nothing of what it was told is left.
    """
    if not words:
        return [{"$unset": "throttle"}]
    nothing = {"$literal": vars(Throttle())}
    said = {"$mergeObjects": [nothing, "$throttle", {"$literal": dict(words)}]}
    left = {"$cond": [{"$eq": ["$throttle", nothing]}, "$$REMOVE", "$throttle"]}
    return [{"$set": {"throttle": said}}, {"$set": {"throttle": left}}]


def break_update(fence: int) -> list[Mapping[str, Any]]:
    """The update that ends a lease and raises its fence, whatever its record says; `fence`: where that has none."""
    known = {"$and": [{"$in": [{"$type": "$fence"}, ["int", "long"]]}, {"$gte": ["$fence", 0]}]}
    known["$and"].append({"$lt": ["$fence", _MOST]})
    raised = {"$cond": [known, {"$add": ["$fence", 1]}, fence]}
    return [{"$replaceWith": {"_id": LOCK_ID, "run": "", "fence": raised, "format": 1}}]


_MOST = 2**62
"""No fence is so great that grows from 1."""


class _Term(NamedTuple):
    """The lease without its owner, as `LeaseRecord` has it."""

    fence: int
    acquired_at: datetime | None
    expires_at: datetime | None
    live: bool
    waiting: Waiting | None
    throttle: Throttle | None
    pauses: tuple[Pause, ...]


def lease_of(record: Document) -> LeaseRecord:
    """The lease from its record. Raises DamagedRecord."""
    try:
        with reading(LOCK, record.get("_id")):
            known = _ABSENT | record
            return LeaseRecord(record_of(Owner, known), *record_of(_Term, known))
    except DamagedRecord as error:
        raise error.advise(_MEND) from error.__cause__
