"""The page of `history --html`, from results that are made up."""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goaime_migrate import redaction
from goaime_migrate.errors import PackageMissing, Problem
from goaime_migrate.render.report import page, plots
from goaime_migrate.results import (
    Counts,
    Effect,
    HistoryEntry,
    HistoryError,
    JournaledChange,
    PaceMark,
    PassReport,
    ReportResult,
    State,
    VersionError,
    VersionReport,
    WarningCount,
    Work,
)
from tests.unit.command_line import AT, standing

HOSTILE = "<script>alert(1)</script> {{ 7*7 }} {% raw %} \u202egnp.exe \x1b[2J &amp; \" ' שלום"
SECRET = "mongodb://app:s3cr3tpw@host/"
WRITTEN = VersionReport("0001", ("add n",), (), AT, "ann", "ci", "", "", pruned=False)


def entry(number: int = 0, **given: Any) -> HistoryEntry:
    at = AT + timedelta(hours=number)
    values = {"version": "0001", "action": "up", "result": "applied", "error": None, "duration_s": 1.0}
    values |= {"who": "ann", "host": "ci", "tool": "goaime-migrate 0.1.0"}
    return HistoryEntry(at, **values | given)


def report(*history: HistoryEntry, changes: tuple[JournaledChange, ...] = (), **given: Any) -> ReportResult:
    walk = PassReport(("0001",), "c", 2, 1_000, changes)
    made = ReportResult(AT, standing(), history, (WRITTEN,), (walk,))
    return replace(made, **given)


def changed(before: Any, after: Any) -> JournaledChange:
    return JournaledChange(1, Effect.CHANGED, before, after)


def test_whatever_it_is_made_of_it_is_text() -> None:
    status = standing(State.FAILED, Problem("GM208", None, HOSTILE, HOSTILE))
    version = replace(
        status.versions[0],
        name=HOSTILE,
        description=HOSTILE,
        error=VersionError("GM301", HOSTILE, HOSTILE, HOSTILE),
        documents=Counts(1, 1),
    )
    said = WarningCount("0001", HOSTILE, 3, (HOSTILE,))
    writer = VersionReport("0001", (HOSTILE,), (said,), AT, HOSTILE, HOSTILE, HOSTILE, HOSTILE, pruned=True)
    walks = (
        PassReport(("0001",), HOSTILE, 1, 1, (changed({"a": 1}, {HOSTILE: HOSTILE, "a": [HOSTILE]}),)),
        PassReport(("0001",), "c", 1, 1, (), HOSTILE),
    )
    gone = entry(1, **dict.fromkeys(("version", "action", "who", "host", "tool"), HOSTILE))
    made = page(
        report(
            replace(gone, error=HistoryError("GM301", HOSTILE), result="failed"),
            entry(2, result=HOSTILE),
            status=replace(status, database=HOSTILE, server=HOSTILE, versions=(version,)),
            versions=(writer,),
            passes=walks,
        )
    )
    assert "<script" not in made
    assert made.count("&lt;script&gt;") > 20
    assert "{{ 7*7 }}" in made
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", made)


class Tags(HTMLParser):
    """The tags of a page, with the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: Counter[tuple[str, ...]] = Counter()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[(tag, *(name for name, _ in attrs))] += 1


def said(text: str) -> str:
    """A page in which this text is wherever somebody else's may be."""
    failed = entry(1, result="failed", who=text, error=HistoryError("GM301", text))
    writer = replace(WRITTEN, operations=(text,), warnings=(WarningCount("0001", text, 3, (text,)),))
    return page(report(failed, changes=(changed({"a": 1}, {"a": text, text: 1}),), versions=(writer,)))


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=()), min_size=1, max_size=30))
def test_no_text_makes_a_tag_or_an_attribute(text: str) -> None:
    made = said("_" + text.replace("\n", " ").replace("\r", " "))
    assert Tags(made).found == Tags(said("_plain")).found
    made.encode()


def test_it_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    made = page(report(entry()))
    assert "default-src 'none'" in made
    assert not re.search(
        r"(src|href)=\"(?!#|data:,)|url\(|@import|<(script|iframe|object|form)|\son\w+=", made
    )


@pytest.mark.parametrize(
    ("url", "linked"),
    [("https://ci/run/1", True), ("javascript:alert(1)", False), ("data:text/html,x", False)],
)
def test_only_what_leads_to_a_page_is_a_link(url: str, linked: bool) -> None:
    made = page(report(versions=(replace(WRITTEN, ci_url=url),)))
    assert (f'href="{url}"' in made) is linked
    assert f">{url}<" in made


