"""The shapes of what ``--json`` prints. The published JSON Schema is made from them; only type checkers import them.

A value of the database (`id`, `before`, `after`) is canonical Extended JSON: any JSON value. Durations are seconds,
times ISO-8601 with Z.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict

Extended = Any


class Failure(TypedDict):
    """Why a command failed: `hint` is the next command to type, `id` the document, both where they are known."""

    code: str
    message: str
    hint: str
    version: str | None
    id: Extended
    field: str | None


class ProblemShape(TypedDict):
    """A difference between files and history, or something wrong with a file."""

    code: str
    version: str | None
    message: str
    hint: str


class WarningShape(TypedDict):
    """What stops nothing, and ought to be known."""

    code: str
    message: str
    hint: str


class Documents(TypedDict):
    """Numbers of documents."""

    matched: int
    changed: int
    unchanged: int
    conflicts: int


class Lock(TypedDict):
    """The lease, and whose it is."""

    owner: str
    who: str
    host: str
    pid: int
    fence: int
    acquired_at: str | None
    expires_at: str | None
    live: bool


class ProgressShape(TypedDict):
    """How far an unfinished version has come; `rate` is documents a second."""

    done: int
    total: int | None
    rate: float | None
    eta_s: float | None


class VersionShape(TypedDict):
    """A version and its state."""

    version: str
    name: str
    description: str
    state: Literal["pending", "running", "partial", "applied", "reverting", "failed"]
    applied_at: str | None
    duration_s: float | None
    documents: Documents
    warnings: int
    progress: ProgressShape | None
    checksum: str | None


class Status(TypedDict):
    """`status` and `wait`. All of the first three are null where the database could not be asked."""

    database: str | None
    server: str | None
    mode: Literal["transactional", "single-document", "embedded"] | None
    current: str | None
    head: str | None
    pending: list[str]
    problems: list[ProblemShape]
    lock: Lock | None
    versions: list[VersionShape]
    warnings: list[WarningShape]
    error: Failure | None


class ConflictShape(TypedDict):
    """A document of which the named fields were left as the application has them."""

    version: str
    collection: str
    id: Extended
    fields: list[str]


class Warned(TypedDict):
    """What transforms warned of, counted by text, with the `_id`s of a few documents."""

    version: str
    message: str
    count: int
    examples: list[Extended]


class _Ran(TypedDict):
    direction: Literal["up", "down"]
    failed: str | None
    error: Failure | None
    documents: Documents
    conflicts: list[ConflictShape]
    warnings: list[Warned]
    duration_s: float | None
    message: str
    born: int
    left: int
    without_reverse: list[str]


class Up(_Ran):
    """`up`."""

    applied: list[str]


class Down(_Ran):
    """`down`. `born`: documents inserted since `up`; `left`: those that stay as they are."""

    reverted: list[str]


class Operation(TypedDict):
    """An operation in words; numbers are null where they cannot be foreseen."""

    text: str
    collection: str | None
    matched: int | None
    changed: int | None
    unchanged: int | None


class SampleShape(TypedDict):
    """A document before and after."""

    id: Extended
    before: Extended
    after: Extended


class Step(TypedDict):
    """What becomes of one version."""

    version: str
    name: str
    operations: list[Operation]
    samples: list[SampleShape]
    irreversible: bool
    warnings: list[Warned]
    notes: list[str]


class Prediction(TypedDict):
    """From a timed sample. Bytes are those of the documents, before the server compresses them."""

    seconds: float | None
    journal_bytes: int
    oplog_bytes: int


class Preview(TypedDict):
    """What `down` would find in the journal."""

    exact: int
    merged: int
    conflicts: int
    born: int
    left: int
    without_reverse: list[str]


class Plan(TypedDict):
    """`plan` and `--dry-run`."""

    direction: Literal["up", "down"]
    target: str | None
    steps: list[Step]
    predicted: Prediction
    refused: Failure | None
    preview: Preview | None
    sampled: int | None
    message: str
    error: Failure | None


class BrokenPromise(TypedDict):
    """A document, or a statement about several, that breaks a promise."""

    version: str
    collection: str | None
    id: Extended
    field: str | None
    reason: str


class Verify(TypedDict):
    """`verify`."""

    checked: int
    failures: list[BrokenPromise]
    versions: list[str]
    superseded: list[str]
    error: Failure | None


class Event(TypedDict):
    """An entry of the log."""

    at: str | None
    version: str | None
    action: str
    result: str
    duration_s: float | None
    who: str
    host: str
    tool: str


class Lint(TypedDict):
    """`lint`."""

    checked: int
    problems: list[ProblemShape]
    error: Failure | None


class Unlock(TypedDict):
    """`unlock`."""

    lock: Lock | None
    ended: bool
    error: Failure | None


class Stamp(TypedDict):
    """`stamp`."""

    recorded: list[str]
    removed: list[str]
    error: Failure | None


Renumbering = TypedDict("Renumbering", {"from": str, "to": str})
"""The number that a recorded version had, and the one that its file has now."""


class Repair(TypedDict):
    """`repair`."""

    accepted: list[str]
    dropped: list[str]
    renumbered: list[Renumbering]
    error: Failure | None


class Init(TypedDict):
    """`init`."""

    created: list[str]
    kept: list[str]
    error: Failure | None


class New(TypedDict):
    """`new`."""

    version: str | None
    path: str | None
    error: Failure | None


class ErrorText(TypedDict):
    """An error with its long form."""

    code: str
    name: str
    exit_code: int
    text: str


class Explain(TypedDict):
    """`explain`."""

    errors: list[ErrorText]
    error: Failure | None


COMMANDS: dict[str, Any] = {
    "init": Init,
    "new": New,
    "status": Status,
    "plan": Plan,
    "up": Up | Plan,
    "down": Down | Plan,
    "verify": Verify,
    "history": list[Event],
    "lint": Lint,
    "wait": Status,
    "stamp": Stamp,
    "repair": Repair,
    "unlock": Unlock,
    "explain": Explain,
}
"""What each command prints; `up` and `down` print a plan with ``--dry-run``."""
