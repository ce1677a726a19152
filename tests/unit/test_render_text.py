"""What people read: plain in a pipe, within 80 columns, the types and the order of fields told."""

from __future__ import annotations

import doctest
import re
import textwrap
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bson import DatetimeMS, Decimal128, Int64
from hypothesis import given
from hypothesis import strategies as st

from goaime_migrate import errors
from goaime_migrate.errors import Problem, TransformFailed
from goaime_migrate.render import diff, plan, run, status, text, words
from goaime_migrate.render.style import GLUE, Style, bullet, clean, columns
from goaime_migrate.render.values import value
from goaime_migrate.results import (
    Conflict,
    Counts,
    Direction,
    DownPreview,
    HistoryEntry,
    LintResult,
    LockStatus,
    Mode,
    OperationPlan,
    PlanResult,
    Predicted,
    Progress,
    RepairResult,
    RunResult,
    StampResult,
    State,
    StatusResult,
    StepPlan,
    Straggler,
    UnlockResult,
    VerifyFailure,
    VerifyResult,
    VersionStatus,
    Waiting,
    WarningCount,
)
from tests.unit.rendered import AT, OID, PIPE, STEP

NARROW = Style(width=80)
TERMINAL = Style(color=True, symbols=True, width=80)


@pytest.mark.parametrize("module", [words, status])
def test_examples_in_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def version(number: int, state: State, **given: Any) -> VersionStatus:
    values: dict[str, Any] = {
        "version": f"{number:04d}",
        "name": f"step_{number}",
        "description": "",
        "state": state,
        "applied_at": None,
        "duration_s": None,
        "documents": None,
        "warnings": 0,
        "progress": None,
        "checksum": None,
    }
    return VersionStatus(**values | given)


def standing(*versions: VersionStatus, **given: Any) -> StatusResult:
    values: dict[str, Any] = {
        "database": "goaime",
        "server": "mongodb://app:***@db1:27017",
        "mode": Mode.TRANSACTIONAL,
        "current": None,
        "head": "0001",
        "pending": tuple(v.version for v in versions if v.state is not State.APPLIED),
        "problems": (),
        "lock": None,
        "versions": versions,
    }
    return StatusResult(**values | given)


APPLIED = version(1, State.APPLIED, applied_at=AT, duration_s=103.2, documents=Counts(300000, 299000, 1000))
PARTIAL = version(
    2, State.PARTIAL, documents=Counts(7, 4, 0, 3), progress=Progress(12, 300, 2.0, 99.0), warnings=2
)
LOCK = LockStatus("run", "deploy", "pod-7f", 4711, 12, AT, AT + timedelta(seconds=30), live=True)


