"""What a function makes of documents: called with copies, with lookups, in portions that can be written together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
from bson import decode, encode

from goaime_migrate import DeriveDocuments, Lookup
from goaime_migrate.errors import (
    InvalidMigration,
    InvalidResult,
    MigrationFailed,
    ResultTooLarge,
    TransformFailed,
)
from goaime_migrate.transform.chains import chain_of
from goaime_migrate.transform.derivation import Derivation, Derived, DeriveStep
from tests.unit.fakes import FakeReader

Document = dict[str, Any]
SOURCES = [encode({"_id": i, "items": [f"{i}a", f"{i}b"]}) for i in range(3)]


def items(order: Document) -> Iterator[Document]:
    for place, name in enumerate(order["items"]):
        yield {"_id": f"{order['_id']}/{place}", "name": name}


def step(derive: Callable[..., Any], **lookups: Any) -> DeriveStep:
    return DeriveDocuments("orders", "items", derive, **lookups).step("0001", "0001_x.py")


def derived(derive: Callable[..., Any], sources: list[bytes] = SOURCES, most: int = 10**6) -> Derived:
    chain = chain_of("p", [step(derive)], began=None)
    assert isinstance(chain, Derivation)
    return chain.derive(FakeReader(), sources, most)


def made(found: Derived) -> list[Document]:
    return [decode(each.document) for each in found.made]


def test_every_document_has_its_source() -> None:
    found = derived(items)
    assert (found.taken, found.counts.examined, found.frozen) == (3, 3, [])
    assert made(found)[:2] == [{"_id": "0/0", "name": "0a"}, {"_id": "0/1", "name": "0b"}]
    assert [decode(each.source)["_id"] for each in found.made] == [0, 0, 1, 1, 2, 2]
    assert found.made[0].id == encode({"_id": "0/0"})


def test_none_is_none() -> None:
    assert made(derived(lambda d: None)) == []
    assert made(derived(lambda d: [])) == []


def test_a_document_may_be_given_again_changed() -> None:
    def twice(d: Document) -> Iterator[Document]:
        for n in range(2):
            d["_id"] = f"{n}"
            yield d

    assert [d["_id"] for d in made(derived(twice, SOURCES[:1]))] == ["0", "1"]


def test_the_id_comes_first() -> None:
    assert list(made(derived(lambda d: [{"a": 1, "_id": 2}], SOURCES[:1]))[0]) == ["_id", "a"]


def by_name(d: Document, names: Mapping[str, Document]) -> list[Document]:
    return [{"_id": d["_id"], "name": names[d["key"]]["name"]}]


def test_lookups_are_loaded_and_frozen() -> None:
    sources = [encode({"_id": i, "key": f"k{i % 2}"}) for i in range(4)]
    names = [{"_id": f"k{i}", "name": f"n{i}"} for i in range(2)]
    chain = chain_of("p", [step(by_name, names=Lookup("names"))], began=None)
    assert isinstance(chain, Derivation)
    found = chain.derive(FakeReader(names=names), sources)
    assert [d["name"] for d in made(found)] == ["n0", "n1", "n0", "n1"]
    assert len(found.frozen) == 2


def test_warnings_are_counted_of_those_that_are_taken() -> None:
    def warn(d: Document) -> list[Document]:
        warnings.warn("odd", stacklevel=1)
        return [{"_id": d["_id"], "x": "x" * 900}]

    found = derived(warn, most=3_000)
    (warning,) = found.counts.warning_counts()
    assert (found.taken, warning.count, found.counts.examined) == (2, 2, 2)


@pytest.mark.parametrize(("most", "taken"), [(10**6, 3), (4_000, 2), (2_000, 1), (1, 1)])
def test_a_portion_is_what_can_be_written_together(most: int, taken: int) -> None:
    def large(d: Document) -> list[Document]:
        return [{"_id": d["_id"], "x": "x" * 1_000}]

    found = derived(large, most=most)
    assert (found.taken, len(found.made)) == (taken, taken)


def broken(_: Document) -> list[Document]:
    raise KeyError("items")


def broken_later(d: Document) -> Iterator[Document]:
    yield {"_id": 1}
    raise ValueError("price: is no number")


@pytest.mark.parametrize(
    ("derive", "error", "text"),
    [
        (broken, TransformFailed, "broken raised KeyError: no key 'items'"),
        (broken_later, TransformFailed, "price: is no number"),
        (lambda d: {"_id": 1}, InvalidResult, "returned dict; it must return a list"),
        (lambda d: "text", InvalidResult, "returned str"),
        (lambda d: 7, InvalidResult, "returned int"),
        (lambda d: [{"_id": 1}, None], InvalidResult, "gave NoneType in place 1"),
        (lambda d: [{"a": 1}], InvalidResult, "made a document without an _id"),
        (lambda d: [{"_id": [1]}], InvalidResult, "an _id that MongoDB does not take"),
        (lambda d: [{"_id": 1, "a": {1}}], InvalidResult, "BSON cannot hold"),
        (lambda d: [{"_id": 1, "a": "x" * 17_000_000}], ResultTooLarge, "MongoDB stores at most"),
    ],
)
def test_a_failure_names_the_source(
    derive: Callable[..., Any], error: type[MigrationFailed], text: str
) -> None:
    with pytest.raises(error) as caught:
        derived(derive, SOURCES[1:])
    assert text in caught.value.message
    assert (caught.value.id, caught.value.version) == (1, "0001")


async def coroutine(d: Document) -> None: ...


def with_users(d: Document, users: Mapping[str, Document]) -> Iterable[Document] | None: ...


@pytest.mark.parametrize(
    ("arguments", "more", "text"),
    [
        (("a", "b", 7), {}, "derive must be a function"),
        (("a", "", items), {}, "the collection must be a name"),
        (("schema_versions", "b", items), {}, "the tool's own collection"),
        (("a", "schema_versions_log", items), {}, "the tool's own collection"),
        (("a", "b", coroutine), {}, "must not be async"),
        (("a", "b", lambda: None), {}, "takes no document"),
        (("a", "b", items), {"where": 1}, "where= must be a filter"),
        (("a", "b", items), {"fields": ["x"]}, "fields= is neither an option nor a Lookup"),
        (("a", "b", items), {"users": Lookup("u")}, "the lookup 'users' is not a parameter"),
        (("a", "b", with_users), {}, "wants 'users', and no lookup has that name"),
    ],
)
def test_what_cannot_be_declared_is_refused_at_once(
    arguments: tuple[Any, ...], more: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidMigration) as caught:
        DeriveDocuments(*arguments, **more)
    assert text in caught.value.message


def test_it_says_what_it_makes_of_what() -> None:
    operation = DeriveDocuments("orders", "items", with_users, where={"a": 1}, users=Lookup("users"))
    assert operation.describe() == "derive items from orders with with_users where {'a': 1}"
    assert operation.reads == {"users"}
    assert operation.names == {"orders", "items", "users"}
    assert operation.step("0001", "f").name == "with_users"
