"""What a member of a replica set says of itself, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from goaime_migrate import errors
from goaime_migrate.backends.server.diagnosis import hello_of_primary

THIS, OTHER = "one:27017", "two:27017"
PRIMARY = {"setName": "rs", "isWritablePrimary": True, "me": THIS, "primary": THIS}
STEPPED_DOWN = {"setName": "rs", "isWritablePrimary": False, "me": THIS, "primary": OTHER}
COMING_UP = STEPPED_DOWN | {"primary": THIS}
NOBODY = {"setName": "rs", "isWritablePrimary": False, "me": THIS}


def client(*answers: dict[str, Any], topology: str, patience_s: float = 30.0) -> Any:
    """What is asked of a client: its answers in turn, the last for ever."""
    left: Iterator[dict[str, Any]] = iter(answers)
    said = answers[0]

    def command(_name: str) -> dict[str, Any]:
        nonlocal said
        said = next(left, said)
        return said

    return SimpleNamespace(
        options=SimpleNamespace(server_selection_timeout=patience_s),
        topology_description=SimpleNamespace(topology_type_name=topology),
        admin=SimpleNamespace(command=command),
    )


@pytest.mark.parametrize("passing", [STEPPED_DOWN, COMING_UP, NOBODY])
def test_the_next_primary_of_a_replica_set_is_waited_for(passing: dict[str, Any]) -> None:
    assert hello_of_primary(client(passing, passing, PRIMARY, topology="ReplicaSetWithPrimary")) == PRIMARY


@pytest.mark.parametrize("passing", [COMING_UP, NOBODY])
def test_the_only_node_of_a_direct_connection_may_become_the_primary(passing: dict[str, Any]) -> None:
    assert hello_of_primary(client(passing, PRIMARY, topology="Single")) == PRIMARY


def test_a_direct_connection_to_a_secondary_is_refused_at_once() -> None:
    with pytest.raises(errors.InvalidUri, match=f"directly to {THIS}.*its primary is {OTHER}"):
        hello_of_primary(client(STEPPED_DOWN, topology="Single"))


@pytest.mark.parametrize("topology", ["Single", "ReplicaSetNoPrimary"])
def test_no_primary_is_waited_for_as_long_as_for_a_server(topology: str) -> None:
    with pytest.raises(errors.ServerUnreachable, match="replica set rs has no primary now"):
        hello_of_primary(client(NOBODY, topology=topology, patience_s=0))


def test_a_server_that_is_in_no_replica_set_is_its_own_primary() -> None:
    assert hello_of_primary(client({"msg": "isdbgrid"}, topology="Sharded")) == {"msg": "isdbgrid"}
