"""Times and sizes as people say them, for messages and for whoever renders them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time in its two greatest units.

    >>> duration(0.0123), duration(4.26), duration(99), duration(3720), duration(180000)
    ('12ms', '4.3s', '1m39s', '1h02m', '2d02h')
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02d}m"
    return f"{hours // 24}d{hours % 24:02d}h"


def size(octets: int) -> str:
    """Bytes in decimal units, as disks are sold.

    >>> size(512), size(1500), size(123_456_789)
    ('512 B', '1.5 kB', '123 MB')
    """
    value, units = float(octets), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.5 and unit != "TB":
        value, unit = value / 1000, next(units)
    return f"{value:.1f} {unit}" if value < 9.95 and unit != "B" else f"{value:.0f} {unit}"
