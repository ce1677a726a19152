"""Operations on single fields, named by their paths: add, rename, remove."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from goaime_migrate.backends import raw_bson
from goaime_migrate.backends.ports import Filter
from goaime_migrate.operations.base import require, require_encodable
from goaime_migrate.operations.documents import TransformDocuments
from goaime_migrate.results import Document
from goaime_migrate.transform import path_stages
from goaime_migrate.transform.paths import EACH, CannotChange, Path, Place, Walker, parse

if TYPE_CHECKING:
    from goaime_migrate.transform.step import Step


class FieldOperation(TransformDocuments):
    """Changes what paths lead to; `text` describes it."""

    def __init__(
        self,
        collection: str,
        text: str,
        change: Callable[[Document], None],
        paths: Iterable[Path],
        *,
        where: Filter | None,
        reverse: Callable[[Document], None] | None = None,
    ) -> None:
        fields = list(dict.fromkeys(path.top for path in paths))
        super().__init__(collection, change, where=where, fields=fields, reverse=reverse)
        self._text = text

    def describe(self) -> str:
        """By what it does to the field."""
        return self._text if self.where is None else f"{self._text} where {self.where}"


class AddField(FieldOperation):
    """Give a constant value to a field in every document that lacks it; one that is there stays as it is.

    Documents on the way to it that are absent are made; one that is null, or none, is left alone, which is told. Only
    the value that was added is removed from documents that come in after `up`.
    """

    def __init__(self, collection: str, path: str, value: Any, *, where: Filter | None = None) -> None:
        found = parse(path, "AddField")
        require(
            found.last != EACH,
            f"AddField: {path!r} are elements, which have no name",
            f"'{path}.name' adds a field to each of them",
        )
        require_encodable({found.last: value}, f"AddField: the value of {path!r}")

        own = deepcopy if isinstance(value, Mapping | list | tuple) else _same

        def add_field(document: Document) -> None:
            for holder, name in walk_places(document, [found], makes=True):
                if name not in holder:
                    holder[name] = own(value)

        text = f"add {path} = {value!r} to {collection}"
        super().__init__(
            collection, text, add_field, [found], where=where, reverse=_without_value(found, value)
        )
        self._element = raw_bson.encode({found.top: value})[4:-1] if found.top == path else None
        self._path, self._value = found, value

    def step(self, version: str, source: str) -> Step:
        """A step that a server can take by itself, and that says which element it adds if that is all it does."""
        return replace(
            super().step(version, source),
            adds=self._element,
            stages=path_stages.adding(self._path, self._value),
            marking=path_stages.marked_adding(self._path, self._value),
        )


class RemoveField(FieldOperation):
    """Remove fields from every document; of an array's elements (`tags.$[]`) null is left."""

    def __init__(self, collection: str, *paths: str, where: Filter | None = None) -> None:
        require(paths, "RemoveField: no field is named", "RemoveField('collection', 'a', 'b.c')")
        found = [parse(path, "RemoveField") for path in paths]
        self.paths = paths
        for inner in found:
            outer = next((p for p in found if p is not inner and _leads_into(p, inner)), None)
            require(outer is None, f"RemoveField: {str(inner)!r} goes with {str(outer)!r}", "name it once")

        def remove_field(document: Document) -> None:
            for holder, name in walk_places(document, found):
                if isinstance(holder, list):
                    holder[name] = None
                else:
                    holder.pop(name, None)

        super().__init__(
            collection, f"remove {', '.join(paths)} from {collection}", remove_field, found, where=where
        )
        self._paths = found
        tops = [path.top.encode() for path in found if len(path.parts) == 1]
        self._removes = tuple(tops) if len(tops) == len(found) else ()

    def step(self, version: str, source: str) -> Step:
        """A step that a server can take by itself, and that says which fields it removes if that is all it does."""
        return replace(
            super().step(version, source),
            removes=self._removes,
            stages=path_stages.removing(self._paths),
            marking=path_stages.marked_removing(self._paths),
        )


class RenameField(FieldOperation):
    """Rename a field in every document, where it stands, or move it to another parent, which is made where it is absent.

    Both paths are whole ones. A document that has both fields stops the run.
    """

    def __init__(self, collection: str, old: str, new: str, *, where: Filter | None = None) -> None:
        here, there = parse(old, "RenameField"), parse(new, "RenameField")
        self.old, self.new = old, new
        require(here != there, f"RenameField: {old!r} is already called that")
        for path in (here, there):
            require(path.last != EACH, f"RenameField: {str(path)!r} are elements, which have no name")
        require(
            not _leads_into(here, there) and not _leads_into(there, here),
            f"RenameField: of {old!r} and {new!r} one is within the other",
            "move it aside first: to a name that is in neither",
        )
        (each, _), (every, last) = here.split(), there.split()
        require(
            each == every,
            f"RenameField: {old!r} and {new!r} do not lead to the elements of the same array",
            f"write {'.'.join((*each, *last))!r}: up to the last {EACH} both are the same",
        )
        super().__init__(
            collection,
            f"rename {old} to {new} in {collection}",
            _renaming(here, there),
            [here, there],
            where=where,
            reverse=_renaming(there, here),
        )
        if len(here.parts) == 1:
            self.fields = None  # the place of a top-level field takes the whole document


def walk_places(document: Document, paths: Iterable[Path], *, makes: bool = False) -> Iterator[Place]:
    """The places that paths lead to, then a warning for each kind of place that they do not lead into."""
    walker = Walker(makes=makes)
    for path in paths:
        yield from walker.places(document, path)
    walker.warn()


def _same(value: Any) -> Any:
    """A value that nobody can change needs no copy."""
    return value


def _leads_into(outer: Path, inner: Path) -> bool:
    return inner.parts[: len(outer.parts)] == outer.parts


def _without_value(path: Path, value: Any) -> Callable[[Document], None]:
    """Remove the field where it has the very value that was added: any other is the application's."""
    added = raw_bson.encode({"": value})

    def remove_added_field(document: Document) -> None:
        for holder, name in walk_places(document, [path]):
            if name in holder and raw_bson.encode({"": holder[name]}) == added:
                del holder[name]

    return remove_added_field


class _Target(Walker):
    """Finds where a field is to stand, and refuses to lose it where it cannot."""

    def no_document(self, name: str) -> None:
        """Refuse to put a field into what has none. Raises CannotChange."""
        raise CannotChange(name, "it is null or no document: nothing can be moved into it")


def _renaming(old: Path, new: Path) -> Callable[[Document], None]:
    shared, _ = old.split()

    def rename_field(document: Document) -> None:
        walker, target = Walker(), _Target(makes=True)
        elements = walker.places(document, Path(shared)) if shared else [((document,), 0)]
        for array, index in elements:
            for holder, name in walker.places(array[index], old, len(shared)):
                if name in holder:
                    _move(holder, name, target.places(array[index], new, len(shared)), old, new)
        walker.warn()
        target.warn()

    return rename_field


def _move(holder: Document, name: str, places: Iterable[Place], old: Path, new: Path) -> None:
    """Move a field to the place that is found for it, if any. Raises CannotChange where that is taken."""
    for target, key in places:
        if key in target:
            raise CannotChange(str(new), f"the document has both {old} and {new}")
        if target is not holder:
            target[key] = holder.pop(name)
        else:
            renamed = {key if each == name else each: value for each, value in holder.items()}
            holder.clear()
            holder.update(renamed)
