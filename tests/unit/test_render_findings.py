"""Findings as people, pull requests, runners and code scanners get them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from bson import ObjectId

from goaime_migrate.redaction import redact
from goaime_migrate.render import findings as text
from goaime_migrate.render import github, markdown
from goaime_migrate.render.sarif import sarif
from goaime_migrate.render.style import Style
from goaime_migrate.results import (
    Direction,
    Finding,
    OperationPlan,
    PlanResult,
    Predicted,
    Sample,
    Severity,
    StepPlan,
)
from goaime_migrate.rules.registry import about

OID = ObjectId("65a000000000000000000001")
EVIDENCE = {
    "groups": 1,
    "examples": [{"key": {"e mail": "bob@x.example"}, "ids": [OID, "bob"], "documents": 2}],
}
FOUND = Finding(
    "unique-duplicates",
    Severity.ERROR,
    "0002",
    "users",
    "1 key stands\nin several documents",
    EVIDENCE,
    "make them differ: `now`",
    "migrations/0002_a,b.py",
    7,
)
WHOLE = Finding("disk-space", Severity.NOTE, None, None, "full", {}, "make room", None, None)
BROKEN = Finding(
    "GM206", Severity.ERROR, "0003", None, "0003_x.py, line 1: no", {}, "correct it", "m/0003_x.py", 1
)
STEP = StepPlan(
    "0002",
    "a|b",
    (
        OperationPlan("transform users with <f>", "users", 10, 5, 5),
        OperationPlan("index", "users", None, None, None),
    ),
    (Sample(1, {"_id": 1, "mail": "bob@x.example"}, {"_id": 1, "mail": "BOB@x.example", "n": 5}),),
    False,
    (),
)
PLAN = PlanResult(Direction.UP, "0002", (STEP,), Predicted(5.0, 100, 0), None, findings=(FOUND, WHOLE))


def test_a_finding_in_a_pipe() -> None:
    assert text.findings([FOUND], Style()) == [
        "error[unique-duplicates] 0002 users (migrations/0002_a,b.py:7)",
        "  1 key stands\\nin several documents",
        '  - "e mail" = "bob@x.example": _id ObjectId("65a000000000000000000001"), "bob"',
        "  do: make them differ: `now`",
    ]


def test_no_line_is_wider_than_a_terminal() -> None:
    long = Finding(
        "x", Severity.WARNING, "0001", "c", "word " * 60, {"ids": list(range(99))}, "do " * 60, "f.py", 1
    )
    assert all(len(line) <= 80 for line in text.findings([long], Style(width=80), indent=2))


def test_nothing_in_a_finding_steers_a_terminal() -> None:
    evil = Finding(
        "x", Severity.NOTE, "\x1b[2J", "\n::error::x", "\x1b[2J", {"ids": ["\x1b[2J"]}, "\u202e", "f\n.py", 1
    )
    shown = "\n".join(text.findings([evil], Style()))
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\n::" not in shown


def test_a_summary_counts_by_kind() -> None:
    assert text.summary([FOUND, FOUND, WHOLE]) == "2 errors, 1 note"


class TestMarkdown:
    def test_a_plan_has_counts_risks_and_no_value_of_anybody(self) -> None:
        shown = markdown.plan(PLAN)
        assert "| **0002** a\\|b | transform users with \\<f\\> | 10 | 5 | 5 |" in shown
        assert "**1 error, 1 note**" in shown
        assert "`unique-duplicates`" in shown
        assert "bob" not in shown.lower()
        assert str(OID) in shown

    def test_nothing_in_it_is_markup(self) -> None:
        evil = Finding(
            "x", Severity.ERROR, "1", "c", "<img src=x> @team [a](b) **c**\n# h", {}, "`rm`", None, None
        )
        shown = markdown.lint(1, [BROKEN, evil])
        assert "\\<img src=x\\> @\u200bteam \\[a\\](b) \\*\\*c\\*\\*\\\\n\\# h" in shown
        assert "`GM206`** — 0003 (m/0003\\_x.py:1)" in shown


class TestGithub:
    def test_an_annotation_is_one_line_that_ends_where_it_has_to(self) -> None:
        (line,) = github.commands([FOUND]).splitlines()
        assert line == (
            "::error title=unique-duplicates,file=migrations/0002_a%2Cb.py,line=7::"
            r"1 key stands\nin several documents%0Ado: make them differ: `now`"
        )

    def test_there_are_at_most_ten(self) -> None:
        lines = github.commands([BROKEN, *[FOUND] * 14]).splitlines()
        assert len(lines) == 10
        assert lines[0].startswith("::error title=GM206,file=m/0003_x.py,line=1::")
        assert "6 more" in lines[-1]
        assert len(github.commands([FOUND] * 10).splitlines()) == 10

    def test_where_there_is_nothing_it_says_so(self) -> None:
        assert github.commands([]) == "::notice title=migrations::no findings"


class TestSarif:
    def test_it_is_what_scanners_take(self) -> None:
        made = json.loads(sarif([BROKEN, FOUND, FOUND, WHOLE], about, redact))
        jsonschema.validate(made, SCHEMA)
        (run,) = made["runs"]
        assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [
            "GM206",
            "unique-duplicates",
            "disk-space",
        ]
        assert [(r["ruleId"], r["ruleIndex"], r["level"]) for r in run["results"]] == [
            ("GM206", 0, "error"),
            ("unique-duplicates", 1, "error"),
            ("unique-duplicates", 1, "error"),
            ("disk-space", 2, "note"),
        ]
        location = run["results"][1]["locations"][0]["physicalLocation"]
        assert location["artifactLocation"]["uri"] == "migrations/0002_a%2Cb.py"
        assert location["region"] == {"startLine": 7}
        assert run["results"][1]["properties"]["evidence"]["groups"] == 1

    def test_no_secret_is_in_it(self) -> None:
        secret = Finding("x", Severity.NOTE, None, None, "mongodb://u:p4ssw0rd@h/", {}, "", None, None)
        assert "p4ssw0rd" not in sarif([secret], about, redact)


@pytest.mark.parametrize("value", ["text", 5, None, [1], {"a": 1}, b"x", 1.5, OID, True])
def test_what_is_masked_says_its_type_and_nothing_else(value: Any) -> None:
    from goaime_migrate.render.values import mask

    shown = mask(value)
    assert shown.startswith(("<", "null"))
    assert str(value) not in shown or value is None


SCHEMA = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "$schema": {"type": "string", "format": "uri"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {"driver": {"$ref": "#/$defs/component"}},
                        "additionalProperties": False,
                    },
                    "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
                },
            },
        },
    },
    "$defs": {
        "message": {
            "type": "object",
            "required": ["text"],
            "properties": {"text": {"type": "string", "minLength": 1}},
        },
        "component": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "version": {"type": "string"},
                "rules": {
                    "type": "array",
                    "uniqueItems": True,
                    "items": {
                        "type": "object",
                        "required": ["id"],
                        "properties": {
                            "id": {"type": "string"},
                            "shortDescription": {"$ref": "#/$defs/message"},
                            "fullDescription": {"$ref": "#/$defs/message"},
                        },
                        "additionalProperties": False,
                    },
                },
            },
            "additionalProperties": False,
        },
        "result": {
            "type": "object",
            "required": ["message"],
            "additionalProperties": False,
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": 0},
                "level": {"enum": ["none", "note", "warning", "error"]},
                "message": {"$ref": "#/$defs/message"},
                "properties": {"type": "object"},
                "locations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "physicalLocation": {
                                "type": "object",
                                "properties": {
                                    "artifactLocation": {
                                        "type": "object",
                                        "properties": {"uri": {"type": "string", "format": "uri-reference"}},
                                    },
                                    "region": {
                                        "type": "object",
                                        "properties": {"startLine": {"type": "integer", "minimum": 1}},
                                    },
                                },
                            }
                        },
                    },
                },
            },
        },
    },
}
"""The part of the SARIF 2.1.0 schema that is used here."""


def test_a_name_that_turns_text_round_or_breaks_lines_does_neither() -> None:
    told = github.commands([FOUND])
    assert r"1 key stands\nin several documents%0Ado: make" in told
    (result,) = json.loads(sarif([FOUND], about, redact))["runs"][0]["results"]
    assert result["message"]["text"] == "1 key stands\\nin several documents\ndo: make them differ: `now`"
    odd = replace(FOUND, message="a\u202eb", file=None)
    assert "\u202e" not in github.commands([odd]) + sarif([odd], about, redact)


def test_where_a_finding_belongs_is_wrapped_like_all_else() -> None:
    long = replace(FOUND, collection="c" * 50)
    lines = text.findings([long], Style())
    assert lines[0] == f"error[unique-duplicates] 0002 {'c' * 50}"
    assert lines[1] == "    (migrations/0002_a,b.py:7)"
