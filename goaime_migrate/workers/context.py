"""Where a worker works: its own connection and its own copy of the migrations, for any number of passes of one run.

Nothing here knows how the worker is reached: `WorkerContext.work` makes from a `spec`, a plain
document, the work whose partitions may then be done in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from goaime_migrate.backends.connect import connect
from goaime_migrate.backends.ports import Backend, LeaseRecord, Owner
from goaime_migrate.config import Settings
from goaime_migrate.errors import PinnedPassEdited
from goaime_migrate.errors.hint import UP, Hint
from goaime_migrate.events import Event, Notice
from goaime_migrate.imports import make_importable
from goaime_migrate.ledger import PassRecord, pass_record
from goaime_migrate.loader import load_file
from goaime_migrate.migration import Migration
from goaime_migrate.results import Document, Throttle
from goaime_migrate.run.brake import Options
from goaime_migrate.run.code import step_of
from goaime_migrate.run.lock import Deputy
from goaime_migrate.run.run import Run
from goaime_migrate.run.work import Report, SourceFile, Work
from goaime_migrate.transform.step import Step
from goaime_migrate.up.parallel_scan import ParallelScan, Reporter
from goaime_migrate.up.pass_ import walk_of


def spec(work: Work, files: Iterable[SourceFile], threads: int) -> Document:
    """All that one of those has to know who do so many partitions of a work at a time."""
    run = work.run
    return {
        "work": work.spec(),
        "files": [file_record(file) for file in files],
        "owner": run.lease.record.owner._asdict(),
        "fence": run.lease.fence,
        "threads": threads,
        "options": asdict(replace(run.options, workers=threads)),
    }


def file_record(file: SourceFile) -> Document:
    """A migration file as it is named in a message."""
    return {"version": file.version, "path": str(file.path), "checksum": file.checksum}


@dataclass
class WorkerContext:
    """One worker's own means. `check` raises where the work is not wanted any more; `tell` passes a notice on.

    `throttle` is what the run was told from another terminal.
    """

    settings: Settings
    check: Callable[[], None]
    tell: Callable[[str], None]
    throttle: Callable[[], Throttle | None] = lambda: None
    migrations: dict[str, Migration] = field(default_factory=dict)
    _backend: Backend | None = None

    @property
    def backend(self) -> Backend:
        """The database, opened when it is first asked for."""
        if self._backend is None:
            self._backend = connect(self.settings, write=True, notify=self.tell)
        return self._backend

    def load(self, files: Iterable[Document]) -> None:
        """Load migrations, each once. Raises PinnedPassEdited where a file is not what the run has loaded."""
        for file in files:
            path, version = Path(file["path"]), file["version"]
            if not self.migrations:
                make_importable(path.parent, self.settings.prepend_sys_path)
            if version not in self.migrations:
                self.migrations[version] = load_file(path)
            if self.migrations[version].checksum != file["checksum"]:
                raise PinnedPassEdited(
                    f"{path.name} was edited after the run had begun",
                    version=version,
                    hint=Hint("run it again: {}", UP),
                )

    def work(self, spec: Document, report: Report) -> Work:
        """The work that a spec describes; `report` is told of every batch that is committed."""
        self.load(spec["files"])
        owner = Owner(**spec["owner"])
        record = LeaseRecord(owner, spec["fence"], None, None, True)
        lease = Deputy(self.backend, record, self.check, self.throttle)
        run = Run(self.backend, lease, self._listen, Options(**spec["options"]), lambda: None)
        of_pass = pass_record(spec["work"]["pass"])
        walk = walk_of(run, of_pass, self.steps(of_pass))
        walk.revisits = spec["work"]["revisits"]
        walk.progress = Reporter(run, of_pass, report)
        return ParallelScan(walk)

    def _listen(self, event: Event) -> None:
        if isinstance(event, Notice):
            self.tell(event.text)

    def steps(self, record: PassRecord) -> list[Step]:
        """The steps of a pass, as they were pinned."""
        return [step_of(self.migrations[version], index) for version, index, _ in record.steps]

    def close(self) -> None:
        """Let go of the database."""
        if self._backend is not None:
            self._backend.close()
