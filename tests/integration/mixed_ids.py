"""A collection whose `_id`s are of many types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from bson import Binary, Decimal128, Int64, ObjectId

DOCUMENTS = 600


def mixed() -> Iterator[dict[str, Any]]:
    """Documents of many types of `_id`, in no order."""
    kinds: list[Callable[[int], Any]] = [
        lambda i: i,
        lambda i: float(i) + 0.5,
        lambda i: Int64(1 << 40 | i),
        lambda i: f"id-{i:05d}",
        lambda i: {"year": i, "at": "x"},
        lambda i: ObjectId(f"{i:024x}"),
        lambda i: Binary(bytes([i % 256, i // 256]), 5),
        lambda i: Decimal128(f"{i}.25"),
        lambda i: datetime(2024, 1, 1) + timedelta(hours=i),
    ]
    for i in range(DOCUMENTS):
        yield {"_id": kinds[i % len(kinds)](i), "n": i * 7919 % DOCUMENTS, "text": "x" * (i % 40)}
