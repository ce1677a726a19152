"""Versions that have run here, and whose records are gone: what else is recorded of them tells.

Somebody has removed them by hand, or a restore has brought back only some of the collections. Nothing is taken for
pending then: it would be done to the documents a second time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from goaime_migrate.backends.ports import Reader
from goaime_migrate.ledger import Ledger, find_unrecorded, was_reverted


def lost_versions(reader: Reader, ledger: Ledger, *, pending: bool) -> Mapping[str, str]:
    """Versions without a record, ascending, each with what is left of it. Reads only.

    What `repair` has dropped is not among them, nor what was taken back: the log says so. It is read only where there
    is anything to ask it: where a file is `pending`, which may have run, or a pass names a version without a record.
    """
    if ledger.versions and not pending and not dict(_named_by_passes(ledger, frozenset())):
        return {}
    unrecorded = find_unrecorded(reader, ledger.versions)
    found = dict.fromkeys(filter(str.isdecimal, unrecorded.applied), "the log has it as applied")
    if not ledger.versions and not ledger.passes:
        found |= dict(_named_by_journals(reader))
    found |= dict(_named_by_passes(ledger, unrecorded.reverted))
    gone = found.keys() - ledger.versions.keys() - unrecorded.dropped
    return {version: found[version] for version in sorted(gone, key=int)}


def _named_by_passes(ledger: Ledger, reverted: Collection[str]) -> Iterator[tuple[str, str]]:
    """A pass that has changed documents has versions that know it; it goes last where nothing is written together.

    One that is being taken back may therefore name what the log has as `reverted`.
    """
    for record in ledger.passes.values():
        if record.committed or record.finished:
            let_go = reverted if record.target_level is not None else ()
            for version in record.versions:
                if version not in ledger.versions and version not in let_go:
                    yield version, f"its pass {record.id} over {record.collection} is still recorded"


def _named_by_journals(reader: Reader) -> Iterator[tuple[str, str]]:
    """Where no version and no pass is recorded: one that was killed while it removed a journal had said so before."""
    from goaime_migrate.journal import clearing

    for pass_id in clearing.passes(reader):
        first, last, *_ = f"{pass_id}--".split("-")
        for version in dict.fromkeys((first, last)):
            if version.isdecimal() and not was_reverted(reader, version):
                yield version, f"the journal of its pass {pass_id} is still there"
