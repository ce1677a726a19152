"""Compute each session's performance by topic and by difficulty, its metrics and its totals."""

from collections.abc import Iterable
from functools import lru_cache, reduce
from itertools import chain, compress
from operator import add, not_
from typing import Annotated, Any

from bson import Decimal128
from pydantic import AfterValidator, BaseModel, InstanceOf, StrictFloat, StrictInt
from typing_extensions import TypedDict

from goaime_migrate import Document, TransformDocuments

Number = int | float


def compute_analytics(session: Document) -> None:
    """What depends on the attempts alone is computed anew, everything else only where it is missing.

    Averages and accuracies are floats even where they come out whole, 0.0 for an empty set, so that a
    field has one BSON type in all sessions. Counts are ints, and times stay what they were.
    """
    attempts = _attempts(session)
    results = _results(attempts)
    times = _times(attempts)
    session["topic_performance"] = _performance(_topics(attempts), results)
    session["difficulty_performance"] = _performance(_difficulties(attempts), results)
    total = _settle_total_time(session, times)
    seconds, minutes = _ratio(total, 1000), _ratio(total, 60000)
    if session.get("performance_metrics") is None:
        session["performance_metrics"] = _metrics(results, times, session["total_time_ms"], seconds, minutes)
    session.setdefault("total_time_seconds", seconds)
    session.setdefault("total_time_minutes", minutes)
    session.setdefault("score", sum(results))
    session.setdefault("total_attempted", len(attempts))


# What a session says: each field of all attempts at once, and one by one only where any of them is odd


def _attempts(session: Document) -> list[Document]:
    attempts = session.get("problems_attempted", [])
    if not isinstance(attempts, list):
        raise TypeError(f"problems_attempted: must be an array, found {_kind(attempts)}")
    for index, attempt in enumerate(attempts):
        if not isinstance(attempt, dict):
            raise TypeError(f"problems_attempted.{index}: must be a document, found {_kind(attempt)}")
    return attempts


def _results(attempts: list[Document]) -> list[int]:
    """1 for correct, 0 for not: by `is_correct` even where that is null; older attempts say `correct`."""
    return [
        1 if (attempt["is_correct"] if "is_correct" in attempt else attempt.get("correct")) else 0
        for attempt in attempts
    ]


def _times(attempts: list[Document]) -> list[Number]:
    times: list[Any] = [attempt.get("time_spent_ms") for attempt in attempts]
    if {*map(type, times)} <= {int}:
        return times
    return [
        0 if time is None else _number(time, f"problems_attempted.{index}.time_spent_ms")
        for index, time in enumerate(times)
    ]


def _topics(attempts: list[Document]) -> list[list[str]]:
    """Types are compared exactly, as JavaScript code comes as a subclass of str."""
    topics: list[Any] = [attempt.get("topics") for attempt in attempts]
    if {*map(type, topics)} <= {list} and {*map(type, chain.from_iterable(topics))} <= {str}:
        return topics
    return [_strings(value, index) for index, value in enumerate(topics)]


def _strings(topics: object, index: int) -> list[str]:
    path = f"problems_attempted.{index}.topics"
    if topics is None:
        return []
    if not isinstance(topics, list):
        raise TypeError(f"{path}: must be an array of strings, found {_kind(topics)}")
    for topic in topics:
        if type(topic) is not str:
            raise TypeError(f"{path}: must be an array of strings, found {_kind(topic)} in it")
    return topics


def _difficulties(attempts: list[Document]) -> Iterable[tuple[str, ...]]:
    """Of each attempt the one, or none."""
    difficulties: list[Any] = [attempt.get("difficulty") for attempt in attempts]
    if {*map(type, difficulties)} <= {str}:
        return zip(difficulties, strict=True)
    return [_at_most_one(value, index) for index, value in enumerate(difficulties)]


def _at_most_one(difficulty: object, index: int) -> tuple[str, ...]:
    if difficulty is None:
        return ()
    if type(difficulty) is not str:
        path = f"problems_attempted.{index}.difficulty"
        raise TypeError(f"{path}: must be a string, found {_kind(difficulty)}")
    return (difficulty,)


