"""What can be measured, by the name that the command line has for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks import documents, measuring, operations
from benchmarks.measuring import Measuring
from benchmarks.report import Samples, Section


@dataclass(frozen=True)
class Part:
    """Something to measure, and what it says."""

    measure: Callable[[Measuring], None]
    sections: Callable[[Samples, int], Sequence[Section]]


PARTS: Mapping[str, Part] = {
    "goaime": Part(measuring.goaime, measuring.goaime_sections),
    "small": Part(operations.small, operations.small_sections),
    "documents": Part(documents.documents, documents.documents_sections),
    "constants": Part(operations.constants, operations.constants_sections),
    "paths": Part(operations.paths, operations.paths_sections),
    "coming": Part(operations.coming, operations.coming_sections),
    "safeties": Part(measuring.without, measuring.without_sections),
}
