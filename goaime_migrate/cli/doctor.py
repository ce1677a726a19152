"""`doctor`: what would make a deploy fail later."""

from __future__ import annotations

from goaime_migrate import errors
from goaime_migrate.cli.invocation import Invocation
from goaime_migrate.cli.options import FailFast
from goaime_migrate.cli.outcome import Outcome
from goaime_migrate.cli.scope import over
from goaime_migrate.render import doctor as text
from goaime_migrate.render.words import count
from goaime_migrate.results import CheckStatus, DoctorResult


def doctor(run: Invocation, *, fail_fast: FailFast = False) -> Outcome:
    """Check the server, the privileges, the records, the room and the settings, and write nothing."""
    with over(run, run.settings(), progress=True, fail_fast=fail_fast) as scope:
        return scope.each(lambda migrator: _outcome(migrator.doctor()))


def _outcome(result: DoctorResult) -> Outcome:
    failed = [check for check in result.checks if check.status is CheckStatus.ERROR]
    error = result.error
    if error is None and failed:
        error = errors.NotReady(
            f"{count(len(failed), 'check')} found what would make a command fail: "
            f"{', '.join(check.name for check in failed)}",
            hint="do what is said there, then: goaime-migrate doctor",
        )
    return Outcome(
        result, lambda style: text.doctor(result, style), error, read=True, evidence=text.evidence(failed)
    )