class TestStatus:
    def test_what_the_run_waits_for_stands_below_the_lock(self) -> None:
        waiting = Waiting("a replica lags 30 s behind", AT)
        shown = status.status(standing(PARTIAL, lock=LOCK, waiting=waiting), PIPE)
        below = " ".join(shown.partition("lock: ")[2].split())
        assert "fence 12 waiting since 2025-11-23 12:00 UTC: a replica lags 30 s behind" in below

    def test_as_a_whole(self) -> None:
        whole = standing(APPLIED, PARTIAL, version(3, State.PENDING), journal_bytes=2_100_000)
        assert status.status(whole, PIPE).splitlines() == [
            "database  goaime",
            "server    mongodb://app:***@db1:27017",
            "mode      transactional",
            "journal   2.1 MB",
            "",
            "VERSION  NAME    STATE    APPLIED (UTC)     DOCUMENTS   TIME",
            "0001     step_1  applied  2025-11-23 12:00    300,000  1m43s",
            "0002     step_2  partial                            7",
            "         12 of 300 (4%), 2/s, ETA 1m39s; 3 conflicts; 2 warnings",
            "0003     step_3  pending",
            "",
            "0002 unfinished; next: goaime-migrate up (goes on), or goaime-migrate down",
        ]

    @pytest.mark.parametrize(
        ("result", "last"),
        [
            (standing(), "no migrations; next: goaime-migrate new NAME"),
            (standing(APPLIED, current="0001"), "up to date at 0001"),
            (standing(version(1, State.PENDING)), "1 pending; next: goaime-migrate up"),
            (
                standing(version(1, State.FAILED)),
                "0001 unfinished; next: goaime-migrate up (goes on), or goaime-migrate down",
            ),
            (standing(PARTIAL, lock=LOCK), "a run is active; next: goaime-migrate status --watch"),
            (
                standing(APPLIED, problems=(Problem("GM201", "0001", "edited", "repair it"),)),
                "1 problem; next: repair it",
            ),
        ],
    )
    def test_ends_with_the_next_command(self, result: StatusResult, last: str) -> None:
        assert status.status(result, PIPE).splitlines()[-1] == last

    def test_while_it_is_watched_it_does_not_say_to_watch_it(self) -> None:
        shown = status.status(standing(PARTIAL, lock=LOCK), PIPE, then="")
        assert shown.splitlines()[-1] == "a run is active"

    def test_shows_who_holds_the_lock(self) -> None:
        lines = "\n".join(status.lock(LOCK, PIPE))
        assert "deploy on pod-7f, process 4711 since 2025-11-23 12:00 UTC" in lines
        assert "12:00:31 UTC" in lines

    def test_every_problem_has_its_hint_where_there_are_several(self) -> None:
        problems = tuple(Problem("GM201", f"000{n}", f"edited {n}", f"mend {n}") for n in (1, 2))
        shown = status.status(standing(APPLIED, problems=problems), PIPE)
        assert "! GM201 0001: edited 1\n  next: mend 1" in shown
        assert "next: mend 2" in shown

    @given(st.text("abcdefghijklmnop_数", min_size=1, max_size=90))
    def test_fits_in_80_columns_whatever_the_name(self, name: str) -> None:
        long = version(
            1, State.REVERTING, name=name, applied_at=AT, duration_s=1e5, documents=Counts(10**9, 10**9)
        )
        assert clean(name) in status.status(standing(long), PIPE)
        for style in (NARROW, TERMINAL):
            shown = re.sub(r"\x1b\[\d+m", "", status.status(standing(long), style))
            assert all(columns(line) <= 80 for line in shown.splitlines())

    def test_a_pipe_gets_plain_ascii_and_a_terminal_colours(self) -> None:
        assert status.status(standing(APPLIED, PARTIAL), PIPE).isascii()
        assert "\x1b" not in status.status(standing(APPLIED, PARTIAL), PIPE)
        assert "✓ applied" in status.status(standing(APPLIED), TERMINAL)
        assert "\x1b[32m" in status.status(standing(APPLIED), TERMINAL)


