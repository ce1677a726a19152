"""Whether what a way down gives back can stand where it stood: the collections of now, taken along step by step.

What others have dropped, renamed or put in a place that is needed is refused before anything is written, and not when
half of the way has been gone.
"""

from __future__ import annotations

from collections.abc import Mapping

from goaime_migrate.backends.ports import VERSIONS, Backend, CollectionInfo
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.errors import CollectionChanged, MigrateError, MissingCapability, Refused
from goaime_migrate.errors.hint import DOWN, Hint
from goaime_migrate.journal import segments
from goaime_migrate.ledger import PassRecord, VersionRecord
from goaime_migrate.operations.collections import NOUNS, VIEW
from goaime_migrate.planner import DownPlan
from goaime_migrate.planner.groups import RestorePass, UndoChange
from goaime_migrate.results import Document, Mode

_KINDS = {kind: f"a {noun}" for kind, noun in NOUNS.items()}


def require_ground(
    backend: Backend,
    plan: DownPlan,
    versions: Mapping[str, VersionRecord],
    passes: Mapping[str, PassRecord],
) -> None:
    """Refuse a way down that could not be gone to its end. Reads only. Raises CollectionChanged, Refused, DamagedRecord.

    How it stands after a user's function cannot be foreseen.
    """
    ground = _Ground(backend)
    for group in plan.groups:
        match group:
            case RestorePass():
                ground.restore(passes[group.pass_id], group.level)
            case UndoChange():
                version, number = group.operations[0]
                undo = versions[version].operations[number].undo or {}
                if undo.get("kind") == "function":
                    return
                with reading(VERSIONS, version):
                    ground.undo(version, undo)
            case _:
                pass


def require_collection(backend: Backend, record: PassRecord) -> None:
    """The same for the documents of one pass, when it is their turn."""
    _Ground(backend).restore(record, 0)


class _Ground:
    """The collections as they will be when it is the next one's turn."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._there = dict(backend.collections())
        self._unsure: set[str] = set()
        """Names of which nobody knows: a collection that was made goes only if it is empty by then."""

    def restore(self, record: PassRecord, level: int) -> None:
        """Documents are given back to the collection of a pass: documents that are not there would count as deleted."""
        name = record.writes
        if name not in self._unsure:
            info = self._there.get(name)
            if info is not None:
                self._require_ordinary(info, record.versions[-1])
            elif record.target is None and not record.created and segments.count(self._backend, record.id):
                raise self._gone_error(record)
        if record.created and level == 0:
            self._unsure.add(name)

    def undo(self, version: str, undo: Document) -> None:
        """What is no pass is undone."""
        match undo.get("kind"):
            case "rename_collection":
                self._rename(version, undo["old"], undo["new"])
            case "drop_collection":
                self._there.pop(undo["name"], None)
            case "create_view":
                if undo["name"] in self._there and self._there[undo["name"]].kind == "collection":
                    raise self._taken_error(version, undo["name"])
                self._unsure.add(undo["name"])
            case "nothing" | None:
                pass
            case _:
                self._change(version, undo)

    def _change(self, version: str, undo: Document) -> None:
        """Indexes and validators; a collection may have been made for their sake."""
        info = self._there.get(str(undo.get("collection")))
        if info is not None and info.kind == VIEW:
            raise self._another(info.name, _KINDS[info.kind], version)
        if undo.get("made") or undo.get("kind") == "remove_validated":
            self._unsure.add(str(undo.get("collection")))

    def _rename(self, version: str, now: str, then: str) -> None:
        if not {now, then} & self._unsure:
            if then in self._there and now in self._there:
                raise self._taken_error(version, then)
            if then not in self._there and now not in self._there:
                raise Refused(
                    f"taking {version} back renames {now} to {then}, and there is no collection {now}",
                    version=version,
                    hint=Hint(
                        "bring {} back from a backup, then: {}; or go back no further than: {}",
                        now,
                        DOWN,
                        DOWN.to(version),
                    ),
                )
            if now in self._there:
                self._require_renamable(self._there[now], version)
        if now in self._there:
            self._there[then] = self._there.pop(now)
        self._unsure |= {then} if now in self._unsure else set()

    def _require_renamable(self, info: CollectionInfo, version: str) -> None:
        if info.kind in _KINDS:
            raise self._another(info.name, _KINDS[info.kind], version)

    def _require_ordinary(self, info: CollectionInfo, version: str) -> None:
        what = "a capped collection" if info.options.get("capped") else _KINDS.get(info.kind)
        if what is not None:
            raise self._another(info.name, what, version)

    # what is said

    def _gone_error(self, record: PassRecord) -> MigrateError:
        same = (i.name for i in self._there.values() if record.uuid is not None and i.uuid == record.uuid)
        name, today = record.writes, next(same, None)
        if today is None:
            said, way = "", self._by_hand(f"db.createCollection({name!r})", f"an empty file {name}.bson")
            hint = Hint("bring it back, empty if its documents are gone for good ({}), then: {}", way, DOWN)
        else:
            said, way = f"; it is called {today} now", self._renaming(today, name)
            hint = Hint("give it its name back ({}), then: {}", way, DOWN)
        return CollectionChanged(
            f"there is no collection {name}, and the journal has documents for it{said}",
            version=record.versions[-1],
            hint=hint,
        )

    def _taken_error(self, version: str, name: str) -> MigrateError:
        return Refused(
            f"taking {version} back gives {name} its place again, and others have made a collection of that name since",
            version=version,
            hint=Hint(
                "give that another name ({}), then: {}", self._renaming(name, self._free(f"{name}_2")), DOWN
            ),
        )

    def _another(self, name: str, what: str, version: str) -> MigrateError:
        kept = self._free(f"{name}_2")
        if what == _KINDS[VIEW]:
            away = self._by_hand(f"db.getCollection({name!r}).drop()", f"remove the view {name}")
            way = Hint("drop the view ({}), bring the collection back under its name", away)
        else:
            way = Hint(
                "make it an ordinary one again (in mongosh: {})",
                f"db.getCollection({name!r}).aggregate([{{$out: {kept!r}}}]); "
                f"db.getCollection({kept!r}).renameCollection({name!r}, true)",
            )
        return MissingCapability(
            f"{name} is {what} now: {version} cannot be taken back in it",
            version=version,
            hint=Hint("{}, then: {}; or go back no further than: {}", way, DOWN, DOWN.to(version)),
        )

    def _free(self, name: str) -> str:
        while name in self._there:
            name += "_2"
        return name

    def _renaming(self, now: str, then: str) -> str:
        return self._by_hand(
            f"db.getCollection({now!r}).renameCollection({then!r})", f"rename the files {now}.* to {then}.*"
        )

    def _by_hand(self, command: str, files: str) -> str:
        """What to type: in the server's shell, or with the files of a dump directory."""
        if self._backend.capabilities.mode is Mode.EMBEDDED:
            return f"in the dump directory: {files}"
        return f"in mongosh: {command}"
