"""Proofs about modules: traced graphs, a type system over them, and the obligations of theory.md, section 4.

Takes modules and a spec. Knows definitions (groups, diagrams, bases), never plans or emitted text: what the
compiler wrote is handed in by `pipeline.py`, so that the accused does not judge.
"""
