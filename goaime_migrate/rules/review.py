"""Asks the rules about a plan: builds its turns, says which results to look at, and gathers what is said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend, Filter
from goaime_migrate.config import Settings
from goaime_migrate.errors import MigrateError
from goaime_migrate.events import Listener, Notice, silent
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.operations import RunFunctions
from goaime_migrate.planner import Facts, UpPlan
from goaime_migrate.planner.groups import OperationRef, PinnedPass
from goaime_migrate.results import Finding, Predicted, Severity, WarningCount
from goaime_migrate.rules.asking import questions_of
from goaime_migrate.rules.findings import ask, worst_first
from goaime_migrate.rules.outline import Outline
from goaime_migrate.rules.outlook import Outlook
from goaime_migrate.rules.questions import Keys
from goaime_migrate.rules.registry import OUTLOOKS, TURNS
from goaime_migrate.rules.seen import Seen
from goaime_migrate.rules.source import File
from goaime_migrate.rules.turn import MOST_READ, Turn

_MAY_MEND = "unless up(db) of {0}, which runs before, changes that"


class Review:
    """One plan before the rules."""

    def __init__(
        self,
        database: Backend,
        facts: Facts,
        plan: UpPlan,
        settings: Settings,
        canary: Filter | None = None,
        listener: Listener = silent,
    ) -> None:
        self._database = database
        self._settings = settings
        self.turns = list(_turns(database, facts, plan, settings, canary))
        for place, turn in enumerate(self.turns):
            turn.tell = lambda text: listener(Notice(text))
            turn.later = [operation for each in self.turns[place + 1 :] for operation in each.operations]

    def watch(self, place: int) -> Seen:
        """What is to be seen of the pass that is the plan's group at this place."""
        turn = self.turns[place]
        later = self._behind(place)
        for each in (turn, *later):
            each.asked = questions_of(each)
        seen = Seen([question for each in (turn, *later) for question in each.asked], where=turn.where)
        for each in (turn, *later):
            each.seen = seen
        return seen

    def done(self, place: int, total: int, settled: bool | None, warnings: Sequence[WarningCount]) -> None:
        """A pass was seen to its end: what it does not touch is added where a unique index has to hold both."""
        seen = self.turns[place].seen
        assert seen is not None
        seen.total, seen.settled, seen.warnings = total, settled, tuple(warnings)
        seen.sampled = seen.looked_at < total
        turn = self.turns[place]
        if not seen.sampled and (seen.where is not None or turn.resumed or turn.makes):
            self._complete(turn, seen)

    def _complete(self, turn: Turn, seen: Seen) -> None:
        tables = [keys for keys in seen.questions if isinstance(keys, Keys)]
        if not tables or turn.stored is None or self._database.count(turn.stored) > MOST_READ:
            return
        fields = sorted({path.partition(".")[0] for keys in tables for path in keys.index["key"]})
        partial = any(keys.index.get("partialFilterExpression") for keys in tables)
        found = self._database.documents(turn.stored, fields=None if partial else fields)
        rest = [document for document in found if raw_bson.id_of(document) not in seen.ids]
        for keys in tables:
            keys.add(rest)

    def failed(self, place: int, error: MigrateError) -> None:
        """A document stops the pass."""
        seen = self.turns[place].seen
        if seen is not None:
            seen.error = error

    def unknown(self, place: int, why: str) -> None:
        """The effect of a pass cannot be foreseen."""
        for each in (self.turns[place], *self._behind(place)):
            each.unknown = why

    def _behind(self, place: int) -> list[Turn]:
        """The turns whose collection has the results of this pass, as the last one: no other pass is between."""
        return [
            turn
            for turn in self.turns[place + 1 :]
            if not turn.walks and turn.shape is not None and turn.shape.passes[-1:] == [place]
        ]

    def findings(self, predicted: Predicted) -> tuple[Finding, ...]:
        """What all rules say, the worst first."""
        return worst_first(self._asked(predicted, early=False))

    def early(self) -> tuple[Finding, ...]:
        """What would fail for certain, as far as the data of this moment say so in bounded time."""
        found = self._asked(Predicted(0.0, 0, 0), early=True)
        return tuple(finding for finding in found if finding.severity is Severity.ERROR)

    def _asked(self, predicted: Predicted, *, early: bool) -> Iterator[Finding]:
        rules = [rule for rule in TURNS.all if rule.early or not early]
        for turn in self.turns:
            for finding in ask(rules, turn, turn.location_of):
                yield _soften(finding, turn.function)
        outlook = Outlook(self.turns, self._database, self._settings, predicted)
        yield from ask([r for r in OUTLOOKS.all if r.early or not early], outlook, outlook.location_of)


def _soften(finding: Finding, function: str) -> Finding:
    """What a function before it may still mend is no error."""
    if not function or finding.severity is not Severity.ERROR:
        return finding
    message = f"{finding.message} ({_MAY_MEND.format(function)})"
    return replace(finding, severity=Severity.WARNING, message=message)


def _turns(
    database: Backend, facts: Facts, plan: UpPlan, settings: Settings, canary: Filter | None
) -> Iterator[Turn]:
    """The groups of a plan, each with the outline of the database by then."""
    operations = {ref: _operation(facts.files, ref) for group in plan.groups for ref in group.operations}
    named = {name for operation in operations.values() for name in _names(operation)}
    outline = Outline.of(database, named)
    files = {v: File(facts.files[v], (), tuple(facts.migrations)) for v, _ in operations}
    function = ""
    for place, group in enumerate(plan.groups):
        found = [operations[ref] for ref in group.operations]
        version = group.versions[-1]
        turn = Turn(
            group.operations,
            found,
            files,
            outline.now(),
            database,
            settings,
            place=place,
            function=function,
            begun=_begun(facts, group.operations[0]),
            where=_where(found[0], canary),
            resumed=isinstance(group, PinnedPass),
        )
        yield turn
        if turn.walks:
            _pass(outline, turn)
        else:
            outline.change(found[0])
        if isinstance(found[0], RunFunctions):
            function = version
            _blur(outline, files[version], version)


def _pass(outline: Outline, turn: Turn) -> None:
    """What a pass writes has its results from then on; what makes documents makes their collection too."""
    shape = outline.obtain(turn.written or "") if turn.makes else outline.get(turn.written)
    if shape is not None:
        shape.passes.append(turn.place)


def _operation(files: Mapping[str, Migration], ref: OperationRef) -> Operation:
    return files[ref.version].operations[ref.number]


def _names(operation: Operation) -> frozenset[str]:
    found: frozenset[str] = getattr(operation, "names", frozenset())
    return found


def _where(operation: Operation, canary: Filter | None) -> Filter | None:
    own: Filter | None = getattr(operation, "where", None)
    return {"$and": [own, canary]} if own and canary else own or canary


def _begun(facts: Facts, ref: OperationRef) -> bool:
    record = facts.versions.get(ref.version)
    return (
        record is not None and ref.number < len(record.operations) and record.operations[ref.number].started
    )


def _blur(outline: Outline, file: File, version: str) -> None:
    """After a plain function nobody knows what is in the collections that its file names."""
    text = file.migration.path.read_text(encoding="utf-8", errors="replace")
    for name, shape in outline.shapes.items():
        if re.search(rf"\b{re.escape(name)}\b", text):
            shape.unknown = f"what up(db) of {version} does with it is not known"
