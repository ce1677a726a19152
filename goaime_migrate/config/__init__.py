"""Where the settings come from: one file, then ``GOAIME_MIGRATE_*`` variables, then flags.

The value of a variable is never expanded again, and nothing but ``${VAR}``, ``${VAR:-default}`` and
``%(here)s`` means anything, so that a percent-encoded password needs no second escaping.
"""

from goaime_migrate.config.files import in_pyproject as in_pyproject
from goaime_migrate.config.load import load as load
from goaime_migrate.config.load import names_several as names_several
from goaime_migrate.config.settings import DASK as DASK
from goaime_migrate.config.settings import DUMP as DUMP
from goaime_migrate.config.settings import INI as INI
from goaime_migrate.config.settings import KEYS as KEYS
from goaime_migrate.config.settings import PREFIX as PREFIX
from goaime_migrate.config.settings import PYPROJECT as PYPROJECT
from goaime_migrate.config.settings import SECTION as SECTION
from goaime_migrate.config.settings import SERVERS_OWN as SERVERS_OWN
from goaime_migrate.config.settings import Settings as Settings
from goaime_migrate.config.settings import is_pattern as is_pattern
