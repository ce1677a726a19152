"""Exit 1: a migration stopped in the middle of a run; its state is kept."""

from __future__ import annotations

from typing import Any, Self

from goaime_migrate.errors.base import MigrateError
from goaime_migrate.errors.hint import UP, Hint


class MigrationFailed(MigrateError):
    """A migration stopped.

    This is the family of all errors in the middle of a run, each of which has a code of its own, from GM301
    on. The batch that met it was not written. What was committed before stays, and is recorded with the
    documents from before.

    Remove the cause that the message names, then `goaime-migrate up` goes on from there; or `goaime-migrate
    down` takes back what there is.
    """

    code = "GM300"
    exit_code = 1


class TransformFailed(MigrationFailed):
    """A transform raised an exception for one document.

    The message names the `_id`, the field where it is known, and the line of the file. Nothing of that
    document's batch was written; the batches before are kept, and no document is transformed twice.

    Correct the document, or the migration so that it can bear such a document. Try it on the real
    documents, without writing: `goaime-migrate plan`. Then `goaime-migrate up` goes on. If documents had
    been migrated by the old code, `goaime-migrate down` takes those back first.
    """

    code = "GM301"


class ResultTooLarge(MigrationFailed):
    """A document became larger than the 16 MB that MongoDB can store.

    Mostly an array or a text grows with every document that is looked up. Nothing of that document's batch
    was written, and the batches before are kept.

    Shorten the document or what the migration puts into it, or keep what grows in a collection of its own;
    then `goaime-migrate up` goes on.
    """

    code = "GM302"


class IdChanged(MigrationFailed):
    """A migration changed or removed `_id`.

    A document is known by its `_id`: MongoDB cannot change it in place, and the journal could not find it
    again. Nothing of that document's batch was written, and the batches before are kept.

    Leave `_id` as it is. New ids take copies: DeriveDocuments makes them, in the same collection too, and
    DeleteDocuments deletes the old ones. Try the corrected file with `goaime-migrate plan`.
    """

    code = "GM303"


class InvalidResult(MigrationFailed):
    """A transform returned something that cannot be stored as a document.

    A transform changes its document in place and returns nothing, or it returns a new dict. What it makes
    may hold only what BSON knows: no set, no Decimal of Python, no object of your own. The message names
    the document and the value. Nothing of its batch was written.

    Correct the migration, try it with `goaime-migrate plan`, then `goaime-migrate up` goes on.
    """

    code = "GM304"


class ResultBreaksPromise(MigrationFailed):
    """A result does not satisfy its migration's own `model=`, `check=` or `verify`.

    These say what a document has to look like afterwards, and are asked before it is written: nothing of
    that document's batch was. A module's `verify(db)` is asked when all its documents are written; those
    are kept, and the version does not count as applied.

    Correct the document, the migration or the promise, whichever is wrong; then `goaime-migrate up` goes
    on.
    """

    code = "GM305"


class UndeclaredField(MigrationFailed):
    """A transform uses a field that its `fields=` does not declare.

    With `fields=` a transform is given only those fields of a document, so that it would not see the other
    one. The first documents are therefore transformed both whole and in part, and the results differ.
    Nothing of that batch was written.

    Add the field to `fields=`, or leave `fields=` out, which is slower and always right. Try it with
    `goaime-migrate plan`, then `goaime-migrate up`.
    """

    code = "GM306"


class DuplicateKey(MigrationFailed):
    """A unique index refuses a result: another document has that key already.

    Either a migration gives two documents the same value, or an index that is to be unique is created over
    values that stand twice. Nothing of that batch was written, or the index was not made; what came before
    is kept.

    Make the values differ, or put a DropIndex, or a DeleteDuplicates, before it in the same file; then
    `goaime-migrate up` goes on. Where a part is migrated already, `goaime-migrate down` comes before the edit.
    """

    code = "GM307"


class ValidatorRejected(MigrationFailed):
    """The collection's own validator refuses a result.

    The collection has rules that the server enforces, and what the migration makes breaks one. The evidence
    says which. Nothing of that document's batch was written, and the batches before are kept.

    Correct the migration, or set the new rules first, with a SetValidator before it in the same file; then
    `goaime-migrate up` goes on. Where a part is migrated already, `goaime-migrate down` comes before the edit.
    """

    code = "GM308"


