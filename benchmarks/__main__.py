"""`python3 dev bench`: measure, print, and keep what was measured."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import goaime_migrate
from benchmarks import growth, measuring, profiling, report, safeties
from benchmarks.contenders import Workers
from benchmarks.database import generated, server
from benchmarks.measuring import Measuring
from benchmarks.parts import PARTS
from benchmarks.report import Report, Samples, Section
from tests.servers import find_mongod

QUICK_SESSIONS = 40
GROWTH, QUICK_GROWTH = 15, 2
"""How many times more sessions the larger database of `--growth` has."""
NAMES = (*PARTS, "profile", "growth")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and folders are left as by ctrl-C
    safeties.require_parts()
    begun = time.monotonic()
    largest = options.sessions * (options.times if options.growth else 1)
    with ExitStack() as stack:
        client, uri = stack.enter_context(server(largest))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="goaime-migrate-bench-")))
        pool = Workers(uri, options.workers)
        stack.callback(pool.close)
        _say(f"generating {options.sessions:,} sessions")
        bench = Measuring(generated(client, uri, options.sessions), pool, folder, Samples())
        sections = _sections(bench, options)
    repeats = f"{options.repeat} repeat{'s' if options.repeat > 1 else ''}"
    measured = f"{options.sessions:,} sessions, {repeats}, in {time.monotonic() - begun:.0f} s"
    _tell(Report(report.machine(find_mongod().version(), {"measured": measured}), sections), options)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 dev bench", description=__doc__)
    parser.add_argument("--sessions", type=int, help="documents to migrate, default: 20000")
    parser.add_argument("--repeat", type=int, help="how often each contender runs, default: 3")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes at most, default: %(default)s"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=NAMES, help=f"of {', '.join(NAMES)}")
    parser.add_argument("--growth", action="store_true", help=f"also with {GROWTH} times as many sessions")
    parser.add_argument("--profile", action="store_true", help="also where the time of one thread goes")
    parser.add_argument(
        "--quick", action="store_true", help="few documents: tries everything and measures nothing"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help=f"write tables, between {report.BEGIN} and its end if it has them",
    )
    options = parser.parse_args(arguments)
    only = options.only or PARTS
    options.parts = [part for name, part in PARTS.items() if name in only]
    options.growth |= "growth" in only
    options.profile |= "profile" in only
    options.sessions = options.sessions or (QUICK_SESSIONS if options.quick else 20_000)
    options.times = QUICK_GROWTH if options.quick else GROWTH
    options.repeat = options.repeat or (1 if options.quick else 3)
    if options.workers < 1 or options.repeat < 1 or options.sessions < QUICK_SESSIONS:
        parser.error(f"at least 1 worker, 1 repeat and {QUICK_SESSIONS} sessions")
    return options


def _sections(bench: Measuring, options: argparse.Namespace) -> list[Section]:
    sections: list[Section] = []
    _warm_up(bench)
    for number in range(options.repeat):
        for part in options.parts:
            with _said(f"repeat {number + 1} of {options.repeat}: {part.measure.__name__}"):
                part.measure(bench)
    for part in options.parts:
        sections += part.sections(bench.samples, bench.workers)
    if options.profile:
        with _said("profile"):
            bench.ground.fresh()
            rows = profiling.profiled(bench.product())
        sections.append(Section("Where the time of one thread goes", rows))
    return sections + (_growth(bench, options) if options.growth else [])


def _warm_up(bench: Measuring) -> None:
    """What only the first run does (imports, compiled patterns, the server's files) belongs to no contender.

    The package is compiled as an installed one is, or every process would do it again.
    """
    compileall.compile_dir(Path(goaime_migrate.__file__).parent, quiet=1)
    unkept = Measuring(bench.ground, bench.pool, bench.folder, Samples())
    measuring.copied(unkept, "copy")
    unkept.ground.fresh()
    unkept.product().up()


def _growth(bench: Measuring, options: argparse.Namespace) -> list[Section]:
    few, sessions = bench.ground, options.sessions * options.times
    _say(f"generating {sessions:,} sessions")
    many = generated(few.client, few.uri, sessions)
    samples = Samples()
    for number in range(options.repeat):
        for tag, ground in (("few", few), ("many", many)):
            with _said(f"repeat {number + 1} of {options.repeat}: {ground.sessions:,} sessions"):
                growth.measured(Measuring(ground, bench.pool, bench.folder, samples), tag)
    return growth.sections(samples, few, many, bench.workers)


def _tell(measured: Report, options: argparse.Namespace) -> None:
    print(measured.text())
    if options.json:
        options.json.write_text(json.dumps(measured.json(), indent=1))
    if options.markdown:
        existing = options.markdown.read_text() if options.markdown.exists() else ""
        options.markdown.write_text(report.placed(existing, measured.markdown()))


def _say(text: str) -> None:
    print(f"bench: {text} ...", file=sys.stderr, flush=True)


@contextmanager
def _said(text: str) -> Iterator[None]:
    begun = time.monotonic()
    _say(text)
    yield
    print(f"bench: {text}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
