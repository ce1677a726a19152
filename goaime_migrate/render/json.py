"""Results as the JSON values that ``--json`` prints: the keys are a contract: some may come, none may go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from goaime_migrate import results
from goaime_migrate.errors import MigrateError
from goaime_migrate.render.json_values import Json, counts, extended, failure, problem, seconds, time, warning
from goaime_migrate.results import Counts, Direction

if TYPE_CHECKING:
    from goaime_migrate.results import (
        Conflict,
        HistoryEntry,
        InitResult,
        LintResult,
        LockStatus,
        NewResult,
        PlanResult,
        Progress,
        RepairResult,
        RunResult,
        Sample,
        StampResult,
        StatusResult,
        StepPlan,
        UnlockResult,
        VerifyResult,
        VersionStatus,
    )


def status(result: StatusResult, error: MigrateError | None = None) -> Json:
    """`status` and `wait`."""
    return {
        "database": result.database,
        "server": result.server,
        "mode": result.mode,
        "current": result.current,
        "head": result.head,
        "pending": list(result.pending),
        "problems": [problem(found) for found in result.problems],
        "lock": lock(result.lock),
        "versions": [_version(version) for version in result.versions],
        "warnings": [
            {"code": found.code, "message": found.message, "hint": found.hint} for found in result.warnings
        ],
        "error": failure(error),
    }


def run(result: RunResult) -> Json:
    """`up` and `down`."""
    return {
        "direction": result.direction.value,
        "applied" if result.direction is Direction.UP else "reverted": list(result.versions),
        "failed": result.failed,
        "error": failure(result.error),
        "documents": counts(result.documents),
        "conflicts": [_conflict(conflict) for conflict in result.conflicts],
        "warnings": [warning(found) for found in result.warnings],
        "duration_s": seconds(result.duration_s),
        "message": result.message,
        "born": result.born,
        "left": result.left,
        "without_reverse": list(result.without_reverse),
    }


def plan(result: PlanResult) -> Json:
    """`plan` and `--dry-run`."""
    predicted, preview = result.predicted, result.preview
    return {
        "direction": result.direction.value,
        "target": result.target,
        "steps": [_step(step) for step in result.steps],
        "predicted": {
            "seconds": seconds(predicted.seconds),
            "journal_bytes": predicted.journal_bytes,
            "oplog_bytes": predicted.oplog_bytes,
        },
        "refused": failure(result.refused),
        "preview": preview
        and {name: getattr(preview, name) for name in ("exact", "merged", "conflicts", "born", "left")}
        | {"without_reverse": list(preview.without_reverse)},
        "sampled": result.sampled,
        "message": result.message,
        "error": failure(result.refused),
    }


def verify(result: VerifyResult, error: MigrateError | None = None) -> Json:
    """`verify`."""
    return {
        "checked": result.checked,
        "failures": [
            {
                "version": failed.version,
                "collection": failed.collection,
                "id": extended(failed.id),
                "field": failed.field,
                "reason": failed.reason,
            }
            for failed in result.failures
        ],
        "versions": list(result.versions),
        "superseded": list(result.superseded),
        "error": failure(error),
    }


def history(entries: Sequence[HistoryEntry]) -> list[Json]:
    """`history`: a list, oldest first."""
    return [
        {
            "at": time(entry.at),
            "version": entry.version,
            "action": entry.action,
            "result": entry.result,
            "duration_s": seconds(entry.duration_s),
            "who": entry.who,
            "host": entry.host,
            "tool": entry.tool,
        }
        for entry in entries
    ]


def lint(result: LintResult, error: MigrateError | None = None) -> Json:
    """`lint`."""
    problems = [problem(found) for found in result.problems]
    return {"checked": result.checked, "problems": problems, "error": failure(error)}


def unlock(result: UnlockResult) -> Json:
    """`unlock`."""
    return {"lock": lock(result.lock), "ended": result.ended, "error": None}


def stamp(result: StampResult) -> Json:
    """`stamp`."""
    return {"recorded": list(result.recorded), "removed": list(result.removed), "error": None}


def repair(result: RepairResult) -> Json:
    """`repair`."""
    return {
        "accepted": list(result.accepted),
        "dropped": list(result.dropped),
        "renumbered": [{"from": old, "to": new} for old, new in result.renumbered],
        "error": None,
    }


def init(result: InitResult) -> Json:
    """`init`."""
    return {"created": list(result.created), "kept": list(result.kept), "error": None}


def new(result: NewResult) -> Json:
    """`new`."""
    return {"version": result.version, "path": result.path, "error": None}


def explain(found: Sequence[type[MigrateError]], text: Callable[[type[MigrateError]], str]) -> Json:
    """`explain`, of one code or of all."""
    errors = [
        {"code": cls.code, "name": cls.__name__, "exit_code": cls.exit_code, "text": text(cls)}
        for cls in found
    ]
    return {"errors": errors, "error": None}


def empty(command: str) -> Json:
    """What a command prints beside the error where it failed before there was a result."""
    if command in ("up", "down"):
        return run(results.RunResult(Direction(command), (), None, None, Counts(), (), (), 0.0))
    if command in ("status", "wait"):
        nowhere = {"database": None, "server": None, "mode": None}
        return status(results.StatusResult("", "", "", None, None, (), (), None, ())) | nowhere
    return _EMPTY[command]() if command in _EMPTY else {}


_EMPTY: Mapping[str, Callable[[], Json]] = {
    "plan": lambda: plan(results.PlanResult(Direction.UP, None, (), results.Predicted(0.0, 0, 0), None)),
    "verify": lambda: verify(results.VerifyResult(0, ())),
    "lint": lambda: lint(results.LintResult(0)),
    "unlock": lambda: unlock(results.UnlockResult(None, ended=False)),
    "stamp": lambda: stamp(results.StampResult(())),
    "repair": lambda: repair(results.RepairResult((), ())),
    "init": lambda: init(results.InitResult(())),
    "new": lambda: {"version": None, "path": None},
    "explain": lambda: {"errors": []},
}


def lock(lease: LockStatus | None) -> Json | None:
    """The lease."""
    if lease is None:
        return None
    return {
        "owner": lease.owner,
        "who": lease.who,
        "host": lease.host,
        "pid": lease.pid,
        "fence": lease.fence,
        "acquired_at": time(lease.acquired_at),
        "expires_at": time(lease.expires_at),
        "live": lease.live,
    }


def _version(version: VersionStatus) -> Json:
    return {
        "version": version.version,
        "name": version.name,
        "description": version.description,
        "state": version.state.value,
        "applied_at": time(version.applied_at),
        "duration_s": seconds(version.duration_s),
        "documents": counts(version.documents or Counts()),
        "warnings": version.warnings,
        "progress": _progress(version.progress),
        "checksum": version.checksum,
    }


def _progress(found: Progress | None) -> Json | None:
    if found is None:
        return None
    return {
        "done": found.done,
        "total": found.total,
        "rate": seconds(found.rate),
        "eta_s": seconds(found.eta_s),
    }


def _step(step: StepPlan) -> Json:
    return {
        "version": step.version,
        "name": step.name,
        "operations": [
            {
                name: getattr(operation, name)
                for name in ("text", "collection", "matched", "changed", "unchanged")
            }
            for operation in step.operations
        ],
        "samples": [_sample(sample) for sample in step.samples],
        "irreversible": step.irreversible,
        "warnings": [warning(found) for found in step.warnings],
        "notes": list(step.notes),
    }


def _sample(sample: Sample) -> Json:
    return {"id": extended(sample.id), "before": extended(sample.before), "after": extended(sample.after)}


def _conflict(conflict: Conflict) -> Json:
    return {
        "version": conflict.version,
        "collection": conflict.collection,
        "id": extended(conflict.id),
        "fields": list(conflict.fields),
    }
