"""Rules for spectra: Fourier transforms along fixed axes, singular values of matrices."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from qecompile.verify.atoms import free
from qecompile.verify.references import reduce_dims, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Result, Rule, as_type, rule
from qecompile.verify.rules.linalg import check_apart
from qecompile.verify.rules.movement import new_order
from qecompile.verify.rules.pointwise import Function, apply_function
from qecompile.verify.rules.still import ordered
from qecompile.verify.types import Type

SIZE = Function(Fraction(1), "even", True)
LARGEST = Function(Fraction(1), None, True)


@rule(
    "Fourier transform",
    "fft_fft fft_ifft fft_rfft fft_irfft fft_hfft fft_ihfft fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 "
    "fft_fftn fft_ifftn fft_rfftn fft_irfftn",
)
def fourier(call: Call) -> Type:
    """Linear along axes with an order, fixed ones; the inverses with a half spectrum are real-linear."""
    t = call.type()
    if call.name.endswith("2"):
        over = tuple(d % len(t.dims) for d in call.ints("dim", (-2, -1)))
    elif call.name.endswith("n"):
        over = call.dims("dim")
    else:
        over = (call.dim(default=-1),)
    for d in over:
        t = ordered(t, d, call.op.shape[d], "frequencies are taken")
    return t


@rule("real and imaginary part", "real imag view_as_real view_as_complex")
def parts(call: Call) -> Type:
    """Linear over the reals; a pair of numbers is a fixed axis."""
    t = call.type()
    if call.name == "view_as_real":
        return with_dims(t, [*t.dims, (free(2),)])
    if call.name == "view_as_complex":
        last = ordered(t, len(t.dims) - 1, 1, "the parts of a number are read")
        return with_dims(last, last.dims[:-1])
    return t


@rule("singular values", "linalg_svdvals linalg_svd")
def singular_values(call: Call) -> Result:
    """Sigma(Q A R) = sigma(A) for permutations and rotations Q, R of rows and columns: degree 1, even."""
    t = call.type("A" if "A" in call.given else "self")
    if call.op.parts and is_still(t):
        return _decomposed(t, call)
    size = (call.op.parts or (None, call.op.shape))[1][-1]
    values = with_dims(spectrum(t), [*t.dims[:-2], (free(size),)])
    vectors = Refused("singular vectors are fixed up to signs only", "use the singular values")
    return (vectors, values, vectors) if call.op.parts else values


@rule("eigenvalues", "linalg_eigh linalg_eigvalsh")
def eigenvalues(call: Call) -> Result:
    """Lambda(Q A Q^-1) = lambda(A), of degree 1, for A that is symmetric as it is made."""
    t = call.type("A" if "A" in call.given else "self")
    if is_still(t):
        return _decomposed(t, call)
    if not is_symmetric(call.origins.get("A", call.origins.get("self"))):
        raise Refused(
            "`eigh` reads one triangle of a matrix that is not seen to be symmetric",
            "make it as x @ x.mT or x + x.mT",
        )
    values = with_dims(spectrum(t, LARGEST), [*t.dims[:-2], (free(t.shape[-1]),)])
    vectors = Refused("eigenvectors are fixed up to signs only", "use the eigenvalues")
    return (values, vectors) if call.op.parts else values


@rule(
    "decomposition",
    "linalg_qr linalg_cholesky linalg_cholesky_ex cholesky linalg_eig linalg_eigvals linalg_lu "
    "linalg_lu_factor",
)
def decomposition(call: Call) -> Result:
    """Any function of matrices with rows and columns on which nothing acts, of charge 0."""
    t = call.type("A" if "A" in call.given else "self")
    if not is_still(t):
        shown = " and ".join(" ".join(a.name for a in dim) or "1" for dim in t.dims[-2:])
        raise Refused(
            f"`{call.name}` of matrices with axes {shown} depends on their order, or basis",
            "contract these axes first",
        )
    return _decomposed(t, call)


def _decomposed(t: Type, call: Call) -> Result:
    """Functions of whole matrices on whose axes nothing acts."""
    reduced = reduce_dims(t, (len(t.dims) - 2, len(t.dims) - 1), linear=False)
    rest = apply_function(replace(reduced, links=(), zero=False), Function(), call.name)
    shapes = call.op.parts or (call.op.shape,)
    lead = len(rest.dims)
    found = tuple(with_dims(rest, [*rest.dims, *((free(n),) for n in shape[lead:])]) for shape in shapes)
    return found if call.op.parts else found[0]


def is_still(t: Type) -> bool:
    """Whether nothing acts on rows and columns."""
    return all(a.kind == "free" or t.is_uniform(a) for dim in t.dims[-2:] for a in dim)


def is_symmetric(call: Call | None) -> bool:
    """Whether what an operation makes equals its transpose, seen from how it is made."""
    if call is None:
        return False
    number = call.numbers.get("self")
    other = call.origins.get("other", call.origins.get("mat2"))
    match call.name:
        case "matmul" | "bmm" | "add":
            mine = call.origins.get("self")
            if call.get("alpha", 1) != 1:
                return False
            turned = _transposed(other, number) or _transposed(
                mine, call.numbers.get("other", call.numbers.get("mat2"))
            )
            return turned or (call.name == "add" and is_symmetric(mine) and is_symmetric(other))
        case "sub":
            return is_symmetric(call.origins.get("self")) and is_symmetric(other)
        case "mul" | "div":
            scaled = as_type(call.given.get("other"))
            return not scaled.dims and is_symmetric(call.origins.get("self"))
        case "diag_embed":
            return all(
                call.get(name, value) == value for name, value in (("offset", 0), ("dim1", -2), ("dim2", -1))
            )
        case "abs" | "exp" | "tanh" | "sigmoid" | "relu" | "square" | "neg" | "clone" | "alias" | "detach":
            return is_symmetric(call.origins.get("self"))
    return False


def _transposed(call: Call | None, number: str | None) -> bool:
    """Whether an operation turns the value of that number around."""
    if call is None or number is None or call.numbers.get("self") != number:
        return False
    rank = len(call.type().dims)
    if call.name not in ("transpose", "mT", "permute", "swapaxes", "adjoint", "movedim"):
        return False
    return new_order(call, rank) == [*range(rank - 2), rank - 1, rank - 2]


def spectrum(t: Type, f: Function = SIZE) -> Type:
    """The type of a function of the singular values, of degree 1: without the last two axes."""
    rows, columns = ({a.id for a in dim} for dim in t.dims[-2:])
    check_apart(t, rows, columns, "singular values")
    for dim in t.dims[-2:]:
        for a in dim:
            if any(t.depends(a.id, b.id) for b in dim if b != a):
                raise Refused(f"singular values where every index of a merged axis has its own `{a.name}`")
            if a.kind == "vector" and (a.word == "linear" or a.frame):
                raise Refused(
                    f"singular values change under a change of basis of `{a.name}`",
                    "take them of a product in which that axis is contracted",
                )
    still = [
        tuple(replace(a, kind="free", space="", owner=None) if a.kind == "vector" else a for a in dim)
        for dim in t.dims[-2:]
    ]
    loose = with_dims(t, [*t.dims[:-2], *still])
    rank = len(t.dims)
    return apply_function(reduce_dims(loose, (rank - 2, rank - 1), linear=False), f, "singular values")


RULES: tuple[Rule, ...] = (fourier, parts, singular_values, eigenvalues, decomposition)
