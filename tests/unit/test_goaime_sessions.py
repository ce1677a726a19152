"""0001 and 0002, sentence by sentence."""

from typing import Any

import bson
import pytest
from bson import Binary, Code, ObjectId, Regex
from pydantic import ValidationError

from tests.unit.goaime import (
    AMY,
    HEX,
    PROBLEM,
    Document,
    enriched,
    enriched_session,
    enriching,
    linked,
    linking,
    unresolved,
)


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
