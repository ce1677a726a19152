"""Aggregations over a dump, by mongomock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.embedded.store import Store
from goaime_migrate.backends.embedded.user_database import WorkingCopy
from goaime_migrate.errors import MissingCapability, OperationFailed
from goaime_migrate.results import Document

_HINT = "restore the dump into a MongoDB server with mongorestore and migrate it there"


def run(store: Store, collection: str, stages: Sequence[Document]) -> Iterator[bytes]:
    """What an aggregation gives. Raises MissingCapability for what mongomock lacks, OperationFailed for what is wrong."""
    failure = import_module("pymongo.errors").PyMongoError
    plain = raw_bson.decode(raw_bson.encode({"": list(stages)}))[""]
    try:
        found = list(WorkingCopy(store, "lookup").database[collection].aggregate(plain))
    except failure as error:
        raise OperationFailed(str(error), hint="correct the pipeline") from error
    except Exception as error:  # mongomock raises anything where it meets what it was not made for
        raise MissingCapability(
            f"a dump directory cannot aggregate this: {type(error).__name__}: {error}", hint=_HINT
        ) from error
    return map(raw_bson.encode, found)
