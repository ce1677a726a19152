"""`doctor`: what would make a deploy fail later."""

from __future__ import annotations

from goaime_migrate import errors
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.render import doctor as text
from goaime_migrate.render.words import count
from goaime_migrate.results import CheckStatus


def doctor(run: Invocation) -> Outcome:
    """Check the server, the privileges, the records, the room and the settings, and write nothing."""
    with run.migrator(run.settings(), progress=True) as migrator:
        result = migrator.doctor()
    failed = [check for check in result.checks if check.status is CheckStatus.ERROR]
    error = result.error
    if error is None and failed:
        error = errors.NotReady(
            f"{count(len(failed), 'check')} found what would make a command fail: "
            f"{', '.join(check.name for check in failed)}",
            hint="do what is said there, then: goaime-migrate doctor",
        )
    return Outcome(result, lambda style: text.doctor(result, style), error, read=True)
