"""0004 sentence by sentence, the reference case, and laws of all four together."""

from copy import deepcopy
from datetime import datetime
from typing import Any

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.unit.goaime import (
    HEX,
    PROBLEMS,
    TARGET,
    USERS,
    Document,
    analysed_session,
    check_promises,
    enriched_session,
    linked,
    migrated,
    reordered,
    reordering,
    same,
    sample,
)


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
