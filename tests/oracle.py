"""The oracle that tests compare the basis with: the nullity of theory.md, section 4 (c).

It lives in the package, where `qecompile prove` uses it too; `test_oracle.py` checks it against numbers that
do not come from the compiler.
"""

from __future__ import annotations

from qecompile.verify.nullity import hom_dim, invariant_dim

__all__ = ["hom_dim", "invariant_dim"]
