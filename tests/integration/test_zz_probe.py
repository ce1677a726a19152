import pytest
from bson import encode, Timestamp
from tests.integration.conftest import world
from tests.integration.engines import *
from tests.integration.test_documents import migration, there_and_back
from tests.world import succeeded

@on(Kind.STANDALONE)
def test_large(world):
    world.insert("c", [{"_id": i, "n": 1, "big": "x" * 16_000_000} for i in range(2)])
    migration(world)
    there_and_back(world)

@on(Kind.STANDALONE)
def test_medium(world):
    world.insert("c", [{"_id": i, "n": 1, "big": "x" * 7_000_000} for i in range(3)])
    migration(world)
    there_and_back(world)

@servers
def test_large_zero(world):
    world.put("c", encode({"_id": 1, "at": Timestamp(0,0), "big": "x" * 14_000_000}))
    migration(world)
    there_and_back(world)

@each_mode
def test_deep(world):
    world.insert("c", [{"_id": 1, "n": 1}])
    migration(world, 'x = {}; d["deep"] = x; [x := x.setdefault("a", {}) for _ in range(250)] and None')
    e = world.up().error
    print(repr(e), e.id, e.hint)
    assert e.id == 1
@each_mode
def test_deepish(world):
    world.insert("c", [{"_id": 1, "n": 1}])
    migration(world, 'x = {}; d["deep"] = x\n        for _ in range(95): x = x.setdefault("a", {})')
    there_and_back(world)
