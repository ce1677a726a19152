"""What can be declared, what is refused at once, and how operations describe themselves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from goaime_migrate import (
    AddField,
    ConvertField,
    CreateCollection,
    CreateIndex,
    DropCollection,
    DropIndex,
    Lookup,
    Now,
    RemoveField,
    RenameCollection,
    RenameField,
    SetValidator,
    TransformDocuments,
    UpdateDocuments,
)
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.operations.validators import validator

Document = dict[str, Any]


def plain(document: Document) -> None: ...


def with_users(document: Document, users: Mapping[str, Document]) -> None: ...


def with_optional(document: Document, users: object = None) -> None: ...


def with_all(document: Document, **lookups: Mapping[str, Document]) -> None: ...


def without_document() -> None: ...


async def coroutine(document: Document) -> None: ...


async def coroutines(document: Document) -> AsyncIterator[str]:
    yield "no"


def generator(document: Document) -> Iterator[str]:
    yield "no"


class Awaited:
    async def __call__(self, document: Document) -> None: ...


USERS = Lookup("users", key="username")


@pytest.mark.parametrize(
    ("declare", "message", "hint"),
    [
        (lambda: TransformDocuments("", plain), "the collection must be a name, not ''", ""),
        (lambda: TransformDocuments(1, plain), "the collection must be a name, not 1", ""),  # type: ignore[arg-type]
        (lambda: TransformDocuments("a\0b", plain), "the collection must be a name", ""),
        (lambda: TransformDocuments("c", 1), "the transform must be a function, not 1", ""),  # type: ignore[arg-type]
        (
            lambda: TransformDocuments("c", without_document),
            "the transform takes no document",
            "its first parameter is the document",
        ),
        (lambda: TransformDocuments("c", plain, where=1), "where= must be a filter document, not 1", ""),  # type: ignore[arg-type]
        (
            lambda: TransformDocuments("c", plain, fields="n"),
            "fields= must be a list of names",
            "fields=['n']",
        ),
        (
            lambda: TransformDocuments("c", plain, fields=["a.b"]),
            "fields= names top-level fields, 'a.b' is a path",
            "a",
        ),
        (lambda: TransformDocuments("c", plain, fields=[1]), "every field in fields= must be a name", ""),  # type: ignore[list-item]
        (lambda: TransformDocuments("c", plain, reverse=1), "reverse= must be a function, not 1", ""),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", plain, check=1), "check= must be a function, not 1", ""),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", plain, model=dict), "model= must be a pydantic model", ""),  # type: ignore[arg-type]
        (
            lambda: TransformDocuments("c", plain, wher={}),  # type: ignore[arg-type]
            "wher= is neither an option nor a Lookup",
            "the options are where, fields, reverse, model, check",
        ),
        (
            lambda: TransformDocuments("c", with_users, users="users"),  # type: ignore[arg-type]
            "users= is neither an option nor a Lookup nor Now()",
            "users=Lookup('collection', key='field')",
        ),
        (lambda: TransformDocuments("c", with_users, users=Now), "users= is the class Now", "users=Now()"),  # type: ignore[arg-type]
        (
            lambda: TransformDocuments("c", plain, now=Now()),
            "the lookup 'now' is not a parameter of plain",
            "",
        ),
        (
            lambda: TransformDocuments("c", plain, users=USERS),
            "the lookup 'users' is not a parameter of plain",
            "",
        ),
        (
            lambda: TransformDocuments("c", with_users),
            "with_users wants 'users', and no lookup has that name",
            "users=Lookup(…)",
        ),
        (
            lambda: TransformDocuments("c", with_users, people=USERS),
            "the lookup 'people' is not a parameter",
            "",
        ),
        (
            lambda: TransformDocuments("c", plain, reverse=with_users),
            "reverse= with_users wants 'users', and no lookup has that name",
            "users=Lookup(…)",
        ),
        (
            lambda: TransformDocuments("c", plain, check=with_users),
            "check= with_users wants 'users', and no lookup has that name",
            "users=Lookup(…)",
        ),
        (
            lambda: TransformDocuments("c", plain, check=lambda: None),
            "check= <lambda> takes no document",
            "its first parameter is the document",
        ),
        (lambda: TransformDocuments("c", coroutine), "the transform must not be async", "def, not async def"),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", coroutines), "the transform must not be async", ""),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", partial(coroutine)), "the transform must not be async", ""),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", Awaited()), "the transform must not be async", ""),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", generator), "the transform must not be a generator", "no yield"),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", plain, reverse=coroutine), "reverse= must not be async", ""),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", plain, reverse=generator), "reverse= must not be a generator", ""),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", plain, check=coroutine), "check= must not be async", ""),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", plain, check=coroutines), "check= must not be async", ""),  # type: ignore[arg-type]
        (lambda: TransformDocuments("c", plain, where={"n": {1}}), "where= cannot be encoded as BSON", ""),
        (lambda: TransformDocuments("c", plain, where={1: 2}), "where= cannot be encoded as BSON", ""),  # type: ignore[dict-item]
        (lambda: UpdateDocuments("c", [{"$unset": "a"}], where={"n": {1}}), "where= cannot be encoded", ""),
        (lambda: AddField("c", "a", 1, where={"n": 2**70}), "where= cannot be encoded as BSON", ""),
        (
            lambda: UpdateDocuments("c", []),
            "the pipeline must be a list of update stages",
            "$set, $addFields",
        ),
        (lambda: UpdateDocuments("c", {"$set": {}}), "the pipeline must be a list of update stages", ""),  # type: ignore[arg-type]
        (lambda: UpdateDocuments("c", [{"$match": {}}]), "the pipeline must be a list of update stages", ""),
        (lambda: UpdateDocuments("c", [{"$set": {}, "$unset": "a"}]), "the pipeline must be a list", ""),
        (lambda: UpdateDocuments("c", [{"$set": {}}], where=[]), "where= must be a filter document", ""),  # type: ignore[arg-type]
        (lambda: CreateIndex("c", []), "the keys of an index are a name or a list of (name, direction)", ""),
        (
            lambda: CreateIndex("c", ["a"]),  # type: ignore[list-item]
            "the keys of an index are a name or a list of (name, direction)",
            "",
        ),
        (lambda: CreateIndex("c", [("a", 1, 2)]), "the keys of an index are a name or a list", ""),  # type: ignore[list-item]
        (lambda: CreateIndex("c", 5), "the keys of an index are a name or a list", ""),  # type: ignore[arg-type]
        (lambda: CreateIndex("c", ""), "the keys of an index are a name or a list", ""),
        (lambda: CreateIndex("c", [("a", True)]), "the keys of an index are a name or a list", ""),
        (lambda: CreateIndex("c", [("a", 0)]), "the keys of an index are a name or a list", ""),
        (lambda: CreateIndex("c", [("a", "up")]), "the keys of an index are a name or a list", ""),
        (lambda: CreateIndex("c", "a", name=5), "the index must be a name, not 5", ""),  # type: ignore[arg-type]
        (lambda: DropIndex("c", "_id_"), "the index on _id cannot be dropped", ""),
        (lambda: DropIndex("c", ""), "the index must be a name, not ''", ""),
        (
            lambda: SetValidator("c", {}, level="none"),
            "level must be off, strict or moderate, not 'none'",
            "",
        ),
        (lambda: SetValidator("c", {}, action="stop"), "action must be error or warn, not 'stop'", ""),
        (lambda: SetValidator("c", 1), "the schema must be a pydantic model or a dict, not 1", ""),  # type: ignore[arg-type]
        (lambda: CreateCollection(""), "the collection must be a name", ""),
        (lambda: RenameCollection("a", "a"), "'a' is already called that", ""),
        (lambda: RenameCollection("a", "schema_versions_foo"), "schema_versions_foo is the tool's own", ""),
        (lambda: RenameCollection("schema_versions", "a"), "schema_versions is the tool's own", ""),
        (lambda: TransformDocuments("system.js", plain), "system.js is the server's own", "plain up"),
        (lambda: RenameCollection("a", "system.foo"), "system.foo is the server's own", "plain up"),
        (lambda: DropCollection("system.profile"), "system.profile is the server's own", "plain up"),
        (lambda: RenameCollection("a", ""), "the new name must be a name", ""),
        (lambda: DropCollection(""), "the collection must be a name", ""),
    ],
)
def test_a_wrong_declaration_is_refused_at_once(
    declare: Callable[[], object], message: str, hint: str
) -> None:
    with pytest.raises(InvalidMigration) as caught:
        declare()
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "declare",
    [
        lambda: TransformDocuments("c", with_users, users=USERS),
        lambda: TransformDocuments("c", with_optional),
        lambda: TransformDocuments("c", with_all, users=USERS, now=Now()),
        lambda: TransformDocuments("c", with_all, users=USERS, problems=Lookup("problems")),
        lambda: TransformDocuments("c", lambda document: None, where={"n": 1}, fields=("n",)),
        lambda: TransformDocuments("c", dict, reverse=dict),
        lambda: TransformDocuments("c", with_users, reverse=plain, check=generator, users=USERS),
        lambda: TransformDocuments("c", with_users, reverse=with_all, check=with_optional, users=USERS),
        lambda: UpdateDocuments("c", [{"$set": {"a": 1}}, {"$unset": ["b"]}]),
        lambda: CreateIndex("c", [("a", 1), ("b", -1)], unique=True, sparse=True),
        lambda: CreateIndex("c", [("text", "text")]),
    ],
)
def test_these_declarations_are_fine(declare: Callable[[], object]) -> None:
    declare()


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (TransformDocuments("c", plain), "transform c with plain"),
        (TransformDocuments("c", plain, where={"n": 1}), "transform c with plain where {'n': 1}"),
        (UpdateDocuments("c", [{"$unset": "a"}]), "update c with the pipeline [{'$unset': 'a'}]"),
        (AddField("c", "n", 1), "add n = 1 to c"),
        (AddField("c", "a.$[].n", 1, where={"k": 2}), "add a.$[].n = 1 to c where {'k': 2}"),
        (ConvertField("c", "a.at", "date"), "convert a.at in c to date"),
        (RenameField("c", "a", "b"), "rename a to b in c"),
        (RemoveField("c", "a", "b.c"), "remove a, b.c from c"),
        (CreateIndex("c", "a", unique=True), "create unique index a_1 on c"),
        (CreateIndex("c", [("a", 1), ("b", -1)], name="mine"), "create index mine on c"),
        (DropIndex("c", "a_1"), "drop index a_1 on c"),
        (SetValidator("c", {"required": ["a"]}), "validate c with a $jsonSchema"),
        (CreateCollection("c"), "create collection c"),
        (RenameCollection("a", "b"), "rename collection a to b"),
        (DropCollection("c"), "drop collection c"),
    ],
)
def test_an_operation_describes_itself(operation: Any, text: str) -> None:
    assert operation.describe() == text


def test_every_operation_but_a_function_without_down_can_be_undone() -> None:
    assert all(kind.reversible for kind in (TransformDocuments, UpdateDocuments, CreateIndex, DropCollection))


def test_transforms_with_equal_filters_may_share_a_pass() -> None:
    one, other = (
        TransformDocuments("c", plain, where={"n": 1}),
        TransformDocuments("c", plain, where={"n": 1}),
    )
    assert one.fusion == other.fusion
    assert one.fusion != TransformDocuments("c", plain).fusion
    assert one.fusion != TransformDocuments("c", plain, where={"n": 1.0}).fusion


def test_an_empty_filter_is_none() -> None:
    assert TransformDocuments("c", plain, where={}).fusion == TransformDocuments("c", plain).fusion


def test_what_a_transform_reads_is_known() -> None:
    assert TransformDocuments("c", with_users, users=USERS).reads == {"users"}


# --- validators ------------------------------------------------------------------------------------------------


class Choice(BaseModel):
    """An inner model."""

    text: str = Field(min_length=1)
    right: bool = False


class Problem(BaseModel):
    """A model with most of what models have."""

    model_config = ConfigDict(extra="forbid")

    level: Literal["easy", "hard"]
    points: int = Field(ge=0, lt=100)
    weight: float | None = None
    choices: list[Choice]
    by_name: dict[str, int] = {}


def test_a_model_becomes_a_schema_in_the_servers_words() -> None:
    schema = validator(Problem)["$jsonSchema"]
    assert schema["required"] == ["level", "points", "choices"]
    assert schema["properties"]["level"] == {"enum": ["easy", "hard"], "title": "Level", "bsonType": "string"}
    points = schema["properties"]["points"]
    assert points == {
        "minimum": 0,
        "maximum": 100,
        "exclusiveMaximum": True,
        "title": "Points",
        "bsonType": ["int", "long"],
    }
    choice = schema["properties"]["choices"]["items"]
    assert choice["properties"]["text"] == {"minLength": 1, "title": "Text", "bsonType": "string"}
    assert schema["properties"]["weight"]["anyOf"][0]["bsonType"] == ["double", "int", "long", "decimal"]
    assert schema["additionalProperties"] is False
    assert "_id" in schema["properties"]


def test_a_schema_may_be_given_with_or_without_its_operator() -> None:
    assert validator({"required": ["a"]}) == {"$jsonSchema": {"required": ["a"]}}
    assert validator({"$jsonSchema": {"required": ["a"]}}) == {"$jsonSchema": {"required": ["a"]}}


def test_a_model_that_holds_itself_is_checked_one_level_deep() -> None:
    class Node(BaseModel):
        name: str
        children: list[Node] = []

    Node.model_rebuild()
    schema = validator(Node)["$jsonSchema"]
    assert schema["properties"]["children"]["items"] == {}


def test_dates_and_bytes_are_those_of_bson() -> None:
    class Stored(BaseModel):
        at: datetime
        data: bytes

    properties = validator(Stored)["$jsonSchema"]["properties"]
    assert (properties["at"]["bsonType"], properties["data"]["bsonType"]) == ("date", "binData")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({}, {"$jsonSchema": {}}),
        ({"title": "t", "bsonType": "object"}, {"$jsonSchema": {"title": "t", "bsonType": "object"}}),
        ({"$and": [{"a": 1}]}, {"$and": [{"a": 1}]}),
        ({"a": {"$type": "string"}}, {"a": {"$type": "string"}}),
        ({"required": ["a"], "a": 1}, {"required": ["a"], "a": 1}),
    ],
)
def test_a_dict_is_a_schema_where_all_its_keys_are_keywords(written: Document, meant: Document) -> None:
    assert validator(written) == meant


UNDONE = """
import sys
from goaime_migrate.operations.undoing import needs_of
assert not {name for name in sys.modules if name.startswith("goaime_migrate.operations.ind")}
print(*(need.actions[0] for need in needs_of({"kind": "create_index", "collection": "c"})))
"""


def test_what_was_recorded_is_undone_whatever_files_of_today_declare() -> None:
    done = subprocess.run([sys.executable, "-c", UNDONE], capture_output=True, text=True, check=True)
    assert done.stdout == "createIndex\n"