class TestDiff:
    @pytest.mark.parametrize(
        ("before", "after", "lines"),
        [
            ({"a": 1}, {"a": 1}, ["no change"]),
            ({"a": 1}, {"a": 1, "b": None}, ["+ b  null"]),
            ({"a": 1, "b": "x"}, {"a": 1}, ['- b  "x"']),
            ({"a": 1}, {"a": 2}, ["~ a  1 -> 2"]),
            ({"a": 1}, {"a": 1.0}, ["~ a  1 -> 1.0  (int -> double)"]),
            ({"a": 1}, {"a": True}, ["~ a  1 -> true  (int -> bool)"]),
            ({"a": 1}, {"a": Int64(1)}, ["~ a  1 -> Int64(1)  (int -> long)"]),
            ({"a": 0.0}, {"a": -0.0}, ["~ a  0.0 -> -0.0"]),
            ({"a": float("nan")}, {"a": float("nan")}, ["no change"]),
            ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ["~ a.b.c  1 -> 2"]),
            ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}, ["> a.c  moved to the front"]),
            ({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 3, "a": 1}, ["> a  moved behind c"]),
            ({"a.b": 1}, {"a.b": 2}, ['~ "a.b"  1 -> 2']),
            ({"a": []}, {"a": [1]}, ["~ a  [] -> [1]"]),
            ({"a": [1, 2]}, {"a": [1]}, ["- a  1 element: 2"]),
            (
                {"a": [{"x": 1}] * 3},
                {"a": [{"x": 2}] * 3},
                ["~ a[0].x  1 -> 2", "  a       2 more of 3 elements changed"],
            ),
            (
                dict.fromkeys("abcdefgh", 1),
                dict.fromkeys("hgfedcba", 1),
                ["> order  7 moved, now: h, g, f, e, d, c, b, a"],
            ),
            (
                {"d": datetime(2025, 5, 26, 11, 35, 30, 239000)},
                {"d": "x"},
                ['~ d  date(2025-05-26T11:35:30.239Z) -> "x"  (date -> string)'],
            ),
        ],
    )
    def test_lines(self, before: dict[str, Any], after: dict[str, Any], lines: list[str]) -> None:
        assert diff.lines(before, after, PIPE, limit=20, indent=0) == lines

    def test_a_long_one_is_cut_and_the_rest_counted(self) -> None:
        shown = diff.lines({}, {f"f{n}": n for n in range(30)}, PIPE, limit=12)
        assert len(shown) == 12
        assert shown[-1].strip() == "... 19 more"

    documents = st.dictionaries(
        st.text("abc", max_size=2),
        st.recursive(
            st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.text("x\n\x1bé", max_size=100),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        max_size=4,
    )

    @given(documents, documents)
    def test_nothing_is_said_only_where_the_bytes_are_equal(
        self, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        assert bool(diff.changes(before, after, PIPE)) is not diff.same(before, after)

    @given(documents, documents)
    def test_no_line_is_too_long_and_none_steers_the_terminal(
        self, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        for line in diff.lines(before, after, NARROW, limit=12):
            assert columns(line) <= 80
            assert line.isprintable()


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        (None, "null"),
        (OID, 'ObjectId("65f0a1b2c3d4e5f6a7b8c9d0")'),
        (Decimal128("1.10"), 'Decimal128("1.10")'),
        (DatetimeMS(-(2**62)), "date(-4611686018427387904 ms)"),
        (b"abc", "Binary(0, 3 bytes)"),
        ({"a": [1, {"b": 2}]}, "{a: [1, {b: 2}]}"),
        ("a\x1b[31m\n", '"a\\u001b[31m\\n"'),
        ("é", '"\\u00e9"'),
        (float("inf"), "Infinity"),
        (datetime(2025, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "date(2025-01-01T00:00:00.000Z)"),
    ],
)
def test_values_show_their_types(item: Any, shown: str) -> None:
    assert value(item) == shown


@given(st.text(max_size=40))
def test_clean_text_cannot_steer_a_terminal(found: str) -> None:
    assert clean(found).isprintable()


PLAN = PlanResult(Direction.UP, "0001", (STEP,), Predicted(103.4, 123_456_789, 0), None)


class TestPlan:
    def test_as_a_whole(self) -> None:
        assert plan.plan(PLAN, PIPE).splitlines() == [
            "plan up to 0001: apply 1 version",
            "",
            "0001 add_user_id",
            "  - transform sessions",
            "    1,200 documents matched, 1,100 changed, 100 unchanged",
            "  - index x",
            "  ! be careful",
            '  warning: no such problem: 12 times (for example "x",',
            '           ObjectId("65f0a1b2c3d4e5f6a7b8c9d0"))',
            '  document ObjectId("65f0a1b2c3d4e5f6a7b8c9d0")',
            "    + user_id  null",
            "",
            "predicted: about 1m43s, journal 123 MB",
            "nothing was written; next: goaime-migrate up 0001",
        ]

    def test_a_long_filter_is_told_once(self) -> None:
        where = str(
            {"status": {"$in": ["open", "waiting", "delivered"]}, "customer.country": "CH", "total": 3}
        )
        texts = [f"{does} orders where {where}" for does in ("trim", "extend")]
        again = "extend orders where {'status': {'$in': ['open', 'waiting', ... 'CH', 'total': 3}"
        operations = tuple(OperationPlan(each, "orders", None, None, None) for each in texts)
        predicted = Predicted(1, 0, 0, basis=f"without {texts[1]} of 0001")
        step = StepPlan("0001", "x", operations, (), False, ())
        result = PlanResult(Direction.UP, None, (step,), predicted, None)
        shown = plan.plan(result, PIPE._replace(width=200)).splitlines()
        assert shown[3:5] == [f"  - {texts[0]}", f"  - {again}"]
        assert shown[7] == f"  (without {again} of 0001)"
        assert plan.plan(result, PIPE._replace(verbose=True, width=200)).count(where) == 3

    def test_the_command_of_a_canary_keeps_its_filter(self) -> None:
        last = plan.plan(PLAN, PIPE, options=["--where", '{"name": "ann"}']).splitlines()[-1]
        assert last == """nothing was written; next: goaime-migrate up 0001 --where '{"name": "ann"}'"""

    def test_nothing_to_do_is_one_sentence(self) -> None:
        result = PlanResult(Direction.UP, None, (), Predicted(0, 0, 0), None, message="already at 0004")
        assert plan.plan(result, PIPE) == "already at 0004"

    def test_estimates_are_called_so(self) -> None:
        shown = plan.plan(PlanResult(Direction.UP, None, (STEP,), Predicted(1, 0, 0), None, sampled=10), PIPE)
        assert "about 1,200 documents matched" in shown

    def test_the_way_back_says_what_it_would_find(self) -> None:
        shown = plan.plan(
            PlanResult(Direction.DOWN, None, (STEP,), Predicted(1, 0, 0), None, DownPreview(5, 1, 12)), PIPE
        )
        assert "plan down: take back 1 version" in shown
        assert "\n5 documents would come back exactly as they were before\n" in shown
        assert "\n1 document would come back and keep what the application has changed since\n" in shown
        assert (
            "\n12 documents would conflict: changed since in the same fields (see --on-conflict)\n" in shown
        )
        assert "inserted since" not in shown

    def test_the_way_back_says_what_becomes_of_documents_inserted_since(self) -> None:
        found = DownPreview(before_sweep=2, born=3, left=1, without_reverse=("0002",))
        shown = plan.plan(
            PlanResult(Direction.DOWN, None, (STEP,), Predicted(1, 0, 0), None, found), PIPE
        ).splitlines()
        assert "2 documents would come back as they were before a sweep" in shown
        assert "2 documents inserted since `up` would be given to reverse=" in shown
        assert "1 document inserted since `up` would stay as it is: 0002 has no reverse=" in shown

    def test_the_irreversible_is_said(self) -> None:
        step = StepPlan("0001", "x", (), (), True, ())
        shown = plan.plan(PlanResult(Direction.UP, None, (step,), Predicted(1, 0, 0), None), PIPE)
        assert "irreversible: there is no way back" in shown


class TestRun:
    @pytest.mark.parametrize(
        ("result", "last"),
        [
            (
                RunResult(Direction.UP, ("0001", "0002"), None, None, Counts(10, 9, 1), (), (), 4.26),
                "applied 0001-0002 in 4.3s: 10 documents: 9 changed, 1 unchanged",
            ),
            (
                RunResult(Direction.DOWN, ("0002", "0001"), None, None, Counts(), (), (), 0.0123),
                "took back 0002-0001 in 12ms: no documents",
            ),
            (
                RunResult(Direction.UP, (), None, None, Counts(), (), (), 0.1, message="already at 0004"),
                "already at 0004",
            ),
            (RunResult(Direction.UP, (), None, None, Counts(), (), (), 0.1), "nothing to do"),
            (
                RunResult(Direction.UP, (), "0001", TransformFailed("x"), Counts(5, 5), (), (), 0.1),
                "no version was finished; 5 documents are migrated and kept",
            ),
            (
                RunResult(Direction.DOWN, (), "0001", TransformFailed("x"), Counts(1, 1), (), (), 0.1),
                "no version was finished; 1 document is taken back and kept so",
            ),
            (
                RunResult(Direction.UP, (), "0001", TransformFailed("x"), Counts(), (), (), 0.1),
                "no version was applied",
            ),
        ],
    )
    def test_ends_with_a_summary(self, result: RunResult, last: str) -> None:
        assert run.run(result, PIPE).splitlines()[-1] == last

    def test_lists_conflicts_warnings_and_newcomers(self) -> None:
        conflicts = tuple(Conflict("0001", "sessions", n, ("score", "a.b")) for n in range(12))
        warned = (WarningCount("0001", "odd", 1, (1, 2, 3, 4)), WarningCount("0001", "often", 9, ()))
        shown = run.run(
            RunResult(Direction.DOWN, ("0001",), None, None, Counts(), conflicts, warned, 1, born=3), PIPE
        )
        assert shown.index("often: 9 times") < shown.index("odd: 1 time (for example 1, 2, 3)")
        assert '  - 0001 sessions 0: score, "a.b"' in shown
        assert "12 conflicts" in shown
        assert "... 2 more" in shown
        assert "3 documents inserted since `up` were given to reverse=" in shown

    @pytest.mark.parametrize(
        ("born", "left", "versions", "notes"),
        [
            (0, 0, (), []),
            (1, 0, (), ["note: 1 document inserted since `up` was given to reverse="]),
            (1, 1, ("0002",), ["note: 1 document inserted since `up` stays as it is: 0002 has no reverse="]),
            (
                5,
                2,
                ("0003", "0001"),
                [
                    "note: 3 documents inserted since `up` were given to reverse=",
                    "note: 2 documents inserted since `up` stay as they are: 0003, 0001 have no reverse=",
                ],
            ),
        ],
    )
    def test_says_what_became_of_documents_inserted_since(
        self, born: int, left: int, versions: tuple[str, ...], notes: list[str]
    ) -> None:
        result = RunResult(
            Direction.DOWN,
            ("0001",),
            None,
            None,
            Counts(),
            (),
            (),
            1,
            born=born,
            left=left,
            without_reverse=versions,
        )
        lines = run.run(result, PIPE._replace(width=200)).splitlines()
        assert [line.strip() for line in lines[:-1]] == notes


class TestSmallerResults:
    def test_verify(self) -> None:
        failures = tuple(VerifyFailure("0003", "sessions", n, "a.b", "is wrong") for n in range(25))
        shown = text.verify(VerifyResult(100, failures, ("0001", "0003"), promises=2), PIPE).splitlines()
        assert shown[0] == "  - 0003 sessions 0 a.b: is wrong"
        assert shown[-2:] == [
            "  ... 5 more (--verbose, or --json)",
            "checked 100 documents against 2 promises of 0001, 0003: 25 failures",
        ]
        old = Straggler("0001", "sessions", 7, tuple(range(5)))
        shown = text.verify(VerifyResult(9, (), ("0001",), promises=1, stragglers=(old,)), PIPE).splitlines()
        assert shown == [
            "  - 0001 sessions: 7 documents in an old shape (0, 1, 2, 3, 4, ...):",
            "    goaime-migrate sweep",
            "checked 9 documents against 1 promise of 0001: 7 stragglers",
        ]
        kept = VerifyResult(1, (), ("0001", "0002"), promises=2, without_promise=("0002",))
        assert text.verify(kept, PIPE).splitlines() == [
            "  - 0002 promises nothing (no model=, check=, verify(db))",
            "checked 1 document against 2 promises of 0001-0002: every promise is kept",
        ]
        none = text.verify(VerifyResult(0, (), ("0001",), without_promise=("0001",)), PIPE)
        assert none.endswith("no promise of 0001 to check: there is none")

    def test_nothing_applied_is_nothing_to_verify(self) -> None:
        assert text.verify(VerifyResult(0, ()), PIPE) == "no version is applied; nothing to check"

    def test_history(self) -> None:
        entry = HistoryEntry(
            AT,
            "0001",
            "up",
            "applied",
            None,
            12.3,
            "deploy",
            "a-host-with-a-long-name" * 3,
            "goaime-migrate 0.1.0",
        )
        assert f"deploy@{entry.host}" in text.history((entry,), PIPE)
        shown = text.history((entry,), NARROW).splitlines()
        assert shown[1].startswith("2025-11-23 12:00:01  0001     up      applied  12.3s  deploy@a-host")
        assert all(columns(line) <= 80 for line in shown)
        assert shown[1].endswith("  0.1.0")
        assert "  interrupted  " in text.history((replace(entry, result="interrupted"),), PIPE)
        assert "nothing has been applied" in text.history((), PIPE)

    def test_a_hint_that_several_share_is_said_once(self) -> None:
        found = tuple(Problem("GM202", f"000{n}", f"000{n} (x) is gone", "restore it") for n in (1, 2, 3))
        other = Problem("GM206", "0004", "4_x.py: no", "correct it")
        assert text.lint(LintResult(4, (*found, other)), PIPE).splitlines() == [
            "! GM202 0001 (x) is gone",
            "! GM202 0002 (x) is gone",
            "! GM202 0003 (x) is gone",
            "  next: restore it",
            "! GM206 0004: 4_x.py: no",
            "  next: correct it",
            "checked 4 files: 4 problems",
        ]
        shown = status.status(standing(APPLIED, problems=found), PIPE)
        assert shown.count("restore it") == 1
        assert shown.splitlines()[-1] == "3 problems; next: restore it"

    def test_lint(self) -> None:
        found = LintResult(4, (Problem("GM204", "0003", "0002 is missing", "rename it"),))
        assert text.lint(found, PIPE).splitlines() == [
            "! GM204 0003: 0002 is missing",
            "  next: rename it",
            "checked 4 files: 1 problem",
        ]

    @pytest.mark.parametrize(
        ("result", "last"),
        [
            (UnlockResult(None, ended=False), "no lock is held"),
            (UnlockResult(LOCK, ended=True), "the lease was ended; whoever held it can write no more"),
            (
                UnlockResult(LOCK, ended=False),
                "its holder is alive; to end it all the same: goaime-migrate unlock --force",
            ),
        ],
    )
    def test_unlock(self, result: UnlockResult, last: str) -> None:
        assert text.unlock(result, PIPE).splitlines()[-1] == last

    def test_stamp_and_repair(self) -> None:
        assert (
            text.stamp(StampResult(("0001", "0002")), PIPE, would=True)
            == "would record as applied, not run: 0001-0002"
        )
        assert text.stamp(StampResult(()), PIPE) == "nothing to stamp: the records say so already"
        assert "it removes no record" in text.stamp(StampResult(()), PIPE, target="base")
        assert text.repair(RepairResult(("0001",), ("0007",))).splitlines() == [
            "accepted the edited files of: 0001",
            "dropped what removed files left: 0007",
        ]
        assert text.repair(RepairResult((), ())) == "nothing to repair"

    def test_every_code_is_explained(self) -> None:
        listed = text.codes(PIPE)
        for code, cls in errors.by_code().items():
            assert code in listed
            assert text.explain(cls, PIPE).startswith(f"{code} {cls.__name__}, exit {cls.exit_code}\n\n")

    @pytest.mark.parametrize("code", sorted(errors.by_code()))
    def test_an_explanation_says_more_than_its_title_and_what_to_do(self, code: str) -> None:
        title, *paragraphs = errors.explanation(errors.by_code()[code]).split("\n\n")
        assert title.endswith(".")
        assert len(re.findall(r"[.:] |\.$", " ".join(paragraphs))) >= 2
        assert "goaime-migrate " in " ".join(paragraphs[1:])
        shown = text.explain(errors.by_code()[code], NARROW).splitlines()
        assert all(columns(line) <= 80 for line in shown)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.sampled_from(["", "-", "warning:"]))
def test_what_fits_on_a_line_is_what_wrapping_would_make_of_it(text: str, mark: str) -> None:
    lead = f"  {mark} " if mark else "  "
    cleaned = GLUE.join(map(clean, text.split(GLUE)))
    wrapped = textwrap.wrap(
        cleaned,
        80,
        initial_indent=lead,
        subsequent_indent=lead,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if len(wrapped) < 2 and len(lead + cleaned) <= 80:
        assert bullet(mark, text, PIPE) == [line.rstrip(" ") for line in wrapped or [lead]]
