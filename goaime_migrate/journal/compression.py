"""Compressing what is kept, and cutting it up so that every piece fits into a record.

The library is loaded when it is first needed: commands that only read the ledger do without.
"""

from __future__ import annotations

from bson import Binary

PART = 8 * 1024 * 1024
"""Compressed bytes in one record."""
_LEVEL = 1


def compress(data: bytes) -> list[Binary]:
    """The bytes, compressed, in pieces of at most `PART`; at least one."""
    import zstandard

    payload = zstandard.ZstdCompressor(level=_LEVEL).compress(data)
    return [Binary(payload[start : start + PART]) for start in range(0, len(payload) or 1, PART)]


def decompress(pieces: list[bytes]) -> bytes:
    """What was compressed. Raises ValueError where the pieces are not what they were."""
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompress(b"".join(pieces))
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
