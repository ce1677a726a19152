"""Compressing what is kept, and cutting it up so that every piece fits into a record.

The library is loaded when it is first needed: commands that only read the ledger do without.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from bson import Binary

PART = 8 * 1024 * 1024
"""Compressed bytes in one record."""
_LEVEL = 1
_FRAME = 18
"""Bytes that the head of a compressed frame has at most."""


def compress(data: bytes) -> list[Binary]:
    """The bytes, compressed, in pieces of at most `PART`; at least one."""
    import zstandard

    payload = zstandard.ZstdCompressor(level=_LEVEL).compress(data)
    return [Binary(payload[start : start + PART]) for start in range(0, len(payload) or 1, PART)]


def decompress(
    pieces: Sequence[bytes], most: int, *, length: int | None = None, single: bool = False
) -> bytes:
    """What was packed: BSON documents, or a `single` one; at most so many bytes, or exactly `length`.

    How many there are is known before anything is unpacked, and no more memory is taken. Raises ValueError where the
    pieces are not what they were.
    """
    import zstandard

    try:
        size = zstandard.get_frame_parameters(bytes(pieces[0][:_FRAME])).content_size
        if size > most or (length is not None and size != length):
            expected = f"at most {most:,}" if length is None else f"{length:,}"
            raise ValueError(f"it unpacks to {size:,} bytes, not to {expected}")
        data = b"".join(pieces) if len(pieces) > 1 else pieces[0]
        decompressor = zstandard.ZstdDecompressor()
        _require_document(decompressor.stream_reader(data).read(4), size, single)
        return decompressor.decompress(data)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def _require_document(start: bytes, size: int, single: bool) -> None:
    """What is kept begins with a document, which says how long it is. Raises ValueError."""
    if not size and not single:
        return
    said = struct.unpack("<i", start)[0] if len(start) == 4 else 0
    if said < 5 or said > size or (single and said < size):
        raise ValueError(f"it unpacks to {size:,} bytes that are not documents")
