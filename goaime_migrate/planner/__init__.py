"""What to do, decided from three values: the files, the ledger and the target. Pure: nothing is read or written.

A plan is refused, in this order,
  - if records that others name are gone;
  - if the files are at odds with themselves or with the history: a file that does not load, two with one number, a
    gap, one that was edited, removed or added below the current version;
  - if the target names no version, or several;
  - if it lies inside an unfinished pass, or a member of that pass was edited after documents had been migrated;
  - on the way down: if a version has no way back, or its journal was pruned or is gone, or code is needed that is
    not there.
"""

from goaime_migrate.planner.facts import BASE as BASE
from goaime_migrate.planner.facts import Facts as Facts
from goaime_migrate.planner.history import problems as problems
from goaime_migrate.planner.history import warnings as warnings
from goaime_migrate.planner.lost import lost_passes as lost_passes
from goaime_migrate.planner.lost import lost_records as lost_records
from goaime_migrate.planner.plan import DownPlan as DownPlan
from goaime_migrate.planner.plan import Plan as Plan
from goaime_migrate.planner.plan import UpPlan as UpPlan
from goaime_migrate.planner.repair import repairs as repairs
from goaime_migrate.planner.reversible import check_code as check_code
from goaime_migrate.planner.targets import resolve as resolve
from goaime_migrate.planner.way_down import plan_down as plan_down
from goaime_migrate.planner.way_down import plan_rest as plan_rest
from goaime_migrate.planner.way_up import plan_up as plan_up
