"""Passwords do not leave this tool: what may be one is masked in every text that goes out. When in doubt, too much is."""

from __future__ import annotations

import re

MASK = "***"

_URI = re.compile(
    r"(?P<scheme>mongodb(?:\+srv)?:/+)(?P<rest>(?:(?!mongodb(?:\+srv)?:/)[^\r\n])*)", re.IGNORECASE
)
_OTHER_URI = re.compile(r"(?P<user>\b(?!mongodb)[a-z][a-z0-9+.-]*://[^\s/@:]*:)\S+(?=@)", re.IGNORECASE)
_HOST = r"(?:\[[0-9a-f:.%]+\]|[^\s:/@,?\[\]'\"]+)(?::\d{1,5})?"
_ADDRESS = re.compile(rf"{_HOST}(?:,{_HOST})*(?:[/?][^\s@]*)?[,;.:'\")\]>}}]*(?:\s|$)", re.IGNORECASE)
"""Hosts with ports and no userinfo, and then the end or a space: there is nothing to hide."""
_SECRETS = (
    re.compile(
        r"(?P<key>(?:authMechanismProperties|\w*passw\w*|\w*passphrase)(?:=|%3D))(?!\*\*\*)[^&\r\n]+",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?P<key>AWS_SESSION_TOKEN['\"]?+(?:\s*+[:=]\s*+|%3A)['\"]?+)(?!\*\*\*)[^,&\r\n'\"}]+", re.IGNORECASE
    ),
)


def redact(text: str) -> str:
    """The text with the secrets of every connection string in it replaced by ``***``.

    Where it is not clear what still belongs to a password, as with an unescaped @ or a space, rather too
    much is hidden than too little: up to the last @ of the line.
    """
    text = _URI.sub(lambda match: match["scheme"] + _masked(match["rest"]), text)
    text = _OTHER_URI.sub(lambda match: match["user"] + MASK, text)
    for secret in _SECRETS:
        text = secret.sub(lambda match: match["key"] + MASK, text)
    return text


def _masked(rest: str) -> str:
    """What follows a scheme, up to the end of the line."""
    user, colon, after = rest.partition(":")
    if not colon or after.startswith(f"{MASK}@"):
        return rest
    userinfo, at, hosts = rest.rpartition("@")
    if at and ":" in userinfo and (after[:1].isspace() or not _ADDRESS.match(rest)):
        return f"{user}:{MASK}@{hosts}"
    if not at and not re.search(r"\s", user) and not _ADDRESS.match(rest):
        return f"{user}:{MASK}"
    return rest


def redact_uri(uri: str) -> str:
    """A connection string that may be shown. Anything that looks like none is cut after its scheme."""
    if uri.startswith("dump:"):
        return uri
    scheme, separator, _ = uri.partition("://")
    if not separator or scheme.lower() not in ("mongodb", "mongodb+srv"):
        return f"{scheme}{separator}{MASK}" if separator else MASK
    return redact(uri)
