"""What a pass makes of documents, as rules have asked to see it: looked at while `plan` runs the pass over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Filter
from goaime_migrate.errors import MigrateError
from goaime_migrate.results import WarningCount
from goaime_migrate.transform.chain import BatchResult


class Result(NamedTuple):
    """A document before a pass and after it; None where there is none."""

    before: bytes | None
    after: bytes | None
    changed: bool


class Question(Protocol):
    """Something that a rule wants to know of the results."""

    def look(self, results: Sequence[Result]) -> None:
        """Take the results of a batch into account."""


@dataclass
class Seen:
    """The answers, and how much of the collection they are from."""

    questions: Sequence[Question] = ()
    looked_at: int = 0
    sampled: bool = False
    total: int = 0
    where: Filter | None = None
    """Which documents the pass walks over."""
    settled: bool | None = None
    warnings: tuple[WarningCount, ...] = ()
    error: MigrateError | None = None
    """What stopped the pass at a document: then the answers are of those before it."""
    ids: set[bytes] = field(default_factory=set)
    """Those that were looked at."""

    def batch(self, documents: Sequence[bytes], result: BatchResult) -> None:
        """What became of a batch."""
        changed = {each.id: each.after for each in result.changed}
        results = []
        for document in documents:
            identity = raw_bson.id_of(document)
            self.ids.add(identity)
            after = changed.get(identity, document)
            results.append(Result(document, after, identity in changed))
        self._look(results, len(documents))

    def arrived(self, documents: Sequence[bytes], sources: int) -> None:
        """What would be inserted, made of so many sources."""
        self.ids |= {raw_bson.id_of(document) for document in documents}
        self._look([Result(None, document, changed=True) for document in documents], sources)

    def _look(self, results: Sequence[Result], documents: int) -> None:
        self.looked_at += documents
        for question in self.questions:
            question.look(results)
