"""Errors and single lines, as text for people."""

from __future__ import annotations

import io
import re

import pytest

from goaime_migrate import errors
from goaime_migrate.cli.commands import COMMANDS
from goaime_migrate.errors import TransformFailed
from goaime_migrate.events import (
    BatchCommitted,
    Event,
    Examined,
    LockWaiting,
    Notice,
    StageFinished,
    StageStarted,
)
from goaime_migrate.render import plan
from goaime_migrate.render.errors import error
from goaime_migrate.render.progress import Lines, Speed
from goaime_migrate.render.style import Style
from goaime_migrate.results import (
    Direction,
    PlanResult,
    Predicted,
)
from tests.unit.rendered import AT, OID, PIPE, STEP


def test_explanations_promise_only_commands_that_exist() -> None:
    for cls in errors.by_code().values():
        said = errors.explanation(cls)
        named = re.findall(r"`(?:goaime-migrate )?([a-z]+)(?: --[^`]*)?`", said)
        assert [word for word in named if word not in {*COMMANDS, "model", "verify"}] == [], cls


class TestErrors:
    def test_lines_are_wrapped_at_words_and_commands_are_not_cut(self) -> None:
        command = 'goaime-migrate up 0004 --where \'{"username": "goAmy"}\''
        found = TransformFailed(
            "the transform shuffle_everything_that_is_there raised a KeyError for a document of sessions",
            hint=f"mend the document or the transform in the file, then {command}, or {command} --quiet",
            id="x" * 50,
            version="0003",
            field="problems_attempted",
        )
        assert error(found, PIPE).splitlines() == [
            "error[GM301]: the transform shuffle_everything_that_is_there raised a KeyError",
            "  for a document of sessions",
            f'  at: version 0003, _id "{"x" * 50}",',
            "      field problems_attempted",
            "next: mend the document or the transform in the file, then",
            f"      {command}, or",
            f"      {command} --quiet",
        ]

    def test_cause_evidence_place_and_next_command(self) -> None:
        found = TransformFailed(
            "it raised TypeError",
            hint="mend it, then goaime-migrate up",
            version="0003",
            id=OID,
            field="total",
            detail='File "x.py", line 4\n  total += 1',
        )
        assert error(found, PIPE).splitlines() == [
            "error[GM301]: it raised TypeError",
            '  | File "x.py", line 4',
            "  |   total += 1",
            '  at: version 0003, _id ObjectId("65f0a1b2c3d4e5f6a7b8c9d0"), field total',
            "next: mend it, then goaime-migrate up",
        ]

    def test_long_evidence_is_cut_at_its_beginning(self) -> None:
        found = TransformFailed("x", detail="\n".join(map(str, range(30))))
        shown = error(found, PIPE).splitlines()
        assert shown[1:3] == ["  ... 10 lines before (--verbose shows them)", "  | 10"]
        assert len(error(found, Style(verbose=True)).splitlines()) == 32

    def test_control_characters_are_shown_not_obeyed(self) -> None:
        assert "\x1b" not in error(TransformFailed("a\x1b[2J", detail="\x1b]0;x\x07", hint="\x9b"), PIPE)


