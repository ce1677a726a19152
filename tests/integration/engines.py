"""Which engines a test runs on, where not on all of them."""

import pytest

from tests.conftest import EMBEDDED
from tests.servers import Kind

EVERY = (EMBEDDED, Kind.STANDALONE, Kind.REPLICA_SET)
"""A way of working each; three nodes work as one does, unless one of them fails."""


def on(*kinds: str) -> pytest.MarkDecorator:
    """Run the test on these engines alone."""
    return pytest.mark.parametrize("backend", kinds, indirect=True, ids=str)


each_mode = on(*EVERY)
two = on(EMBEDDED, Kind.REPLICA_SET)
servers = on(Kind.STANDALONE, Kind.REPLICA_SET)
one_server = on(Kind.REPLICA_SET)
dump = on(EMBEDDED)
