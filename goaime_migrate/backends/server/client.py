"""The driver's client as this tool shares it with users' functions, and its database as only this tool sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import name_of
from goaime_migrate.results import Document


class SharedClient(MongoClient[Document]):
    """The one client of a run. Users' functions are given it too: what they close stays open, and they are told."""

    def __init__(self, uri: str, *, tell: Callable[[str], None], **options: Any) -> None:
        super().__init__(uri, **options)
        self._tell = tell
        self._users = 1

    def close(self) -> None:
        """Nothing: the run needs the client after the function that has closed it."""
        self._tell(
            "a function has closed the client that it was given: it stays open, since the run still needs it"
        )

    def share(self) -> Self:
        """For one more of those who use it: each lets go of it once."""
        self._users += 1
        return self

    def let_go(self) -> None:
        """End its connections, if nobody else uses them."""
        self._users -= 1
        if not self._users:
            super().close()


class NamedDatabase(Database[Document]):
    """A database in which our own collections are called what the project calls them."""

    def __init__(self, client: SharedClient, name: str, records: str) -> None:
        super().__init__(
            client,
            name,
            codec_options=raw_bson.OPTIONS,
            read_preference=ReadPreference.PRIMARY,
            read_concern=ReadConcern("majority"),
        )
        self._records = records

    def __getitem__(self, name: str) -> Collection[Document]:
        return super().__getitem__(name_of(name, self._records))
