"""The goAIME migrations, sentence by sentence, as plain functions of plain documents."""

import importlib.util
import warnings
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

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


class TestAddUserIdAndShuffle:
    @pytest.mark.parametrize("nothing", [{}, *({"user_id": value} for value in (None, "", "None", "null"))])
    def test_what_stands_for_no_user_becomes_the_id_of_the_user_as_a_string(self, nothing: Document) -> None:
        assert linked({"username": "amy", **nothing})["user_id"] == str(AMY["_id"])

    @pytest.mark.parametrize(
        "kept", [ObjectId(), "someone", "none", "NULL", " ", 0, False, [], {}, Code("None")]
    )
    def test_any_other_user_id_is_kept(self, kept: Any) -> None:
        assert linked({"username": "amy", "user_id": kept})["user_id"] is not None
        assert bson.encode(linked({"user_id": kept, "shuffle": 1})) == bson.encode(
            {"user_id": kept, "shuffle": 1}
        )

    @pytest.mark.parametrize("placeholder", ["None", "null", "", None])
    def test_without_such_a_user_it_is_null(self, placeholder: Any) -> None:
        assert linked({"username": "goAmy", "user_id": placeholder})["user_id"] is None

    def test_an_id_of_any_type_is_written_as_a_string(self) -> None:
        assert linked({"username": "bob"}, {"bob": {"_id": 7}})["user_id"] == "7"

    def test_a_name_need_not_be_a_string(self) -> None:
        assert linked({"username": 3}, {3: AMY})["user_id"] == str(AMY["_id"])

    @pytest.mark.parametrize("session", [{}, {"username": None}])
    def test_a_session_without_a_name_is_not_given_to_a_user_without_one(self, session: Document) -> None:
        assert linked(session, {None: {"_id": ObjectId(), "username": None}})["user_id"] is None

    @pytest.mark.parametrize(
        "name", [["amy"], {"first": "amy"}, Regex("a"), Code("amy"), 3, Binary(b"amy", 5)]
    )
    def test_a_name_of_any_type_finds_nobody_and_breaks_nothing(self, name: Any) -> None:
        assert linked({"username": name})["user_id"] is None

    def test_shuffle_is_false_where_missing(self) -> None:
        assert linked({})["shuffle"] is False

    @pytest.mark.parametrize("kept", [None, True, False, 0, "yes"])
    def test_any_other_shuffle_is_kept(self, kept: Any) -> None:
        assert linked({"shuffle": kept})["shuffle"] is kept

    def test_added_keys_go_last_in_order(self) -> None:
        assert list(linked({"username": "amy", "year": 2022})) == ["username", "year", "user_id", "shuffle"]

    def test_present_keys_keep_their_place(self) -> None:
        assert list(linked({"shuffle": None, "user_id": "", "year": 1})) == ["shuffle", "user_id", "year"]

    @pytest.mark.parametrize("user_id", [None, ObjectId(), "someone", 7])
    def test_promises_that_both_fields_are_there(self, user_id: Any) -> None:
        linking.LinkedSession.model_validate({"user_id": user_id, "shuffle": None})

    @pytest.mark.parametrize(
        "broken",
        [{"shuffle": None}, {"user_id": None}, *({"user_id": v, "shuffle": 0} for v in ("", "None", "null"))],
    )
    def test_promises_that_no_placeholder_is_left(self, broken: Document) -> None:
        with pytest.raises(ValidationError):
            linking.LinkedSession.model_validate(broken)


