"""Print one session of the sample as Extended JSON, its fields in the order in which they are stored.

python demo/show.py
python demo/show.py --full 55b8cb25-…
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import bson
from bson import json_util

SESSION = "a78885fa-abd3-41e9-b2f4-9b6ca9c0d91a"
WIDTH = 79
SHOWN = 3
"""Members of an object inside the session that are printed; the others are counted."""


def main() -> None:
    """Find the session and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("session_id", nargs="?", default=SESSION)
    parser.add_argument("--dump", type=Path, default=Path("demo/dump/goaime"), help="default: %(default)s")
    parser.add_argument("--full", action="store_true", help="all attempts and all topics")
    arguments = parser.parse_args()
    session = find(arguments.dump / "sessions.bson", arguments.session_id)
    if session is None:
        sys.exit(f"no session {arguments.session_id} in {arguments.dump}")
    if not arguments.full:
        session = {name: shortened(value) for name, value in session.items()}
    print(layout(json.loads(json_util.dumps(session, json_options=json_util.RELAXED_JSON_OPTIONS))))


def find(path: Path, session_id: str) -> dict[str, Any] | None:
    """The session with this id, or None."""
    with path.open("rb") as sessions:
        for session in bson.decode_file_iter(sessions):
            if session.get("session_id") == session_id:
                return session
    return None


def shortened(value: Any) -> Any:
    """The first members and how many follow: they all have the same fields."""
    if isinstance(value, list) and len(value) > 2:
        return [value[0], f"... and {len(value) - 1} more"]
    if isinstance(value, dict) and len(value) > SHOWN + 1:
        return dict(list(value.items())[:SHOWN]) | {"...": f"and {len(value) - SHOWN} more"}
    return value


def layout(value: Any, indent: int = 0, used: int = 0) -> str:
    """A value on one line where it fits, else each of its parts on a line of its own."""
    text = json.dumps(value, ensure_ascii=False)
    fits = indent > 0 and used + len(text) <= WIDTH
    if fits or not isinstance(value, dict | list):
        return text
    space = " " * (indent + 2)
    if isinstance(value, dict):
        names = [f"{space}{json.dumps(name, ensure_ascii=False)}: " for name in value]
        parts = [
            name + layout(part, indent + 2, len(name))
            for name, part in zip(names, value.values(), strict=True)
        ]
    else:
        parts = [space + layout(part, indent + 2, len(space)) for part in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([opening, ",\n".join(parts), " " * indent + closing])


if __name__ == "__main__":
    main()
