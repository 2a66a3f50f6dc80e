"""Run the checker: as `python -m qecompile.recheck`, or as a plain folder that was copied elsewhere."""

import importlib
import importlib.util
import sys
from pathlib import Path

if not __package__:
    __package__ = "qecompile_recheck"
    start = Path(__file__).parent / "__init__.py"
    found = importlib.util.spec_from_file_location(
        __package__, start, submodule_search_locations=[str(start.parent)]
    )
    if found is None:
        sys.exit("recheck: the folder is not complete")
    sys.modules[__package__] = importlib.util.module_from_spec(found)

sys.exit(importlib.import_module(f"{__package__}.command").main(sys.argv[1:]))
