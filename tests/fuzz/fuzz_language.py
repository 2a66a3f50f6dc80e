"""Coverage-guided fuzzing of the language front end; not a test, run it by hand.

    pip install atheris
    python tests/fuzz/fuzz_language.py -max_total_time=600 -dict=tests/fuzz/sym.dict CORPUS_FOLDER specs

Any bytes must give a spec or a `SymError`, within two seconds of CPU. What it finds becomes a test in
`tests/test_fuzz_findings.py`.
"""

from __future__ import annotations

import sys
import time

import atheris

with atheris.instrument_imports(include=["qecompile"]):
    from qecompile.basis import derive
    from qecompile.codegen.emit import emit_source
    from qecompile.errors import SymError
    from qecompile.resolve import parse

SECONDS = 2.0
FEW = 8


def one_input(data: bytes) -> None:
    """Parse, and where the spec is small derive and emit; anything but a `SymError` is a finding."""
    text = data.decode("utf-8", errors="replace")
    start = time.process_time()
    try:
        spec = parse(text)
        if len(spec.parameters) <= FEW and all(s.size <= FEW for s in spec.spaces):
            list(derive(spec).pairs())
            emit_source(spec)
    except SymError as mistakes:
        str(mistakes)
    spent = time.process_time() - start
    if spent > SECONDS:
        raise TimeoutError(f"{spent:.1f} s for {len(data)} bytes")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