class TestLines:
    def feed(self, *events: tuple[float, Event], width: int | None = None) -> list[str]:
        clock = [0.0]
        lines = Lines(width, lambda: clock[0], lambda: AT)
        said = []
        for at, event in events:
            clock[0] = at
            said.append(lines.line_for(event))
        return [line.removeprefix("12:00:01 ") for line in said if line]

    def test_start_some_batches_and_end(self) -> None:
        both = ("0001", "0002", "0003", "0004")
        batches = [(n / 10, BatchCommitted(both, n * 290, 300_000)) for n in range(1, 51)]
        assert self.feed(
            (0, StageStarted("up", both, "sessions", 300_000)),
            *batches,
            (9, StageFinished("up", both, "sessions", 300_000, 9, 9.0)),
        ) == [
            "0001-0004 up sessions: 300,000 documents",
            "0001-0004 sessions 5,800/300,000 1% 2,900/s ETA 1m41s",
            "0001-0004 sessions 11,600/300,000 3% 2,900/s ETA 1m39s",
            "0001-0004 up sessions: done, 300,000 documents, 9 changed, 9s",
        ]

    @pytest.mark.parametrize("width", [80, 120])
    def test_on_a_terminal_a_pipeline_is_cut_so_that_a_line_fits(self, width: int) -> None:
        long = "update orders with " + "[{'$set': {'reference': {'$concat': ['$customer']}}}] " * 4
        shown = self.feed(
            (0, StageStarted("up", ("0003",), long, 300_000)),
            (9, BatchCommitted(("0003",), 9_000, 300_000)),
            (99, StageFinished("up", ("0003",), long, 300_000, 300_000, 99.0)),
            width=width,
        )
        assert [line.startswith("0003") and "update " in line for line in shown] == [True] * 3
        assert {len("12:00:01 " + line) <= width for line in shown} == {True}

    def test_in_a_pipe_nothing_is_cut(self) -> None:
        long = "update orders with " + "[{'$set': {'reference': {'$concat': ['$customer']}}}] " * 4
        (shown,) = self.feed((0, StageStarted("up", ("0003",), long, 300_000)))
        assert shown == f"0003 up {long}: 300,000 documents"

    def test_in_a_pipe_a_long_filter_is_told_where_a_stage_begins(self) -> None:
        where = str({"$or": [{"status": {"$in": ["open", "waiting", "delivered"]}}, {"total": {"$gt": 100}}]})
        text = f"transform orders with trim where {where}"
        again = "transform orders with trim where {'$or': [{'status': {'$in': ['open', ... {'total': {'$gt': 100}}]}"
        assert self.feed(
            (0, StageStarted("up", ("0003",), text, 300_000)),
            (9, BatchCommitted(("0003",), 9_000, 300_000)),
            (99, StageFinished("up", ("0003",), text, 300_000, 300_000, 99.0)),
        ) == [
            f"0003 up {text}: 300,000 documents",
            f"0003 {again} 9,000/300,000 3% 1,000/s ETA 4m51s",
            f"0003 up {again}: done, 300,000 documents, 300,000 changed, 1m39s",
        ]

    def test_a_resumed_stage_counts_its_rate_from_where_it_goes_on(self) -> None:
        assert self.feed(
            (0, StageStarted("up", ("0001",), "sessions", 200, done=100)),
            (10, BatchCommitted(("0001",), 110, 200)),
        ) == [
            "0001 up sessions: 200 documents, goes on after 100",
            "0001 sessions 110/200 55% 1/s ETA 1m30s",
        ]

    def test_waiting_is_told_now_and_then(self) -> None:
        events = [(float(n), LockWaiting("bob", float(n), 60.0)) for n in range(40)]
        assert [line.split(": ")[1] for line in self.feed(*events)] == [
            "0 of 60 s",
            "15 of 60 s",
            "30 of 60 s",
        ]

    def test_what_is_only_looked_at_is_told_every_two_seconds(self) -> None:
        looks = [(n / 2, Examined(("0001", "0002"), "plan people", n * 100, 1_000)) for n in range(1, 11)]
        assert self.feed(*looks) == [
            "0001-0002 plan people 400/1,000 40% 200/s ETA 3s",
            "0001-0002 plan people 800/1,000 80% 200/s ETA 1s",
        ]

    def test_notices_are_told_at_once(self) -> None:
        assert self.feed((0, Notice("one")), (0, Notice("two\x1b"))) == ["one", "two\\x1b"]

    def test_a_pause_does_not_count(self) -> None:
        assert self.feed(
            (0, StageStarted("up", ("0001",), "add", 1_000)),
            (5, BatchCommitted(("0001",), 500, 1_000)),
            (10, Notice("paused", rests=True)),
            (13, BatchCommitted(("0001",), 510, 1_000)),
            (20, Notice("going on", rests=False)),
            (23, BatchCommitted(("0001",), 540, 1_000)),
        ) == [
            "0001 up add: 1,000 documents",
            "0001 add 500/1,000 50% 100/s ETA 5s",
            "paused",
            "0001 add 510/1,000 51% paused",
            "going on",
            "0001 add 540/1,000 54% 10/s ETA 46s",
        ]

    def test_a_batch_of_a_stage_that_nobody_announced(self) -> None:
        assert self.feed((5, BatchCommitted(("0001",), 5, None))) == ["0001 5"]

    def test_a_meter_forgets_what_is_long_ago(self) -> None:
        speed = Speed(0, 0.0)
        for second in range(1, 101):
            speed.mark(second if second < 50 else 50 + (second - 50) * 10, float(second))
        assert speed.rate == pytest.approx(10)
        assert speed.eta(1550) == pytest.approx(100)
        assert Speed(0, 0).rate is None


def test_a_plan_that_predicts_nothing_says_nothing_of_it() -> None:
    shown = plan.plan(PlanResult(Direction.DOWN, None, (STEP,), Predicted(0, 0, 0), None), PIPE)
    assert "predicted" not in shown


def test_bars_leave_a_line_for_each_stage_and_hide_secrets() -> None:
    from goaime_migrate.redaction import redact
    from goaime_migrate.render.bars import Bars

    stream = io.StringIO()
    bars = Bars(stream, redact, color=False)
    for event in (
        LockWaiting("bob", 1.0, 60.0),
        Notice("took over from mongodb://u:s3cr3t@h/"),
        StageStarted("up", ("0001",), "sessions", 10, done=2),
        BatchCommitted(("0001",), 5, 10),
        BatchCommitted(("0009",), 5, 10),
        StageFinished("up", ("0001",), "sessions", 10, 9, 1.0),
        StageFinished("up", ("0009",), "index", 0, 0, 1.0),
        Examined((), "verify people", 5, 10),
        Examined((), "verify people", 10, 10),
        Examined(("0001",), "verify others", 5, None),
        Examined(("0001",), "verify more", 5, 5),
    ):
        bars(event)
    bars.close()
    assert "took over from mongodb://u:***@h/\n" in stream.getvalue()
    assert "0001 up sessions: done, 10 documents, 9 changed, 1s\n" in stream.getvalue()
    assert "s3cr3t" not in stream.getvalue()


def test_a_bar_says_that_its_run_is_paused() -> None:
    from goaime_migrate.render.bars import Bars

    bars = Bars(io.StringIO(), str, color=False)
    bars(StageStarted("up", ("0001",), "add", 1_000))
    bars(BatchCommitted(("0001",), 500, 1_000))

    def said() -> str:
        (task,) = bars._progress.tasks
        return str(task.fields["position"])

    try:
        assert "ETA" in said()
        bars(Notice("a word about something else"))
        assert "ETA" in said()
        bars(Notice("paused", rests=True))
        assert said() == "500/1,000 50% paused"
        bars(Notice("going on", rests=False))
        assert said() == "500/1,000 50%"
    finally:
        bars.close()
