"""How far a command has come that looks at documents and writes nothing: it tells once it has taken a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from goaime_migrate.events import Examined, Listener
from goaime_migrate.run.pacing import Pacing

QUIET_S = 0.5
"""Who is done sooner has nothing to tell."""


class ReadProgress:
    """A look at the documents of one collection."""

    def __init__(
        self,
        listener: Listener,
        versions: Iterable[str],
        text: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._versions = tuple(versions)
        self._text = text
        self._clock = clock
        self._began = clock()
        self._done = 0
        self.total: int | None = None

    def add(self, documents: int) -> None:
        """So many more."""
        self._done += documents
        if self._clock() - self._began >= QUIET_S:
            self._listener(Examined(self._versions, self._text, self._done, self.total))

    def parts(self, batch: Sequence[bytes], pacing: Pacing) -> Iterator[Sequence[bytes]]:
        """A batch in parts so small that there is something to tell even where a transform is slow."""
        start = 0
        while start < len(batch):
            part = batch[start : start + pacing.size]
            began = self._clock()
            yield part
            pacing.took(self._clock() - began, len(part))
            self.add(len(part))
            start += len(part)
