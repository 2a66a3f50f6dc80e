"""Weight-space modules as people write them, each with mistakes that people make.

An `Example` is a plain module, the spec that it is equivariant for, and changes to its text that break it.
`test_handwritten.py` measures every one of them and asks the checker about it, so the classes below are also
a description of what the checker understands.
"""
