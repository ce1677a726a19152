"""Give every attempt the correct answer, the difficulty and the topics of its problem."""

import re
import warnings
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any

from bson import ObjectId
from pydantic import BaseModel, StrictStr
from typing_extensions import TypedDict

from goaime_migrate import Document, Lookup, TransformDocuments

# The newest name first: older imports called the answer otherwise.
ANSWERS = ("correct_answer", "answer", "answer_key")
# What says nothing: an attempt that has it lacks the field.
NO_DIFFICULTY: tuple[Any, ...] = (None, "")
NO_TOPICS: tuple[Any, ...] = (None, [])


def enrich_problems(session: Document, problems: Mapping[Any, Document]) -> None:
    """Fill in what attempts lack; nothing is looked up for an attempt that lacks nothing."""
    for index, attempt in enumerate(_attempts(session)):
        if not isinstance(attempt, dict):
            raise TypeError(f"problems_attempted.{index}: must be a document, found {_kind(attempt)}")
        answer = attempt.get("correct_answer")
        difficulty = attempt.get("difficulty")
        topics: Any = attempt.get("topics")
        if answer is None or difficulty in NO_DIFFICULTY or topics in NO_TOPICS:
            problem = _problem(attempt.get("problem_id"), problems)
            if answer is None:
                attempt["correct_answer"] = _answer(problem)
            if difficulty in NO_DIFFICULTY:
                attempt["difficulty"] = difficulty = problem.get("difficulty")
            if topics in NO_TOPICS:
                topics = problem.get("topics")
                attempt["topics"] = topics = [] if topics is None else topics
        if type(difficulty) is not str or type(topics) is not list:
            _refuse_wrong_types(difficulty, topics, index)
        for topic in topics:
            if type(topic) is not str:
                _refuse_wrong_types(difficulty, topics, index)


def _attempts(session: Document) -> list[Any]:
    attempts = session.get("problems_attempted", [])
    if not isinstance(attempts, list):
        raise TypeError(f"problems_attempted: must be an array, found {_kind(attempts)}")
    return attempts


def _problem(problem_id: object, problems: Mapping[Any, Document]) -> Document:
    """The problem, or an empty one, of which the run reports how many there were."""
    found = None
    if type(problem_id) is str:  # JavaScript code is a subclass, and cannot be the key of anything
        object_id = _object_id(problem_id)
        found = None if object_id is None else problems.get(object_id)
        found = problems.get(problem_id) if found is None else found
    elif problem_id is not None and isinstance(problem_id, Hashable):
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


def _answer(problem: Document) -> Any:
    """An empty answer is an answer; a null one is none."""
    for name in ANSWERS:
        answer = problem.get(name)
        if answer is not None:
            return answer
    return None


def _refuse_wrong_types(difficulty: object, topics: object, index: int) -> None:
    """What is wrong with an attempt that is not ordinary, if anything: the difficulty may be null.

    Types are compared exactly, as JavaScript code comes as a subclass of str.
    """
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


class EnrichedAttempt(TypedDict):
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
