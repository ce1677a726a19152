"""`status` as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from goaime_migrate.errors import MigrateError, Problem
from goaime_migrate.errors.hint import Hint
from goaime_migrate.render.style import Style, advice, bullet, clean
from goaime_migrate.render.table import Column, table
from goaime_migrate.render.words import count, moment, number, versions
from goaime_migrate.results import (
    LockStatus,
    Progress,
    State,
    StatusResult,
    StatusWarning,
    Throttle,
    VersionError,
    VersionStatus,
    Waiting,
)
from goaime_migrate.units import duration, size

_COLUMNS = (
    Column("VERSION"),
    Column("NAME", elastic=True),
    Column("STATE"),
    Column("APPLIED (UTC)"),
    Column("DOCUMENTS", right=True),
    Column("TIME", right=True),
)
_SYMBOLS = {
    State.PENDING: "·",
    State.RUNNING: "▶",
    State.PARTIAL: "◐",
    State.APPLIED: "✓",
    State.REVERTING: "↺",
    State.FAILED: "✗",
}
_COLORS = {
    State.PENDING: "",
    State.RUNNING: "cyan",
    State.PARTIAL: "yellow",
    State.APPLIED: "green",
    State.REVERTING: "yellow",
    State.FAILED: "red",
}
_UNFINISHED = (State.FAILED, State.PARTIAL, State.REVERTING)
"""States that somebody has to see to."""
WATCH = "; next: goaime-migrate status --watch"
RESUME = "; next: goaime-migrate throttle --resume"


def status(result: StatusResult, style: Style, then: str = WATCH, told: MigrateError | None = None) -> str:
    """Where the database stands, and the next command; `then` is what to do while a run is active.

    What an error has `told`, which stands on stderr with the next command, is not said again.
    """
    lines = [*_header(result, style), ""]
    if result.versions:
        lines += [*_versions(result, style), ""]
    if found := _untold(result.problems, told):
        lines += [*problems(found, style), ""]
    if result.warnings:
        lines += [*_warnings(result.warnings, style), ""]
    if result.lock:
        lines += [*lock(result.lock, style), *_waiting(result.waiting, style), ""]
    ending = advice("", _next(result, then), style, indent=0) if told is None else []
    return "\n".join([*lines, *(style.paint(line, "bold") for line in ending)]).rstrip("\n")


def brief(result: StatusResult) -> str:
    """The same in one line, for one of several databases."""
    parts = [f"at {result.current}" if result.current else "nothing applied"]
    parts += [f"{each.version} {each.state.value}" for each in result.versions if each.state in _UNFINISHED]
    if result.pending:
        parts.append(f"{number(len(result.pending))} not applied: {versions(result.pending)}")
    if result.problems:
        parts.append(count(len(result.problems), "problem"))
    if result.lock:
        parts.append("a run is active")
    return ", ".join(parts)


def _untold(listed: Sequence[Problem], told: MigrateError | None) -> Sequence[Problem]:
    """The problems, but for what is said of them elsewhere: a hint that is the only one is the last line."""
    if told is not None:
        left = [found for found in listed if not told.message.startswith(found.message)]
        return [replace(found, hint="") if found.hint == str(told.hint) else found for found in left]
    one = len({found.hint for found in listed}) == 1
    return [replace(found, hint="") for found in listed] if one else listed


def problems(listed: Sequence[Problem], style: Style, color: str = "red") -> list[str]:
    """Problems or warnings, and what mends them; what mends several in a row is said once."""
    following = [found.hint for found in listed[1:]]
    return [
        line
        for found, after in zip_longest(listed, following)
        for line in _problem(found if found.hint != after else replace(found, hint=""), style, color)
    ]


def _problem(found: Problem, style: Style, color: str) -> list[str]:
    message = found.message
    number = f"{found.version}: " if found.version and not message.startswith(found.version) else ""
    head = f"{found.code} {number}{message}"
    lines = [style.paint(line, color) for line in bullet("!", head, style, indent=0)]
    return lines + (advice("next:", found.hint, style) if found.hint else [])


def _warnings(listed: Sequence[StatusWarning], style: Style) -> list[str]:
    """What somebody should know; the next command is another one."""
    lines: list[str] = []
    for found in listed:
        head = bullet("!", f"{found.code} {clean(found.message)}", style, indent=0)
        lines += [
            *(style.paint(line, "yellow") for line in head),
            *advice("", found.hint, style),
        ]
    return lines


def lock(lease: LockStatus, style: Style) -> list[str]:
    """Who holds the lease, since when, and until when if nothing is heard of them."""
    since = f" since {moment(lease.acquired_at)} UTC" if lease.acquired_at else ""
    until = f"{lease.expires_at:%H:%M:%S} UTC" if lease.expires_at else ""
    state = (
        f"renewed until {until}"
        if lease.live and until
        else "live"
        if lease.live
        else "its process is gone"
        if lease.gone
        else f"expired {until}".rstrip()
    )
    holder = f"{lease.who} on {lease.host}, process {lease.pid}"
    told = f"; throttled: {throttle_text(lease.throttle)}" if lease.live and lease.throttle else ""
    text = f"lock: {holder}{since}, {state}, fence {lease.fence}{told}"
    return [
        style.paint(line, "cyan" if lease.live else "yellow") for line in bullet("", text, style, indent=0)
    ]


def throttle_text(told: Throttle) -> str:
    """What a run was told.

    >>> throttle_text(Throttle(True, None)), throttle_text(Throttle(False, 2500.0)), throttle_text(Throttle(True, 0.5))
    ('paused', 'at most 2,500 documents/s', 'paused, then at most 0.5 documents/s')
    """
    rate = "" if told.max_rate is None else f"at most {told.max_rate:,g} documents/s"
    return ", then ".join(filter(None, ["paused" if told.paused else "", rate]))


def _waiting(found: Waiting | None, style: Style) -> list[str]:
    """What the run waits for."""
    if found is None:
        return []
    text = f"waiting since {moment(found.since)} UTC: {clean(found.reason)}"
    return [style.paint(line, "yellow") for line in bullet("", text, style, indent=0)]


def progress(found: Progress, paused: bool = False) -> str:
    """How far an unfinished version has come.

    >>> progress(Progress(12000, 300000, 2900.0, 99.0))
    '12,000 of 300,000 (4%), 2,900/s, ETA 1m39s'
    """
    parts = [number(found.done)]
    if found.total:
        parts = [f"{number(found.done)} of {number(found.total)} ({100 * found.done // found.total}%)"]
    if found.rate:
        parts.append(f"{found.rate:,.0f}/s")
    if found.eta_s is not None:
        parts.append(f"ETA {duration(found.eta_s)}")
    if paused:
        parts.append("paused")
    return ", ".join(parts)


def _header(result: StatusResult, style: Style) -> list[str]:
    journal = size(result.journal_bytes) if result.journal_bytes else ""
    rows = [
        ("database", result.database),
        ("server", result.server),
        ("mode", result.mode),
        ("journal", journal),
    ]
    return [f"{style.paint(name, 'dim')}{' ' * (9 - len(name))} {clean(text)}" for name, text in rows if text]


def _versions(result: StatusResult, style: Style) -> list[str]:
    rows = [_row(version, style) for version in result.versions]
    heading, *lines = table(_COLUMNS, rows, style, [_COLORS[version.state] for version in result.versions])
    text = [heading]
    for version, line in zip(result.versions, lines, strict=True):
        paused = version.state in (State.RUNNING, State.REVERTING) and _is_paused(result)
        text += [line, *_remarks(version, style, paused)]
    return text


def _row(version: VersionStatus, style: Style) -> list[str]:
    symbol = f"{_SYMBOLS[version.state]} " if style.symbols else ""
    return [
        version.version,
        version.name,
        symbol + version.state.value,
        moment(version.applied_at) if version.applied_at else "",
        number(version.documents.matched) if version.documents else "",
        duration(version.duration_s) if version.duration_s is not None else "",
    ]


def _remarks(version: VersionStatus, style: Style, paused: bool) -> list[str]:
    remarks = []
    if version.progress:
        remarks.append(progress(version.progress, paused))
    if version.documents and version.documents.conflicts:
        remarks.append(count(version.documents.conflicts, "conflict"))
    if version.warnings:
        remarks.append(count(version.warnings, "warning"))
    text = bullet("", "; ".join(remarks), style, indent=9) if remarks else []
    if style.verbose and version.description:
        text = bullet("", version.description, style, indent=9) + text
    shown = [style.paint(line, "dim") for line in text]
    return shown + (_why(version.error, style) if version.error else [])


def _why(found: VersionError, style: Style) -> list[str]:
    """Why a version has stopped, and where."""
    from goaime_migrate.render.errors import place  # which most histories do without

    at = f" (at: {', '.join(parts)})" if (parts := place(found, style)) else ""
    text = f"{found.code} {clean(found.message)}{at}"
    return [style.paint(line, "red") for line in bullet("!", text, style, indent=9)]


def _is_paused(result: StatusResult) -> bool:
    """Whether the run that is at work was told to wait."""
    return result.lock is not None and result.lock.throttle is not None and result.lock.throttle.paused


def _next(result: StatusResult, then: str) -> str:
    if result.problems:
        hint = next((found.hint for found in result.problems if found.hint), "goaime-migrate lint")
        return Hint("{}; next: {}", count(len(result.problems), "problem"), hint)
    if result.lock and result.lock.live:
        return f"a run is paused{then and RESUME}" if _is_paused(result) else f"a run is active{then}"
    if not result.versions:
        return "no migrations; next: goaime-migrate new NAME"
    if unfinished := _unfinished(result):
        return unfinished
    if result.pending:
        return f"{number(len(result.pending))} pending; next: goaime-migrate up"
    return f"up to date at {result.current}"


def way_on(result: StatusResult) -> str:
    """The command that brings the versions on which are not applied."""
    states = {version.state for version in result.versions}
    if State.REVERTING in states:
        return "goaime-migrate down (goes on)"
    if states - {State.PENDING, State.APPLIED}:
        return "goaime-migrate up (goes on), or goaime-migrate down"
    return "goaime-migrate up"


def _unfinished(result: StatusResult) -> str:
    """What is under way, and what goes on with it; empty where nothing is."""
    back = [v.version for v in result.versions if v.state is State.REVERTING]
    if back:
        return f"{versions(back)} partly taken back; next: {_mend(result)}{way_on(result)}"
    started = [v.version for v in result.versions if v.state not in (State.PENDING, State.APPLIED)]
    if started:
        return f"{versions(started)} unfinished; next: {_mend(result)}{way_on(result)}"
    return ""


def _mend(result: StatusResult) -> str:
    """What comes before the next command, where a version has said why it stopped."""
    return "mend what is said there, then " if any(v.error for v in result.versions) else ""
