"""What a server has refused, in the words in which it is granted."""

from __future__ import annotations

import pytest

from goaime_migrate.backends.ports import Need
from goaime_migrate.backends.server.privileges import denial_of, denials


@pytest.mark.parametrize(
    ("database", "command", "said"),
    [
        ("shop", 'aggregate: "c", pipeline: [ { $changeStream: {} } ]', "changeStream on shop.c"),
        ("shop", 'aggregate: "c", pipeline: [ { $collStats: {} } ]', "collStats on shop.c"),
        ("shop", 'aggregate: "c", pipeline: [ { $match: {} } ]', "find on shop.c"),
        ("shop", 'count: "c"', "find on shop.c"),
        ("shop", 'findAndModify: "c"', "update on shop.c"),
        ("shop", 'delete: "c"', "remove on shop.c"),
        ("shop", 'create: "c"', "createCollection on shop.c"),
        ("shop", 'createIndexes: "c"', "createIndex on shop.c"),
        ("shop", 'dropIndexes: "c"', "dropIndex on shop.c"),
        ("shop", 'drop: "c"', "dropCollection on shop.c"),
        ("shop", 'update: "c", bypassDocumentValidation: true', "bypassDocumentValidation on shop.c"),
        ("admin", 'renameCollection: "shop.c", to: "shop.e"', "renameCollectionSameDB on shop"),
        ("admin", "replSetGetStatus: 1", "replSetGetStatus on admin"),
    ],
)
def test_what_is_to_be_granted_is_said(database: str, command: str, said: str) -> None:
    assert str(denial_of(f"not authorized on {database} to execute command {{ {command}, lsid: 1 }}")) == said


def test_what_will_do_as_well_is_not_lacking() -> None:
    granted = [
        {"resource": {"db": "shop", "collection": "c"}, "actions": ["find", "dropCollection"]},
        {"resource": {"db": "shop", "collection": "e"}, "actions": ["insert"]},
    ]
    answer = {"authInfo": {"authenticatedUsers": [{"user": "u"}], "authenticatedUserPrivileges": granted}}
    dropping, inserting = Need("c", ("dropCollection",)), Need("e", ("insert",))
    both = Need("", ("renameCollectionSameDB",), (dropping, inserting))
    more = Need("", ("renameCollectionSameDB",), (dropping, Need("e", ("insert", "createIndex"))))
    assert list(denials("shop", [both], answer)) == []
    assert [str(each) for each in denials("shop", [more], answer)] == ["renameCollectionSameDB on shop"]
