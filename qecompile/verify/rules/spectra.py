"""Rules for spectra: Fourier transforms along fixed axes, singular values of matrices."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from qecompile.verify.atoms import free
from qecompile.verify.references import reduce_dims, with_dims
from qecompile.verify.refused import Refused
from qecompile.verify.rules.call import Call, Rule, rule
from qecompile.verify.rules.linalg import check_apart
from qecompile.verify.rules.pointwise import Function, apply_function
from qecompile.verify.rules.pooling import ordered
from qecompile.verify.types import Type

SIZE = Function(Fraction(1), "even", True)


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


@rule("singular values", "linalg_svdvals")
def singular_values(call: Call) -> Type:
    """Sigma(Q A R) = sigma(A) for permutations and rotations Q, R of rows and columns: degree 1, even."""
    t = call.type("A" if "A" in call.given else "self")
    return with_dims(spectrum(t), [*t.dims[:-2], (free(call.op.shape[-1]),)])


def spectrum(t: Type) -> Type:
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
    return apply_function(reduce_dims(loose, (rank - 2, rank - 1), linear=False), SIZE, "singular values")


RULES: tuple[Rule, ...] = (fourier, parts, singular_values)
