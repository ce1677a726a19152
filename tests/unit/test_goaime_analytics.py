"""0003, sentence by sentence."""

from typing import Any

import bson
import pytest
from bson import Decimal128, Int64
from pydantic import ValidationError

from tests.unit.goaime import RIGHT, WRONG, Document, analysed, analysed_session, analysing, same


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
