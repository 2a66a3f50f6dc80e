"""The Triton kernels behind an emitted file: nothing of them is reached without a GPU.

A certificate is about a file in plain torch. Kernels stand in the same file and bind some of its functions
anew; what they compute is not claimed, but that they leave alone what is claimed is checked, by reading:

- When the file is imported, the section defines functions and classes, and makes the values in STATEMENTS and
  tables of functions. Nothing else runs.
- No name that the file above reads is bound anew, but for the functions in GUARDS, word for word. Each of
  them asks `_launches` or for a stand-in, which only a launch makes, and is what it was if the answer is no;
  for tensors on a CPU it is no, since DEVICES says so.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .nullity import Wrong

KERNELS = f"\n\n# {'-' * 99}\n# Triton kernels. Nothing above needs what follows".encode()
"""Where the kernels of a file begin."""

GUARDS = """
def lowering(x: Tensor) -> str:
    return "triton" if _launches(x) else "torch"
def lowering(x: Tensor) -> str:
    return "torch"
def _launches(*tensors: Tensor) -> bool:
    x = tensors[0]
    if not TRITON or x.device.type not in DEVICES or x.dtype not in DTYPES or x.numel() < LARGE:
        return False
    if torch.is_autocast_enabled(x.device.type) or x.shape[:-1].numel() > MOST_ROWS:
        return False
    if torch._C._are_functorch_transforms_active() or torch.autograd.forward_ad._current_level >= 0:
        return False
    plain = all(type(t) in (Tensor, nn.Parameter) for t in tensors)
    return plain and all(t.dtype == x.dtype and t.device == x.device for t in tensors)
def _means(x: Tensor, *dims: int) -> tuple[Tensor, ...]:
    if _launches(x) and _register():
        return _taken(x, dims)
    return _means_by_torch(x, *dims)
def _means(x, *dims: int) -> tuple[Tensor, ...]:
    return tuple(map(x.mean, dims)) if type(x) is _Read else _means_of_tensor(x, *dims)
def _mix(x: Tensor, weight: Tensor, *parts: Tensor) -> Tensor:
    if _launches(x, weight, *parts) and _form(x, parts) and _register():
        return torch.ops.LIBRARY.mix(x, weight, parts) if parts else _multiplied(x, weight)
    return _mix_by_torch(x, weight, *parts)
def _mix(x, weight: Tensor, *parts: Tensor):
    return _Sum(x.product, parts) if type(x) is _Read else _mix_tensors(x, weight, *parts)
def _check(x, channels: int | None, like: Tensor):
    return x if type(x) is _Checked else _check_all(x, channels, like)
def _stacks(net: MetaNet, theta: dict[str, Tensor]) -> bool:
    if type(theta) is not dict or torch.compiler.is_compiling() or not theta.keys() >= STACK.keys():
        return False
    if nn.modules.module._has_any_global_hook() or not all(map(_as_written, net.children())):
        return False
    large = sorted((theta[name] for name in STACK), key=lambda t: -t.numel())
    return _launches(*large, next(net.parameters())) and _register()
def _as_written(m: nn.Module) -> bool:
    hooks = m._forward_hooks, m._forward_pre_hooks, m._backward_hooks, m._backward_pre_hooks
    known = type(m).__module__ == MetaNet.__module__ or type(m).__module__.startswith("torch.nn.modules.")
    return known and "forward" not in vars(m) and not any(hooks) and all(map(_as_written, m.children()))
def _forward(self: MetaNet, theta: dict[str, Tensor]):
    return _stacked(self, theta) if _stacks(self, theta) else _forward_by_torch(self, theta)
"""
STATEMENTS = """
import functools
import importlib.util
import itertools
import math
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple
if TYPE_CHECKING:
    import triton.language as tl
