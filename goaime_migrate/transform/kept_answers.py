"""What a key has found, as it is kept in the journal: the records of an answer, and the answers of records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import JOURNAL, Reader
from goaime_migrate.backends.record_fields import reading
from goaime_migrate.journal.seal import PARTS, seal, unseal
from goaime_migrate.results import Document
from goaime_migrate.transform.lookup_answers import MOST_BYTES, Answer
from goaime_migrate.transform.lookup_names import Names, part_of
from goaime_migrate.transform.lookup_table import Table, erased_error
from goaime_migrate.transform.lookups import Lookup, cache_key


def thaw(reader: Reader, names: Names, table: Table, keys: Sequence[Any], *, earlier: bool) -> None:
    """Have the table know what is kept of these keys, by an `earlier` release too. Raises LookupErased, DamagedRecord."""
    ids = [names.key(table.lookup, cache_key(key)) for key in keys]
    if earlier:
        ids += [names.earlier(table.lookup, key=key) for key in keys]
    for record in reader.find(JOURNAL, {"_id": {"$in": ids}}):
        if record.get("erased"):
            raise erased_error(table.lookup.collection)
        with reading(JOURNAL, record["_id"]):
            data = unseal([record, *_rest(reader, record)], MOST_BYTES + raw_bson.MAX_DOCUMENT)
            key, *documents = map(raw_bson.decode, raw_bson.split(data))
            answer = Answer(documents, len(data), bool(record.get("several")))
            table.store(key["key"], answer, committed=True)


def _rest(reader: Reader, record: Document) -> list[Document]:
    """What did not fit into the record of a key; as a rule everything did."""
    if record["parts"] == 1:
        return []
    ids = [part_of(record["_id"]).format(number) for number in range(1, min(record["parts"], PARTS))]
    return reader.find(JOURNAL, {"_id": {"$in": ids}}, sort=[("_id", 1)])


def records_of(names: Names, lookup: Lookup, key: Any, answer: Answer) -> list[Document]:
    """The copy of what is found, compressed: one document may be as large as a record can be, with its key larger."""
    identity = names.key(lookup, cache_key(key))
    head = {"_id": identity, **names.head(lookup), "several": answer.several}
    payload = b"".join(map(raw_bson.encode, ({"key": key}, *answer.documents)))
    return seal(head, payload, part_of(identity))
