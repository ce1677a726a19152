"""What a migration can declare. Most migrations declare few of these: each comes with the first that is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from goaime_migrate.on_demand import finder

if TYPE_CHECKING:
    from goaime_migrate.operations.base import DocumentOperation as DocumentOperation
    from goaime_migrate.operations.base import StateOperation as StateOperation
    from goaime_migrate.operations.collections import CreateCollection as CreateCollection
    from goaime_migrate.operations.collections import DropCollection as DropCollection
    from goaime_migrate.operations.collections import RenameCollection as RenameCollection
    from goaime_migrate.operations.conversion import ConvertField as ConvertField
    from goaime_migrate.operations.deletes import DeleteDocuments as DeleteDocuments
    from goaime_migrate.operations.deletes import DeleteDuplicates as DeleteDuplicates
    from goaime_migrate.operations.derives import DeriveDocuments as DeriveDocuments
    from goaime_migrate.operations.documents import TransformDocuments as TransformDocuments
    from goaime_migrate.operations.documents import UpdateDocuments as UpdateDocuments
    from goaime_migrate.operations.fields import AddField as AddField
    from goaime_migrate.operations.fields import RemoveField as RemoveField
    from goaime_migrate.operations.fields import RenameField as RenameField
    from goaime_migrate.operations.functions import RunFunctions as RunFunctions
    from goaime_migrate.operations.indexes import CreateIndex as CreateIndex
    from goaime_migrate.operations.indexes import DropIndex as DropIndex
    from goaime_migrate.operations.inserts import InsertDocuments as InsertDocuments
    from goaime_migrate.operations.validators import SetValidator as SetValidator

DECLARED = {
    "AddField": "fields",
    "ConvertField": "conversion",
    "CreateCollection": "collections",
    "CreateIndex": "indexes",
    "DeleteDocuments": "deletes",
    "DeleteDuplicates": "deletes",
    "DeriveDocuments": "derives",
    "DropCollection": "collections",
    "DropIndex": "indexes",
    "InsertDocuments": "inserts",
    "RemoveField": "fields",
    "RenameCollection": "collections",
    "RenameField": "fields",
    "SetValidator": "validators",
    "TransformDocuments": "documents",
    "UpdateDocuments": "documents",
}
"""The operations, and the module that each lives in."""

__getattr__ = finder(
    __name__,
    DECLARED | {"DocumentOperation": "base", "RunFunctions": "functions", "StateOperation": "base"},
)
