"""The users of servers that ask for a password, and their connection strings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode


@dataclass(frozen=True, slots=True)
class User:
    """A user with roles in the database `admin`; fits wherever a test needs other privileges."""

    name: str
    password: str
    roles: tuple[str, ...]


# The passwords hold the characters that URIs, ini files and shells stumble over.
ADMIN = User("admin", "adm%n:p@ss/word", ("root",))
WRITER = User("writer", "wr$ter%20", ("readWriteAnyDatabase",))
OTHER = User("other", "other", ("readWriteAnyDatabase",))
"""May end no session of anybody else."""
READER = User("reader", "re@der#?", ("readAnyDatabase",))


def uri(addresses: Sequence[str], options: Mapping[str, str], user: User | None = None) -> str:
    """A connection string, with the user's password escaped."""
    credentials = f"{quote_plus(user.name)}:{quote_plus(user.password)}@" if user else ""
    query = dict(options) | ({"authSource": "admin"} if user else {})
    return f"mongodb://{credentials}{','.join(addresses)}/" + (f"?{urlencode(query)}" if query else "")
