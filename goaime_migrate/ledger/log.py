"""The log, `schema_versions_log`: who did what, when, from where, with what result."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import NamedTuple

from bson import ObjectId

from goaime_migrate import results
from goaime_migrate.backends.ports import LOG, Owner, Put, Reader, RecordChange
from goaime_migrate.backends.record_codec import document_of, record_of
from goaime_migrate.errors import MigrateError
from goaime_migrate.ledger.records import FORMAT, TOOL, parse, storable
from goaime_migrate.results import Document

_ABSENT: Document = {
    **dict.fromkeys(("version", "error", "duration_s", "work")),
    **dict.fromkeys(("who", "host", "tool"), ""),
}
"""What an event need not have, and what it is taken for then."""
_CI_URLS = ("CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL", "BUILDKITE_BUILD_URL")


def log(
    at: datetime,
    owner: Owner,
    action: str,
    result: str,
    version: str | None,
    duration_s: float | None = None,
    error: MigrateError | None = None,
    work: results.Work | None = None,
) -> RecordChange:
    """An event for the log; with the `error` that has stopped a run, the `_id` that it is about, and the `work` done."""
    why = None if error is None else results.HistoryError(error.code, storable(error.message, 2_000))
    entry = results.HistoryEntry(
        at, version, action, result, why, duration_s, owner.who, owner.host, TOOL, work
    )
    about = {} if error is None or error.id is None else {"about": error.id}
    return Put(LOG, {"_id": ObjectId(), "format": FORMAT, **document_of(entry), **about})


def history(reader: Reader) -> tuple[results.HistoryEntry, ...]:
    """The log, oldest first. Raises DamagedRecord."""
    return tuple(parse(LOG, _event, d) for d in reader.find(LOG, {}, sort=[("at", 1), ("_id", 1)]))


def _event(document: Document) -> results.HistoryEntry:
    return record_of(results.HistoryEntry, _ABSENT | document)


RENUMBERED = "was "
"""What `repair` logs for a version that has another number now, before the one that it had."""


def was_reverted(reader: Reader, version: str) -> bool:
    """Whether the log says that a version has ever been taken back, under the last number that it had."""
    seen: set[str] = set()
    while version not in seen:
        seen.add(version)
        renumbered = {"action": "repair", "result": f"{RENUMBERED}{version}"}
        version = next((event["version"] for event in reader.find(LOG, renumbered, limit=1)), version)
    event = {"version": version, "action": "down", "result": "reverted"}
    return bool(reader.find(LOG, event, limit=1, fields=["_id"]))


class Unrecorded(NamedTuple):
    """What the log tells of versions that have no record."""

    applied: frozenset[str]
    """Those that were applied more often than they were let go of. Clocks differ: no event is trusted to be the last."""
    dropped: frozenset[str]
    """Those that `repair` has dropped, and that were not applied again,"""
    reverted: frozenset[str]
    """and those that were taken back as often as they were applied."""


def find_unrecorded(reader: Reader, recorded: Collection[str]) -> Unrecorded:
    """What became of versions; nothing is said to be applied of what `repair` has ever given another number.

    Of those that are `recorded` it is not asked: every command asks this, and as a rule there are no others.
    """
    ended = {"result": {"$in": ["applied", "reverted", "dropped"]}, "version": {"$nin": list(recorded)}}
    events = {"$or": [ended, {"action": "repair"}]}
    balance, gone, renumbered = Counter[str](), {"dropped": set[str](), "reverted": set[str]()}, set[str]()
    for event in reader.find(LOG, events, fields=["version", "result"]):
        version, result = str(event.get("version")), str(event.get("result"))
        if result.startswith(RENUMBERED):
            renumbered |= {version, result.removeprefix(RENUMBERED)}
        elif result != "accepted":
            balance[version] += 1 if result == "applied" else -1
            gone.get(result, set()).add(version)
    applied = frozenset(version for version, times in balance.items() if times > 0)
    return Unrecorded(
        applied - renumbered, *(frozenset(gone[result] - applied) for result in ("dropped", "reverted"))
    )


def actor(owner: Owner) -> Document:
    """Who applies a version, from where and from what code."""
    env = os.environ
    url = next((env[name] for name in _CI_URLS if env.get(name)), None)
    if url is None and env.get("GITHUB_RUN_ID"):
        url = f"{env.get('GITHUB_SERVER_URL')}/{env.get('GITHUB_REPOSITORY')}/actions/runs/{env['GITHUB_RUN_ID']}"
    return {
        "user": owner.who,
        "host": owner.host,
        "pid": owner.pid,
        "ci_url": url and storable(url),
        "git_commit": _git_commit(),
    }


@cache
def _git_commit() -> str | None:
    import subprocess

    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 (git is where PATH says)
            capture_output=True,
            text=True,
            timeout=2,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
