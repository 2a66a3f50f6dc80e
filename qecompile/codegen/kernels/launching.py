"""What the kernels of an emitted file share, as text: when they serve, how Triton and torch learn of them.

`_mix` and `_means` are the emitted functions for large tensors. The section gives them a second body: on a
GPU with Triton they call an operator of `torch.library.triton_op`, whose name no other emitted file has. It
brings its own derivative, which calls an operator of the same family; where that derivative is to be
differentiated again, it is the formula in plain torch. Under function transforms and forward-mode
derivatives, under automatic casts and for subclasses of tensors the plain lowering serves. The first launch
imports Triton.
"""

from __future__ import annotations

from qecompile.provenance import KERNELS

START = f"""{KERNELS}; it binds `_mix` and `_means` anew, so that they launch
# kernels for large tensors on a GPU, and are what they were above for all else."""

IMPORTS = """
import functools
import importlib.util
import itertools
import math
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import triton.language as tl
"""

LAUNCHING = '''
DEVICES = ("cuda",)  # whose large tensors the kernels take; () leaves everything to torch
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MOST_ROWS = (1 << 31) - (1 << 16)  # what a kernel counts in 32 bits, with room for a last tile
TRITON = importlib.util.find_spec("triton") is not None


def lowering(x: Tensor) -> str:
    """What computes the layers of features like `x`: "triton" or "torch"."""
    return "triton" if _launches(x) else "torch"


def _launches(*tensors: Tensor) -> bool:
    """Whether the kernels take these: large tensors of one dtype on a GPU that nothing looks into."""
    x = tensors[0]
    if not TRITON or x.device.type not in DEVICES or x.dtype not in DTYPES or x.numel() < LARGE:
        return False
    if torch.is_autocast_enabled(x.device.type) or x.shape[:-1].numel() > MOST_ROWS:
        return False
    if torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0:
        return False
    plain = all(type(t) in (Tensor, nn.Parameter) for t in tensors)
    return plain and all(t.dtype == x.dtype and t.device == x.device for t in tensors)


@functools.cache
def _kernel(function: Callable) -> Callable:
    """A kernel of this file under Triton, which is imported here."""
    import triton

    globals()["tl"] = triton.language
    return triton.jit(function)


def _launch(function: Callable, grid: tuple[int, ...], *args, **options) -> None:
    """Launch a kernel on the device of its first tensor, which need not be the current one."""
    with torch.cuda.device_of(args[0]):
        torch.library.wrap_triton(_kernel(function))[grid](*args, **options)


def _on_device(x: Tensor) -> bool:
    """Whether an operator launches its kernel; elsewhere its body is plain torch."""
    return TRITON and x.device.type in DEVICES and x.dtype in DTYPES and x.numel() > 0


def _up(n: int, most: int) -> int:
    """The least power of two that is not less than n, or `most`, which is one.

    Asks n only whether it is larger: a compiler that leaves the batch open still may.
    """
    found = 1
    while found < most and found < n:
        found *= 2
    return found


def _register() -> bool:
    """Make the operators known to torch, once, whichever thread comes first."""
    with REGISTERING:
        while REGISTER:
            REGISTER.pop()()
    return True


REGISTER: list[Callable[[], None]] = []
REGISTERING = threading.Lock()
_register._dynamo_marked_constant = True  # torch.compile calls it and does not look inside
'''

LARGE = """
LARGE = 1 << 18  # entries: smaller tensors are left to torch
"""

NO_KERNELS = f'''{KERNELS}: no operation of this file has one.


def lowering(x: Tensor) -> str:
    """What computes the layers of features like `x`: no operation of this file has a kernel."""
    return "torch"
'''
