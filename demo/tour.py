"""Lead through goaime-migrate on the sample database: every command is printed before it runs.

The sample is a directory in mongodump's format, so no server is needed and none is touched.
"""

import json
import os
import shlex
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

SESSIONS = Path("demo/dump/goaime/sessions.bson")
SHOW = "python demo/show.py"
TRY = (
    "source .venv/bin/activate",
    "goaime-migrate up 0002",
    "goaime-migrate plan --verbose",
    "goaime-migrate down",
    "goaime-migrate history",
)

# Said in the environment and not in each command, whatever MONGODB_URI may name in this shell.
ENVIRONMENT = {**os.environ, "GOAIME_MIGRATE_URI": "dump:demo/dump", "GOAIME_MIGRATE_DATABASE": "goaime"}


def main() -> None:
    """Up, and back to the very bytes."""
    before, planned = fingerprint(), first_sample()
    say("A session as years of history have left it, and one whose user is known")
    run(SHOW)
    run(f"{SHOW} {planned}")
    say("What would happen? Nothing is written; the samples show the second session")
    run("goaime-migrate plan")
    say(f"Before anything is written: sha256 of {SESSIONS}")
    print(f"\n{before}")
    say("Four migrations in one pass over the collection, then an index and a validator")
    run("goaime-migrate up")
    run("goaime-migrate status")
    say("The same two sessions")
    run(SHOW)
    run(f"{SHOW} {planned}")
    say("Every promise of every migration, checked on every document")
    run("goaime-migrate verify")
    say("And back")
    run("goaime-migrate down base --yes")
    run("goaime-migrate status")
    say(f"{SESSIONS} has the very bytes it had before: sha256")
    print(f"\n{before}  before\n{(after := fingerprint())}  now")
    if after != before:
        sys.exit(f"{SESSIONS} is not what it was")
    say("Try it yourself; what a command can do, it says with --help")
    print("", *TRY, sep="\n")


def first_sample() -> str:
    """The session that `plan` shows first."""
    command = ["goaime-migrate", "plan", "--json", "--quiet"]
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True)
    return str(json.loads(done.stdout)["steps"][0]["samples"][0]["before"]["session_id"])


def say(text: str) -> None:
    """A heading."""
    print(f"\n# {text}", flush=True)


def run(command: str) -> None:
    """Print a command as a person would type it, and run it."""
    print(f"\n$ {command}", flush=True)
    done = subprocess.run(shlex.split(command), env=ENVIRONMENT, check=False)
    if done.returncode:
        sys.exit(f"`{command}` ended with {done.returncode}")


def fingerprint() -> str:
    """The hash of the stored sessions."""
    return sha256(SESSIONS.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
