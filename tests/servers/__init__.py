"""Real MongoDB servers for the tests: started on loopback, broken on purpose, and never left behind.

`python -m tests.servers` starts one in the foreground, for trying things out by hand.
"""

from tests.servers.binary import MongodNotFoundError, find_mongod
from tests.servers.failpoints import fail_command
from tests.servers.kinds import ExternalServer, Kind, LocalServer, Server, new_server, running_server
from tests.servers.mongod import Mongod, Options, ServerError
from tests.servers.proxy import Proxy, Rule
from tests.servers.replica_set import ReplicaSet
from tests.servers.users import ADMIN, OTHER, READER, WRITER, User

__all__ = [
    "ADMIN",
    "OTHER",
    "READER",
    "WRITER",
    "ExternalServer",
    "Kind",
    "LocalServer",
    "Mongod",
    "MongodNotFoundError",
    "Options",
    "Proxy",
    "ReplicaSet",
    "Rule",
    "Server",
    "ServerError",
    "User",
    "fail_command",
    "find_mongod",
    "new_server",
    "running_server",
]
