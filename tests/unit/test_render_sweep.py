"""`sweep` as text."""

from __future__ import annotations

from goaime_migrate.errors import CollectionChanged
from goaime_migrate.render.style import Style
from goaime_migrate.render.sweep import sweep
from goaime_migrate.results import SweepResult, SweptDocuments

NONE = (SweptDocuments("0001", "orders", 0, 0, 0),)


def verdict(remaining: int, error: CollectionChanged | None = None) -> str:
    return sweep(SweepResult(NONE, remaining, error), Style()).splitlines()[-1]


def test_only_a_sweep_that_came_to_its_end_says_that_nothing_is_left() -> None:
    gone = CollectionChanged("the collection was dropped")
    assert verdict(0) == "no document is in an old shape"
    assert verdict(0, gone) == "whether any document is in an old shape still is not known"
    assert verdict(2, gone) == "2 documents are in an old shape"
