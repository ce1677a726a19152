"""goaime-migrate: versioned schema and data migrations for MongoDB.

The public API. Names are imported when they are first used, so that a short command starts quickly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from goaime_migrate._version import __version__ as __version__
from goaime_migrate.on_demand import finder

if TYPE_CHECKING:
    from goaime_migrate.config import Settings as Settings
    from goaime_migrate.errors import MigrateError as MigrateError
    from goaime_migrate.migrator import Migrator as Migrator
    from goaime_migrate.migrator.databases import Databases as Databases
    from goaime_migrate.operations import AddField as AddField
    from goaime_migrate.operations import ConvertField as ConvertField
    from goaime_migrate.operations import CreateCollection as CreateCollection
    from goaime_migrate.operations import CreateIndex as CreateIndex
    from goaime_migrate.operations import DeleteDocuments as DeleteDocuments
    from goaime_migrate.operations import DeleteDuplicates as DeleteDuplicates
    from goaime_migrate.operations import DeriveDocuments as DeriveDocuments
    from goaime_migrate.operations import DropCollection as DropCollection
    from goaime_migrate.operations import DropIndex as DropIndex
    from goaime_migrate.operations import InsertDocuments as InsertDocuments
    from goaime_migrate.operations import RemoveField as RemoveField
    from goaime_migrate.operations import RenameCollection as RenameCollection
    from goaime_migrate.operations import RenameField as RenameField
    from goaime_migrate.operations import SetValidator as SetValidator
    from goaime_migrate.operations import TransformDocuments as TransformDocuments
    from goaime_migrate.operations import UpdateDocuments as UpdateDocuments
    from goaime_migrate.results import Document as Document
    from goaime_migrate.transform.lookups import Lookup as Lookup
    from goaime_migrate.transform.lookups import Now as Now

_HOMES = {
    "AddField": "operations",
    "ConvertField": "operations",
    "CreateCollection": "operations",
    "CreateIndex": "operations",
    "Databases": "migrator.databases",
    "DeleteDocuments": "operations",
    "DeleteDuplicates": "operations",
    "DeriveDocuments": "operations",
    "Document": "results",
    "DropCollection": "operations",
    "DropIndex": "operations",
    "InsertDocuments": "operations",
    "Lookup": "transform.lookups",
    "MigrateError": "errors",
    "Migrator": "migrator",
    "Now": "transform.lookups",
    "RemoveField": "operations",
    "RenameCollection": "operations",
    "RenameField": "operations",
    "SetValidator": "operations",
    "Settings": "config",
    "TransformDocuments": "operations",
    "UpdateDocuments": "operations",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 (one list of names, not two)


__getattr__ = finder(__name__, _HOMES)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
