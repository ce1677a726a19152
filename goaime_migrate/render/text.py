"""The smaller results as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from goaime_migrate import errors
from goaime_migrate.errors.hint import DOWN, STATUS, UNLOCK, Command, Hint
from goaime_migrate.render.errors import paragraph
from goaime_migrate.render.findings import findings
from goaime_migrate.render.status import lock, problems, throttle_text
from goaime_migrate.render.style import Style, advice, bullet, clean
from goaime_migrate.render.table import Column, table
from goaime_migrate.render.values import key, value
from goaime_migrate.render.words import count, second, versions
from goaime_migrate.units import duration

if TYPE_CHECKING:
    from goaime_migrate.errors import Problem
    from goaime_migrate.results import (
        HistoryEntry,
        HistoryError,
        InitResult,
        LintResult,
        NewResult,
        RepairResult,
        RuleText,
        StampResult,
        Straggler,
        ThrottleResult,
        UnlockResult,
        VerifyFailure,
        VerifyResult,
    )

FAILURES = 20
_HISTORY = (
    Column("WHEN (UTC)"),
    Column("VERSION"),
    Column("ACTION"),
    Column("RESULT"),
    Column("TIME", right=True),
    Column("WHO", elastic=True),
    Column("TOOL"),
)


def verify(result: VerifyResult, style: Style) -> str:
    """Every failure up to a limit, then the sum."""
    if not (result.versions or result.checked or result.failures):
        return "no version is applied; nothing to check"
    shown = result.failures if style.verbose else result.failures[:FAILURES]
    lines = [line for failure in shown for line in _failure(failure, style)]
    if len(result.failures) > len(shown):
        lines.append(f"  {style.ellipsis} {len(result.failures) - len(shown)} more (--verbose, or --json)")
    for each in result.stragglers:
        lines += _stragglers(each, style)
    if result.superseded:
        lines.append(
            style.paint(f"{versions(result.superseded)}: promises replaced by newer versions", "dim")
        )
    lines += _unproved(result, style)
    color = "red" if result.failures or result.stragglers else "green" if result.promises else "yellow"
    return "\n".join([*lines, style.paint(_verdict(result), color, "bold")])


def _verdict(result: VerifyResult) -> str:
    """How the promises stand that were checked; of those that were not nothing is said but that."""
    of = f" of {versions(result.versions)}" if result.versions else ""
    if not result.promises and not result.failures:
        return f"no promise{of} {'could be checked' if result.unchecked else 'to check: there is none'}"
    if result.stragglers and not result.failures:
        failed = count(sum(each.count for each in result.stragglers), "straggler")
    else:
        failed = count(len(result.failures), "failure") if result.failures else "every promise is kept"
    checked = f"checked {count(result.checked, 'document')} against {count(result.promises, 'promise')}{of}"
    return f"{checked}: {failed}"


def _unproved(result: VerifyResult, style: Style) -> list[str]:
    """What `verify` says nothing about."""
    lines = []
    for promise in result.unchecked:
        lines += bullet("-", f"{promise.version} {promise.collection}: not checked: {promise.reason}", style)
    if result.without_promise:
        verb = "promises" if len(result.without_promise) == 1 else "promise"
        said = f"{versions(result.without_promise)} {verb} nothing (no model=, check=, verify(db))"
        lines += bullet("-", said, style)
    return [style.paint(line, "yellow") for line in lines]


def _stragglers(found: Straggler, style: Style) -> list[str]:
    """How many documents are in an old shape, some of them, and the cure."""
    some = ", ".join(value(each, style) for each in found.examples)
    more = f", {style.ellipsis}" if found.count > len(found.examples) else ""
    what = (
        f"{found.version} {found.collection}: {count(found.count, 'document')} in an old shape ({some}{more})"
    )
    return advice("-", f"{what}: goaime-migrate sweep", style)


def _failure(failure: VerifyFailure, style: Style) -> list[str]:
    where = [failure.version, failure.collection or ""]
    if failure.id is not None:
        where.append(value(failure.id, style))
    if failure.field and not failure.reason.startswith(failure.field):
        where.append(failure.field if "." in failure.field else key(failure.field))
    return bullet("-", f"{' '.join(filter(None, where))}: {failure.reason}", style)


def history(entries: Sequence[HistoryEntry], style: Style) -> str:
    """The log, oldest first."""
    if not entries:
        return "no history: nothing has been applied to this database yet"
    rows = [
        [
            second(entry.at),
            entry.version or "",
            entry.action,
            entry.result,
            duration(entry.duration_s) if entry.duration_s is not None else "",
            f"{entry.who}@{entry.host}" if entry.host else entry.who,
            entry.tool.removeprefix("goaime-migrate ").strip(),
        ]
        for entry in entries
    ]
    heading, *lines = table(_HISTORY, rows, style)
    shown = [heading]
    for entry, line in zip(entries, lines, strict=True):
        shown += [line, *(_why(entry.error, style) if entry.error else [])]
    return "\n".join(shown)


def _why(found: HistoryError, style: Style) -> list[str]:
    """Why a run has not come to its end."""
    text = bullet("!", f"{found.code} {clean(found.message)}", style, indent=2)
    return [style.paint(line, "red") for line in text]


def lint(result: LintResult, style: Style) -> str:
    """What is wrong with files, then what rules say of them, or that there is nothing to say."""
    lines = problems(problems_of(result), style)
    lines += findings(result.findings, style)
    verdict = count(len(result.problems), "problem") if result.problems else "no problems"
    if notes := sum(finding.severity == "note" for finding in result.findings):
        verdict += f", {count(notes, 'note')}"
    color = "red" if result.problems else "green"
    return "\n".join(
        [*lines, style.paint(f"checked {count(result.checked, 'file')}: {verdict}", color, "bold")]
    )


def problems_of(result: LintResult) -> list[Problem]:
    """The problems that no finding tells of: files that do not load, gaps."""
    return [found for found in result.problems if found.code != errors.LintProblems.code]


def unlock(result: UnlockResult, style: Style) -> str:
    """The lease, and what to do about it."""
    if result.lock is None and not result.ended:
        return "no lock is held"
    lines = [] if result.lock is None else lock(result.lock, style)
    if result.lock is None or result.ended:
        lines.append("the lease was ended; whoever held it can write no more")
    elif result.lock.live:
        lines.append(
            style.spell(Hint("its holder is alive; to end it all the same: {}", UNLOCK.to("--force")))
        )
    else:
        lines.append(
            style.spell("nobody holds it any more: the next goaime-migrate up takes it over by itself")
        )
    return "\n".join(lines)


def throttle(result: ThrottleResult, style: Style) -> str:
    """What the run was told, which run that is, and what to type next."""
    told = throttle_text(result.throttle) if result.throttle else "as fast as it was started"
    lines = bullet("", f"the run is told within ten seconds: {told}", style, indent=0)
    if result.lock:
        lines += lock(replace(result.lock, throttle=None), style)
    if result.unpaced:
        verb = "is" if len(result.unpaced) == 1 else "are"
        lines += bullet(
            "note:",
            f"{versions(result.unpaced)} {verb} at work on what has no batches, an index build or a function: it comes "
            "to its end first",
            style,
        )
    paused = result.throttle is not None and result.throttle.paused
    then = Hint("{}", Command(("throttle", "--resume")) if paused else STATUS.to("--watch"))
    return "\n".join([*lines, style.paint(f"next: {style.spell(then)}", "bold")])


def stamp(result: StampResult, style: Style, would: bool = False, target: str = "") -> str:
    """What was recorded, or would be."""
    lines = []
    if result.recorded:
        lines.append(
            f"{'would record' if would else 'recorded'} as applied, not run: {versions(result.recorded)}"
        )
    if result.removed:
        lines.append(f"{'would remove' if would else 'removed'} the record of: {versions(result.removed)}")
    if lines:
        return "\n".join(lines)
    if target == "base":
        return (
            "nothing to stamp: `stamp` records versions as applied, it removes no record\n"
            f"next: {style.spell(Hint('{} (takes back all that is applied)', DOWN.to('base')))}"
        )
    return "nothing to stamp: the records say so already"


def repair(result: RepairResult, would: bool = False) -> str:
    """What was accepted, dropped and renumbered, or would be."""
    lines = []
    if result.renumbered:
        moves = ", ".join(f"{each.before} as {each.now}" for each in result.renumbered)
        lines.append(f"{'would record' if would else 'recorded'} what has run under its new number: {moves}")
    if result.accepted:
        lines.append(
            f"{'would accept' if would else 'accepted'} the edited files of: {versions(result.accepted)}"
        )
    if result.restored:
        lines.append(
            f"{'would accept' if would else 'accepted'} the restored database, as a whole of one moment, "
            f"for: {versions(result.restored)}"
        )
    if result.dropped:
        lines.append(
            f"{'would drop' if would else 'dropped'} what removed files left: {versions(result.dropped)}"
        )
    return "\n".join(lines) or "nothing to repair"


def init(result: InitResult, style: Style) -> str:
    """The files, and the first steps."""
    lines = [f"wrote {clean(path)}" for path in result.created]
    lines += [f"kept  {clean(path)} (it was there already)" for path in result.kept]
    return "\n".join([*lines, style.paint("next: goaime-migrate new NAME", "bold")])


def new(result: NewResult, style: Style) -> str:
    """The file, and how to try it."""
    return f"wrote {clean(result.path)}\n" + style.paint(
        style.spell("next: edit it, then goaime-migrate plan"), "bold"
    )


def explain(cls: type[errors.MigrateError], style: Style) -> str:
    """The long form of an error."""
    head = f"{cls.code} {cls.__name__}, exit {cls.exit_code}"
    paragraphs = [paragraph(text, style) for text in errors.explanation(cls).split("\n\n")]
    return "\n\n".join([style.paint(head, "bold"), *paragraphs])


def rule(found: RuleText, style: Style) -> str:
    """What a rule is about."""
    paragraphs = [paragraph(text, style) for text in found.text.split("\n\n")]
    return "\n\n".join([style.paint(found.rule, "bold"), *paragraphs])


def codes(style: Style) -> str:
    """Every code, with the first line of its explanation."""
    rows = [
        [code, str(cls.exit_code), errors.explanation(cls).splitlines()[0]]
        for code, cls in sorted(errors.by_code().items())
    ]
    return "\n".join(
        table((Column("CODE"), Column("EXIT", right=True), Column("MEANING", elastic=True)), rows, style)
    )
