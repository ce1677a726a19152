"""What the settings say, and where each of them comes from."""

from __future__ import annotations

from goaime_migrate.config import KEYS, Settings
from goaime_migrate.doctor.patient import Patient, Said, warn
from goaime_migrate.redaction import redact_uri


def config(patient: Patient) -> Said:
    """Which file, variable or option each setting comes from."""
    return sources(patient.settings)


def sources(settings: Settings) -> Said:
    """The settings that somebody has set, without secrets."""
    shown = []
    for key in KEYS:
        source = settings.sources.get(key, "default")
        value = redact_uri(settings.uri) if key == "uri" else getattr(settings, key)
        if source != "default":
            shown.append(f"{key} = {value} ({source})")
    return Said("; ".join(shown) or "nothing is set: all is as it is by default")


def uri(patient: Patient) -> Said | None:
    """Options of the connection string that are not followed, because exactly-once rests on others."""
    if patient.server is None:
        return None
    from goaime_migrate.backends.server.uri import follow, overridden

    unused = overridden(patient.settings.uri)
    if unused:
        return warn(
            f"not followed in uri: {', '.join(unused)}. Reads come from the primary, reads and writes wait for a "
            "majority, and no command has a limit of time",
            f"leave {'it' if len(unused) == 1 else 'them'} out of uri",
        )
    if missing := follow(patient.settings.uri).missing:
        return warn(
            f"the compressor {missing[0]} is not installed here", f"install it, or leave {missing[0]} out"
        )
    return Said("every option is followed")
