"""A server makes of a document, by the stages of an operation on paths, the very bytes that Python makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from bson import SON, DBRef, encode
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.raw_bson import NOTHING
from goaime_migrate.backends.server.reader import MongoReader
from goaime_migrate.errors import Unrepresentable
from goaime_migrate.operations import AddField, RemoveField, TransformDocuments
from goaime_migrate.results import Document
from goaime_migrate.transform.chain import BatchResult, Chain
from goaime_migrate.transform.chains import chain
from goaime_migrate.transform.field_chains import Marked
from goaime_migrate.transform.frozen_lookups import FrozenLookups
from goaime_migrate.transform.step import Step
from tests.servers import Server
from tests.unit.fakes import FakeReader
from tests.unit.values import NAMES, TEXTS, VALUES, document, element

PATHS = [
    "a",
    "a.b",
    "a.b.c",
    "a.$[].b",
    "a.$[].b.c",
    "a.$[].$[].b",
    "a.b.$[].c",
    "a.$[].b.$[].c",
    "a.$[].b$ c",
]
OPERATIONS: list[TransformDocuments] = [
    *(AddField("c", path, value) for path in PATHS for value in (1, {"$x": ["$a", {"b": None}]})),
    *(RemoveField("c", path) for path in [*PATHS, "a.$[]", "a.b.$[]"]),
    RemoveField("c", "a.b", "b", "a.$[].c"),
    AddField("c", "a.b", {"": 0, "c": [{}]}),
]


def inner(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Documents whose names are mostly those of the paths, and arrays."""
    names = st.sampled_from(["b", "c", "b$ c", "$b", "b.c", "", "0"]) | NAMES
    return st.dictionaries(names, values, max_size=4) | st.lists(values, max_size=3)


NESTED = st.recursive(VALUES, inner, max_leaves=12)
DOCUMENTS = st.lists(
    st.tuples(
        st.dictionaries(NAMES, VALUES, max_size=2),
        st.none() | st.tuples(inner(inner(NESTED)) | NESTED),
        TEXTS,
    ),
    min_size=15,
    max_size=25,
)


def documents(drawn: Sequence[Any]) -> list[Document]:
    return [
        {"_id": i, **first, **({"a": nested[0]} if nested else {}), "z": last}
        for i, (first, nested, last) in enumerate(drawn)
    ]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(drawn=DOCUMENTS)
def test_the_server_makes_what_python_makes(drawn: Any, replica_set: Server, database_name: str) -> None:
    collection = replica_set.client[database_name].c
    collection.delete_many({})
    collection.insert_many([RawBSONDocument(encode(d)) for d in documents(drawn)])
    before = stored(replica_set, database_name)
    for operation in OPERATIONS:
        step = operation.step("0001", "")
        made = swept(step, before.values())
        results = raw_bson.split_all(collection.aggregate_raw_batches(list(step.stages)))
        found = {raw_bson.id_of(raw): raw for raw in results}
        assert {identity: found[identity] for identity in made} == made, operation.describe()
        assert len(made) * 2 > len(before)


@pytest.mark.parametrize(
    "operation", [AddField("c", "a.$[].b", 1), RemoveField("c", "a.$[].b")], ids=["add", "remove"]
)
def test_an_update_writes_what_python_makes(
    operation: TransformDocuments, replica_set: Server, database_name: str
) -> None:
    collection = replica_set.client[database_name].c
    values: list[Any] = [None, 1, [], [{}], [{"b": 1, "c": [1]}, 2, {}]]
    collection.insert_many([{"_id": i, "a": a} for i, a in enumerate(values)])
    step, before = operation.step("0001", ""), stored(replica_set, database_name)
    collection.update_many({}, list(step.stages))
    assert stored(replica_set, database_name) == swept(step, before.values())


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(drawn=DOCUMENTS)
def test_what_a_server_computes_is_what_decoding_gives(
    drawn: Any, replica_set: Server, database_name: str
) -> None:
    collection = replica_set.client[database_name].c
    collection.delete_many({})
    collection.insert_many([RawBSONDocument(encode(d)) for d in documents(drawn)])
    reader = MongoReader(replica_set.client[database_name])
    for operation in [each for each in OPERATIONS if each.step("0001", "").marking]:
        step, fields = operation.step("0001", ""), tuple(operation.fields or ())
        carried = reader.documents("c", fields=fields)
        tables = FrozenLookups("p", [])
        quick, ordinary = chain([step], tables), Chain([step], tables)
        assert isinstance(quick, Marked)
        assert told(quick.run(reader, carried, fields)) == told(ordinary.run(reader, carried, fields))


def told(result: BatchResult) -> Any:
    """What is made of documents, counted and said, in whatever order."""
    changed = {each.id: (each.before, each.after, each.touched, each.entry()) for each in result.changed}
    return changed, {*result.unchanged}, vars(result.counts), {each: {*notes} for each, notes in result.told}


