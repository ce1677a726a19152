"""The ledger: what `schema_versions` and its log say, and the changes that make them say something else.

Reading never writes. A change is a value; the executor commits it in one unit of work together with the lease's
guard, so that nobody whose lease is lost can write a record.
"""

from goaime_migrate.ledger.ledger import Ledger as Ledger
from goaime_migrate.ledger.ledger import read as read
from goaime_migrate.ledger.log import RENUMBERED as RENUMBERED
from goaime_migrate.ledger.log import actor as actor
from goaime_migrate.ledger.log import find_unrecorded as find_unrecorded
from goaime_migrate.ledger.log import history as history
from goaime_migrate.ledger.log import log as log
from goaime_migrate.ledger.log import was_reverted as was_reverted
from goaime_migrate.ledger.partitions import SWEEP as SWEEP
from goaime_migrate.ledger.partitions import Written as Written
from goaime_migrate.ledger.passes import PassRecord as PassRecord
from goaime_migrate.ledger.passes import VersionCounts as VersionCounts
from goaime_migrate.ledger.passes import delete_pass as delete_pass
from goaime_migrate.ledger.passes import has_journal as has_journal
from goaime_migrate.ledger.passes import pass_record as pass_record
from goaime_migrate.ledger.passes import put_pass as put_pass
from goaime_migrate.ledger.records import FORMAT as FORMAT
from goaime_migrate.ledger.records import TOOL as TOOL
from goaime_migrate.ledger.records import storable as storable
from goaime_migrate.ledger.versions import OperationRecord as OperationRecord
from goaime_migrate.ledger.versions import Pruning as Pruning
from goaime_migrate.ledger.versions import VersionRecord as VersionRecord
from goaime_migrate.ledger.versions import delete_version as delete_version
from goaime_migrate.ledger.versions import error_record as error_record
from goaime_migrate.ledger.versions import put_version as put_version
