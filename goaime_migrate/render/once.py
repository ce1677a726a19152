"""What an operation filters by, and its pipeline, are told whole once; wherever they come again they are cut."""

from __future__ import annotations

from goaime_migrate.render.style import Style

_LONG = 80
_HEAD, _TAIL = 44, 26


class Once:
    """The texts of one output, in their order. With `verbose` nothing is cut."""

    def __init__(self, style: Style) -> None:
        self._style = style
        self._cut: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """The text; what is long in it and was told with one before it is cut."""
        if self._style.verbose:
            return text
        shown = text
        for whole, cut in self._cut.items():
            shown = shown.replace(whole, cut)
        self._cut |= {whole: self._shortened(whole) for whole in _parts(text) if len(whole) > _LONG}
        return shown

    def _shortened(self, whole: str) -> str:
        """Both ends of it: filters often begin alike, and one has another condition at its end."""
        head, tail = whole[:_HEAD], whole[-_TAIL:]
        return f"{head.rpartition(' ')[0] or head} {self._style.ellipsis} {tail.partition(' ')[2] or tail}"


def _parts(operation: str) -> tuple[str, str]:
    """What may be long in the text of an operation."""
    head, _, where = operation.partition(" where {")
    return "{" + where, head.partition(" with the pipeline ")[2]
