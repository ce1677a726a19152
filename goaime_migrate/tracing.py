"""A run as OpenTelemetry spans: the command, within it each version, within that its passes and other operations.

Made with the API alone: where they go, and whether they go anywhere, is the matter of whoever has set an SDK up.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from opentelemetry import context, trace
from opentelemetry.trace import Link, Span, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from goaime_migrate._version import __version__
from goaime_migrate.events import (
    CommandFinished,
    CommandStarted,
    Event,
    StageFinished,
    StageStarted,
    VersionFinished,
)
from goaime_migrate.redaction import redact

SYSTEM, DATABASE, COLLECTION, ERROR = "db.system.name", "db.namespace", "db.collection.name", "error.type"
"""Attributes of the semantic conventions."""
COMMAND, DIRECTION, RESULT = "goaime_migrate.command", "goaime_migrate.direction", "goaime_migrate.result"
VERSION, VERSIONS = "goaime_migrate.version", "goaime_migrate.versions"
OPERATION, RESUMED = "goaime_migrate.operation", "goaime_migrate.resumed_after"
DOCUMENTS, CHANGED = "goaime_migrate.documents", "goaime_migrate.documents_changed"
"""Our own."""
_SCOPE = "goaime_migrate"
_LONGEST = 500
"""Characters of an operation's text: it may be a whole pipeline."""


class Spans:
    """Turns the events of one command into spans. The command's is the current one of the thread that has called it."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__)
        self._guard = threading.Lock()
        self._command: Span = trace.INVALID_SPAN
        self._versions: dict[str, Span] = {}
        self._stages: dict[tuple[str, ...], Span] = {}

    def __call__(self, event: Event) -> None:
        """Begin or end what the event is about."""
        with self._guard:
            match event:
                case CommandStarted():
                    self._begin(event)
                case StageStarted():
                    self._start(event)
                case StageFinished():
                    self._finish(event)
                case VersionFinished():
                    self._leave(event)
                case CommandFinished():
                    self._end(event)

    def _begin(self, event: CommandStarted) -> None:
        attributes = {SYSTEM: "mongodb", COMMAND: event.command}
        self._command = self._tracer.start_span(f"{_SCOPE} {event.command}", attributes=attributes)
        self._token = context.attach(trace.set_span_in_context(self._command))

    def _start(self, event: StageStarted) -> None:
        """A pass of several versions belongs to the command, and is linked with them."""
        within = [self._version(version, event.direction) for version in event.versions]
        attributes: dict[str, AttributeValue] = {
            DIRECTION: event.direction,
            VERSIONS: event.versions,
            OPERATION: redact(event.text)[:_LONGEST],
        }
        if event.collection:
            attributes[COLLECTION] = event.collection
        if event.done:
            attributes[RESUMED] = event.done
        alone = len(within) == 1
        self._stages[event.versions] = self._span(
            f"{event.direction} {event.collection}".rstrip(),
            attributes,
            within[0] if alone else self._command,
            [] if alone else within,
        )

    def _finish(self, event: StageFinished) -> None:
        span = self._stages.pop(event.versions, None)
        if span is not None:
            span.set_attributes({DOCUMENTS: event.documents, CHANGED: event.changed})
            span.end()

    def _leave(self, event: VersionFinished) -> None:
        for versions in [each for each in self._stages if event.version in each]:
            _close(self._stages.pop(versions), event.error)
        span = self._version(event.version, event.direction)
        span.set_attribute(RESULT, event.result)
        _close(span, event.error)
        del self._versions[event.version]

    def _end(self, event: CommandFinished) -> None:
        for span in (*self._stages.values(), *self._versions.values()):
            _close(span, event.error)
        if event.database:
            self._command.set_attribute(DATABASE, event.database)
        _close(self._command, event.error)
        context.detach(self._token)

    def _version(self, version: str, direction: str) -> Span:
        if version not in self._versions:
            attributes = {VERSION: version, DIRECTION: direction}
            self._versions[version] = self._span(f"{direction} {version}", attributes, self._command)
        return self._versions[version]

    def _span(
        self,
        name: str,
        attributes: Mapping[str, AttributeValue],
        parent: Span,
        links: list[Span] | None = None,
    ) -> Span:
        return self._tracer.start_span(
            name,
            trace.set_span_in_context(parent),
            attributes={SYSTEM: "mongodb", **attributes},
            links=[Link(span.get_span_context()) for span in links or ()],
        )


def _close(span: Span, error: str | None) -> None:
    if error is not None:
        span.set_attribute(ERROR, error)
        span.set_status(Status(StatusCode.ERROR, error))
    span.end()