def test_secrets_are_in_none_of_its_texts() -> None:
    redaction.hide(SECRET)
    change = changed({"a": 1}, {"a": f"{SECRET} s3cr3tpw"})
    failed = entry(error=HistoryError("GM301", f"at {SECRET}: s3cr3tpw"), result="failed")
    made = page(report(failed, changes=(change,)))
    assert "s3cr3tpw" not in made
    assert "mongodb://app:***@host/" in made


def test_the_order_of_fields_is_seen() -> None:
    made = page(
        report(changes=(changed({"_id": 1, "a": 1, "b": 2, "x": 3}, {"_id": 1, "b": 2, "a": 1, "n": 4}),))
    )
    orders = re.findall(r'<ol class="fields">(.*?)</ol>', made, re.DOTALL)
    found = [re.findall(r'<li class="(\w*)"><bdi>(\w+)</bdi>', each) for each in orders]
    assert found == [
        [("", "_id"), ("", "a"), ("moved", "b"), ("removed", "x")],
        [("", "_id"), ("moved", "b"), ("", "a"), ("added", "n")],
    ]


def test_masked_it_shows_the_types_of_values() -> None:
    change = changed({"_id": "ann@example.org"}, {"_id": "ann@example.org", "phone": "0170"})
    made = page(report(changes=(replace(change, id="ann@example.org"),)), masked=True)
    assert "ann@example.org" not in made
    assert "0170" not in made
    assert "&lt;string of 4&gt;" in made


def test_what_is_not_known_is_said() -> None:
    changes = (
        JournaledChange(1, Effect.CHANGED, {"a": 1}, None, known=False, whole=False),
        JournaledChange(2, Effect.INSERTED, None, None, known=False),
        JournaledChange(3, Effect.DELETED, {"_id": 3, "a": 1}, None),
    )
    made = page(report(changes=changes))
    assert "were written again since" in made
    assert "changed or deleted since" in made
    assert 'class="pill deleted"' in made


def test_the_entries_of_one_run_are_together_and_those_of_before_stand_alone() -> None:
    work = Work("r1", Counts(4, 3, 1), 2, (PaceMark(0, 0), PaceMark(2, 4_000), PaceMark(4, 6_000)))
    made = page(report(entry(), entry(1), entry(2, work=work), entry(2, version="0002", work=work)))
    assert made.count('<li class="run ') == 3
    assert "0001-0002" in made
    assert "6,000 documents in 4s, 1,500/s on average, 2,000/s at most" in made
    assert "6 document changes" in made


def test_a_failure_stands_outside_of_every_fold_of_its_run() -> None:
    failed = entry(1, result="failed", error=HistoryError("GM301", "divide raised\nin line 4"))
    made = page(report(entry(), failed))
    (run,) = re.findall(r'<li class="run bad">(.*?)</li>', made, re.DOTALL)
    assert "<details" not in run
    assert "<p><bdi>in line 4</bdi></p>" in run


def test_of_ten_thousand_entries_only_the_newest_month_is_open() -> None:
    made = page(report(*(entry(number) for number in range(10_000))))
    assert made.count('<li class="run ') == 10_000
    assert made.count('<details class="month" open>') == 1
    assert made.count('<details class="month">') == 14
    assert len(made) < 8_000_000


def test_nothing_at_all_is_a_page_too() -> None:
    nothing = replace(standing(), versions=(), pending=(), head=None)
    made = page(report(status=nothing, versions=(), passes=()))
    assert "There are no migrations yet." in made
    assert "Nothing has been applied to this database yet." in made


def test_without_jinja_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(PackageMissing, match="jinja2") as caught:
        page(report())
    assert str(caught.value.hint) == "pip install 'goaime-migrate[report]'"


class TestPlots:
    def test_a_pace_is_steps_between_marks(self) -> None:
        found = plots.pace((PaceMark(0, 0), PaceMark(1, 100), PaceMark(3, 150)))
        assert found is not None
        assert (found.peak, found.mean, found.documents) == (100.0, 50.0, 150)
        assert found.line.startswith("M0.0,3.6L200.0,3.6L200.0,45.9L600.0,")

    @pytest.mark.parametrize(
        "marks",
        [(), (PaceMark(0, 0),), (PaceMark(0, 0), PaceMark(0.01, 9)), (PaceMark(0, 5), PaceMark(9, 5))],
    )
    def test_what_is_too_little_is_none(self, marks: tuple[PaceMark, ...]) -> None:
        assert plots.pace(marks) is None

    def test_a_history_goes_up_and_down(self) -> None:
        found = plots.plot_applied(
            [entry(0), entry(1, version="0002"), entry(2, result="failed"), entry(4, result="reverted")]
        )
        assert found is not None
        assert (found.most, found.failures) == (2, (300.0,))
        assert plots.plot_applied([entry()]) is None