class TestEnrichProblems:
    @pytest.mark.parametrize("problem_id", [HEX, HEX.upper(), ObjectId(HEX)])
    def test_the_problem_is_found_by_its_id(self, problem_id: Any) -> None:
        assert enriched({"problem_id": problem_id}) == {
            "problem_id": problem_id,
            "correct_answer": "D",
            "difficulty": "easy",
            "topics": ["Algebra", "Mean"],
        }

    def test_a_hex_string_means_the_object_id_first(self) -> None:
        problems: dict[Any, Document] = {HEX: {"answer": "A"}, ObjectId(HEX): {"answer": "B"}}
        assert enriched({"problem_id": HEX}, problems)["correct_answer"] == "B"

    @pytest.mark.parametrize(
        "problem_id", [HEX, "2022_amc10a_p1", "é" * 24, " " * 24, HEX[:22] + "  ", HEX[1:], ""]
    )
    def test_otherwise_a_string_means_itself(self, problem_id: str) -> None:
        problems = {problem_id: {"_id": problem_id, "answer": "A"}}
        assert enriched({"problem_id": problem_id}, problems)["correct_answer"] == "A"

    @pytest.mark.parametrize("problem_id", [[HEX], {"$oid": HEX}, Regex("a"), None, 3, 2.5])
    def test_an_id_of_any_other_type_breaks_nothing(self, problem_id: Any) -> None:
        assert enriched({"problem_id": problem_id})["correct_answer"] is None

    @pytest.mark.parametrize(
        ("problem", "answer"),
        [
            ({"correct_answer": "A", "answer": "B", "answer_key": "C"}, "A"),
            ({"correct_answer": None, "answer": "B", "answer_key": "C"}, "B"),
            ({"answer": None, "answer_key": "C"}, "C"),
            ({"correct_answer": "", "answer": "B"}, ""),
            ({"correct_answer": 0, "answer": "B"}, 0),
            ({"correct_answer": None}, None),
            ({}, None),
        ],
    )
    def test_the_answer_is_the_first_that_the_problem_has(self, problem: Document, answer: Any) -> None:
        assert enriched({"problem_id": "p"}, {"p": problem})["correct_answer"] == answer

    @pytest.mark.parametrize("problem", [{}, {"difficulty": None, "topics": None}])
    def test_what_the_problem_does_not_say_is_null_or_empty(self, problem: Document) -> None:
        assert enriched({"problem_id": "p", "correct_answer": "A"}, {"p": problem}) == {
            "problem_id": "p",
            "correct_answer": "A",
            "difficulty": None,
            "topics": [],
        }

    @pytest.mark.parametrize(
        ("field", "lacking"),
        [("correct_answer", [None]), ("difficulty", [None, ""]), ("topics", [None, []])],
    )
    def test_what_counts_as_lacking_is_filled_in_place(self, field: str, lacking: list[Any]) -> None:
        for nothing in lacking:
            complete = {"correct_answer": "E", "difficulty": "hard", "topics": ["Logic"]}
            attempt = enriched({field: nothing, "problem_id": HEX} | complete | {field: nothing})
            assert attempt[field] == PROBLEM[field]
            assert next(iter(attempt)) == field

    @pytest.mark.parametrize(
        ("field", "kept"),
        [("correct_answer", ""), ("correct_answer", 0), ("difficulty", "insane"), ("topics", [""])],
    )
    def test_what_an_attempt_has_is_kept(self, field: str, kept: Any) -> None:
        assert enriched({"problem_id": HEX, field: kept})[field] == kept

    def test_added_keys_go_last_in_order(self) -> None:
        names = ["topics", "problem_id", "selected_answer", "correct_answer", "difficulty"]
        assert list(enriched({"topics": [], "problem_id": HEX, "selected_answer": "A"})) == names

    def test_a_missing_problem_leaves_what_is_lacking_empty_and_invents_nothing(self) -> None:
        attempt = {"problem_id": "gone", "difficulty": "", "selected_answer": "B"}
        assert list(enriched(attempt).items()) == [
            ("problem_id", "gone"),
            ("difficulty", None),
            ("selected_answer", "B"),
            ("correct_answer", None),
            ("topics", []),
        ]

    @pytest.mark.parametrize("kept", [{"correct_answer": "A"}, {"difficulty": "hard"}, {"topics": ["Logic"]}])
    def test_a_missing_problem_takes_nothing_away(self, kept: Document) -> None:
        assert kept.items() <= enriched({"problem_id": "gone", **kept}).items()

    def test_javascript_code_is_no_problem_id(self) -> None:
        assert unresolved({"problem_id": Code("x")}) == ["unresolved attempt: no such problem"]

    def test_every_unresolved_attempt_is_reported_in_the_same_words(self) -> None:
        attempts: list[Document] = [{}, {"problem_id": None}, {"problem_id": "gone"}, {"problem_id": HEX}]
        assert unresolved(*attempts) == ["unresolved attempt: no such problem"] * 3

    def test_an_attempt_that_lacks_nothing_needs_no_problem(self) -> None:
        assert unresolved({"correct_answer": "A", "difficulty": "hard", "topics": ["Logic"]}) == []

    def test_missing_attempts_count_as_none_and_stay_missing(self) -> None:
        assert enriched_session({"year": 2022}) == {"year": 2022}

    @pytest.mark.parametrize(
        ("attempts", "message"),
        [
            (None, "problems_attempted: must be an array, found null"),
            ({}, "problems_attempted: must be an array, found dict"),
            ("[]", "problems_attempted: must be an array, found str"),
            ([{}, None], "problems_attempted.1: must be a document, found null"),
            ([[]], "problems_attempted.0: must be a document, found list"),
            ([{"topics": "Logic"}], "problems_attempted.0.topics: must be an array of strings, found str"),
            (
                [{"topics": ["a", 1]}],
                "problems_attempted.0.topics: must be an array of strings, found int in it",
            ),
            (
                [{"topics": [Code("x")]}],
                "problems_attempted.0.topics: must be an array of strings, found Code in it",
            ),
            ([{"difficulty": 3}], "problems_attempted.0.difficulty: must be a string, found int"),
        ],
    )
    def test_refuses_what_it_cannot_read(self, attempts: Any, message: str) -> None:
        with pytest.raises(TypeError) as refusal:
            enriched_session({"problems_attempted": attempts})
        assert str(refusal.value) == message

    @pytest.mark.parametrize(
        "problem", [{"topics": "Logic"}, {"topics": [1]}, {"topics": {}}, {"difficulty": 3}]
    )
    def test_refuses_the_same_values_of_a_problem(self, problem: Document) -> None:
        with pytest.raises(TypeError, match=r"^problems_attempted\.0\.(topics|difficulty): must be"):
            enriched({"problem_id": "p"}, {"p": problem})

    @pytest.mark.parametrize("session", [{}, {"problems_attempted": []}])
    def test_promises_nothing_of_sessions_without_attempts(self, session: Document) -> None:
        enriching.EnrichedSession.model_validate(session)

    @pytest.mark.parametrize("field", ["correct_answer", "difficulty", "topics"])
    def test_promises_that_every_attempt_has_the_three_fields(self, field: str) -> None:
        attempt: Document = {"correct_answer": None, "difficulty": None, "topics": []}
        enriching.EnrichedSession.model_validate({"problems_attempted": [attempt]})
        del attempt[field]
        with pytest.raises(ValidationError):
            enriching.EnrichedSession.model_validate({"problems_attempted": [attempt]})

    @pytest.mark.parametrize(
        ("broken", "place"),
        [
            ({"topics": ["Logic", 3]}, ("problems_attempted", 1, "topics", 1)),
            ({"difficulty": 3}, ("problems_attempted", 1, "difficulty")),
        ],
    )
    def test_a_broken_promise_says_where(self, broken: Document, place: tuple[str | int, ...]) -> None:
        attempt: Document = {"correct_answer": None, "difficulty": None, "topics": []}
        with pytest.raises(ValidationError) as refusal:
            enriching.EnrichedSession.model_validate({"problems_attempted": [attempt, attempt | broken]})
        assert [error["loc"] for error in refusal.value.errors()] == [place]


