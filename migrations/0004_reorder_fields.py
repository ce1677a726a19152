"""Write the fields of every session in one order, and those that are absent as null."""

from itertools import islice
from typing import Any

from pydantic import BaseModel

from goaime_migrate import Document, TransformDocuments


class TargetSession(BaseModel):
    """The target shape: the order of these fields is their order in the database, after `_id`.

    Only presence is promised. What a field may hold is for the migration to say that computes it, and a
    session that the app has saved since then in the old shape is reordered as well.
    """

    session_id: Any
    session_status: Any
    created_at: Any
    completed_at: Any
    username: Any
    user_id: Any
    year: Any
    contest: Any
    mode: Any
    shuffle: Any
    score: Any
    total_attempted: Any
    problems_attempted: list[Any]
    performance_metrics: Any
    topic_performance: Any
    difficulty_performance: Any
    total_time_ms: Any
    total_time_seconds: Any
    total_time_minutes: Any


TARGET = tuple(TargetSession.model_fields)
PLACES: Document = dict.fromkeys(("_id", *TARGET)) | {"session_status": "completed"}
ORDERS = (["_id", *TARGET], ["_id", *TARGET, "updated_at"])


def reorder_fields(session: Document) -> Document:
    """A dict keeps the place of a key that is written again: lay out the places, then fill them."""
    ordered = PLACES.copy()
    ordered["problems_attempted"] = []
    if "_id" not in session:
        del ordered["_id"]
    if "updated_at" in session:
        ordered["updated_at"] = None
    ordered.update(session)
    return ordered


def target_order(session: Document) -> list[str]:
    """The first field that is not where it belongs; all behind it are then out of place as well."""
    expected = ORDERS["updated_at" in session]
    found = [*session]
    if found[: len(expected)] == expected:
        return []
    fields = (name for name in found if name != "_id")
    wrong = (
        f"{name}: must come where {other} is"
        for name, other in zip(expected[1:], fields, strict=False)
        if name != other
    )
    return list(islice(wrong, 1))


operations = [TransformDocuments("sessions", reorder_fields, model=TargetSession, check=target_order)]