DEVICES = ("cuda",)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MOST_ROWS = (1 << 31) - (1 << 16)
LARGE = 1 << 18
PRODUCT: _Form | None = None
PRODUCT: _Form | None = _Form((), (), _mix_rows, _mix_rows_backward)
TRITON = importlib.util.find_spec("triton") is not None
REGISTER: list[Callable[[], None]] = []
REGISTERING = threading.Lock()
_register._dynamo_marked_constant = True
REGISTER.append(_register_mean)
REGISTER.append(_register_two_means)
REGISTER.append(_register_mix)
REGISTER.append(_register_advance)
_means_by_torch = _means
_mix_by_torch = _mix
_check_all, _mix_tensors = _check, _mix
_means_of_tensor = _means
_forward_by_torch = MetaNet.forward
MetaNet.forward = _forward
"""
TABLES = {"FORMS": "_Form", "STACK": "_Stacked"}
CLASSES = ("NamedTuple", "dict")


def check_kernels(plain: bytes, kernels: bytes, name: str) -> None:
    """Refuse a section of kernels that does more than wait for a GPU.

    Raises:
        Wrong: with the line of what it does.
    """
    try:
        above, below = ast.parse(plain), ast.parse(kernels)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Wrong(f"{name} is no Python source: {type(error).__name__}") from None
    first = len(plain.splitlines())
    for line, found in reaching(above, below):
        raise Wrong(f"{name}:{first + line} {found}: no kernels of an emitted file do")


def reaching(above: ast.Module, below: ast.Module) -> Iterator[tuple[int, str]]:
    """The lines of a section that reach for more than it needs, and how."""
    if "from __future__ import annotations" not in map(ast.unparse, above.body):
        yield 0, "stand behind a file whose annotations are computed"
    guards = {text(top) for top in ast.parse(GUARDS).body}
    statements = {text(top) for top in ast.parse(STATEMENTS).body}
    guarded = {name for top in ast.parse(GUARDS).body for name in bound(top)}
    taken = guarded | {n.id for n in ast.walk(above) if isinstance(n, ast.Name)}
    taken |= {name for top in above.body for name in bound(top)}
    for top in below.body:
        if text(top) in guards:
            continue
        mine = bound(top)
        if isinstance(top, ast.Import):  # both import it
            mine -= {name for n in above.body if isinstance(n, ast.Import) for name in bound(n)}
        for name in sorted(mine & taken):
            yield top.lineno, f"give `{name}` another meaning"
        if any(name.startswith("__") for name in mine):
            yield top.lineno, "bind a name that means something to Python"
        taken |= mine
        known = text(top) in statements or is_table(top)
        known |= isinstance(top, ast.FunctionDef) and is_plain(top, ("functools.cache",))
        if not known and not (isinstance(top, ast.ClassDef) and is_class(top)):
            yield top.lineno, "do something when they are imported"


def text(node: ast.stmt) -> str:
    """A statement as one text, without docstring, layout and the name of a file's operators."""
    if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
        node = ast.parse(ast.unparse(node)).body[0]
        assert isinstance(node, ast.FunctionDef)
        node.body = node.body[1:] or [ast.Pass()]
    return re.sub(r"\bqecompile_[0-9a-f]{12}\b", "LIBRARY", ast.unparse(node))


def bound(top: ast.stmt) -> set[str]:
    """The names that a statement of a module gives a value."""
    if isinstance(top, (ast.FunctionDef, ast.ClassDef)):
        return {top.name}
    names = {n.id for n in ast.walk(top) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    aliases = [a for n in ast.walk(top) if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names]
    return names | {(a.asname or a.name).partition(".")[0] for a in aliases}


def is_plain(function: ast.FunctionDef | ast.Lambda, decorators: tuple[str, ...] = ()) -> bool:
    """Whether nothing runs as a function is defined."""
    defaults = (*function.args.defaults, *(d for d in function.args.kw_defaults if d))
    listed = function.decorator_list if isinstance(function, ast.FunctionDef) else []
    return all(isinstance(d, ast.Constant) for d in defaults) and all(
        ast.unparse(d) in decorators for d in listed
    )


def is_class(top: ast.ClassDef) -> bool:
    """Whether a class is a record, or has methods alone."""
    if top.keywords or top.decorator_list or any(ast.unparse(base) not in CLASSES for base in top.bases):
        return False
    return all(
        (isinstance(n, ast.FunctionDef) and is_plain(n))
        or (isinstance(n, ast.AnnAssign) and n.value is None)
        or (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
        for n in top.body
    )


def is_table(top: ast.stmt) -> bool:
    """Whether a statement is a table of kernels: records of plain values and of functions."""
    if not (isinstance(top, ast.AnnAssign) and isinstance(top.target, ast.Name)):
        return False
    record = TABLES.get(top.target.id)
    if record is None or not isinstance(top.value, ast.Dict):
        return False
    return all(isinstance(key, ast.expr) and is_value(key) for key in top.value.keys) and all(
        isinstance(call, ast.Call)
        and ast.unparse(call.func) == record
        and not call.args
        and all(k.arg and is_value(k.value) for k in call.keywords)
        for call in top.value.values
    )


def is_value(node: ast.expr) -> bool:
    """Whether an expression is a plain value, a name, or a function."""
    if isinstance(node, ast.Tuple):
        return all(map(is_value, node.elts))
    return isinstance(node, (ast.Constant, ast.Name)) or (isinstance(node, ast.Lambda) and is_plain(node))
