"""A migration's file as rules read it: its tree, where its operations stand, what it allows."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from goaime_migrate.migration import Migration

_ALLOW = re.compile(r"#\s*allow:\s*(?P<rule>[\w-]*)\s*(?P<rest>.*)", re.DOTALL)
_BECAUSE = re.compile(r"because\s+(?P<reason>\S.*)", re.DOTALL)


class Allowance(NamedTuple):
    """A comment that lets a rule pass; without a reason it lets nothing pass."""

    rule: str
    reason: str
    line: int


@dataclass(frozen=True)
class File:
    """One migration file, and what there is beside it."""

    migration: Migration
    versions: Collection[str] = ()
    """The versions of all files."""
    others: Sequence[Migration] = field(default=())
    """All files that load, in order."""

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self._bytes)

    @cached_property
    def _bytes(self) -> bytes:
        return self.migration.path.read_bytes()

    @property
    def shown(self) -> str:
        """Its path, from the working directory where it is below that."""
        path = self.migration.path
        here = Path.cwd()
        return str(path.relative_to(here) if path.is_relative_to(here) else path)

    @cached_property
    def functions(self) -> Mapping[str, ast.FunctionDef]:
        """Its top-level functions by name."""
        return {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}

    @property
    def is_plain(self) -> bool:
        """Whether it is `up(db)` in place of operations."""
        return "up" in self.functions

    def line_of(self, number: int) -> int | None:
        """The line where an operation is declared, if the list of operations is written out."""
        lines = self._lines
        return lines[number] if len(lines) == len(self.migration.operations) else None

    @cached_property
    def _lines(self) -> list[int]:
        for node in self.tree.body:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            named = any(isinstance(t, ast.Name) and t.id == "operations" for t in targets)
            value = getattr(node, "value", None)
            if named and isinstance(value, ast.List | ast.Tuple):
                return [each.lineno for each in value.elts]
        return []

    @cached_property
    def allowances(self) -> Sequence[Allowance]:
        """Its comments ``# allow: RULE because REASON``, those without a reason too."""
        return list(self._allowances())

    def _allowances(self) -> Iterator[Allowance]:
        for token in tokenize.tokenize(io.BytesIO(self._bytes).readline):
            if token.type == tokenize.COMMENT and (found := _ALLOW.match(token.string)):
                because = _BECAUSE.match(found["rest"])
                yield Allowance(found["rule"], because["reason"].strip() if because else "", token.start[0])

    def allows(self, rule: str) -> str:
        """Why a rule is let pass; empty where it is not."""
        return next((a.reason for a in self.allowances if a.rule == rule and a.reason), "")