RIGHT, WRONG = {"is_correct": True, "time_spent_ms": 1000}, {"is_correct": False, "time_spent_ms": 500}


class TestPerformance:
    def test_counts_attempts_and_correct_ones_by_topic_in_order_of_appearance(self) -> None:
        topics = analysed({**WRONG, "topics": ["b", "a"]}, {**RIGHT, "topics": ["a"]})["topic_performance"]
        assert list(topics.items()) == [
            ("b", {"attempted": 1, "correct": 0, "accuracy": 0.0}),
            ("a", {"attempted": 2, "correct": 1, "accuracy": 50.0}),
        ]

    def test_counts_by_difficulty_as_well(self) -> None:
        attempts = [
            {**RIGHT, "difficulty": "hard"},
            {**WRONG, "difficulty": "hard"},
            {**WRONG, "difficulty": "x"},
        ]
        assert list(analysed(*attempts)["difficulty_performance"].items()) == [
            ("hard", {"attempted": 2, "correct": 1, "accuracy": 50.0}),
            ("x", {"attempted": 1, "correct": 0, "accuracy": 0.0}),
        ]

    def test_types_are_int_int_double(self) -> None:
        figures = analysed({**RIGHT, "topics": ["a"]})["topic_performance"]["a"]
        assert [type(value) for value in figures.values()] == [int, int, float]

    @pytest.mark.parametrize(
        ("right", "of", "accuracy"), [(2, 9, 22.22), (1, 8, 12.5), (2, 3, 66.67), (1, 32, 3.12)]
    )
    def test_accuracy_is_rounded_half_even(self, right: int, of: int, accuracy: float) -> None:
        attempts = [{"is_correct": number < right, "topics": ["a"]} for number in range(of)]
        assert analysed(*attempts)["topic_performance"]["a"]["accuracy"] == accuracy

    def test_an_attempt_counts_once_for_each_of_its_distinct_topics(self) -> None:
        topics = analysed({**RIGHT, "topics": ["a", "b", "a"]})["topic_performance"]
        assert [(name, entry["attempted"]) for name, entry in topics.items()] == [("a", 1), ("b", 1)]

    def test_a_topic_that_comes_twice_in_one_attempt_counts_in_the_next_one_again(self) -> None:
        topics = ["a", "b", "a"]
        figures = analysed({**WRONG, "topics": topics}, {**RIGHT, "topics": topics})["topic_performance"]
        assert [(entry["attempted"], entry["correct"]) for entry in figures.values()] == [(2, 1), (2, 1)]

    def test_blank_topics_are_skipped_and_others_kept_as_written(self) -> None:
        topics = analysed({"topics": ["", " ", "\t\n", "\u2003", " a "]})["topic_performance"]
        assert list(topics) == [" a "]

    @pytest.mark.parametrize("name", ["a.b", "$a", "$", ".", "..", "a..b.$c"])
    def test_a_topic_may_be_called_anything(self, name: str) -> None:
        session = analysed({"topics": [name]})
        assert list(bson.decode(bson.encode(session))["topic_performance"]) == [name]

    @pytest.mark.parametrize("attempt", [{}, {"difficulty": None}, {"difficulty": ""}, {"difficulty": "  "}])
    def test_attempts_without_difficulty_are_skipped(self, attempt: Document) -> None:
        assert analysed(attempt)["difficulty_performance"] == {}

    @pytest.mark.parametrize(
        ("attempt", "correct"),
        [
            ({"is_correct": True}, 1),
            ({"is_correct": 1}, 1),
            ({"is_correct": "yes"}, 1),
            ({"is_correct": 0}, 0),
            ({"is_correct": ""}, 0),
            ({"is_correct": None, "correct": True}, 0),
            ({"is_correct": False, "correct": True}, 0),
            ({"correct": True}, 1),
            ({"correct": None}, 0),
            ({}, 0),
        ],
    )
    def test_correct_means_is_correct_or_where_that_is_absent_correct(
        self, attempt: Document, correct: int
    ) -> None:
        session = analysed({**attempt, "topics": ["a"]})
        assert session["topic_performance"]["a"]["correct"] == correct
        assert session["score"] == correct

    def test_both_are_computed_anew_and_keep_their_place(self) -> None:
        session = analysed(difficulty_performance=None, topic_performance={"old": 1}, year=1)
        assert list(session.items())[:3] == [
            ("difficulty_performance", {}),
            ("topic_performance", {}),
            ("year", 1),
        ]


