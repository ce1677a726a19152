"""The driver's client as this tool shares it with users' functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo import MongoClient

from goaime_migrate.results import Document


class SharedClient(MongoClient[Document]):
    """The one client of a run. Users' functions are given it too: what they close stays open, and they are told."""

    def __init__(self, *args: Any, tell: Callable[[str], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._tell = tell

    def close(self) -> None:
        """Nothing: the run needs the client after the function that has closed it."""
        self._tell(
            "a function has closed the client that it was given: it stays open, since the run still needs it"
        )

    def let_go(self) -> None:
        """End its connections."""
        super().close()
