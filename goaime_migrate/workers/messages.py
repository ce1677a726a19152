"""What a run and its workers say to each other: BSON documents, one behind the other, through two pipes.

From the run: ``{do: "begin", settings, files, threads}``, ``{do: "open", …}`` (a work, see `context`), ``{do:
"partition", number}``, ``{do: "throttle", to}`` (paused and max_rate, or nothing), ``{do: "stop"}``; the end of the
pipe means that the run is gone. From a worker: ``{is: "ready", sessions}``, ``{is: "batch", number, report}``, ``{is:
"done", number}``, ``{is: "left", number}`` (stopped in it), ``{is: "failed", number, error}`` and ``{is: "notice",
text}``.
"""

from __future__ import annotations

import struct
import threading
import traceback
from collections.abc import Iterator
from typing import IO, Any

from bson.errors import BSONError

from goaime_migrate import errors
from goaime_migrate.backends import raw_bson
from goaime_migrate.ledger import storable
from goaime_migrate.redaction import redact
from goaime_migrate.results import Document

_LENGTH = struct.Struct("<i")
_TEXT = 20_000
"""Characters of a message, hint or detail that are passed on."""


class Channel:
    """One end of the two pipes. `tell` may be called from any thread, `messages` from one."""

    def __init__(self, incoming: IO[bytes], outgoing: IO[bytes]) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._guard = threading.Lock()

    def tell(self, **message: Any) -> None:
        """Send a message. Raises OSError (or ValueError, where this end is closed) if nobody is there to read it."""
        frame = raw_bson.encode(message)
        with self._guard:
            self._outgoing.write(frame)
            self._outgoing.flush()

    def messages(self) -> Iterator[Document]:
        """Messages as they come, until the other end is closed; one that was cut off is not one."""
        while len(head := self._incoming.read(_LENGTH.size)) == _LENGTH.size:
            rest = _LENGTH.unpack(head)[0] - _LENGTH.size
            body = self._incoming.read(rest)
            if len(body) < rest:
                return
            yield raw_bson.decode(head + body)

    def close(self) -> None:
        """Close the outgoing pipe."""
        self._outgoing.close()


def pack(error: BaseException) -> Document:
    """An error as a message."""
    if not isinstance(error, errors.MigrateError):
        lines = "".join(traceback.format_exception(error))
        text = redact(f"{type(error).__name__}: {error}")
        error = errors.MigrateError(f"{text} (this is a bug)", detail=redact(lines))
    parts = {name: _text(getattr(error, name)) for name in ("message", "hint", "version", "field", "detail")}
    return {"code": error.code, **parts, "id": _value(error.id)}


def unpack(message: Document) -> errors.MigrateError:
    """The error again, of its own class."""
    kind = errors.by_code()[message["code"]]
    return kind(
        message["message"],
        hint=message["hint"],
        version=message["version"],
        id=message["id"],
        field=message["field"],
        detail=message["detail"],
    )


def _text(text: str | None) -> str | None:
    return None if text is None else storable(text, _TEXT)


def _value(value: Any) -> Any:
    try:
        raw_bson.encode({"": value})
    except (BSONError, TypeError, ValueError, OverflowError):
        return repr(value)
    return value