def test_paths_that_a_server_cannot_tell_all_of_are_decoded() -> None:
    beyond = [AddField("c", "a.$[].b.c", 1), RemoveField("c", "a.$[].b.$[].c"), RemoveField("c", "a.b", "c")]
    within = [AddField("c", "a.b.c.d", 1), RemoveField("c", "a.b.$[].$[].c"), RemoveField("c", "a.$[]")]
    assert [each.step("0001", "").marking for each in beyond] == [None, None, None]
    assert all(each.step("0001", "").marking for each in within)


@pytest.mark.parametrize(
    ("path", "nested", "is_decoded"),
    [
        ("a.b.x", {"b": {"c": 1}}, False),
        ("a.b.x", SON(b=DBRef("c", 1)), True),
        ("a.$[].x", [{"c": 1}, DBRef("c", 1)], True),
        ("a.$[].x", [{"c": 1}] * 200_000, True),
        ("a.$[].x", [{"c": 1}] * 2_000, False),
        ("a.b.x", RawBSONDocument(document(element("b", {"c": 1}), element("b", {"c": 2}))), True),
        ("a.$[].x", [RawBSONDocument(document(element("c", 1), element("c", 2)))], False),
    ],
)
def test_a_document_that_a_server_takes_for_something_else_is_decoded(
    path: str, nested: Any, is_decoded: bool, replica_set: Server, database_name: str
) -> None:
    collection = replica_set.client[database_name].c
    collection.insert_one({"_id": 1, "a": nested})
    reader = MongoReader(replica_set.client[database_name])
    step = AddField("c", path, 1).step("0001", "")
    decoded: list[bytes] = []

    class Noting(Marked):
        def _try(self, document: bytes, *rest: Any) -> bool:
            decoded.append(document)
            return super()._try(document, *rest)

    with suppress(Unrepresentable):
        Noting([step], FrozenLookups("p", [])).run(reader, reader.documents("c", fields=("a",)), ("a",))
    assert bool(decoded) is is_decoded


def test_of_names_that_stand_twice_nothing_is_lost(replica_set: Server, database_name: str) -> None:
    twice = [element("c", 1), element("c", 2), element("d", {"c": 3})]
    collection = replica_set.client[database_name].c
    collection.insert_one({"_id": 1, "a": [RawBSONDocument(document(*twice)), RawBSONDocument(NOTHING)]})
    reader, step = (
        MongoReader(replica_set.client[database_name]),
        AddField("c", "a.$[].x", 1).step("0001", ""),
    )
    result = chain([step], FrozenLookups("p", [])).run(reader, reader.documents("c", fields=("a",)), ("a",))
    expected = [RawBSONDocument(document(*twice, element("x", 1))), {"x": 1}]
    assert [each.after for each in result.changed] == [encode({"_id": 1, "a": expected})]


@pytest.mark.parametrize("path", ["a.$[].x", "a.b.$[].x", "a.$[].$[].x", "a.$[]", "a.b.$[]"])
def test_an_array_with_odd_keys_is_what_decoding_makes_of_it(
    path: str, replica_set: Server, database_name: str
) -> None:
    oddly = [document(b"\x0a" + b"7\0"), document(b"\x03" + b"7\0" + encode({"y": 1}), element("9", 2))]
    oddly += [document(b"\x03" + b"0\0" + encode({"x": 1}), b"\x04" + b"1\0" + each) for each in oddly]
    fields = [b"\x04a\0" + each for each in oddly]
    fields += [b"\x03a\0" + document(b"\x04b\0" + each) for each in oddly]
    raws = [document(element("_id", i), each) for i, each in enumerate(fields)]
    replica_set.client[database_name].c.insert_many(map(RawBSONDocument, raws))
    reader, step = MongoReader(replica_set.client[database_name]), RemoveField("c", path).step("0001", "")
    quick, ordinary = chain([step], FrozenLookups("p", [])), Chain([step], FrozenLookups("p", []))
    assert isinstance(quick, Marked)
    assert told(quick.run(reader, raws, ("a",))) == told(ordinary.run(reader, raws, ("a",)))


def swept(step: Step, raws: Iterable[bytes]) -> dict[bytes, bytes]:
    """What the chain makes of those documents that it leaves to the server."""
    chain = Chain([step], FrozenLookups("p", []))
    made: dict[bytes, bytes] = {}
    for raw in raws:
        result = chain.run(FakeReader(), [raw])
        if result.stages:
            made[raw_bson.id_of(raw)] = (result.changed[0].after or b"") if result.changed else raw
    return made


def stored(server: Server, database: str) -> dict[bytes, bytes]:
    found = raw_bson.split_all(server.client[database].c.find_raw_batches({}))
    return {raw_bson.id_of(raw): raw for raw in found}


def test_a_reference_is_no_document_to_python_and_is_not_left_to_the_server() -> None:
    step = AddField("c", "a.b", 1).step("0001", "")
    raw = encode({"_id": 1, "a": {"$ref": "x", "$id": 1}})
    result = Chain([step], FrozenLookups("p", [])).run(FakeReader(), [raw, encode({"_id": 2})])
    assert ([c.id for c in result.changed], result.stages) == ([encode({"_id": 2})], ())
