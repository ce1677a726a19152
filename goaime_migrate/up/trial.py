"""What `try` does: it takes one document through one version, and before that through the pending ones in front."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bson import json_util

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Backend, Filter
from goaime_migrate.errors import MigrateError, PromiseBroken, UnknownDocument, UnknownTarget, UsageError
from goaime_migrate.errors.hint import PLAN, STATUS, UP, Command, Hint
from goaime_migrate.migration import Migration, Operation
from goaime_migrate.operations import DeleteDuplicates, DocumentOperation, RenameCollection, RunFunctions
from goaime_migrate.planner import Facts, resolve
from goaime_migrate.planner.fusion import fuse
from goaime_migrate.planner.groups import NewPass, OperationRef, UpGroup
from goaime_migrate.planner.targets import unapplied_versions
from goaime_migrate.results import Direction, Document, TriedStep, TryResult
from goaime_migrate.run.code import step_of
from goaime_migrate.transform.probe import require_filters
from goaime_migrate.transform.step import UNENCODABLE, Step
from goaime_migrate.up.begun_pass import BegunPass
from goaime_migrate.up.capable import require_capable
from goaime_migrate.up.one_document import Passage
from goaime_migrate.up.surroundings import Surroundings

_NOT_ASKED = "a document that is handed over is taken for one that where= matches"


class Chosen(NamedTuple):
    """A document, the collection that it is of today, and the passes that it goes through."""

    document: bytes
    collection: str
    passes: Sequence[NewPass]


def try_given(
    facts: Facts, version: str, document: Document, collection: str | None, open: Callable[[], Backend]
) -> TryResult:
    """A document as it was handed over, through this version alone. The database is opened where it is needed.

    Raises UsageError.
    """
    migration = _migration(facts, version)
    names = _collections_walked(migration, collection)
    if len(names) > 1:
        raise UsageError(
            f"{migration.version} works on {' and '.join(names)}: whose is the document?",
            hint=f"--collection {names[0]}",
        )
    if "_id" not in document:
        raise UsageError(
            "the document has no _id, and every document has one", hint="add one: any value does"
        )
    groups = fuse([migration], {})
    today, passes = _way(groups, facts, names[0])
    chosen = Chosen(_encode(document), today, passes)
    trial = _Trial(facts, migration, chosen, open, given=True)
    if any(_step(facts, p.operations[0], today).where for p in passes):
        trial.notes.append(_NOT_ASKED)
    trial.notes += _seen_too_early(facts, groups, passes)
    return trial.run()


def try_stored(
    backend: Backend, facts: Facts, version: str, where: Filter, collection: str | None
) -> TryResult:
    """The first document that matches, through this version and the pending ones before it. Raises UsageError."""
    migration = _migration(facts, version)
    applied = migration.version in facts.versions and migration.version not in unapplied_versions(facts)
    ahead = [v for v in unapplied_versions(facts) if int(v) < int(migration.version)]
    versions = [] if applied else ahead
    done = {v: sum(o.done for o in facts.versions[v].operations) for v in versions if v in facts.versions}
    groups = fuse([*(_migration(facts, v) for v in versions), migration], done)
    chosen = _first(backend, facts, groups, _collections_walked(migration, collection), where)
    behind = _behind(backend, facts, chosen)
    left = [_without(p, {ref for ref in behind if ref.version != migration.version}) for p in chosen.passes]
    trial = _Trial(facts, migration, chosen._replace(passes=left), lambda: backend)
    if applied or any(ref.version == migration.version for ref in behind):
        trial.notes.append(
            f"{migration.version} was applied to this document before: it goes through once more"
        )
    trial.notes += _seen_too_early(facts, groups, chosen.passes)
    return trial.run()


def _migration(facts: Facts, wanted: str) -> Migration:
    """The file of a version. Raises UnknownTarget, and what is wrong with a file that does not load."""
    version = resolve(wanted, facts, Direction.UP)
    for problem in facts.file_problems:
        if problem.version == version:
            raise problem
    if version not in facts.files:
        raise UnknownTarget(f"{wanted!r} is no version with a file", hint=Hint("see them: {}", STATUS))
    return facts.files[version]


def _collections_walked(migration: Migration, wanted: str | None) -> list[str]:
    """The collections whose documents a version works on, or the wanted one of them. Raises UsageError."""
    named = dict.fromkeys(
        o.collection for o in migration.operations if o.walks and o.selective and o.collection
    )
    if not named:
        does = "; ".join(o.describe() for o in migration.operations) or "nothing"
        raise UsageError(
            f"{migration.version} changes no documents one by one, so that none can be tried: {does}",
            hint=Hint("see what it would do: {}", PLAN.to(migration.version)),
        )
    if wanted is not None and wanted not in named:
        raise UsageError(
            f"{migration.version} does not work on {wanted}", hint=f"--collection {next(iter(named))}"
        )
    return list(named) if wanted is None else [wanted]


def _way(groups: Sequence[UpGroup], facts: Facts, collection: str) -> tuple[str, Sequence[NewPass]]:
    """What a collection is called before all of these groups, and those that walk over it. Renames are followed."""
    name, found = collection, list[NewPass]()
    for group in reversed(groups):
        operation = _operation(facts, group.operations[0])
        if isinstance(operation, RenameCollection) and operation.new == name:
            name = operation.old
        elif isinstance(group, NewPass) and operation.collection == name:
            found.append(group)
    return name, found[::-1]


def _first(
    backend: Backend,
    facts: Facts,
    groups: Sequence[UpGroup],
    names: Sequence[str],
    where: Filter,
) -> Chosen:
    """The first document that matches, in the first of these collections that has one. Raises UsageError."""
    looked: list[str] = []
    for name in names:
        today, passes = _way(groups, facts, name)
        require_capable(backend, today)
        for walked in passes:
            require_filters(backend, [_step(facts, walked.operations[0], today)], where)
        found = backend.documents(today, where=where, limit=1)
        if found:
            return Chosen(found[0], today, passes)
        looked.append(today)
    raise UnknownDocument(f"{_not_found(where)} in {' or '.join(looked)}", hint="another --id or --where")


def _not_found(where: Filter) -> str:
    """What was not found, for people."""
    condition = where.get("_id") if len(where) == 1 else None
    if isinstance(condition, Mapping) and list(condition) == ["$eq"]:
        return f"there is no document with the _id {condition['$eq']!r}"
    return f"no document matches {json_util.dumps(where)}"


def _behind(backend: Backend, facts: Facts, chosen: Chosen) -> set[OperationRef]:
    """The operations that a document has behind it already, because an unfinished pass has examined it."""
    return {
        OperationRef(version, number)
        for p in facts.passes.values()
        if p.committed and not p.finished and p.collection == chosen.collection
        if BegunPass.of(backend, p).migrated(backend, [chosen.document])
        for version, number, _ in p.steps
    }


def _operation(facts: Facts, ref: OperationRef) -> Operation:
    return facts.files[ref.version].operations[ref.number]


def _step(facts: Facts, ref: OperationRef, collection: str) -> Step:
    """An operation as it would work on a collection under the name that this has today."""
    return replace(step_of(facts.files[ref.version], ref.number), collection=collection)


def _without(walked: NewPass, behind: set[OperationRef]) -> NewPass:
    return NewPass(tuple(ref for ref in walked.operations if ref not in behind))


def _encode(document: Document) -> bytes:
    try:
        return raw_bson.encode(document)
    except UNENCODABLE as error:
        raise UsageError(f"BSON cannot hold the document: {error}") from error


def _seen_too_early(facts: Facts, groups: Sequence[UpGroup], passes: Sequence[NewPass]) -> Iterator[str]:
    """What the document is shown that will have been changed by the time when `up` comes to it."""
    changed: dict[str, str] = {}
    for group in groups:
        for ref in group.operations:
            operation = _operation(facts, ref)
            if group in passes:
                yield from _looks_too_early(ref.version, operation, changed)
            if isinstance(operation, RunFunctions):
                yield f"up(db) of {ref.version} runs before, and may change what is shown here"
            if isinstance(operation, RenameCollection) and operation.old in changed:
                changed[operation.new] = changed.pop(operation.old)
            written = operation.writes if isinstance(operation, DocumentOperation) else operation.collection
            if written is not None:
                changed[written] = ref.version


def _looks_too_early(version: str, operation: Operation, changed: Mapping[str, str]) -> Iterator[str]:
    """What an operation sees of collections that are yet to be changed, by the versions that change them."""
    for name in sorted(operation.reads & changed.keys()):
        yield f"{version} looks into {name} as it is now, before {changed[name]} has changed it"
    if isinstance(operation, DeleteDuplicates) and (name := operation.collection) in changed:
        yield (
            f"{version} looks for what is like it in {name} as that is now, before {changed[name]} has changed it: "
            "whether it stays cannot be told"
        )


@dataclass
class _Trial:
    """A document on its way through its passes."""

    facts: Facts
    migration: Migration
    chosen: Chosen
    open: Callable[[], Backend]
    given: bool = False
    notes: list[str] = field(default_factory=list)
    steps: list[TriedStep] = field(default_factory=list)

    def run(self) -> TryResult:
        """All of it, up to the first step that fails."""
        around, error = Surroundings(self.open, self.chosen.document), None
        try:
            for walked in self.chosen.passes:
                self._walk(walked, around)
        except MigrateError as found:
            error = found.advise(found.hint.instead(UP, self._again()))
        return TryResult(
            version=self.migration.version,
            collection=self.chosen.collection,
            id=raw_bson.id_value(raw_bson.id_of(self.chosen.document)),
            before=raw_bson.decode_leniently(self.chosen.document),
            after=None if error or around.gone else raw_bson.decode_leniently(around.document),
            steps=tuple(self.steps),
            error=error or self._broken_promise(),
            given=self.given,
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def _walk(self, walked: NewPass, around: Surroundings) -> None:
        """One pass: its filter, which all its operations share, is asked once."""
        found = True
        for ref in walked.operations:
            if around.gone:
                return
            step = _step(self.facts, ref, self.chosen.collection)
            operation = _operation(self.facts, ref).describe()
            passage = Passage(self.facts.files[ref.version].name, operation, step)
            try:
                if step.where and not self.given and ref == walked.operations[0]:
                    found = around.matches(step.collection, step.where)
                self.steps.append(passage.take(around) if found else passage.leave(around))
            except MigrateError:
                self.steps.append(passage.fail(around))
                raise

    def _again(self) -> Command:
        return Command(("try", self.migration.version))

    def _broken_promise(self) -> PromiseBroken | None:
        """The first promise that a result has broken."""
        for step in self.steps:
            for problem in step.problems:
                file = str(self.facts.files[step.version].path)
                return PromiseBroken(
                    f"the result breaks its promise: {problem}",
                    hint=Hint("correct the document or {}, then: {}", file, self._again()),
                    version=step.version,
                    id=step.before.get("_id"),
                )
        return None
