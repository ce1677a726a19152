"""What a migration can declare."""

from goaime_migrate.operations.base import DocumentOperation as DocumentOperation
from goaime_migrate.operations.base import StateOperation as StateOperation
from goaime_migrate.operations.base import revert as revert
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
