"""`python -m qecompile.lsp`, or the command `qecompile-lsp`: speak with an editor over standard input."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from qecompile import __version__

BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the server; return when the editor ends the conversation."""
    parser = argparse.ArgumentParser("qecompile-lsp", description="Language server for .sym files.")
    parser.add_argument("--version", action="version", version=f"qecompile {__version__}")
    parser.add_argument("--stdio", action="store_true", help="speak over standard input, as it always does")
    parser.parse_args(arguments)
    try:
        from qecompile.lsp.server import make_server
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        print("the language server needs pygls: pip install 'qecompile[lsp]'", file=sys.stderr)
        return BAD_INPUT
    make_server().start_io()
    return 0


if __name__ == "__main__":
    sys.exit(main())
