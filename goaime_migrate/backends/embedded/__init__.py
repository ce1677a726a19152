"""A mongodump directory, and its databases: `Dump`, `EmbeddedBackend`."""

from goaime_migrate.backends.embedded.backend import EmbeddedBackend
from goaime_migrate.backends.embedded.dump import Dump

__all__ = ["Dump", "EmbeddedBackend"]
