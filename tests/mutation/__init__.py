"""Mutants of emitted modules: what `qecompile prove` must refuse, and rewrites that it must accept.

Run: `python tests/mutation --help`.

    variants   the specs of specs/ at small sizes, each with sizes that differ and with equal ones
    source     the text of an emitted module, its syntax tree, and edits of single expressions
    shapes     the shape of every expression, by running the module once
    operators  the mistakes: each takes a module and proposes edits of its text
    rewrites   edits that keep the meaning
    effect     does a mutant compute another function? (in float64, with the weights of the original)
    law        does it break the group's law? (measured, with another group element for every entry)
    judge      what `prove`, and the type system alone, say about it
    campaign   draw mutants of every variant, judge each, collect the outcomes
    table      docs/mutation.md
"""
