"""What a killed rehearsal has left is found and removed by the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.runs import Forker
from tests.world import World

DIES = """
    import os
    import signal
    from goaime_migrate import *


    def add(document):
        document["n"] = 1


    def die(document):
        document["m"] = 1
        if os.path.exists({flag!r}) and "s" in document:
            os.kill(os.getpid(), signal.SIGKILL)


    operations = [
        TransformDocuments("c", add),
        UpdateDocuments("c", [{{"$set": {{"s": 1}}}}]),
        TransformDocuments("c", die),
    ]
"""


def left(world: World) -> list[str]:
    with world.client() as client:
        names = client.list_database_names()
    return [name for name in names if name.startswith(f"{world.database}_rehearsal")]


def prepare(world: World, flag: Path) -> None:
    world.insert("c", [{"_id": n} for n in range(50)])
    world.write("0001_dies.py", DIES.format(flag=str(flag)))
    flag.touch()


@pytest.mark.parametrize("kind", ["one", "alone"])
def test_on_a_server(forker: Forker, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    world: World = request.getfixturevalue(kind)
    flag = tmp_path / "flag"
    prepare(world, flag)
    assert forker.run(world, "rehearse") == -9
    assert left(world) == [f"{world.database}_rehearsal_1"]
    flag.unlink()
    run = forker.succeed(world, "rehearse")
    assert "which a rehearsal had left" in run.output
    assert left(world) == []