class TestTotalTime:
    @pytest.mark.parametrize(
        ("fields", "total"),
        [
            ({"total_time_ms": 1, "totalTime": 3}, 1),
            ({"performance_metrics": {"total_metrics": {"total_time_ms": 2}}, "totalTime": 3}, 2),
            ({"performance_metrics": {"total_metrics": {"total_time_ms": None}}, "totalTime": 3}, None),
            ({"performance_metrics": {"total_metrics": None}, "totalTime": 3}, 3),
            ({"performance_metrics": {"total_metrics": {}}, "totalTime": 3}, 3),
            ({"performance_metrics": "none", "totalTime": 3}, 3),
            ({"performance_metrics": None, "totalTime": 3}, 3),
            ({"totalTime": None}, None),
            ({}, 1500),
            ({"total_time_ms": None, "totalTime": 3}, None),
        ],
    )
    def test_where_missing_comes_from_metrics_or_the_old_field_or_the_sum(
        self, fields: Document, total: Any
    ) -> None:
        assert analysed(RIGHT, WRONG, **fields)["total_time_ms"] == total

    @pytest.mark.parametrize("nothing", [{}, {"time_spent_ms": None}])
    def test_an_unmeasured_attempt_counts_as_zero(self, nothing: Document) -> None:
        session = analysed(RIGHT, {"is_correct": True, **nothing})
        assert session["total_time_ms"] == 1000
        assert session["performance_metrics"]["average_metrics"]["average_time_per_problem_ms"] == 500.0
        assert session["performance_metrics"]["speed_metrics"]["fastest_correct_time_ms"] == 0

    def test_the_old_field_stays(self) -> None:
        assert analysed(totalTime=3)["totalTime"] == 3

    @pytest.mark.parametrize("name", ["total_time_ms", "totalTime"])
    def test_keeps_its_bson_type(self, name: str) -> None:
        assert type(analysed(**{name: Int64(5)})["total_time_ms"]) is Int64

    @pytest.mark.parametrize(
        ("ms", "seconds", "minutes"), [(7426, 7.43, 0.12), (0, 0.0, 0.0), (Int64(125), 0.12, 0.0)]
    )
    def test_seconds_and_minutes_follow_rounded_half_even(
        self, ms: int, seconds: float, minutes: float
    ) -> None:
        session = analysed(total_time_ms=ms)
        assert (session["total_time_seconds"], session["total_time_minutes"]) == (seconds, minutes)
        assert type(session["total_time_seconds"]) is float

    @pytest.mark.parametrize("kept", [None, 0, "7.4", 3.14159])
    def test_seconds_and_minutes_that_are_there_are_kept(self, kept: Any) -> None:
        session = analysed(RIGHT, total_time_seconds=kept, total_time_minutes=kept)
        assert session["total_time_seconds"] is session["total_time_minutes"] is kept

    def test_what_is_computed_from_null_is_null(self) -> None:
        session = analysed(RIGHT, total_time_ms=None)
        totals = session["performance_metrics"]["total_metrics"]
        times = ["total_time_ms", "total_time_seconds", "total_time_minutes"]
        assert [session[name] for name in times] == [totals[name] for name in times] == [None] * 3
        assert session["performance_metrics"]["average_metrics"]["average_time_per_problem_ms"] == 1000.0

    def test_a_decimal_is_a_number(self) -> None:
        session = analysed({"time_spent_ms": Decimal128("1.5")}, total_time_ms=Decimal128("7426"))
        assert session["total_time_ms"] == Decimal128("7426")
        assert session["total_time_seconds"] == 7.43
        assert session["performance_metrics"]["average_metrics"]["average_time_per_problem_ms"] == 1.5

    def test_a_sum_that_no_int64_holds_becomes_a_double(self) -> None:
        session = analysed(*[{"time_spent_ms": Int64(2**62)}] * 2)
        assert bson.decode(bson.encode(session))["total_time_ms"] == float(2**63)

    def test_doubles_are_added_from_left_to_right(self) -> None:
        assert (
            analysed(*({"time_spent_ms": time} for time in (0.1, 0.2, 0.3)))["total_time_ms"]
            == 0.1 + 0.2 + 0.3
        )

    @pytest.mark.parametrize("endless", [float("nan"), float("inf")])
    def test_doubles_that_are_no_finite_number_break_nothing(self, endless: float) -> None:
        bson.encode(analysed({"time_spent_ms": endless, "is_correct": True}, {"time_spent_ms": 5}))


