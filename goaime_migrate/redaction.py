"""Passwords do not leave this tool: what may be one is masked in every text that goes out. When in doubt, too much is.

Two kinds are known: what looks like a password, since it stands in a connection string, and the very secrets of the
connection string that this process works with, wherever they stand. The time that masking takes grows as the text
does: no pattern here looks at a character more than a fixed number of times.
"""

from __future__ import annotations

import re

MASK = "***"

_URI = re.compile(
    r"(?P<scheme>mongodb(?:\+srv)?:/+)(?P<rest>(?:(?!mongodb(?:\+srv)?:/)[^\r\n])*+)", re.IGNORECASE
)
_OTHER_URI = re.compile(r"(?P<user>(?<!mongodb)(?<=[a-z0-9+.-])://[^\s/@:]*+:)(?P<rest>\S++)", re.IGNORECASE)
_HOST = r"(?:\[[0-9a-f:.%]++\]|[^\s:/@,?\[\]'\"]++)(?::\d{1,5})?+"
_ADDRESS = re.compile(rf"{_HOST}(?:,{_HOST})*+(?:[/?][^\s@]*+)?+[,;.:'\")\]>}}]*+(?:\s|$)", re.IGNORECASE)
"""Hosts with ports and no userinfo, and then the end or a space: there is nothing to hide."""
_SECRETS = (
    re.compile(
        r"(?P<key>(?:authMechanismProperties|passw\w{0,40}+|passphrase)(?:=|%3D))(?!\*\*\*)[^&\r\n]++",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?P<key>AWS_SESSION_TOKEN['\"]?+(?:\s*+[:=]\s*+|%3A)['\"]?+)(?!\*\*\*)[^,&\r\n'\"}]++",
        re.IGNORECASE,
    ),
)

_KNOWN = """
appname authmechanism authmechanismproperties authsource compressors connect connecttimeoutms datetime_conversion
directconnection enabletcpkeepalive fsync gssapiservicename heartbeatfrequencyms j journal loadbalanced
localthresholdms maxconnecting maxidletimems maxpoolsize maxstalenessseconds minpoolsize readconcernlevel
readpreference readpreferencetags replicaset retryreads retrywrites safe servermonitoringmode
serverselectiontimeoutms sockettimeoutms srvmaxhosts srvservicename ssl timeoutms tls tlsallowinvalidcertificates
tlsallowinvalidhostnames tlscafile tlscertificatekeyfile tlscrlfile tlsdisableocspendpointcheck tlsinsecure
tz_aware unicode_decode_error_handler uuidrepresentation w waitqueuemultiple waitqueuetimeoutms wtimeout wtimeoutms
zlibcompressionlevel
"""
_OPTIONS = frozenset(_KNOWN.split())
"""The options of a connection string that are known, and no secrets. What stands behind any other may be one."""

_ALONE, _DIGITS, _ANYWHERE = 4, 6, 8
"""Characters from which on a secret is masked outside of connection strings: as a whole word, as one of digits alone,
and in the middle of other words."""
_WORDS = """
admin authsource change changed changes check checked checksum code collection command config connection
current data database default demo description direction document documents done down dump embedded error
errors example examples exit failed false field fields file files finished found from goaime goaime-migrate
guest head hint history host index info init into json key last line lint local localhost lock main message
migrate migration migrations mode mongo mongodb mongosh name none null operation operations pass passes
password path pending plan preview problem problems progress public record records refused repair result
reverted root running sample samples schema server state status step steps target test text then this time
true update uri user username users value verify version versions wait warning warnings what where with work
workers write
"""
_COMMON = frozenset(_WORDS.split())
"""Words that the tool itself says: masking one would spoil every message, and tell which word it is."""

_hidden: dict[str, str] = {}
"""The secrets of this process, each with the pattern that finds it."""


def hide(uri: str) -> None:
    """Mask the secrets of this connection string wherever they stand from now on, as written and decoded.

    Only in connection strings are those hidden that would spoil every other text: shorter than four characters (six,
    if they are all digits), a word of this tool, or a name that the same connection string has elsewhere. One of less
    than eight characters is masked where it is a whole word.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or not scheme.lower().startswith("mongodb"):
        return
    from urllib.parse import unquote_plus

    address, _, options = rest.partition("?")
    userinfo, _, hosts = address.rpartition("@")
    user, _, password = userinfo.partition(":")
    names = {name.lower() for name in (user, unquote_plus(user), *re.split("[,:/]", hosts))}
    values = _secret_options(options)
    for secret in (password, *(value for _, value in values)):
        plain = unquote_plus(secret)
        if not {plain.lower(), secret.lower()} & (names | _COMMON):
            _hidden.update((form, _finding(form)) for form in _forms(secret, plain) if _is_telling(form))
    for name, value in values:
        if name and value:
            _hidden[f"{name}={value}"] = rf"(?<=[?&;]{re.escape(name)}=){re.escape(value)}(?![^&;\s'\"])"


def _secret_options(options: str) -> list[tuple[str, str]]:
    """Those options of a connection string whose values nobody may see, each behind its name."""
    pairs = [option.partition("=") for option in re.split("[&;]", options)]
    found = [(name, value) for name, _, value in pairs if name.lower() not in _OPTIONS]
    return found + [
        ("", token) for token in re.findall(r"AWS_SESSION_TOKEN(?::|%3A)([^,&]*)", options, re.IGNORECASE)
    ]


def _forms(secret: str, plain: str) -> set[str]:
    """How a secret may have been written down: by a person, a program, an exception or a log."""
    import json
    from urllib.parse import quote, quote_plus

    return {
        secret,
        plain,
        quote(plain),
        quote(plain, safe=""),
        quote_plus(plain),
        repr(plain)[1:-1],
        repr(plain + "'\"")[1:-4],
        json.dumps(plain)[1:-1],
    }


def _is_telling(form: str) -> bool:
    return len(form) >= (_DIGITS if form.isdigit() else _ALONE)


def _finding(form: str) -> str:
    found = re.escape(form)
    return found if len(form) >= _ANYWHERE else rf"(?<!\w){found}(?!\w)"


def redact(text: str) -> str:
    """The text with the secrets of every connection string in it, and those of this process, replaced by ``***``.

    Where it is not clear what still belongs to a password, as with an unescaped @ or a space, rather too
    much is hidden than too little: up to the last @ of the line.
    """
    text = _URI.sub(lambda match: match["scheme"] + _mask(match["rest"]), text)
    text = _OTHER_URI.sub(_mask_other, text)
    for secret in _SECRETS:
        text = secret.sub(lambda match: match["key"] + MASK, text)
    if _hidden:
        text = re.sub("|".join(sorted(_hidden.values(), key=len, reverse=True)), MASK, text)
    return text


def _mask_other(match: re.Match[str]) -> str:
    """The connection string of something else, up to the next space."""
    secret, _, after = match["rest"].rpartition("@")
    return f"{match['user']}{MASK}@{after}" if secret else match[0]


def _mask(rest: str) -> str:
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
