"""What a user's type checker sees of the public API: mypy reads this file, nobody runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

from pydantic import BaseModel

from goaime_migrate import (
    AddField,
    ConvertField,
    CreateCollection,
    CreateIndex,
    Databases,
    DeleteDocuments,
    DeleteDuplicates,
    DeriveDocuments,
    Document,
    DropCollection,
    DropIndex,
    InsertDocuments,
    Lookup,
    MigrateError,
    Migrator,
    Now,
    RemoveField,
    RenameCollection,
    RenameField,
    Settings,
    SetValidator,
    TransformDocuments,
    UpdateDocuments,
)
from goaime_migrate.events import Event, VersionFinished
from goaime_migrate.results import (
    AsOfResult,
    BlameResult,
    Direction,
    DoctorResult,
    HistoryEntry,
    OnConflict,
    PlanResult,
    PruneResult,
    RehearsalResult,
    ReportResult,
    RunResult,
    StatusResult,
    ThrottleResult,
    TryResult,
    VerifyResult,
)
from goaime_migrate.results.databases import DatabasesResult


class Order(BaseModel):
    """A promise."""

    cents: int


def in_place(order: Document, customers: Mapping[str, Document]) -> None:
    """A transform that changes its document."""
    order["customer_id"] = customers[order["customer"]]["_id"]


def attach(order: Document, lines: Mapping[Any, tuple[Document, ...]], now: datetime) -> None:
    """A transform that is given more: all documents of a key, and the time."""
    order["at"], order["lines"] = now, [line["_id"] for line in lines[order["_id"]]]


SORTED = Lookup("lines", sort="at", fields=["a"], where={"b": 1})
COUNTED = Lookup("lines", key="n", pipeline=[{"$group": {"_id": "$order", "n": {"$sum": 1}}}])


def anew(order: Document) -> Document:
    """A transform that returns another."""
    return {**order, "cents": 1}


def check(order: Document) -> list[str]:
    """A promise as a function."""
    return [] if "cents" in order else ["no cents"]


def is_old(order: Document, at: datetime) -> bool:
    """What goes."""
    return bool(order["at"] < at)


def made(order: Document, customers: Mapping[str, Sequence[Document]]) -> Iterator[Document]:
    """What is made, one by one."""
    yield {"_id": order["_id"], "customers": customers[order["customer"]]}


def listed(order: Document, customers: Mapping[str, Document]) -> list[Document] | None:
    """What is made, if anything."""
    return [order] if order["customer"] in customers else None


def is_void(order: Document, customers: Mapping[str, Document]) -> bool:
    """Says which documents go."""
    return order["customer"] not in customers


operations = [
    TransformDocuments("orders", in_place, customers=Lookup("customers", key="name"), where={"a": 1}),
    TransformDocuments("orders", anew, fields=["cents"], reverse=anew, model=Order, check=check),
    UpdateDocuments("orders", [{"$set": {"a": 1}}], where={}),
    TransformDocuments(
        "orders", attach, now=Now(), lines=Lookup("lines", key="a.b", many=True, sort=[("at", -1)])
    ),
    AddField("orders", "a", 1, where={"b": 2}),
    RenameField("orders", "items.$[].a", "items.$[].b", where={}),
    RemoveField("orders", "a", "b.c", where={}),
    ConvertField("orders", "at", "date", where={}, on_error="keep"),
    InsertDocuments("currencies", [{"code": "EUR"}], key=["code"]),
    DeleteDocuments("orders", where={"a": 1}, when=is_old, at=Now()),
    DeleteDuplicates("orders", ["a", "b.c"], sort=[("at", -1)], where={"a": 1}),
    DeriveDocuments("orders", "lines", made, customers=Lookup("customers", sort="at", many=True)),
    DeriveDocuments("orders", "orders", listed, customers=COUNTED),
    DeleteDocuments("orders", when=is_void, customers=Lookup("customers", key="name")),
    DeleteDuplicates("orders", "number"),
    CreateIndex("orders", "a", unique=True),
    CreateIndex("orders", [("a", 1), ("b", "text")], name="both", sparse=True),
    CreateIndex("orders", "a", expireAfterSeconds=60, name="soon", replaces="a_1"),
    DropIndex("orders", "a_1"),
    DropIndex("orders", "*"),
    SetValidator("orders", Order, level="moderate", action="warn"),
    SetValidator("orders", {"$and": [{"a": {"$type": "number"}}]}),
    CreateCollection("orders", capped=True, size=1000),
    RenameCollection("orders", "sales"),
    DropCollection("sales"),
]


def hear(event: Event) -> None:
    """What a run tells."""
    if isinstance(event, VersionFinished):
        print(event.version, event.result, event.error)


def use(folder: Path) -> None:
    """The library."""
    with Migrator(Settings(uri="dump:dump", migrations=folder), on_event=hear) as migrator:
        assert_type(migrator.status(), StatusResult)
        assert_type(migrator.plan("0001", direction=Direction.DOWN), PlanResult)
        assert_type(migrator.up("head", where={"a": 1}), RunResult)
        assert_type(migrator.down(on_conflict=OnConflict.KEEP), RunResult)
        assert_type(migrator.verify(sample=10), VerifyResult)
        assert_type(migrator.try_("0001", {"_id": 1}, collection="orders"), TryResult)
        assert_type(migrator.try_("0001", where={"_id": 1}), TryResult)
        assert_type(migrator.rehearse("0001", sample=None, memory=True), RehearsalResult)
        assert_type(migrator.doctor(), DoctorResult)
        assert_type(migrator.throttle(max_rate=100), ThrottleResult)
        assert_type(migrator.blame("orders", 7), BlameResult)
        assert_type(migrator.as_of("orders", 7, "0001"), AsOfResult)
        assert_type(migrator.prune(keep=86_400, dry_run=True), PruneResult)
        assert_type(migrator.prune(versions=["0001"]), PruneResult)
        assert_type(migrator.erase("orders", 7), PruneResult)
        assert_type(migrator.history(), tuple[HistoryEntry, ...])
        assert_type(migrator.report(), ReportResult)
        error: MigrateError | None = migrator.up().error
        if error is not None:
            found: tuple[str, int, str, Any] = (error.code, error.exit_code, error.hint, error.id)
            print(found)
    with Databases(Settings(uri="dump:dump", databases=("tenant_*",), migrations=folder)) as databases:
        found_in_each = databases.each(lambda each: each.up(), first="tenant_1", fail_fast=True)
        assert_type(found_in_each, DatabasesResult[RunResult])
        assert_type(found_in_each.databases[0].result, RunResult | None)