class TestMetrics:
    def test_of_a_session(self) -> None:
        attempts = [{"is_correct": n < 2, "time_spent_ms": time} for n, time in enumerate((1000, 2001, 400))]
        assert analysed(*attempts, total_time_ms=7426, score=9, total_attempted=9)["performance_metrics"] == {
            "total_metrics": {
                "total_attempted": 3,
                "total_correct": 2,
                "total_incorrect": 1,
                "total_time_ms": 7426,
                "total_time_seconds": 7.43,
                "total_time_minutes": 0.12,
            },
            "average_metrics": {
                "accuracy_percentage": 66.67,
                "average_time_per_problem_ms": 1133.67,
                "average_time_per_problem_seconds": 1.13,
                "average_time_correct_problems_ms": 1500.5,
                "average_time_incorrect_problems_ms": 400.0,
            },
            "speed_metrics": {"fastest_correct_time_ms": 1000, "slowest_correct_time_ms": 2001},
        }

    def test_fields_are_in_the_order_in_which_they_are_specified(self) -> None:
        metrics = analysed()["performance_metrics"]
        assert list(metrics["total_metrics"]) == [
            *("total_attempted", "total_correct", "total_incorrect"),
            *("total_time_ms", "total_time_seconds", "total_time_minutes"),
        ]
        assert list(metrics["average_metrics"]) == [
            "accuracy_percentage",
            *("average_time_per_problem_ms", "average_time_per_problem_seconds"),
            *("average_time_correct_problems_ms", "average_time_incorrect_problems_ms"),
        ]
        assert list(metrics["speed_metrics"]) == ["fastest_correct_time_ms", "slowest_correct_time_ms"]
        assert list(metrics) == ["total_metrics", "average_metrics", "speed_metrics"]

    def test_of_no_attempts_are_zero_and_speeds_null(self) -> None:
        metrics = analysed()["performance_metrics"]
        assert set(metrics["total_metrics"].values()) == set(metrics["average_metrics"].values()) == {0}
        assert set(metrics["speed_metrics"].values()) == {None}

    def test_averages_are_doubles_in_every_session(self) -> None:
        for session in (analysed(), analysed(RIGHT), analysed(WRONG)):
            averages = session["performance_metrics"]["average_metrics"].values()
            assert {type(average) for average in averages} == {float}

    def test_seconds_come_from_the_unrounded_average(self) -> None:
        averages = analysed({"time_spent_ms": 1134.9951})["performance_metrics"]["average_metrics"]
        assert averages["average_time_per_problem_ms"] == 1135.0
        assert averages["average_time_per_problem_seconds"] == 1.13 != round(1135.0 / 1000, 2)

    def test_times_keep_their_type_unless_they_have_decimals_to_lose(self) -> None:
        whole = analysed({"is_correct": True, "time_spent_ms": Int64(5)})["performance_metrics"][
            "speed_metrics"
        ]
        parts = analysed({"is_correct": True, "time_spent_ms": 5.123})["performance_metrics"]["speed_metrics"]
        assert type(whole["fastest_correct_time_ms"]) is Int64
        assert parts == {"fastest_correct_time_ms": 5.12, "slowest_correct_time_ms": 5.12}

    def test_the_total_time_is_rounded_in_the_metrics_only(self) -> None:
        session = analysed(total_time_ms=7426.123)
        assert session["performance_metrics"]["total_metrics"]["total_time_ms"] == 7426.12
        assert session["total_time_ms"] == 7426.123

    @pytest.mark.parametrize("kept", [{}, {"by": "app"}, [], "none", 0])
    def test_present_metrics_are_kept(self, kept: Any) -> None:
        assert analysed(RIGHT, performance_metrics=kept)["performance_metrics"] == kept

    def test_null_metrics_are_replaced_in_place(self) -> None:
        session = analysed(RIGHT, performance_metrics=None, year=1)
        assert next(iter(session)) == "performance_metrics"
        assert session["performance_metrics"]["total_metrics"]["total_attempted"] == 1


