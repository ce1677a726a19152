"""Spans, as an exporter gets them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from goaime_migrate import tracing
from goaime_migrate.events import (
    BatchCommitted,
    CommandFinished,
    CommandStarted,
    Event,
    Notice,
    StageFinished,
    StageStarted,
    VersionFinished,
)
from goaime_migrate.tracing import Spans

FUSED = ("0001", "0002")


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


def told(exporter: InMemorySpanExporter, *events: Event) -> dict[str, ReadableSpan]:
    spans = Spans()
    for event in events:
        spans(event)
    found = exporter.get_finished_spans()
    assert len({span.name for span in found}) == len(found)
    return {span.name: span for span in found}


def started(*versions: str, done: int = 0, text: str = "transform c") -> StageStarted:
    return StageStarted("up", versions, text, 10, done, collection="c")


def finished(*versions: str) -> StageFinished:
    return StageFinished("up", versions, "transform c", 10, 7, 0.5)


def applied(version: str) -> VersionFinished:
    return VersionFinished("up", version, "applied", None, 0.5)


def ended(error: str | None = None) -> CommandFinished:
    return CommandFinished("up", "shop", error, 1.0)


def parent(span: ReadableSpan, others: Sequence[ReadableSpan]) -> str | None:
    return next((o.name for o in others if span.parent and o.context.span_id == span.parent.span_id), None)


def test_a_pass_is_within_its_version_within_the_command(exporter: InMemorySpanExporter) -> None:
    events = (started("0001", done=3), BatchCommitted(("0001",), 10, 10), finished("0001"), applied("0001"))
    found = told(exporter, CommandStarted("up"), Notice("a pause"), *events, ended())
    assert {name: parent(span, list(found.values())) for name, span in found.items()} == {
        "up c": "up 0001",
        "up 0001": "goaime_migrate up",
        "goaime_migrate up": None,
    }
    assert dict(found["goaime_migrate up"].attributes or {}) == {
        "db.system.name": "mongodb",
        "db.namespace": "shop",
        "goaime_migrate.command": "up",
    }
    assert dict(found["up 0001"].attributes or {}) == {
        "db.system.name": "mongodb",
        "goaime_migrate.version": "0001",
        "goaime_migrate.direction": "up",
        "goaime_migrate.result": "applied",
    }
    assert dict(found["up c"].attributes or {}) == {
        "db.system.name": "mongodb",
        "db.collection.name": "c",
        "goaime_migrate.direction": "up",
        "goaime_migrate.versions": ("0001",),
        "goaime_migrate.operation": "transform c",
        "goaime_migrate.resumed_after": 3,
        "goaime_migrate.documents": 10,
        "goaime_migrate.documents_changed": 7,
    }
    assert all(span.status.status_code is StatusCode.UNSET for span in found.values())
    scopes = [span.instrumentation_scope for span in found.values()]
    assert {scope and scope.name for scope in scopes} == {"goaime_migrate"}


def test_a_pass_of_several_versions_is_linked_with_them(exporter: InMemorySpanExporter) -> None:
    ends = [applied(version) for version in FUSED]
    found = told(exporter, CommandStarted("up"), started(*FUSED), finished(*FUSED), *ends, ended())
    assert parent(found["up c"], list(found.values())) == "goaime_migrate up"
    linked = {link.context.span_id for link in found["up c"].links}
    assert linked == {found[f"up {version}"].context.span_id for version in FUSED}


def test_what_fails_is_an_error_by_its_code(exporter: InMemorySpanExporter) -> None:
    failed = VersionFinished("up", "0001", "failed", "GM301", 0.5)
    found = told(exporter, CommandStarted("up"), started("0001"), failed, ended("GM301"))
    for span in found.values():
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "GM301")
        assert (span.attributes or {})["error.type"] == "GM301"


def test_a_command_that_is_cut_off_ends_all_that_is_open(exporter: InMemorySpanExporter) -> None:
    found = told(exporter, CommandStarted("up"), started("0001"), ended("GM602"))
    assert set(found) == {"goaime_migrate up", "up 0001", "up c"}


def test_the_command_is_the_current_span_while_it_lasts(exporter: InMemorySpanExporter) -> None:
    spans = Spans()
    before = trace.get_current_span()
    spans(CommandStarted("up"))
    assert trace.get_current_span() is not before
    spans(ended())
    assert trace.get_current_span() is before


def test_texts_have_no_secrets_and_are_short(exporter: InMemorySpanExporter) -> None:
    text = "update mongodb://a:s3cr3t@h/ " + "x" * 1_000
    found = told(exporter, CommandStarted("up"), started("0001", text=text), ended())
    said = str((found["up c"].attributes or {})[tracing.OPERATION])
    assert len(said) == 500
    assert "s3cr3t" not in said
