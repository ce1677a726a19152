"""`python3 dev bench` in small: every figure comes out of a run that did what it is timed for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import documents, growth, report, safeties
from benchmarks.report import Report, Row, Section, Unit
from benchmarks.safeties import NoSuchPart, Part, replaced
from tests.world import REPOSITORY

GOAIME = {
    *(f"{what} x{workers}" for what in ("up", "command", "verify", "down", "memory") for workers in (1, 2)),
    *("script", "fused", "fused x2", "copy x2", "document before", "document after", "journal", "oplog"),
    *(f"up x{workers} / {other}" for other in ("script", "fused") for workers in (1, 2)),
    *("up x2 / fused x2", "up x2 / copy x2", "up x2 / up x1"),
    *(f"{what} x{workers} / up x{workers}" for what in ("command", "down", "verify") for workers in (1, 2)),
    *("journal / document before", "oplog / document after"),
    *(
        *(f"{each} {what}" for each in ("up x1", "up x2", "fused", "fused x2") for what in ("cpu", "server")),
        "up x1 cpu / fused cpu",
        "up x2 cpu / fused x2 cpu",
    ),
}
SMALL = {
    *("small x1", "small x2", "replace", "deltas", "pipeline"),
    *(f"small x{workers} / {other}" for other in ("replace", "deltas", "pipeline") for workers in (1, 2)),
}
_SET = ("AddField", "RemoveField", "a transform with fields=")
DOCUMENTS = {
    key
    for size in documents.SIZES
    for key in (
        *(f"{name}, {size}{what}" for name in (*_SET, "loop") for what in ("", " cpu")),
        *(f"{name}, {size} / loop, {size}" for name in _SET),
        f"verify, {size}",
    )
}
CONSTANTS = {
    key
    for name in ("AddField", "UpdateDocuments", "RemoveField")
    for key in (name, f"{name}: update_many", f"{name} / {name}: update_many")
}
PATHS = {
    *("AddNested", "UpdateAdded", "AddNested / UpdateAdded"),
    *("RemoveNested", "UpdateRemoved", "RemoveNested / UpdateRemoved"),
}
COMING = {
    key
    for name in ("insert", "derive", "delete")
    for key in (f"{name} loop", *(f"{name} x{n}{over}" for n in (1, 2) for over in ("", f" / {name} loop")))
}
SAFETIES = {
    "all on",
    *(
        f"without {name} / all on"
        for name in ("journal", "cursor", "transaction", "tail", "checks", "probe", "all")
    ),
}
PROFILE = {
    f"profile: {what}"
    for what in (
        *(
            "total",
            "probe of the first documents",
            "decode",
            "encode",
            "transforms and lookups",
            "promises",
            "journal: hashes",
        ),
        *("journal: compression", "building the commands", "everything else", "server: reading"),
        *("server: writing documents", "server: commit", "server: journal and records"),
    )
}


def measured(folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    """The rows of a quick run by their keys."""
    file = folder / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--workers", "2", "--json", str(file), *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    rows = [row for section in json.loads(file.read_text())["sections"] for row in section["rows"]]
    return {row["key"]: row for row in rows}


@pytest.mark.soak
def test_every_contender_and_every_safety_is_measured(tmp_path: Path) -> None:
    rows = measured(tmp_path, "--profile")
    assert set(rows) >= GOAIME | SMALL | DOCUMENTS | CONSTANTS | PATHS | COMING | SAFETIES | PROFILE
    assert all(value > 0 for row in rows.values() for value in row["values"])


@pytest.mark.soak
def test_two_sizes_of_a_database_are_compared(tmp_path: Path) -> None:
    rows = measured(tmp_path, "--only", "growth")
    figures = {f"{size} {key}" for size in ("few", "many") for key in growth.FIGURES}
    assert set(rows) == figures | {f"many {key} / few {key}" for key in growth.FIGURES}
    assert all(value > 0 for row in rows.values() for value in row["values"])


def _nothing(_: Any) -> Any:
    return lambda *_args: None


def test_a_part_that_the_engine_no_longer_has_ends_the_benchmark() -> None:
    with (
        pytest.raises(NoSuchPart, match=r"journal\.segments has no Segment\.gone any more"),
        replaced([Part("journal.segments", "Segment.gone", _nothing)]),
    ):
        pass


def test_a_part_that_no_run_calls_ends_the_benchmark() -> None:
    with (
        pytest.raises(NoSuchPart, match=r"no run calls journal\.segments\.Segment\.adds"),
        replaced(safeties.JOURNAL.parts),
    ):
        pass


def test_replaced_parts_are_put_back() -> None:
    owners = [part.owner() for part in safeties.ALL.parts]
    before = [vars(owner)[name] for owner, name in owners]
    with pytest.raises(NoSuchPart), replaced(safeties.ALL.parts):
        assert all(vars(o)[n] is not was for (o, n), was in zip(owners, before, strict=True))
    assert [vars(owner)[name] for owner, name in owners] == before


def test_a_row_is_a_median_with_its_lowest_and_highest() -> None:
    row = Row("up", "up", Unit.RATE, (3_000.0, 1_000.0, 1_234.5))
    assert row.cells() == ("up", "1,234", "1,000 - 3,000", "documents/s")


def test_results_take_their_place_in_a_file_that_has_one() -> None:
    markdown = Report({"cores": "2"}, [Section("Speed", [Row("up", "up", Unit.RATE, (7.0,))])]).markdown()
    written = report.placed(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", markdown)
    assert written.startswith("before\n")
    assert written.endswith("\nafter\n")
    assert "old" not in written
    assert "| up | 7.00 |  | documents/s |" in written
