"""What a user's type checker sees of the public API: mypy reads this file, nobody runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_type

from pydantic import BaseModel

from goaime_migrate import (
    AddField,
    CreateCollection,
    CreateIndex,
    Document,
    DropCollection,
    DropIndex,
    Lookup,
    MigrateError,
    Migrator,
    RemoveField,
    RenameCollection,
    RenameField,
    Settings,
    SetValidator,
    TransformDocuments,
    UpdateDocuments,
)
from goaime_migrate.results import (
    Direction,
    DoctorResult,
    OnConflict,
    PlanResult,
    RehearsalResult,
    RunResult,
    StatusResult,
    TryResult,
    VerifyResult,
)


class Order(BaseModel):
    """A promise."""

    cents: int


def in_place(order: Document, customers: Mapping[str, Document]) -> None:
    """A transform that changes its document."""
    order["customer_id"] = customers[order["customer"]]["_id"]


def anew(order: Document) -> Document:
    """A transform that returns another."""
    return {**order, "cents": 1}


def check(order: Document) -> list[str]:
    """A promise as a function."""
    return [] if "cents" in order else ["no cents"]


operations = [
    TransformDocuments("orders", in_place, customers=Lookup("customers", key="name"), where={"a": 1}),
    TransformDocuments("orders", anew, fields=["cents"], reverse=anew, model=Order, check=check),
    UpdateDocuments("orders", [{"$set": {"a": 1}}], where={}),
    AddField("orders", "a", 1),
    RenameField("orders", "a", "b"),
    RemoveField("orders", "a"),
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


def use(folder: Path) -> None:
    """The library."""
    with Migrator(Settings(uri="dump:dump", migrations=folder)) as migrator:
        assert_type(migrator.status(), StatusResult)
        assert_type(migrator.plan("0001", direction=Direction.DOWN), PlanResult)
        assert_type(migrator.up("head", where={"a": 1}), RunResult)
        assert_type(migrator.down(on_conflict=OnConflict.KEEP), RunResult)
        assert_type(migrator.verify(sample=10), VerifyResult)
        assert_type(migrator.try_("0001", {"_id": 1}, collection="orders"), TryResult)
        assert_type(migrator.try_("0001", where={"_id": 1}), TryResult)
        assert_type(migrator.rehearse("0001", sample=None, memory=True), RehearsalResult)
        assert_type(migrator.doctor(), DoctorResult)
        error: MigrateError | None = migrator.up().error
        if error is not None:
            found: tuple[str, int, str, Any] = (error.code, error.exit_code, error.hint, error.id)
            print(found)
