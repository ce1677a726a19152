"""What the documents are like, what `plan` says of the pending versions, and whether there is room for that."""

from __future__ import annotations

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import id_key
from goaime_migrate.doctor.patient import Patient, Said, fault, warn
from goaime_migrate.errors import MissingPrivilege
from goaime_migrate.errors.hint import REHEARSE
from goaime_migrate.units import duration, size


def id_types(patient: Patient) -> Said | None:
    """Whether a collection that will be walked over has `_id`s of several types: filters by ranges see only one."""
    known = patient.backend.collections()
    named = {o.collection for o in patient.pending if o.walks and o.collection}
    walked = sorted(name for name in named if name in known and known[name].kind == "collection")
    mixed = [text for name in walked if (text := _mixture(patient, name))]
    if mixed:
        return warn(
            f"{'; '.join(mixed)}; a pass walks over all of them, in BSON's order",
            "where a filter names a range of _id, name one for each type",
        )
    return Said(f"of one type in {', '.join(walked)}") if walked else None


def _mixture(patient: Patient, collection: str) -> str:
    """The types of the smallest and the greatest `_id`, which differ if any two do; empty where they are the same."""
    first, last = (
        patient.backend.documents(collection, limit=1, fields=()),
        patient.backend.last_id(collection),
    )
    if not first or last is None:
        return ""
    ends = [raw_bson.id_of(first[0]), last]
    if len({id_key(end)[0] for end in ends}) == 1:
        return ""
    types = [_TYPES.get(end[_TYPE_AT], "others") for end in ends]
    return f"{collection} has _ids from {types[0]} to {types[1]}"


_TYPE_AT = 4
"""Where a raw document says of what type its first value is."""
_TYPES = {
    0x01: "double",
    0x02: "string",
    0x03: "object",
    0x05: "binData",
    0x07: "objectId",
    0x08: "bool",
    0x09: "date",
    0x0A: "null",
    0x10: "int",
    0x11: "timestamp",
    0x12: "long",
    0x13: "decimal",
}


def plan(patient: Patient) -> Said | None:
    """What `plan` says of the pending versions: a document that stops them, for example."""
    found = patient.plan
    if found is None or not found.steps:
        return None
    if found.refused is not None and not isinstance(found.refused, MissingPrivilege):
        return fault(found.refused.message, str(found.refused.hint))
    if found.unforeseen:
        unknown = ", ".join(found.unforeseen)
        return warn(f"not all that {unknown} will do can be foreseen", f"try it on a copy: {REHEARSE}")
    count = len(found.steps)
    said = f"{count} {'version goes' if count == 1 else 'versions go'} through"
    return Said(f"{said} in about {duration(found.predicted.seconds)}")


def disk(patient: Patient) -> Said | None:
    """The free disk against the journal of the pending versions, what the oplog takes, and the way back."""
    free = patient.backend.room().disk
    if free is None:
        return None
    predicted = patient.predicted
    if predicted is None:
        return Said(f"{size(free)} are free; what the pending versions take is not known")
    needed = predicted.journal_bytes + predicted.oplog_bytes
    said = f"{size(free)} are free; pending versions take about {size(needed)}"
    remedy = "make room; or go in parts, up TARGET, and prune what need not be taken back any more"
    if needed > free:
        return fault(said, remedy)
    return warn(f"{said}, and `down` as much again", remedy) if 2 * needed > free else Said(said)
