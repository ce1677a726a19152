"""A mongodump directory as a database: `EmbeddedBackend`."""

from goaime_migrate.backends.embedded.backend import EmbeddedBackend

__all__ = ["EmbeddedBackend"]
