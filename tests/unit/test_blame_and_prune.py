"""How `blame` and `prune` read their arguments, and how what they return reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Int64, ObjectId

from goaime_migrate.cli import argv
from goaime_migrate.cli.ids import ids_of
from goaime_migrate.cli.pruning import age
from goaime_migrate.errors import UsageError
from goaime_migrate.render import blame as blaming
from goaime_migrate.render import json, pruning
from goaime_migrate.render.style import Style
from goaime_migrate.results import (
    BlamedChange,
    BlameResult,
    ChangeKind,
    ErasedDocument,
    FieldChange,
    PruneResult,
)

HEX = "65f0c0ffee65f0c0ffee65f0"
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("7", [7]),
        ("-7.5", [-7.5]),
        ('"7"', ["7"]),
        ("abc", ["abc"]),
        ("007", ["007"]),
        ("a b", ["a b"]),
        ("", [""]),
        ("null", [None]),
        ('{"$numberLong": "7"}', [Int64(7)]),
        ('{"a": [1]}', [{"a": [1]}]),
        (f'{{"$oid": "{HEX}"}}', [ObjectId(HEX)]),
        (HEX, [ObjectId(HEX), HEX]),
        ("1" * 24, [ObjectId("1" * 24), "1" * 24]),
    ],
)
def test_an_id_is_extended_json_and_a_bare_word_a_string(text: str, ids: list[Any]) -> None:
    found = ids_of(text, "ID")
    assert found == ids
    assert list(map(type, found)) == list(map(type, ids))


@pytest.mark.parametrize("text", ["{", '["', '"a', '{"$oid": "x"}', "99999999999999999999"])
def test_json_that_was_begun_is_no_word(text: str) -> None:
    with pytest.raises(UsageError):
        ids_of(text, "--id")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("blame c -7 --json", "blame c --json -- -7"),
        ("blame c -1.5 --as-of -1", "blame c --as-of -1 -- -1.5"),
        ("blame c -- -7", "blame c -- -7"),
        ("blame c -q", "blame c -q"),
    ],
)
def test_an_id_below_zero_is_no_option(words: str, line: str) -> None:
    assert argv.steps(words.split()) == line.split()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2_592_000), ("0d", 0), ("12h", 43_200), (" 5m ", 300), ("9s", 9), (None, None)],
)
def test_an_age_has_a_unit(text: str | None, seconds: int | None) -> None:
    assert age(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "1w", "9999999d"])
def test_what_is_no_age_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is no age"):
        age(text)


FOUND = BlameResult(
    "c",
    7,
    (
        BlamedChange(
            "0001",
            AT,
            "ann\x1b[2J",
            ChangeKind.TAIL,
            (
                FieldChange("a", 1, 2.0),
                FieldChange("b", after=None),
                FieldChange("d\n", before="x", note="lost"),
            ),
        ),
        BlamedChange("0002", None, "", ChangeKind.UP, (), "the order of its fields"),
    ),
    ("0003 is a plain function",),
)


def test_changes_are_told_field_by_field() -> None:
    assert blaming.blame(FOUND, Style()).splitlines() == [
        "c 7",
        "0001 2026-01-02 03:04:05 UTC by ann\\x1b[2J after others had written it meanwhile",
        "  ~ a  1 -> 2.0  (int -> double)",
        "  + b  null",
        '  ? d\\n: was "x"; what was written is not known: lost',
        "0002 at an unknown time (the order of its fields)",
        "note: 0003 is a plain function",
    ]


def test_what_is_absent_has_no_key_and_null_is_a_value() -> None:
    first, second = json.result_value(FOUND)["changes"]
    assert first["fields"] == [
        {"field": "a", "before": {"$numberInt": "1"}, "after": {"$numberDouble": "2.0"}},
        {"field": "b", "after": None},
        {"field": "d\n", "before": "x", "note": "lost"},
    ]
    assert "note" not in first
    assert (second["at"], second["note"]) == (None, "the order of its fields")


def test_a_document_that_nothing_has_changed_is_said_to_be_one() -> None:
    assert blaming.blame(BlameResult("c", 7, ()), Style()).splitlines()[1] == (
        "no version that is applied has changed it"
    )


def test_prune_says_what_it_would_do_and_what_it_has_done() -> None:
    found = PruneResult(("0003", "0004"), None, 1_500_000, ("aside",), ("0001",), ("compact it",))
    assert pruning.prune(found, Style(), would=True).splitlines() == [
        "0003-0004 would be pruned: they can then be taken back no more",
        "0001 cannot be taken back either then: a version above cannot",
        "  - aside, which was kept aside",
        "frees 1.5 MB, before compression",
        "note: compact it",
    ]
    assert pruning.prune(PruneResult(("0003",)), Style(), would=False).splitlines() == [
        "0003 pruned: it can be taken back no more",
        "freed 0 B, before compression",
    ]
    assert pruning.prune(PruneResult(), Style(), would=False) == "nothing to prune"
    erased = PruneResult(erased=ErasedDocument("c", "ann", ("0001", "0002")), freed_bytes=900)
    assert pruning.prune(erased, Style(), would=False).splitlines()[0] == (
        'c "ann" erased from what 0001-0002 have kept'
    )
    nothing = PruneResult(erased=ErasedDocument("c", "ann", ()))
    assert pruning.prune(nothing, Style(), would=False) == 'nothing is kept of c "ann"'
