"""What the parts of the facade that write have in common: where the database is, and the lease."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from goaime_migrate.backends.ports import Backend
from goaime_migrate.migrator.listening import Teller
from goaime_migrate.migrator.sources import Sources

if TYPE_CHECKING:
    from goaime_migrate.run.run import Run

_Result = TypeVar("_Result")


class UnderLease(ABC):
    """A part of the facade whose work nobody else may disturb."""

    _sources: Sources
    _listener: Teller

    @abstractmethod
    def _under_the_lease(self, backend: Backend, work: Callable[[Run], _Result], name: str) -> _Result:
        """Do this work while nobody else may write."""
