"""Copies what a rehearsal needs: collections with their options, validators and indexes, raw documents, the versions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import VERSIONS, Backend, Changes, Put, Reader, Write
from goaime_migrate.ledger import Ledger
from goaime_migrate.operations import index_specs
from goaime_migrate.rehearse.sampling import Sampling
from goaime_migrate.run.progress import ReadProgress
from goaime_migrate.run.run import Run

VIEW, TIME_SERIES = "view", "timeseries"


def copy(source: Backend, ledger: Ledger, sampling: Sampling, run: Run) -> int:
    """All of it into an empty database; how many documents. The collections that views show come before these."""
    there = source.collections()
    chosen = {name: there[name] for name in sampling.collections if name in there}
    for name, info in sorted(chosen.items(), key=lambda item: item[1].kind == VIEW):
        if info.kind == TIME_SERIES:
            sampling.notes.append(f"{name} is not copied: it is a time-series collection")
        else:
            run.backend.create_collection(name, info.options)
            for index in [] if info.kind == VIEW else index_specs.listed(source, name):
                index_specs.build(run.backend, name, index)
    _copy_versions(source, ledger, run)
    return sum(
        _copy_documents(source, name, sampling, run)
        for name, info in chosen.items()
        if info.kind == "collection"
    )


def _copy_versions(source: Backend, ledger: Ledger, run: Run) -> None:
    """The history up to now; the journals are not needed, since none of it is taken back."""
    records = [Put(VERSIONS, d) for d in source.find(VERSIONS, {}) if d["_id"] in ledger.versions]
    if records:
        run.record(*records)


def _copy_documents(source: Backend, name: str, sampling: Sampling, run: Run) -> int:
    progress = ReadProgress(run.listener, (), f"copy {name}")
    progress.total = sampling.wanted.count(source, name)
    copied = 0
    for documents in sampling.wanted.documents(source, name):
        run.check()
        if documents:
            run.transact(partial(_insertion, name, documents))
        progress.seen(len(documents))
        copied += len(documents)
    return copied


def _insertion(name: str, documents: Sequence[bytes], _: Reader) -> Changes:
    """As they are, also those that a validator would not let in."""
    writes = [Write(raw_bson.id_of(d), None, d) for d in documents]
    return Changes(collection=name, writes=writes, bypass_validation=True)
