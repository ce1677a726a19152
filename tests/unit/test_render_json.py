"""What programs read: the keys of the contract, times with Z, rounded durations, canonical Extended JSON."""

from __future__ import annotations

import json as stdlib
import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bson import DatetimeMS, Int64, ObjectId, json_util
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate.errors import Irreversible, Problem, PromiseBroken, TransformFailed
from goaime_migrate.render import json
from goaime_migrate.results import (
    Conflict,
    Counts,
    Direction,
    HistoryEntry,
    HistoryError,
    LintResult,
    LockStatus,
    Mode,
    OperationPlan,
    PlanResult,
    Predicted,
    Progress,
    RunResult,
    Sample,
    State,
    StatusResult,
    StatusWarning,
    StepPlan,
    UnlockResult,
    VerifyFailure,
    VerifyResult,
    VersionDocuments,
    VersionError,
    VersionStatus,
    WarningCount,
)

AT = datetime(2025, 11, 23, 14, 0, 1, 239999, tzinfo=timezone(timedelta(hours=2)))
OID = ObjectId("65f0a1b2c3d4e5f6a7b8c9d0")
OID_JSON = {"$oid": "65f0a1b2c3d4e5f6a7b8c9d0"}
FAILURE = TransformFailed(
    "it raised", hint="mend it", version="0003", id=OID, field="a.b", detail="not for programs"
)


def test_status() -> None:
    version = VersionStatus(
        "0001",
        "add",
        "Add it.",
        State.PARTIAL,
        AT,
        1.23456,
        Counts(3, 2, 1),
        4,
        Progress(1, 2, 3.33333, None),
        "ab",
        VersionError("GM301", "no", OID, "a.b"),
        70,
    )
    lock = LockStatus("run", "deploy", "pod", 1, 2, AT, None, live=False)
    problem = Problem("GM201", "0001", "edited", "repair")
    result = StatusResult(
        "d",
        "s",
        Mode.EMBEDDED,
        None,
        "0001",
        ("0001",),
        (problem,),
        lock,
        (version,),
        warnings=(StatusWarning("GM808", "m", "goaime-migrate repair"),),
    )
    assert json.result_value(result) == {
        "database": "d",
        "server": "s",
        "mode": "embedded",
        "current": None,
        "head": "0001",
        "pending": ["0001"],
        "problems": [{"code": "GM201", "version": "0001", "message": "edited", "hint": "repair"}],
        "lock": {
            "owner": "run",
            "who": "deploy",
            "host": "pod",
            "pid": 1,
            "fence": 2,
            "acquired_at": "2025-11-23T12:00:01.239Z",
            "expires_at": None,
            "live": False,
            "throttle": None,
        },
        "versions": [
            {
                "version": "0001",
                "name": "add",
                "description": "Add it.",
                "state": "partial",
                "applied_at": "2025-11-23T12:00:01.239Z",
                "duration_s": 1.235,
                "documents": {"matched": 3, "changed": 2, "unchanged": 1, "conflicts": 0},
                "warnings": 4,
                "progress": {"done": 1, "total": 2, "rate": 3.333, "eta_s": None},
                "checksum": "ab",
                "error": {"code": "GM301", "message": "no", "id": OID_JSON, "field": "a.b"},
                "journal_bytes": 70,
            }
        ],
        "waiting": None,
        "warnings": [{"code": "GM808", "message": "m", "hint": "goaime-migrate repair"}],
        "journal_bytes": 0,
        "error": None,
    }


@pytest.mark.parametrize(
    ("direction", "done", "other"),
    [(Direction.UP, "applied", "reverted"), (Direction.DOWN, "reverted", "applied")],
)
def test_run(direction: Direction, done: str, other: str) -> None:
    result = RunResult(
        direction,
        ("0001", "0002"),
        "0003",
        FAILURE,
        Counts(1, 1),
        (Conflict("0001", "c", OID, ("a",)),),
        (WarningCount("0002", "odd", 7, (OID, "x", 5)),),
        1.00049,
        in_all=(VersionDocuments("0003", Counts(5)),),
    )
    found = json.result_value(result, FAILURE)
    assert other not in found
    assert found == {
        "direction": direction.value,
        done: ["0001", "0002"],
        "failed": "0003",
        "error": {
            "code": "GM301",
            "message": "it raised",
            "hint": "mend it",
            "version": "0003",
            "id": OID_JSON,
            "field": "a.b",
        },
        "documents": {"matched": 1, "changed": 1, "unchanged": 0, "conflicts": 0},
        "conflicts": [{"version": "0001", "collection": "c", "id": OID_JSON, "fields": ["a"]}],
        "warnings": [
            {
                "version": "0002",
                "message": "odd",
                "count": 7,
                "examples": [OID_JSON, "x", {"$numberInt": "5"}],
            }
        ],
        "duration_s": 1.0,
        "message": "",
        "born": 0,
        "left": 0,
        "without_reverse": [],
        "more_conflicts": 0,
        "erased": [],
        "in_all": [
            {"version": "0003", "documents": {"matched": 5, "changed": 0, "unchanged": 0, "conflicts": 0}}
        ],
    }


