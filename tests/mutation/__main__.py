"""`python tests/mutation`: see `cli`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from mutation.cli import main

    sys.exit(main())