class Unrepresentable(MigrationFailed):
    """A document would have to change that cannot be decoded and encoded without loss.

    It holds text that is not UTF-8, for example, or the same key twice; some drivers have written such
    documents. Where a migration does not change it, it is left as it is. Here it would have to be written
    anew, and something would be lost. Nothing of its batch was written.

    Mend this one document by hand, in mongosh, then `goaime-migrate up` goes on.
    """

    code = "GM309"

    @classmethod
    def because(cls, reason: str, *, id: Any, version: str | None = None) -> Self:
        """The error for one that would have to change."""
        hint = Hint("mend this document by hand, then: {}", UP)
        return cls(f"the document would have to change, but {reason}", id=id, version=version, hint=hint)


class FunctionFailed(MigrationFailed):
    """A plain `up(db)` or `down(db)` raised an exception.

    The message has the exception and the line. Such a function writes directly: on a server what it had
    written before stays written, in a dump directory nothing of it is kept. It will be run again from its
    beginning, so that it has to bear what it finds half done.

    Correct the file; then `goaime-migrate up`, or `goaime-migrate down` where it was `down(db)` that
    failed.
    """

    code = "GM310"


class Contended(MigrationFailed):
    """The application writes so often that the migration cannot be finished.

    A batch that meets a write of the application is read and tried again, in ever smaller batches. One
    document was written to again and again all that time, an open transaction had it locked for longer than
    the server lets one live, or new documents of the old shape come faster than they can be migrated. No
    write of the application was lost, and what was committed is kept.

    Try again at a quieter moment: `goaime-migrate up` goes on, `goaime-migrate down` goes on taking back.
    """

    code = "GM311"


class CollectionChanged(MigrationFailed):
    """The collection was dropped, renamed or replaced while it was worked on, or since.

    The tool knows a collection by more than its name, and does not go on in another one: documents that are
    gone would count as deleted, and new ones as migrated. What was committed, and the journal, are kept.

    Bring the collection back under its name, then `goaime-migrate up` goes on; or `goaime-migrate down`
    takes back what there is. If its documents are gone for good an empty collection is enough for `down`.
    """

    code = "GM312"


class Conflicts(MigrationFailed):
    """The application has changed documents in the very fields that the run would write.

    `down --on-conflict stop` stops at the first such document. `up` stops where a document was changed in
    the middle of a run and the transform cannot be applied to it a second time. The application's values
    are kept, and so is all that was committed.

    For the way back choose what is to win: `goaime-migrate down --on-conflict keep` leaves the
    application's values, restore brings the old ones back; either goes on from there.
    `goaime-migrate up` would finish the way back too, with keep, and then apply the versions again.

    Where `up` has stopped, put those documents right, then `goaime-migrate up`.
    """

    code = "GM313"


class OperationFailed(MigrationFailed):
    """The server, or the dump directory, refused an operation.

    An index, a validator, a pipeline or a change of a collection could not be carried out, and the message
    has the reason in the server's words: there is no such collection, say, or one of the new name exists
    already. What came before is kept and recorded.

    Remove the cause or correct the migration; then `goaime-migrate up` goes on from this operation.
    """

    code = "GM314"


class SaveFailed(MigrationFailed):
    """The dump directory could not be written.

    The disk is full, the folder may not be written to, or it lies on two file systems. A dump is written
    beside itself and put into place as a whole, so that it is as it was before; only if the message says
    that it was saved must the next command finish it before anybody else reads it.

    Free some space or correct the permissions, then run `goaime-migrate up` again.
    """

    code = "GM315"


class NotPure(MigrationFailed):
    """A transform does not make the same of the same document each time it is called.

    It uses the clock, something random, or what it remembers from another document. It may be called more
    than once for a document: when a batch is tried again, for `plan`, or on the way back. So it cannot be
    told whether it keeps to its `fields=`. Nothing of that batch was written.

    Make it depend on its document and its lookups alone: an id can be made from `_id`, a time be written
    down in the file. Try it with `goaime-migrate plan`, then `goaime-migrate up`.
    """

    code = "GM316"


class LookupErased(MigrationFailed):
    """What a transform looks up was frozen with its pass, and was erased from it since.

    `goaime-migrate prune --collection C --id JSON` erases a document from every journal, also where others
    have looked it up. Whatever has to be worked out once more from it is not guessed: on the way down to the
    middle of a pass that document is a conflict and stays as it is, and is named.

    Take the whole pass back, which needs no lookup: `goaime-migrate down TARGET` with the version below its
    first. Or mend the documents that are named, and `goaime-migrate down` goes on.
    """

    code = "GM317"
