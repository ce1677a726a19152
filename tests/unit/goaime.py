"""The goAIME migrations as plain functions of plain documents, and what they are tried on."""

import importlib.util
import warnings
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any

import bson
from bson import ObjectId

ROOT = Path(__file__).parents[2]

Document = dict[str, Any]


def load(path: str) -> ModuleType:
    """A file whose name is no module name, or which belongs to no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


linking = load("migrations/0001_add_user_id_and_shuffle.py")
enriching = load("migrations/0002_enrich_problems.py")
analysing = load("migrations/0003_compute_analytics.py")
reordering = load("migrations/0004_reorder_fields.py")
sample = load("demo/sample.py")

AMY = {"_id": ObjectId("64b000000000000000000001"), "username": "amy"}
USERS = {"amy": AMY}
HEX = "64a000000000000000000001"
PROBLEM = {"_id": ObjectId(HEX), "correct_answer": "D", "difficulty": "easy", "topics": ["Algebra", "Mean"]}
PROBLEMS = {PROBLEM["_id"]: PROBLEM}


def linked(session: Document, users: Mapping[Any, Document] = USERS) -> Document:
    """After 0001."""
    session = deepcopy(session)
    linking.add_user_id_and_shuffle(session, users)
    return session


def enriched(attempt: Any, problems: Mapping[Any, Document] = PROBLEMS) -> Any:
    """An attempt after 0002."""
    return enriched_session({"problems_attempted": [attempt]}, problems)["problems_attempted"][0]


def enriched_session(session: Document, problems: Mapping[Any, Document] = PROBLEMS) -> Document:
    """After 0002, however many attempts stayed unresolved."""
    session = deepcopy(session)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        enriching.enrich_problems(session, problems)
    return session


def analysed(*attempts: Any, **fields: Any) -> Document:
    """After 0003, from attempts and other fields."""
    return analysed_session({**fields, "problems_attempted": list(attempts)})


def analysed_session(session: Document) -> Document:
    """After 0003."""
    session = deepcopy(session)
    analysing.compute_analytics(session)
    return session


def reordered(session: Document) -> Document:
    """After 0004."""
    result: Document = reordering.reorder_fields(deepcopy(session))
    return result


def migrated(
    session: Document, users: Mapping[Any, Document] = USERS, problems: Mapping[Any, Document] = PROBLEMS
) -> Document:
    """After all four."""
    return reordered(analysed_session(enriched_session(linked(session, users), problems)))


def unresolved(*attempts: Document) -> list[str]:
    """What 0002 reports."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        enriching.enrich_problems({"problems_attempted": list(attempts)}, PROBLEMS)
    return [str(warning.message) for warning in caught]


def check_promises(session: Document) -> None:
    """What all four declare, on a session that all four have seen."""
    for model in (
        linking.LinkedSession,
        enriching.EnrichedSession,
        analysing.AnalysedSession,
        reordering.TargetSession,
    ):
        model.model_validate(session)
    assert reordering.target_order(session) == []


TARGET = [
    *("session_id", "session_status", "created_at", "completed_at", "username", "user_id", "year", "contest"),
    *("mode", "shuffle", "score", "total_attempted", "problems_attempted", "performance_metrics"),
    *(
        "topic_performance",
        "difficulty_performance",
        "total_time_ms",
        "total_time_seconds",
        "total_time_minutes",
    ),
]


def same(one: Any, other: Any) -> bool:
    """In bytes, thus in type and key order too, and a NaN is itself."""
    return bson.encode({"": one}) == bson.encode({"": other})


RIGHT, WRONG = {"is_correct": True, "time_spent_ms": 1000}, {"is_correct": False, "time_spent_ms": 500}
