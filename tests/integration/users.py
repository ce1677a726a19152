"""Users of a server with access control, and what a database as they see it begins with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.world import World

ADD = 'from goaime_migrate import *\noperations = [AddField("c", "n", 1)]\n'
VALIDATE = 'from goaime_migrate import *\noperations = [SetValidator("c", {"required": ["n"]})]\n'
AsUser = Callable[[list[Any]], World]


def role(name: str, database: str) -> dict[str, str]:
    return {"role": name, "db": database}
