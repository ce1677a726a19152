"""`python -m tests.servers --kind replica-set`: a server in the foreground, until ctrl-C."""

import argparse
import signal
import sys
import threading

from tests.servers import Kind, MongodNotFoundError, Options, find_mongod, running_server


def main() -> int:
    """Parse, start, print how to connect, wait, stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("--kind", type=Kind, choices=list(Kind), default=Kind.REPLICA_SET)
    parser.add_argument("--auth", action="store_true", help="ask for a password; the printed URI holds it")
    parser.add_argument("--oplog-mb", type=int, default=128, help="size of the oplog, default: %(default)s")
    parser.add_argument("--provide-only", action="store_true", help="find or download a mongod, and name it")
    arguments = parser.parse_args()
    try:
        binary = find_mongod()
    except MongodNotFoundError as error:
        sys.exit(f"no mongod: {error}")
    if arguments.provide_only:
        print(f"{binary.path} ({binary.version()})")
        return 0
    serve(arguments.kind, Options(oplog_mb=arguments.oplog_mb, auth=arguments.auth))
    return 0


def serve(kind: Kind, options: Options) -> None:
    """Run a server until SIGINT or SIGTERM."""
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    with running_server(kind, options) as server:
        print(f"export MONGODB_URI='{server.uri}'", flush=True)
        print(f"{kind} is running; ctrl-C stops it and removes its data", file=sys.stderr, flush=True)
        asked_to_stop.wait()


if __name__ == "__main__":
    sys.exit(main())
