"""A second, small program that re-checks a proof certificate from the spec's text and the emitted file alone.

It imports nothing of the compiler: it has its own elaborator of the language, its own count of dimensions
and its own way of judging emitted modules. `python -m qecompile.recheck CERTIFICATE SPEC [EMITTED]` runs it;
the folder also runs by itself, copied anywhere, if `--grammar` names `sym.lark`.
"""
