"""An index in another's place, with a crash at every moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from goaime_migrate.backends.ports import CollectionInfo, IndexInTheWay
from goaime_migrate.errors import DuplicateKey, OperationFailed
from goaime_migrate.operations.index_specs import exchange

Index = dict[str, Any]
OLD: Index = {"key": {"a": 1}, "name": "old", "expireAfterSeconds": 1}


class Crash(BaseException):
    """The process is gone."""


class Catalogue:
    """One collection, of which indexes on the same keys exclude each other. It dies before its n-th command."""

    def __init__(self, *indexes: Index) -> None:
        self.there = {index["name"]: index for index in indexes}
        self.commands: list[str] = []
        self.dies_at: int | None = None
        self.refused: frozenset[str] = frozenset()
        self.never_without = True
        """Whether one of them was there all the time."""

    def collections(self) -> dict[str, CollectionInfo]:
        return {"c": CollectionInfo("c", "collection", {})}

    def indexes(self, collection: str) -> list[Index]:
        return [{"key": {"_id": 1}, "name": "_id_"}, *self.there.values()]

    def create_index(self, collection: str, keys: Sequence[tuple[str, Any]], options: Index) -> None:
        self._command(f"create {options['name']}")
        index = {"key": dict(keys), **options}
        for other in self.there.values():
            if other == index:
                return
            if other["key"] == index["key"] or other["name"] == index["name"]:
                raise IndexInTheWay(f"{other['name']} is in the way")
        if options["name"] in self.refused:
            raise DuplicateKey(f"{options['name']} has two equal keys")
        self.there[options["name"]] = index

    def drop_index(self, collection: str, name: str) -> None:
        self._command(f"drop {name}")
        del self.there[name]
        self.never_without = self.never_without and bool(self.there)

    def _command(self, text: str) -> None:
        if len(self.commands) == self.dies_at:
            self.dies_at = None
            raise Crash
        self.commands.append(text)


def swap(catalogue: Catalogue, new: Index) -> None:
    exchange(catalogue, "c", OLD, new)  # type: ignore[arg-type]


BESIDE: Index = {"key": {"b": 1}, "name": "new"}
INSTEAD: Index = {"key": {"a": 1}, "name": "new", "expireAfterSeconds": 2}


def test_the_old_index_goes_when_the_new_one_stands() -> None:
    catalogue = Catalogue(OLD)
    swap(catalogue, BESIDE)
    assert catalogue.commands == ["create new", "drop old"]
    assert catalogue.never_without


def test_where_they_exclude_each_other_the_old_index_goes_first() -> None:
    catalogue = Catalogue(OLD)
    swap(catalogue, INSTEAD)
    assert catalogue.commands == ["create new", "drop old", "create new"]
    assert list(catalogue.there) == ["new"]


@pytest.mark.parametrize("new", [BESIDE, INSTEAD], ids=["beside", "instead"])
@pytest.mark.parametrize("dies_at", range(4))
@pytest.mark.parametrize("refused", [False, True])
def test_a_crash_at_any_moment_is_gone_on_from(new: Index, dies_at: int, refused: bool) -> None:
    catalogue = Catalogue(OLD)
    catalogue.dies_at = dies_at
    catalogue.refused = frozenset({"new"}) if refused else frozenset()
    for _ in range(2):
        try:
            swap(catalogue, new)
        except (Crash, DuplicateKey):
            continue
        break
    assert catalogue.there == ({"old": OLD} if refused else {"new": new})


def test_a_third_index_in_the_way_costs_neither() -> None:
    third: Index = {"key": {"b": 1}, "name": "third"}
    catalogue = Catalogue(OLD, third)
    with pytest.raises(OperationFailed, match="third is in the way"):
        swap(catalogue, BESIDE)
    assert catalogue.there == {"old": OLD, "third": third}
    assert "drop old" not in catalogue.commands


def test_where_neither_can_be_built_both_reasons_are_said() -> None:
    catalogue = Catalogue(OLD)
    catalogue.refused = frozenset({"old", "new"})
    with pytest.raises(OperationFailed) as caught:
        swap(catalogue, INSTEAD)
    assert caught.value.message == (
        "new has two equal keys; and the index 'old', which had to go first, cannot come back: "
        "old has two equal keys"
    )
