"""`python -m qecompile` is the command `qecompile`."""

import sys

from qecompile.cli import main

sys.exit(main())
