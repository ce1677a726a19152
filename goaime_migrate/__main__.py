"""``python -m goaime_migrate``."""

import sys

from goaime_migrate.cli import main

if __name__ == "__main__":
    sys.exit(main())
