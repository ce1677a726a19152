"""The next command as a value."""

from __future__ import annotations

import pytest

from goaime_migrate import redaction
from goaime_migrate.errors import Refused
from goaime_migrate.errors.hint import DOWN, PLAN, STATUS, UP, Hint, carrying


def test_a_hint_is_its_text_and_has_its_commands() -> None:
    hint = Hint("finish it: {}; or take it back: {}", UP.to("0003"), DOWN)
    assert hint == "finish it: goaime-migrate up 0003; or take it back: goaime-migrate down"
    assert hint.commands == (UP.to("0003"), DOWN)


def test_braces_in_a_part_are_text() -> None:
    assert Hint("correct {}, then: {}", "a{0}.py", UP) == "correct a{0}.py, then: goaime-migrate up"


def test_another_command_takes_the_place_of_one_also_within_a_hint_in_a_hint() -> None:
    inner = Hint("then: {}", UP)
    planned = Hint("mend it, {}; or {}", inner, DOWN).instead(UP, PLAN)
    assert planned == "mend it, then: goaime-migrate plan; or goaime-migrate down"
    assert planned.commands == (PLAN, DOWN)
    assert inner.commands == (UP,)


def test_an_error_carries_a_hint_whatever_it_was_given() -> None:
    assert Refused("no").hint.commands == ()
    assert Refused("no", hint="{braces}").hint == "{braces}"
    error = Refused("no", hint="first").advise(Hint("{}", UP))
    assert (str(error), error.hint, error.hint.commands) == ("no", "goaime-migrate up", (UP,))


def test_a_message_without_end_is_cut_and_keeps_no_part_of_a_secret() -> None:
    uri = "mongodb://ann:a-long-password@host/shop"
    redaction.hide(uri)
    for start in range(19_950, 20_001):
        message = Refused("x" * start + uri + "x" * 20_000_000).message
        assert len(message) < 20_100
        assert "a-lo" not in message


OPTIONS = (("--config", "my file.ini"), ("--uri", "mongodb://h/"), ("--database", "a"), ("--database", "b"))
ALL = "--config 'my file.ini' --uri mongodb://h/ --database a --database b"


def test_a_command_that_is_a_value_keeps_its_words_together() -> None:
    inner = Hint("{} shows it", STATUS)
    hint = Hint(
        "mend it; then {}, or {}; {}", DOWN.to("0003", "--yes"), inner, "goaime-migrate explain GM101"
    )
    carried = (
        f"mend it; then goaime-migrate down 0003 --yes {ALL}, or goaime-migrate status {ALL} shows it; "
        "goaime-migrate explain GM101"
    )
    assert carrying(hint, OPTIONS) == carried
    assert carrying(hint, ()) == hint


@pytest.mark.parametrize(
    ("hint", "carried"),
    [
        ("goaime-migrate up", f"goaime-migrate up {ALL}"),
        (
            "mend it; then goaime-migrate down 0003, or goaime-migrate status shows it",
            f"mend it; then goaime-migrate down {ALL} 0003, or goaime-migrate status {ALL} shows it",
        ),
        (
            "goaime-migrate repair --database 'a b'",
            "goaime-migrate repair --config 'my file.ini' --uri mongodb://h/ --database 'a b'",
        ),
        ("goaime-migrate new NAME", "goaime-migrate new --config 'my file.ini' NAME"),
        ("goaime-migrate explain GM101", "goaime-migrate explain GM101"),
        ("goaime-migrate init writes one", "goaime-migrate init writes one"),
        ("goaime-migrate up --help", "goaime-migrate up --help"),
        ("pip install --upgrade goaime-migrate", "pip install --upgrade goaime-migrate"),
        ("choose one: --database NAME", "choose one: --database NAME"),
    ],
)
def test_a_command_is_told_with_the_options_that_say_what_is_meant(hint: str, carried: str) -> None:
    assert carrying(hint, OPTIONS) == carried
    assert carrying(carried, OPTIONS) == carried
    assert carrying(hint, ()) == hint
