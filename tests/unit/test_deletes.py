"""What may be said of documents that are to go, and what is refused when a file is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from goaime_migrate import DeleteDocuments, DeleteDuplicates, Lookup
from goaime_migrate.backends import raw_bson
from goaime_migrate.errors import InvalidMigration
from goaime_migrate.results import Counts, Document
from goaime_migrate.transform.chains import chain_of
from tests.unit.fakes import FakeReader


def is_orphan(session: Document, users: Mapping[str, Document]) -> bool:
    return session["username"] not in users


async def later(_: Document) -> bool:
    return True


USERS = Lookup("users", key="username")


def test_it_says_what_it_does_and_what_it_reads() -> None:
    operation = DeleteDocuments("sessions", where={"old": True}, when=is_orphan, users=USERS)
    assert operation.describe() == "delete documents of sessions where {'old': True} when is_orphan"
    assert operation.names == {"sessions", "users"}
    assert (operation.walks, operation.reversible, operation.fusion) == (True, True, None)
    assert DeleteDocuments("c", where={"a": 1}).describe() == "delete documents of c where {'a': 1}"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "neither where= nor when="),
        ({"where": {}}, "neither where= nor when="),
        ({"users": USERS}, "neither where= nor when="),
        ({"where": [("a", 1)]}, "where= must be a filter document"),
        ({"where": {"a": object()}}, "cannot be encoded"),
        ({"when": 5}, "when= must be a function"),
        ({"when": later}, "when= must not be async"),
        ({"when": lambda: True}, "takes no document"),
        ({"when": is_orphan}, "wants 'users'"),
        ({"where": {"a": 1}, "users": USERS}, "not a parameter"),
        ({"where": {"a": 1}, "model": 5}, "neither an option nor a Lookup"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidMigration, match=why):
        DeleteDocuments("c", **options)


@pytest.mark.parametrize("collection", ["", 5, "system.users", "schema_versions"])
def test_so_is_what_is_no_collection_of_the_users(collection: Any) -> None:
    with pytest.raises(InvalidMigration):
        DeleteDocuments(collection, where={"a": 1})


def test_all_documents_are_not_deleted_by_leaving_the_filter_out() -> None:
    with pytest.raises(InvalidMigration) as caught:
        DeleteDocuments("c")
    assert "DropCollection" in str(caught.value.hint)


def test_duplicates_say_by_what_they_are_known_and_which_stays() -> None:
    plain = DeleteDuplicates("users", "email")
    assert plain.describe() == "delete duplicates in users by email, all but the first by _id"
    operation = DeleteDuplicates("users", ["a.b", "c"], sort=[("at", -1), ("n", 1)], where={"x": 1})
    assert operation.describe() == (
        "delete duplicates in users where {'x': 1} by a.b, c, all but the first by at descending, n"
    )
    assert operation.names == {"users"}
    assert not operation.reads
    assert operation.fusion is None
    assert DeleteDuplicates("users", "email", sort="at").sort == (("at", 1),)


@pytest.mark.parametrize(
    ("key", "options", "why"),
    [
        ("", {}, "must be a name"),
        ([], {}, "must be a path or a list of paths"),
        (None, {}, "must be a path or a list of paths"),
        ({"email": 1}, {}, "must be a path or a list of paths"),
        (["a", 5], {}, "must be a name"),
        (["a", "a"], {}, "twice"),
        ("_id", {}, "no two documents have the same _id"),
        ("items.$[].id", {}, "items.id"),
        ("items.0.id", {}, "a place in an array"),
        ("a..b", {}, "an empty part"),
        ("a.$b", {}, "begins with"),
        ("a", {"sort": []}, "sort= must be a path or a list"),
        ("a", {"sort": {"at": -1}}, "sort= must be a path or a list"),
        ("a", {"sort": [("at", 2)]}, "sort= must be a path or a list"),
        ("a", {"sort": [("at", True)]}, "sort= must be a path or a list"),
        ("a", {"sort": ["at"]}, "sort= must be a path or a list"),
        ("a", {"sort": "a.0"}, "a place in an array"),
        ("a", {"sort": "-at"}, "sort=[('at', -1)]"),
        ("a", {"where": 5}, "where= must be a filter document"),
    ],
)
def test_what_makes_no_duplicates_is_refused(key: Any, options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidMigration) as caught:
        DeleteDuplicates("c", key, **options)
    assert why in f"{caught.value.message} {caught.value.hint}"


def test_where_no_function_says_which_go_all_do_and_none_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [raw_bson.encode({"_id": n}) for n in range(3)]
    step = DeleteDocuments("c", where={"a": 1}).step("0001", "0001_x.py")
    monkeypatch.setattr(raw_bson, "decode_any", lambda _: pytest.fail("it was decoded"))
    found = chain_of("p", [step], began=None).run(FakeReader(), documents)
    assert [(each.id, each.before, each.after) for each in found.changed] == [(d, d, None) for d in documents]
    assert (found.unchanged, found.counts.total()) == ([], Counts(3, 3, 0, 0))