class TestComputeAnalytics:
    def test_score_and_attempts_are_counted_where_missing(self) -> None:
        session = analysed(RIGHT, WRONG, RIGHT)
        assert (session["score"], session["total_attempted"]) == (2, 3)
        assert type(session["score"]) is int

    @pytest.mark.parametrize("kept", [None, 99, "3", Int64(3)])
    def test_score_and_attempts_that_are_there_are_kept(self, kept: Any) -> None:
        session = analysed(RIGHT, score=kept, total_attempted=kept)
        assert same([session["score"], session["total_attempted"]], [kept, kept])

    def test_added_keys_go_last_in_order(self) -> None:
        assert list(analysed(year=2022)) == [
            "year",
            "problems_attempted",
            "topic_performance",
            "difficulty_performance",
            "total_time_ms",
            "performance_metrics",
            "total_time_seconds",
            "total_time_minutes",
            "score",
            "total_attempted",
        ]

    def test_missing_attempts_count_as_none_and_stay_missing(self) -> None:
        session = analysed_session({})
        assert "problems_attempted" not in session
        assert (session["score"], session["total_time_ms"]) == (0, 0)

    @pytest.mark.parametrize("nothing", [{}, {"topics": None}, {"topics": []}])
    def test_an_attempt_need_not_have_topics(self, nothing: Document) -> None:
        assert analysed(nothing)["topic_performance"] == {}

    @pytest.mark.parametrize(
        ("session", "message"),
        [
            ({"problems_attempted": None}, "problems_attempted: must be an array, found null"),
            ({"problems_attempted": "x"}, "problems_attempted: must be an array, found str"),
            ({"problems_attempted": [{}, 1]}, "problems_attempted.1: must be a document, found int"),
            (
                {"problems_attempted": [{"topics": "a"}]},
                "problems_attempted.0.topics: must be an array of strings, found str",
            ),
            (
                {"problems_attempted": [{"topics": ["a", None]}]},
                "problems_attempted.0.topics: must be an array of strings, found null in it",
            ),
            (
                {"problems_attempted": [{"difficulty": 3}]},
                "problems_attempted.0.difficulty: must be a string, found int",
            ),
            (
                {"problems_attempted": [{"time_spent_ms": "5"}]},
                "problems_attempted.0.time_spent_ms: must be a number, found str",
            ),
            (
                {"problems_attempted": [{"time_spent_ms": True}]},
                "problems_attempted.0.time_spent_ms: must be a number, found bool",
            ),
            ({"total_time_ms": "7426"}, "total_time_ms: must be a number, found str"),
            ({"total_time_ms": False}, "total_time_ms: must be a number, found bool"),
            ({"totalTime": [1]}, "totalTime: must be a number, found list"),
            (
                {"performance_metrics": {"total_metrics": {"total_time_ms": "1"}}},
                "performance_metrics.total_metrics.total_time_ms: must be a number, found str",
            ),
        ],
    )
    def test_refuses_what_it_cannot_reckon_with(self, session: Document, message: str) -> None:
        with pytest.raises(TypeError) as refusal:
            analysed_session(session)
        assert str(refusal.value) == message

    @pytest.mark.parametrize("field", ["topics", "difficulty"])
    def test_refuses_a_name_that_cannot_be_a_field(self, field: str) -> None:
        with pytest.raises(ValueError, match=r"^problems_attempted: 'a\\x00' cannot be the name of a field$"):
            analysed({field: ["a\0"] if field == "topics" else "a\0"})

    @pytest.mark.parametrize(
        "kept",
        [
            {"total_time_ms": None},
            {"total_time_ms": Int64(5)},
            {"total_time_ms": Decimal128("5")},
            {"total_time_ms": float("nan")},
            {"score": None, "total_attempted": "3", "total_time_seconds": None, "total_time_minutes": []},
            {"performance_metrics": "none"},
        ],
    )
    def test_promises_nothing_of_what_is_kept(self, kept: Document) -> None:
        analysing.AnalysedSession.model_validate(analysed(RIGHT, **kept))

    @pytest.mark.parametrize(
        "broken",
        [
            {"performance_metrics": None},
            {"total_time_ms": "7426"},
            {"topic_performance": None},
            {"topic_performance": {"a": {"attempted": 1, "correct": 1}}},
            {"difficulty_performance": {"a": {"attempted": 1, "correct": 1, "accuracy": "100"}}},
        ],
    )
    def test_promises_the_shape_of_what_it_computes(self, broken: Document) -> None:
        with pytest.raises(ValidationError):
            analysing.AnalysedSession.model_validate(analysed(RIGHT) | broken)

    def test_a_broken_promise_says_where(self) -> None:
        broken = {"topic_performance": {"a.b": {"attempted": 1, "correct": "1", "accuracy": 100.0}}}
        with pytest.raises(ValidationError) as refusal:
            analysing.AnalysedSession.model_validate(analysed(RIGHT) | broken)
        assert [error["loc"] for error in refusal.value.errors()] == [("topic_performance", "a.b", "correct")]


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


