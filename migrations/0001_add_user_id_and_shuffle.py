"""Link every session to its user and record whether its problems were shuffled."""

from collections.abc import Hashable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel

from goaime_migrate import Document, Lookup, TransformDocuments

# What earlier versions of the app wrote where they knew no user.
PLACEHOLDERS = (None, "", "None", "null")


def add_user_id_and_shuffle(session: Document, users: Mapping[Any, Document]) -> None:
    """Fill in what is missing; whatever the app has written itself is kept, a null `shuffle` too."""
    if session.get("user_id") in PLACEHOLDERS:
        session["user_id"] = _user_id(session.get("username"), users)
    session.setdefault("shuffle", False)


def _user_id(username: object, users: Mapping[Any, Document]) -> str | None:
    """The id of the user of that name; a session without a name belongs to nobody.

    A null name must not find a user whose name is null either: a later migration writes an absent
    name as null, and that must not change whose session it is.
    """
    if username is None or not isinstance(username, Hashable):
        return None
    user = users.get(username)
    return None if user is None else str(user["_id"])


def _no_placeholder(user_id: object) -> object:
    if user_id is not None and user_id in PLACEHOLDERS:
        raise ValueError(f"{user_id!r} stands for no user: must be null")
    return user_id


class LinkedSession(BaseModel):
    """Both fields are there, whatever their values, and no placeholder poses as a user."""

    user_id: Annotated[Any, AfterValidator(_no_placeholder)]
    shuffle: Any


operations = [
    TransformDocuments(
        "sessions",
        add_user_id_and_shuffle,
        fields=["username", "user_id", "shuffle"],
        model=LinkedSession,
        users=Lookup("users", key="username", fields=["username"]),
    ),
]
