"""`plan` and `lint` as SARIF 2.1.0, which code scanners exchange."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from goaime_migrate._version import __version__
from goaime_migrate.errors.hint import PROGRAM
from goaime_migrate.render.json import dumps, extended_json
from goaime_migrate.render.style import clean

if TYPE_CHECKING:
    from goaime_migrate.results import Finding

Json = dict[str, Any]
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(
    found: Sequence[Finding],
    texts: Callable[[str], str],
    redact: Callable[[str], str],
) -> str:
    """One run with all findings; `texts` knows what a rule is about."""
    names = list(dict.fromkeys(finding.rule for finding in found))
    run: Json = {
        "tool": {
            "driver": {
                "name": PROGRAM,
                "version": __version__,
                "rules": [_rule(name, texts(name)) for name in names],
            }
        },
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, names.index(finding.rule)) for finding in found],
    }
    return dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, redact)


def _rule(name: str, text: str) -> Json:
    first = text.partition("\n\n")[0].replace("\n", " ") or name
    return {
        "id": name,
        "shortDescription": {"text": first},
        "fullDescription": {"text": " ".join(text.split()) or name},
    }


def _result(finding: Finding, number: int) -> Json:
    made: Json = {
        "ruleId": finding.rule,
        "ruleIndex": number,
        "level": str(finding.severity),
        "message": {"text": f"{clean(finding.message)}\ndo: {clean(finding.remedy)}"},
        "properties": {
            "version": finding.version,
            "collection": finding.collection,
            "evidence": extended_json(finding.evidence, relaxed=True),
        },
    }
    if finding.file:
        made["locations"] = [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(finding.file)},
                    "region": {"startLine": finding.line or 1},
                }
            }
        ]
    return made


def _uri(file: str) -> str:
    """A path as a URI, relative to the root of the repository as it is to the working directory."""
    from urllib.parse import quote

    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