def test_plan() -> None:
    before = {"_id": OID, "n": Int64(5), "at": datetime(2025, 5, 26, 11, 35, 30, 239000), "b": 1, "a": 1.5}
    step = StepPlan(
        "0001",
        "add",
        (OperationPlan("transform", "c", 1, 1, 0),),
        (Sample(OID, before, {**before, "x": None}),),
        True,
        (),
        ("note",),
    )
    refused = Irreversible("no way back", hint="restore a backup", version="0001")
    result = PlanResult(Direction.DOWN, "base", (step,), Predicted(1.23456, 10, 20), refused)
    found = json.result_value(result, refused)
    sample = found["steps"][0]["samples"][0]
    assert sample["before"] == {
        "_id": OID_JSON,
        "n": {"$numberLong": "5"},
        "at": {"$date": {"$numberLong": "1748259330239"}},
        "b": {"$numberInt": "1"},
        "a": {"$numberDouble": "1.5"},
    }
    assert list(sample["after"]) == ["_id", "n", "at", "b", "a", "x"]
    assert found["steps"][0]["operations"] == [
        {"text": "transform", "collection": "c", "matched": 1, "changed": 1, "unchanged": 0}
    ]
    assert found["predicted"] == {
        "seconds": 1.235,
        "journal_bytes": 10,
        "oplog_bytes": 20,
        "room_bytes": 0,
        "basis": "",
    }
    assert found["refused"] == found["error"]
    assert found["refused"]["code"] == "GM801"
    assert (found["direction"], found["target"]) == ("down", "base")


def test_history_is_a_list() -> None:
    entry = HistoryEntry(
        AT.replace(tzinfo=None),
        "0001",
        "up",
        "failed",
        HistoryError("GM301", "no"),
        0.12345,
        "me",
        "here",
        "0.1.0",
    )
    assert json.result_value((entry,)) == [
        {
            "at": "2025-11-23T14:00:01.239Z",
            "version": "0001",
            "action": "up",
            "result": "failed",
            "error": {"code": "GM301", "message": "no"},
            "duration_s": 0.123,
            "who": "me",
            "host": "here",
            "tool": "0.1.0",
        }
    ]


def test_verify_lint_and_unlock() -> None:
    failed = VerifyFailure("0003", "c", OID, "f", "wrong")
    found = json.result_value(VerifyResult(9, (failed,)), PromiseBroken("1 failure"))
    assert found["checked"] == 9
    assert found["failures"] == [
        {"version": "0003", "collection": "c", "id": OID_JSON, "field": "f", "reason": "wrong"}
    ]
    assert found["error"]["code"] == "GM401"
    assert json.result_value(LintResult(3)) == {
        "checked": 3,
        "problems": [],
        "findings": [],
        "error": None,
    }
    assert json.result_value(UnlockResult(None, ended=False)) == {"lock": None, "ended": False, "error": None}


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (
            "status",
            {"database", "server", "mode", "current", "head", "pending", "problems", "lock", "versions"},
        ),
        (
            "wait",
            {"database", "server", "mode", "current", "head", "pending", "problems", "lock", "versions"},
        ),
        ("up", {"direction", "applied", "failed", "documents", "conflicts", "warnings", "duration_s"}),
        ("down", {"direction", "reverted", "failed", "documents", "conflicts", "warnings", "duration_s"}),
        ("plan", {"direction", "target", "steps", "predicted", "refused"}),
        ("verify", {"checked", "failures"}),
        ("lint", {"checked", "problems"}),
        ("stamp", {"recorded", "removed"}),
        ("repair", {"accepted", "dropped"}),
        ("unlock", {"lock", "ended"}),
        ("init", {"created", "kept"}),
        ("new", {"version", "path"}),
        ("explain", {"errors"}),
        ("history", set()),
        ("", set()),
    ],
)
def test_a_command_that_failed_early_has_its_keys_all_the_same(command: str, keys: set[str]) -> None:
    assert keys <= set(json.failure_value(command, FAILURE))


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_is_null(number: float) -> None:
    assert json.result_value(Predicted(number, 0, 0))["seconds"] is None


def test_a_date_beyond_python_survives() -> None:
    assert json.extended_json(DatetimeMS(2**60)) == {"$date": {"$numberLong": str(2**60)}}


def test_a_value_that_bson_does_not_know_is_shown_as_python_does() -> None:
    assert json.extended_json(1 + 2j) == "(1+2j)"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1).map(lambda n: Int64(n) if abs(n) > 2**31 - 1 else n)
    | st.floats(allow_nan=False)
    | st.text()
    | st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)).map(
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, fold=0)
    )
    | st.binary(min_size=12, max_size=12).map(ObjectId),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.", max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc", max_size=3), values, max_size=4))
def test_a_document_comes_back_with_its_types_and_order(document: dict[str, Any]) -> None:
    text = json.dumps(json.extended_json(document))
    back = json_util.loads(text, json_options=json_util.CANONICAL_JSON_OPTIONS.with_options(tz_aware=False))
    assert repr(back) == repr(document)


def test_every_string_passes_through_redact() -> None:
    text = json.dumps({"a": ["x", {"secret": "secret"}]}, lambda found: found.replace("secret", "***"))
    assert stdlib.loads(text) == {"a": ["x", {"***": "***"}]}


def test_the_text_is_ascii() -> None:
    assert json.dumps({"a": "é\x1b"}).isascii()