class TestReorderFields:
    def test_the_nineteen_fields_follow_the_id(self) -> None:
        shuffled = {name: name for name in reversed([*TARGET, "_id"])}
        assert list(reordered(shuffled)) == ["_id", *TARGET]

    def test_then_updated_at_then_the_rest_in_its_old_order(self) -> None:
        session = {"z": 1, "_id": 2, "a": 3, "updated_at": None, "year": 5, "$m": 6}
        assert list(reordered(session)) == ["_id", *TARGET, "updated_at", "z", "a", "$m"]

    def test_updated_at_is_not_invented(self) -> None:
        assert "updated_at" not in reordered({"_id": 1})

    def test_what_is_absent_is_null_but_for_status_and_attempts(self) -> None:
        filled = {"session_status": "completed", "problems_attempted": []}
        assert reordered({"_id": 1}) == {"_id": 1, **dict.fromkeys(TARGET), **filled}

    @pytest.mark.parametrize("name", TARGET)
    def test_a_null_that_is_there_is_kept(self, name: str) -> None:
        assert reordered({name: None})[name] is None

    def test_sessions_share_nothing(self) -> None:
        reordered({"_id": 1})["problems_attempted"].append("mine")
        assert reordered({"_id": 2})["problems_attempted"] == []

    def test_values_keep_their_bson_types(self) -> None:
        session = {"score": Int64(3), "created_at": datetime(2025, 5, 26), "year": 2022.0}
        assert [type(reordered(session)[name]) for name in session] == [Int64, datetime, float]

    @pytest.mark.parametrize("name", TARGET)
    def test_promises_every_field(self, name: str) -> None:
        session = reordered({"_id": 1})
        reordering.TargetSession.model_validate(session)
        del session[name]
        with pytest.raises(ValidationError):
            reordering.TargetSession.model_validate(session)

    @pytest.mark.parametrize(
        ("moved", "problem"),
        [
            ("session_id", "session_id: must come where session_status is"),
            ("total_time_minutes", "total_time_minutes: must come where updated_at is"),
            ("updated_at", "updated_at: must come where device is"),
            ("_id", None),
            ("device", None),
        ],
    )
    def test_promises_the_order(self, moved: str, problem: str | None) -> None:
        session = reordered({"_id": 1, "device": 2, "updated_at": 3, "notes": 4})
        session[moved] = session.pop(moved)
        assert reordering.target_order(session) == ([] if problem is None else [problem])


class TestReferenceCase:
    @pytest.fixture
    def session(self) -> Document:
        problems = {problem["_id"]: problem for problem in sample.reference_problems()}
        return migrated(sample.reference_session(), USERS, problems)

    def test_the_session_is_nobodys(self, session: Document) -> None:
        assert (session["username"], session["user_id"], session["shuffle"]) == ("goAmy", None, False)

    def test_there_are_30_topics_and_3_difficulties(self, session: Document) -> None:
        assert (len(session["topic_performance"]), len(session["difficulty_performance"])) == (30, 3)

    @pytest.mark.parametrize(
        ("by", "name", "figures"),
        [
            ("topic", "Algebra", [9, 2, 22.22]),
            ("topic", "Geometry", [8, 1, 12.5]),
            ("topic", "Number Theory", [3, 0, 0.0]),
            ("topic", "Counting and Probability", [4, 0, 0.0]),
            ("difficulty", "easy", [10, 2, 20.0]),
            ("difficulty", "medium", [10, 1, 10.0]),
            ("difficulty", "hard", [5, 0, 0.0]),
        ],
    )
    def test_the_figures_of_the_report(
        self, session: Document, by: str, name: str, figures: list[Any]
    ) -> None:
        assert list(session[f"{by}_performance"][name].values()) == figures

    def test_the_times_of_the_report(self, session: Document) -> None:
        times = [session[f"total_time_{unit}"] for unit in ("ms", "seconds", "minutes")]
        assert times == [7426, 7.43, 0.12]

    def test_the_promises_hold(self, session: Document) -> None:
        check_promises(session)


