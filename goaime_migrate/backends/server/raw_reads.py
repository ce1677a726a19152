"""Reading documents within a transaction, undecoded.

The driver's raw batches are put together again of what it has taken apart, and its raw documents are made one by one:
either takes longer than all else that is done to read a document.
"""

from __future__ import annotations

from collections.abc import Iterator

from bson import Int64
from pymongo.client_session import ClientSession
from pymongo.database import Database

from goaime_migrate.backends import raw_bson
from goaime_migrate.results import Document


def find(database: Database[Document], command: Document, session: ClientSession) -> Iterator[bytes]:
    """What a `find` gives. Its cursor is ended with the transaction, however much of it was read."""
    more = {"collection": command["find"], "batchSize": command["batchSize"]}
    batch = b"firstBatch"
    while True:
        answer = database.command(command, session=session, codec_options=raw_bson.RAW)
        cursor = raw_bson.fields(bytes(answer["cursor"].raw))
        yield from raw_bson.documents_in(cursor[batch][len(batch) + 2 :])
        number = int.from_bytes(cursor[b"id"][-8:], "little", signed=True)
        if not number:
            return
        command, batch = {"getMore": Int64(number), **more}, b"nextBatch"
