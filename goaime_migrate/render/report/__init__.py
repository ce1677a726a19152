"""The page of `history --html`: one file that needs nothing else, for a browser or a printer.

Whatever comes from documents, records, files and settings passes one place, `_shown`, before it is escaped: secrets are
taken out, and nothing in it steers the text. The page has no script, and forbids any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from goaime_migrate._version import __version__
from goaime_migrate.errors import PackageMissing
from goaime_migrate.redaction import redact
from goaime_migrate.render.report import plots, views
from goaime_migrate.render.style import Style, clean, clean_lines
from goaime_migrate.render.values import value
from goaime_migrate.render.words import count, moment, number, second, versions
from goaime_migrate.units import duration, size

if TYPE_CHECKING:
    from jinja2 import Environment

    from goaime_migrate.results import ReportResult


def require_jinja() -> None:
    """Refuse where templates cannot be filled in. Raises PackageMissing."""
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise PackageMissing(
            "the page is made with jinja2, which is not installed",
            hint="pip install 'goaime-migrate[report]'",
        ) from None


def page(report: ReportResult, *, masked: bool = False) -> str:
    """The whole page. `masked`: values of documents by their types alone. Raises PackageMissing."""
    require_jinja()
    style = Style(symbols=True, masked=masked)
    template = _environment(style).get_template("report.html")
    return template.render(
        report=report,
        status=report.status,
        version_views=views.versions(report, style),
        months=views.months(report.history),
        totals=views.totals(report),
        steps=plots.plot_applied(report.history),
        masked=masked,
        tool=f"goaime-migrate {__version__}",
    )


def _environment(style: Style) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("goaime_migrate.render.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": count,
        "duration": duration,
        "lines": clean_lines,
        "moment": moment,
        "number": number,
        "second": second,
        "size": size,
        "value": lambda item: value(item, style, 200),
        "versions": versions,
    }
    return made


def _shown(item: Any) -> Any:
    """Every value that is put into the page, before it is escaped."""
    from markupsafe import Markup

    return item if isinstance(item, Markup) else clean(redact(str(item)))