# All four on any session that none of them refuses

names = st.text("ab .$é\u2003", max_size=3)
numbers = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 10**6).map(Int64) | st.floats()
times = numbers | st.integers(0, 10**6) | st.just(Decimal128("12.5"))
values = st.none() | st.booleans() | numbers | names | st.just(ObjectId(HEX)) | st.lists(names, max_size=2)
placeholders = st.sampled_from([None, "", "None", "null", "someone", ObjectId(HEX)])
attempts = st.fixed_dictionaries(
    {},
    optional={
        "problem_id": st.sampled_from([HEX, ObjectId(HEX), "gone", None, 3]),
        "is_correct": values,
        "correct": values,
        "time_spent_ms": st.none() | times,
        "correct_answer": values,
        "difficulty": st.none() | names,
        "topics": st.none() | st.lists(names, max_size=4),
        "selected_answer": values,
    },
)
metrics = st.fixed_dictionaries(
    {}, optional={"total_metrics": st.fixed_dictionaries({}, optional={"total_time_ms": st.none() | times})}
)
free = [
    "session_id",
    "session_status",
    "created_at",
    "completed_at",
    "year",
    "contest",
    "mode",
    "shuffle",
    "score",
]
free += ["total_attempted", "total_time_seconds", "total_time_minutes", "updated_at", "device", "a.b", "$c"]
fields = {
    **dict.fromkeys(free, values),
    "username": st.sampled_from(["amy", "goAmy", None, 3]),
    "user_id": placeholders,
    "problems_attempted": st.lists(attempts, max_size=4),
    "performance_metrics": values | metrics,
    "topic_performance": values,
    "difficulty_performance": values,
    "total_time_ms": st.none() | times,
    "totalTime": st.none() | times,
}


@st.composite
def sessions(draw: st.DrawFn) -> Document:
    """Any of the fields, in any order, as they come out of the database."""
    session = draw(st.fixed_dictionaries({}, optional=fields))
    order = draw(st.permutations(sorted(session)))
    return bson.decode(bson.encode({"_id": 1, **{name: session[name] for name in order}}))


def same(one: Any, other: Any) -> bool:
    """In bytes, thus in type and key order too, and a NaN is itself."""
    return bson.encode({"": one}) == bson.encode({"": other})


@given(sessions())
def test_migrating_twice_gives_the_bytes_of_once(session: Document) -> None:
    once = migrated(session)
    assert same(migrated(bson.decode(bson.encode(once))), once)


@given(sessions())
def test_each_migration_done_again_changes_nothing(session: Document) -> None:
    for migration in (linked, enriched_session, analysed_session, reordered):
        session = migration(session)
        assert same(migration(session), session)


@given(sessions())
def test_the_result_has_the_target_order(session: Document) -> None:
    rest = [name for name in session if name not in (*TARGET, "_id", "updated_at")]
    updated = ["updated_at"] if "updated_at" in session else []
    assert list(migrated(session)) == ["_id", *TARGET, *updated, *rest]


@given(sessions())
def test_every_promise_holds_after_all_four(session: Document) -> None:
    check_promises(migrated(session))


@given(sessions())
def test_what_no_rule_names_keeps_value_and_type(session: Document) -> None:
    result = migrated(session)
    assert all(
        same(result[name], session[name]) for name in [*free, "username", "total_time_ms"] if name in session
    )


@given(sessions())
def test_attempts_keep_their_fields_in_order_and_gain_only_the_three(session: Document) -> None:
    gained = ["correct_answer", "difficulty", "topics"]
    for before, after in zip(
        session.get("problems_attempted", []), migrated(session)["problems_attempted"], strict=True
    ):
        assert list(after) == [*before, *(name for name in gained if name not in before)]
        assert all(same(after[name], before[name]) for name in before if name not in gained)


@given(sessions())
def test_the_looked_up_documents_stay_as_they_were(session: Document) -> None:
    before = deepcopy((USERS, PROBLEMS))
    migrated(session)
    assert before == (USERS, PROBLEMS)
