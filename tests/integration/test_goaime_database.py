"""The goAIME database, up and down, on every engine."""

from __future__ import annotations

import importlib.util
from itertools import islice
from types import ModuleType

import pytest

from tests.conftest import EMBEDDED
from tests.integration.engines import one_server
from tests.world import GOAIME, REPOSITORY, World, succeeded

VERSIONS = ("0001", "0002", "0003", "0004", "0005")
FOUR = VERSIONS[:4]
"""Those that change documents, in one pass."""
REFERENCE = "a78885fa-abd3-41e9-b2f4-9b6ca9c0d91a"


def _sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("goaime_sample", REPOSITORY / "demo" / "sample.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SAMPLE = _sample()


@pytest.fixture
def goaime(world: World) -> World:
    """The sample database, not migrated yet."""
    for collection, documents in SAMPLE.documents(sessions=60).items():
        world.insert(collection, islice(documents, 2000))
    world.folder = GOAIME
    return world


def test_all_apply_and_the_reference_session_has_the_figures_of_the_report(goaime: World) -> None:
    result = succeeded(goaime.up())

    assert result.versions == VERSIONS
    (session,) = [d for d in goaime.documents("sessions") if d.get("session_id") == REFERENCE]
    topics = session["topic_performance"]
    assert session["user_id"] is None
    assert session["shuffle"] is False
    assert len(topics) == 30
    assert topics["Algebra"] == {"attempted": 9, "correct": 2, "accuracy": 22.22}
    assert session["difficulty_performance"]["hard"] == {"attempted": 5, "correct": 0, "accuracy": 0.0}
    assert (session["total_time_seconds"], session["total_time_minutes"]) == (7.43, 0.12)


def test_down_gives_back_the_very_bytes(goaime: World) -> None:
    before = {name: goaime.raws(name) for name in ("sessions", "users", "problems")}

    succeeded(goaime.up())
    assert goaime.raws("sessions") != before["sessions"]
    result = succeeded(goaime.down("base"))

    assert result.versions == tuple(reversed(VERSIONS))
    assert {name: goaime.raws(name) for name in before} == before
    assert goaime.states() == ["pending"] * 5


def test_down_step_by_step_is_exact_at_every_step_of_a_shared_pass(goaime: World) -> None:
    images = [goaime.raws("sessions")]
    for version in FOUR:
        succeeded(goaime.up(version))
        images.append(goaime.raws("sessions"))
    succeeded(goaime.down("base"))
    succeeded(goaime.up("0004"))
    assert goaime.raws("sessions") == images[4]

    for level in (3, 2, 1, 0):
        succeeded(goaime.down())
        assert goaime.raws("sessions") == images[level]
        assert goaime.states() == ["applied"] * level + ["pending"] * (5 - level)


def test_down_inside_a_shared_pass_and_up_again_is_exact(goaime: World) -> None:
    before = goaime.raws("sessions")
    succeeded(goaime.up())
    after = goaime.raws("sessions")

    succeeded(goaime.down("0002"))
    succeeded(goaime.up())
    assert goaime.raws("sessions") == after
    succeeded(goaime.down("base"))
    assert goaime.raws("sessions") == before


def test_a_second_up_has_nothing_to_do(goaime: World) -> None:
    succeeded(goaime.up())
    after = goaime.raws("sessions")

    result = succeeded(goaime.up())

    assert result.versions == ()
    assert result.message == "already at 0005"
    assert goaime.raws("sessions") == after


def test_unresolved_attempts_are_warned_about_with_examples(goaime: World) -> None:
    result = succeeded(goaime.up())

    several, warning = result.warnings
    assert (several.version, several.message.partition(":")[0]) == (
        "0001",
        "several documents of 'users' have the same 'username'",
    )
    assert warning.version == "0002"
    assert "no such problem" in warning.message
    assert warning.count > 0
    assert warning.examples


def test_plan_counts_what_up_will_change_and_writes_nothing(goaime: World) -> None:
    before = goaime.raws("sessions")

    plan = goaime.plan("0004")

    assert goaime.raws("sessions") == before
    assert goaime.raws("schema_versions") == {}
    planned = [(s.version, s.operations[0].matched, s.operations[0].changed) for s in plan.steps]
    succeeded(goaime.up("0004"))
    done = [
        (v.version, v.documents.matched, v.documents.changed) for v in goaime.status().versions if v.documents
    ]
    assert planned == done


def test_verify_holds_after_up_and_finds_a_document_that_was_broken(goaime: World) -> None:
    succeeded(goaime.up())
    assert goaime.verify().failures == ()

    broken = goaime.documents("sessions")[0]["_id"]
    goaime.change("sessions", broken, topic_performance="gone")

    failures = goaime.verify().failures
    assert {failure.id for failure in failures} == {broken}
    assert failures[0].field is not None
    assert failures[0].field.startswith("topic_performance")


def test_the_server_is_told_the_shape_and_every_migrated_session_has_it(goaime: World) -> None:
    _, before = goaime.catalogue()["sessions"]
    succeeded(goaime.up("0004"))
    plan = goaime.plan()
    succeeded(goaime.up())

    options, indexes = goaime.catalogue()["sessions"]
    assert (options["validationLevel"], options["validationAction"]) == ("moderate", "warn")
    assert [dict(index["key"]) for index in indexes][1:] == [{"user_id": 1, "completed_at": -1}]
    if goaime.kind != EMBEDDED:  # where it is recorded, and cannot be asked
        assert plan.steps[0].notes == ()
        assert goaime.verify().unchecked == ()
    succeeded(goaime.down())
    options, indexes = goaime.catalogue()["sessions"]
    assert not options.get("validator")
    assert indexes == before


@one_server
def test_a_session_of_an_earlier_app_is_still_taken_and_found(goaime: World) -> None:
    succeeded(goaime.up())
    goaime.insert("sessions", [{"_id": "old", "session_id": "x", "problems_attempted": []}])
    assert {failure.id for failure in goaime.verify().failures} == {"old"}