def _number(value: object, path: str) -> Number:
    """A number to reckon with; a Decimal128 has no arithmetic of its own and counts as its double."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, Decimal128):
        return float(value.to_decimal())
    raise TypeError(f"{path}: must be a number, found {_kind(value)}")


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


# What follows from it


def _performance(groups: Iterable[Iterable[str]], results: list[int]) -> Document:
    """What came of the attempts of each name, in order of appearance; a blank is none.

    An attempt counts once for each of its names. So a tally says, beside the attempts and the correct
    ones among them, which attempt was the last to count.
    """
    tallies: dict[str, list[int]] = {}
    for index, (names, correct) in enumerate(zip(groups, results, strict=True)):
        for name in names:
            tally = tallies.get(name)
            if tally is None:
                tallies[name] = [1, correct, index]
            elif tally[2] != index:
                tally[0] += 1
                tally[1] += correct
                tally[2] = index
    _refuse_null_characters(tallies)
    return {
        name: {"attempted": tried, "correct": right, "accuracy": _percentage(right, tried)}
        for name, (tried, right, _) in tallies.items()
        if name.strip()
    }


@lru_cache(maxsize=10_000)
def _percentage(part: int, whole: int) -> float:
    """Remembered, since the counts are small and there are thirty of them in a session."""
    return round(100 * part / whole, 2) if whole else 0.0


def _refuse_null_characters(names: Iterable[str]) -> None:
    """A string may hold them, a field name may not."""
    if "\0" in "".join(names):
        name = next(name for name in names if "\0" in name)
        raise ValueError(f"problems_attempted: {name!r} cannot be the name of a field")


def _settle_total_time(session: Document, times: list[Number]) -> Number | None:
    """Fill in `total_time_ms` where it is missing, and return it as a number to reckon with.

    A null is an answer at every place where the total may be found: no other is then looked for.
    """
    path, value = _recorded_total_time(session) or ("total_time_ms", _sum(times))
    total = None if value is None else _number(value, path)
    session.setdefault("total_time_ms", value)
    return total


def _recorded_total_time(session: Document) -> tuple[str, Any] | None:
    """Where the session says how long it took, and what it says there."""
    if "total_time_ms" in session:
        return "total_time_ms", session["total_time_ms"]
    metrics = session.get("performance_metrics")
    totals = metrics.get("total_metrics") if isinstance(metrics, dict) else None
    if isinstance(totals, dict) and "total_time_ms" in totals:
        return "performance_metrics.total_metrics.total_time_ms", totals["total_time_ms"]
    return ("totalTime", session["totalTime"]) if "totalTime" in session else None


def _metrics(results: list[int], times: list[Number], total: Any, seconds: Any, minutes: Any) -> Document:
    spent, attempted = _sum(times), len(times)
    correct = list(compress(times, results))
    incorrect = list(compress(times, map(not_, results)))
    return {
        "total_metrics": {
            "total_attempted": attempted,
            "total_correct": len(correct),
            "total_incorrect": len(incorrect),
            "total_time_ms": _rounded(total),
            "total_time_seconds": seconds,
            "total_time_minutes": minutes,
        },
        "average_metrics": {
            "accuracy_percentage": _percentage(len(correct), attempted),
            "average_time_per_problem_ms": _ratio(spent, attempted),
            "average_time_per_problem_seconds": _ratio(spent / attempted if attempted else 0, 1000),
            "average_time_correct_problems_ms": _ratio(_sum(correct), len(correct)),
            "average_time_incorrect_problems_ms": _ratio(_sum(incorrect), len(incorrect)),
        },
        "speed_metrics": {
            "fastest_correct_time_ms": _rounded(min(correct, default=None)),
            "slowest_correct_time_ms": _rounded(max(correct, default=None)),
        },
    }


def _ratio(part: Any, whole: int) -> float | None:
    if part is None:
        return None
    return round(part / whole, 2) if whole else 0.0


def _rounded(value: Any) -> Any:
    """Only doubles have decimals to lose; anything else keeps its BSON type."""
    return round(value, 2) if isinstance(value, float) else value


def _sum(times: list[Number]) -> Number:
    """A double where an int64 cannot hold it. Doubles are added from left to right, as `sum` may not do."""
    total = sum(times)
    if type(total) is not int:
        total = reduce(add, times, 0)
    return total if -(2**63) <= total < 2**63 else float(total)


# What is promised


def _not_null(value: object) -> object:
    if value is None:
        raise ValueError("must not be null")
    return value


class Performance(TypedDict):
    """How one topic or one difficulty went."""

    attempted: StrictInt
    correct: StrictInt
    accuracy: StrictFloat


class AnalysedSession(BaseModel):
    """All figures are there; those that are kept where the app wrote them may have any value."""

    topic_performance: dict[str, Performance]
    difficulty_performance: dict[str, Performance]
    total_time_ms: StrictFloat | InstanceOf[Decimal128] | None
    performance_metrics: Annotated[Any, AfterValidator(_not_null)]
    total_time_seconds: Any
    total_time_minutes: Any
    score: Any
    total_attempted: Any


operations = [
    TransformDocuments(
        "sessions",
        compute_analytics,
        fields=["problems_attempted", "totalTime", *AnalysedSession.model_fields],
        model=AnalysedSession,
    ),
]
