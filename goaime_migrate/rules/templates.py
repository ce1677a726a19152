"""What was left in a file by mistake."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from goaime_migrate.migration import PLACEHOLDER
from goaime_migrate.results import Severity
from goaime_migrate.rules.registry import FILES, Said, rules_by_name
from goaime_migrate.rules.source import File


@FILES.rule("placeholder", Severity.ERROR)
def placeholder(file: File) -> Iterator[Said]:
    """The file still has the collection of the template that it was made from."""
    for node in ast.walk(file.tree):
        named = isinstance(node, ast.Attribute) and node.attr == PLACEHOLDER
        if named or (isinstance(node, ast.Constant) and node.value == PLACEHOLDER):
            yield Said(
                f"{PLACEHOLDER} is only a placeholder",
                "put the name of your collection there",
                line=getattr(node, "lineno", None),
            )
            return


@FILES.rule("superseded-unknown", Severity.WARNING)
def superseded_unknown(file: File) -> Iterator[Said]:
    """`supersedes` names a version that has no file, so that nobody's promise is replaced."""
    for version in file.migration.supersedes:
        if version not in file.versions:
            yield Said(
                f"supersedes names {version}, and there is no such file",
                f"leave {version} out, or correct the number",
            )


@FILES.rule("allowance", Severity.WARNING)
def allowance(file: File) -> Iterator[Said]:
    """A comment that allows something names no rule that there is, or gives no reason.

    `# allow: RULE because REASON` makes what the rule says of this file a note.
    """
    for each in file.allowances:
        if each.rule not in rules_by_name():
            yield Said(
                f"# allow: names {each.rule!r}, and there is no such rule",
                f"the rules are {', '.join(rules_by_name())}",
                line=each.line,
            )
        elif not each.reason:
            yield Said(
                f"# allow: {each.rule} says no reason, so that it allows nothing",
                f"write # allow: {each.rule} because …",
                line=each.line,
            )
