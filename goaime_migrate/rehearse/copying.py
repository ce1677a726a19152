"""Copies what a rehearsal needs: collections with their options, validators and indexes, raw documents, the versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import VERSIONS, Backend, Changes, CollectionInfo, Put, Reader, Write
from goaime_migrate.errors import MissingCapability, Refused
from goaime_migrate.errors.hint import REHEARSE, Hint
from goaime_migrate.ledger import Ledger
from goaime_migrate.operations import index_specs
from goaime_migrate.operations.collections import NOUNS, TIME_SERIES, VIEW
from goaime_migrate.rehearse.sampling import Sampling
from goaime_migrate.rehearse.wanted import PORTION
from goaime_migrate.run.progress import ReadProgress
from goaime_migrate.run.run import Run


def copy(source: Backend, ledger: Ledger, sampling: Sampling, run: Run) -> int:
    """All of it into an empty database; how many documents. The collections that views show come before these.

    Raises Refused where a declared operation needs a collection that cannot be copied.
    """
    there = source.collections()
    chosen = {name: there[name] for name in sampling.collections if name in there}
    made = [
        info
        for name, info in sorted(chosen.items(), key=lambda item: item[1].kind == VIEW)
        if _made(source, info, sampling, run)
    ]
    _copy_versions(source, ledger, run)
    return sum(_copy_documents(source, info, sampling, run) for info in made if info.kind != VIEW)


def _made(source: Backend, info: CollectionInfo, sampling: Sampling, run: Run) -> bool:
    """Whether there is such an empty collection now, with its indexes. Raises Refused."""
    name = info.name
    try:
        run.backend.create_collection(name, info.options)
    except MissingCapability as error:
        why = f"it is a {NOUNS.get(info.kind, info.kind)}"
        if name not in sampling.declared:
            sampling.notes.append(f"{name} is not copied: {why}")
            return False
        raise Refused(
            f"{name} cannot be copied: {why}, and {error.message}",
            hint=Hint("rehearse it on the server: {}", REHEARSE),
        ) from error
    for index in [] if info.kind == VIEW else index_specs.list_droppable(source, name):
        index_specs.build(run.backend, name, index)
    return True


def _copy_versions(source: Backend, ledger: Ledger, run: Run) -> None:
    """The history up to now; the journals are not needed, since none of it is taken back."""
    records = [Put(VERSIONS, d) for d in source.find(VERSIONS, {}) if d["_id"] in ledger.versions]
    if records:
        run.record(*records)


def _copy_documents(source: Backend, info: CollectionInfo, sampling: Sampling, run: Run) -> int:
    """Whose order or measurements no transaction may write is loaded."""
    name, is_plain = info.name, info.kind == "collection" and not info.options.get("capped")
    progress = ReadProgress(run.listener, (), f"copy {name}")
    progress.total = sampling.wanted.count(source, name)
    copied = 0
    for documents in _documents(source, info, sampling):
        run.check()
        if documents and is_plain:
            run.transact(partial(_insertion, name, documents))
        elif documents:
            run.backend.load(name, documents)
        progress.add(len(documents))
        copied += len(documents)
    return copied


def _documents(source: Backend, info: CollectionInfo, sampling: Sampling) -> Iterator[list[bytes]]:
    """What is wanted of a collection. Measurements have no index on `_id` to be read by: all of them, or none."""
    if info.kind != TIME_SERIES:
        yield from sampling.wanted.documents(source, info.name)
    elif sampling.wanted.is_whole(info.name):
        found = source.aggregate(info.name, [])
        while portion := list(islice(found, PORTION)):
            yield portion
    elif source.count(info.name, limit=1):
        sampling.notes.append(f"{info.name} is copied without its documents: it is a time-series collection")


def _insertion(name: str, documents: Sequence[bytes], _: Reader) -> Changes:
    """As they are, also those that a validator would not let in."""
    writes = [Write(raw_bson.id_of(d), None, d) for d in documents]
    return Changes(collection=name, writes=writes, bypass_validation=True)
