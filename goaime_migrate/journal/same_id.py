"""The `_id`s that the server finds equal to one that was asked for.

Equal numbers of other types are the same `_id`, wherever in it they stand: ``{tenant: 7}`` finds ``{tenant: 7.0}``. How
a number may be written is not to be listed (a decimal has dozens of forms), so what has an `_id` with a number in it is
compared. The likely forms are listed all the same, since what was erased is known by hashes alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from itertools import islice, product
from typing import Any

from bson import Decimal128, Int64

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.bson_order import Key, id_key
from goaime_migrate.backends.ports import Reader

_MOST = 256
"""Forms of one `_id` that are listed."""
_WHOLE = 2**63


@dataclass(frozen=True)
class SameId(Collection[bytes]):
    """Raw ``{_id: x}``: whatever is equal is in it, the forms that are listed are iterated over."""

    known: tuple[bytes, ...]
    """The one that was asked for first."""
    key: Key | None = None
    """The place of all of them; None where none has other bytes."""

    def __contains__(self, identity: object) -> bool:
        if identity in self.known:
            return True
        return self.key is not None and isinstance(identity, bytes) and id_key(identity) == self.key

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)

    def documents(self, reader: Reader, collection: str) -> list[bytes]:
        """The documents of a collection that have it; where bytes do not tell, the server is asked which it finds."""
        wanted = dict.fromkeys(self.known)
        if self.key is not None:
            found = reader.lookup(collection, "_id", [raw_bson.id_value(self.known[0])], [])
            wanted |= dict.fromkeys(raw_bson.encode({"_id": document["_id"]}) for document in found)
        return reader.by_ids(collection, list(wanted))


def same_id(value: Any) -> SameId:
    """All that is equal to an `_id`."""
    forms = (raw_bson.encode({"_id": form}) for form in islice(_forms(value), _MOST))
    known = tuple(dict.fromkeys(forms))
    return SameId(known, id_key(known[0]) if _has_number(value) else None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal128) and not isinstance(value, bool)


def _has_number(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_number, value.values()))
    return any(map(_has_number, value)) if isinstance(value, list | tuple) else _is_number(value)


def _forms(value: Any) -> Iterator[Any]:
    """A value in the forms that its numbers are likely to have, as it is first."""
    if isinstance(value, Mapping):
        yield from (dict(zip(value, items, strict=True)) for items in _together(value.values()))
    elif isinstance(value, list | tuple):
        yield from map(list, _together(value))
    else:
        yield value
        if _is_number(value):
            yield from _numbers(value.to_decimal() if isinstance(value, Decimal128) else Decimal(value))


def _together(values: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    return product(*(islice(_forms(value), _MOST) for value in values))


def _numbers(exact: Decimal) -> Iterator[Any]:
    if not exact.is_finite():
        return
    if -_WHOLE <= exact < _WHOLE and exact == int(exact):
        yield from (int(exact), Int64(exact))
    if (double := float(exact)) == exact:
        yield double
    with suppress(DecimalException):  # it has more digits than a decimal of the server
        yield Decimal128(exact)
