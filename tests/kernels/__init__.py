"""Proof without a GPU that emitted Triton kernels are right: see `interpreted.py` and `ahead.py`.

Triton's interpreter has to be chosen before Triton is imported, and cannot be left: two programs, two
processes. `test_kernels.py` starts both.
"""
