"""A database of any kind with migration files beside it, as a test sees it: raw documents in, raw documents out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeVar

from bson import encode
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from goaime_migrate import Migrator
from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.connect import connect
from goaime_migrate.config import Settings
from goaime_migrate.events import Listener, silent
from goaime_migrate.results import (
    OnConflict,
    PlanResult,
    RunResult,
    StatusResult,
    SweepResult,
    VerifyResult,
)

REPOSITORY = Path(__file__).parents[1]
GOAIME = REPOSITORY / "migrations"


@dataclass
class World:
    """One empty database, and a folder of migrations."""

    kind: str
    uri: str
    database: str
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def embedded(self) -> bool:
        """Whether there is no server."""
        return self.uri.startswith("dump:")

    @property
    def dump(self) -> Path:
        """The database's folder in the dump directory."""
        return Path(self.uri.removeprefix("dump:")) / self.database

    # documents

    def insert(self, collection: str, documents: Iterable[Mapping[str, Any] | bytes]) -> None:
        """Put documents into a collection, raw ones as they are."""
        raws = [d if isinstance(d, bytes) else encode(d) for d in documents]
        if self.embedded:
            self.dump.mkdir(parents=True, exist_ok=True)
            with (self.dump / f"{collection}.bson").open("ab") as file:
                file.write(b"".join(raws))
        elif raws:
            with self.client() as client:
                client[self.database][collection].insert_many([RawBSONDocument(r) for r in raws])

    def raws(self, collection: str) -> dict[bytes, bytes]:
        """Every document by its raw `_id`."""
        return {raw_bson.id_of(document): document for document in self._all(collection)}

    def _all(self, collection: str) -> list[bytes]:
        if self.embedded:
            file = self.dump / f"{collection}.bson"
            return list(raw_bson.split(file.read_bytes())) if file.exists() else []
        with self.client() as client:
            return list(raw_bson.split_all(client[self.database][collection].find_raw_batches()))

    def everything(self) -> Any:
        """All that is there, the tool's own collections too, so that it can be compared."""
        if self.embedded:
            return {path.name: path.read_bytes() for path in self.dump.iterdir()}
        with self.client() as client:
            database = client[self.database]
            names = database.list_collection_names()
            return {name: sorted(map(str, database[name].find())) for name in names}, self.catalogue()

    def documents(self, collection: str) -> list[dict[str, Any]]:
        """Every document, decoded, by `_id`'s bytes."""
        return [raw_bson.decode(document) for _, document in sorted(self.raws(collection).items())]

    def change(self, collection: str, identity: Any, **fields: Any) -> None:
        """What an application does: set some fields of one document."""
        if self.embedded:
            file = self.dump / f"{collection}.bson"
            changed = []
            for document in raw_bson.split(file.read_bytes()):
                decoded = raw_bson.decode(document)
                changed.append(encode({**decoded, **fields}) if decoded["_id"] == identity else document)
            file.write_bytes(b"".join(changed))
        else:
            with self.client() as client:
                client[self.database][collection].update_one({"_id": identity}, {"$set": fields})

    def put(self, collection: str, document: bytes) -> None:
        """What an application does: write a whole document, over the one with its `_id` if there is one."""
        identity = raw_bson.id_of(document)
        if self.embedded:
            self.dump.mkdir(parents=True, exist_ok=True)
            known = self.raws(collection) | {identity: document}
            (self.dump / f"{collection}.bson").write_bytes(b"".join(known.values()))
        else:
            with self.client() as client:
                literal = [{"$replaceWith": {"$literal": RawBSONDocument(document)}}]
                client[self.database][collection].update_one(RawBSONDocument(identity), literal, upsert=True)

    def remove(self, collection: str, identity: Any) -> None:
        """What an application does: delete a document."""
        if self.embedded:
            known = self.raws(collection)
            del known[encode({"_id": identity})]
            (self.dump / f"{collection}.bson").write_bytes(b"".join(known.values()))
        else:
            with self.client() as client:
                client[self.database][collection].delete_one({"_id": identity})

    def catalogue(self) -> dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Every collection but the tool's own, with its options and its indexes."""
        backend = connect(Settings(uri=self.uri, database=self.database), write=False)
        try:
            return {
                name: (
                    info.options,
                    sorted(
                        backend.indexes(name) if info.kind != "view" else [],
                        key=lambda index: str(index["name"]),
                    ),
                )
                for name, info in sorted(backend.collections().items())
            }
        finally:
            backend.close()

    @contextmanager
    def client(self) -> Any:
        """A client of the server."""
        client: MongoClient[Any] = MongoClient(self.uri)
        try:
            yield client
        finally:
            client.close()

    # migrations

    def write(self, name: str, source: str) -> Path:
        """Write a migration file."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / name
        path.write_text(dedent(source))
        return path

    def migrator(self, listener: Listener = silent, **settings: Any) -> Migrator:
        """The facade over this database."""
        values = {"lock_timeout": 5, **self.settings, **settings}
        return Migrator(
            Settings(uri=self.uri, database=self.database, migrations=self.folder, **values), listener
        )

    def up(self, target: str | None = None, **more: Any) -> RunResult:
        """Run `up`."""
        with self.migrator() as migrator:
            return migrator.up(target, **more)

    def down(self, target: str | None = None, on_conflict: OnConflict = OnConflict.KEEP) -> RunResult:
        """Run `down`."""
        with self.migrator() as migrator:
            return migrator.down(target, on_conflict=on_conflict)

    def status(self) -> StatusResult:
        """Run `status`."""
        with self.migrator() as migrator:
            return migrator.status()

    def plan(self, target: str | None = None, **more: Any) -> PlanResult:
        """Run `plan`."""
        with self.migrator() as migrator:
            return migrator.plan(target, **more)

    def verify(self, **more: Any) -> VerifyResult:
        """Run `verify`."""
        with self.migrator() as migrator:
            return migrator.verify(**more)

    def sweep(self, target: str | None = None, **more: Any) -> SweepResult:
        """Run `sweep`."""
        with self.migrator() as migrator:
            return migrator.sweep(target, **more)

    def states(self) -> list[str]:
        """The states of all versions, in order."""
        return [str(version.state) for version in self.status().versions]


Result = TypeVar("Result", RunResult, SweepResult)


def succeeded(result: Result) -> Result:
    """The result, which must have no error."""
    if result.error is not None:
        raise result.error
    return result


def ids(documents: Iterable[Mapping[str, Any]]) -> Sequence[Any]:
    """The `_id`s."""
    return [document["_id"] for document in documents]
