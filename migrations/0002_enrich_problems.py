"""Give every attempt the correct answer, the difficulty and the topics of its problem."""

import re
import warnings
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

from bson import ObjectId
from pydantic import BaseModel, StrictStr

from goaime_migrate import Document, Lookup, TransformDocuments

# The newest name first: older imports called the answer otherwise.
ANSWERS = ("correct_answer", "answer", "answer_key")


def enrich_problems(session: Document, problems: Mapping[Any, Document]) -> None:
    """Fill in what attempts lack; nothing is looked up for an attempt that lacks nothing."""
    attempts = session.get("problems_attempted", [])
    if not isinstance(attempts, list):
        raise TypeError(f"problems_attempted: must be an array, found {_kind(attempts)}")
    for index, attempt in enumerate(attempts):
        if not isinstance(attempt, dict):
            raise TypeError(f"problems_attempted.{index}: must be a document, found {_kind(attempt)}")
        if _lacks_something(attempt):
            _fill(attempt, _problem(attempt.get("problem_id"), problems))
        _refuse_wrong_types(attempt, index)


def _lacks_something(attempt: Document) -> bool:
    return (
        attempt.get("correct_answer") is None
        or attempt.get("difficulty") in (None, "")
        or attempt.get("topics") in (None, [])
    )


def _problem(problem_id: object, problems: Mapping[Any, Document]) -> Document:
    """The problem, or an empty one, of which the run reports how many there were."""
    found = None
    if isinstance(problem_id, str) and (object_id := _object_id(problem_id)):
        found = problems.get(object_id)
    if found is None and problem_id is not None and isinstance(problem_id, Hashable):
        found = problems.get(problem_id)
    if found is None:
        warnings.warn("unresolved attempt: no such problem", stacklevel=2)
        return {}
    return found


@lru_cache(maxsize=10_000)
def _object_id(text: str) -> ObjectId | None:
    """Remembered, since the same problems come up in thousands of sessions.

    The digits are looked at first because ObjectId() also takes 24 characters with blanks among them.
    """
    return ObjectId(text) if re.fullmatch("[0-9a-fA-F]{24}", text) else None


def _fill(attempt: Document, problem: Document) -> None:
    if attempt.get("correct_answer") is None:
        attempt["correct_answer"] = _answer(problem)
    if attempt.get("difficulty") in (None, ""):
        attempt["difficulty"] = problem.get("difficulty")
    if attempt.get("topics") in (None, []):
        topics = problem.get("topics")
        attempt["topics"] = [] if topics is None else topics


def _answer(problem: Document) -> Any:
    """An empty answer is an answer; a null one is none."""
    for name in ANSWERS:
        answer = problem.get(name)
        if answer is not None:
            return answer
    return None


def _refuse_wrong_types(attempt: Document, index: int) -> None:
    """Types are compared exactly, as JavaScript code comes as a subclass of str."""
    difficulty, topics = attempt["difficulty"], attempt["topics"]
    if type(difficulty) is not str and difficulty is not None:
        raise TypeError(f"problems_attempted.{index}.difficulty: must be a string, found {_kind(difficulty)}")
    if not isinstance(topics, list):
        path = f"problems_attempted.{index}.topics"
        raise TypeError(f"{path}: must be an array of strings, found {_kind(topics)}")
    for topic in topics:
        if type(topic) is not str:
            path = f"problems_attempted.{index}.topics"
            raise TypeError(f"{path}: must be an array of strings, found {_kind(topic)} in it")


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


class EnrichedAttempt(BaseModel):
    """The three fields are there; null where the problem is unknown or does not say."""

    correct_answer: Any
    difficulty: StrictStr | None
    topics: list[StrictStr]


class EnrichedSession(BaseModel):
    """A session that has no attempts at all need not have the array."""

    problems_attempted: list[EnrichedAttempt] = []


operations = [
    TransformDocuments(
        "sessions",
        enrich_problems,
        fields=["problems_attempted"],
        model=EnrichedSession,
        problems=Lookup("problems", fields=[*ANSWERS, "difficulty", "topics"]),
    ),
]
