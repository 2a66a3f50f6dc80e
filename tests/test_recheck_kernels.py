"""The checker and the Triton kernels behind an emitted file: outside of the claim, and kept there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import MLP, Case, certificate_of
from kernels.cases import OWN, emitted, own_spec

import qecompile as qe
from qecompile import provenance
from qecompile.codegen.emit import emit_source
from qecompile.proving import prover
from qecompile.recheck import kernels
from qecompile.recheck.kernels import check_kernels
from qecompile.recheck.nullity import Wrong

STACK = f"spec stack {{ {OWN['matrix']}  metanet m {{ channels 1, 3, 4 }} }}"
LARGE = STACK.replace("a = 10", "a = 40").replace("b = 7", "b = 30")


@pytest.fixture(scope="module")
def parted() -> tuple[str, str]:
    """A file that has every kind of kernel, and its kernels."""
    return provenance.split_kernels(Path(emitted(own_spec("stack")).__file__).read_text())


def refusal(plain: str, section: str) -> str:
    """What the checker says of a section of kernels; nothing if it is in order."""
    try:
        check_kernels(plain.encode(), section.encode(), "it.py")
    except Wrong as wrong:
        return str(wrong)
    return ""


def test_the_checker_knows_where_kernels_begin() -> None:
    assert provenance.KERNELS.encode() == kernels.KERNELS


@pytest.mark.parametrize("name", OWN)
def test_what_the_compiler_writes_waits_for_a_gpu(name: str) -> None:
    text = Path(emitted(own_spec(name)).__file__).read_text()
    plain, section = provenance.split_kernels(text)
    assert section.startswith("\n\n# ---")
    assert refusal(plain, section) == ""
    assert refusal(*provenance.split_kernels(emit_source(own_spec(name), kernels=True))) == ""


END = "\n"
HOSTILE = {
    "it runs something": (END, "\nprint('hello')\n"),
    "it changes a layer": (END, "\nEquivariantLinear.forward = lambda self, x: x\n"),
    "it is another network": (END, "\nclass MetaNet(dict):\n    pass\n"),
    "it is another class of torch": (END, "\nclass MetaNet(nn.Module):\n    pass\n"),
    "it shadows a builtin": (END, "\ndef zip(*x, strict=True):\n    return []\n"),
    "it shadows all builtins": (END, "\nclass __builtins__(dict):\n    pass\n"),
    "it shadows torch": (END, "\ndef torch():\n    return 1\n"),
    "it takes tensors on a CPU": ('DEVICES = ("cuda",)', 'DEVICES = ("cuda", "cpu")'),
    "it takes them later": (END, '\nDEVICES = ("cuda", "cpu")\n'),
    "it does not ask": ("if _launches(x) and _register():", "if _register():"),
    "it asks another": ("_launches(x) and _register()", "_stacks(x) or _register()"),
    "it is never sure": ("    plain = all(", "    return True\n    plain = all("),
    "it has two guards": (END, "\ndef _launches(*x):\n    return True\n"),
    "its guard is a class": (END, "\nclass _launches(dict):\n    pass\n"),
    "it adds to what it was": ("return _mix_by_torch(", "return 2 * _mix_by_torch("),
    "a default runs": ("def _up(n: int, most: int)", "def _up(n: int, most: int = print())"),
    "a decorator runs": ("def _up(", "@print\ndef _up("),
    "a decorator of a class runs": ("class _Form(", "@print\nclass _Form("),
    "a class runs": ("class _Form(NamedTuple):", "class _Form(NamedTuple):\n    x: int = print()"),
    "a class has another maker": ("class _Form(NamedTuple):", "class _Form(NamedTuple, metaclass=print):"),
    "a table runs": ("_Form(", "_Form(print("),
    "a function in a table runs": ("activation=lambda u:", "activation=lambda u=print():"),
    "another import": ("import functools", "import functools, os"),
    "another thing is made": ("threading.Lock()", "threading.Timer(1, print)"),
    "no Python": (END, "\nif\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_section_that_does_more_is_refused(case: str, parted: tuple[str, str]) -> None:
    plain, section = parted
    old, new = HOSTILE[case]
    if case == "a table runs":
        section = section.replace("FORMS: dict", "print(1)\nFORMS: dict", 1)
    elif old == END:
        section = section.rstrip("\n") + new
    else:
        assert old in section
        section = section.replace(old, new)
    assert refusal(plain, section).startswith("it.py")


def test_annotations_must_not_be_computed(parted: tuple[str, str]) -> None:
    plain, section = parted
    assert "annotations" in refusal(plain.replace("from __future__ import annotations", ""), section)


def test_kernels_are_confirmed_to_wait_and_not_claimed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case(tmp_path, LARGE)
    assert case.emitted is not None
    qe.emit(case.spec, case.emitted)
    assert case.status(certificate_of(case.spec, case.emitted)) == 0
    said = capsys.readouterr().out
    assert "confirmed: the Triton kernels from line" in said
    assert "NOT CLAIMED: what they compute on a GPU" in said
    assert said.endswith("all confirmed, but for what is marked NOT\n")
    text = case.emitted.read_text()
    for hostile in (text + "raise SystemExit(0)\n", text.replace('("cuda",)', '("cuda", "cpu")')):
        case.emitted.write_text(hostile)
        assert case.status(certificate_of(case.spec, case.emitted)) == 1


def test_every_changed_byte_of_the_kernels_is_noticed(tmp_path: Path) -> None:
    case = Case(tmp_path, MLP)
    assert case.emitted is not None
    qe.emit(case.spec, case.emitted)
    certificate = certificate_of(case.spec, case.emitted)
    assert case.status(certificate) == 0
    data = case.emitted.read_bytes()
    start = data.index(kernels.KERNELS)
    for k in (start, start + 40, len(data) - 1):
        case.emitted.write_bytes(data[:k] + bytes([data[k] ^ 1]) + data[k + 1 :])
        assert case.status(certificate) == 1


def test_a_certificate_must_say_that_there_are_kernels(tmp_path: Path) -> None:
    case = Case(tmp_path, MLP)
    assert case.emitted is not None
    qe.emit(case.spec, case.emitted)
    certificate = certificate_of(case.spec, case.emitted)
    silent = {**certificate, "obligations": [o for o in certificate["obligations"] if o["name"] != "kernels"]}
    assert case.status(silent) == 1
    assert case.status(certificate) == 0


def proved(change: Callable[[str], str]) -> dict[str, bool | None]:
    """The verdicts on a file with kernels that somebody changed."""
    spec = qe.parse(STACK)
    found = prover(spec).prove_source(change(emit_source(spec, kernels=True)))
    return {o.name: o.ok for o in found.obligations}


def test_a_proof_says_that_kernels_are_outside_of_it() -> None:
    verdicts = proved(lambda text: text)
    assert list(verdicts)[-1] == "kernels"
    assert set(verdicts.values()) == {True}
    assert "syntax" in verdicts  # of the text above, which is the compiler's
    spec = qe.parse(STACK)
    proof = prover(spec).prove_source(emit_source(spec, kernels=True))
    assert "no part of this proof" in proof.obligations[-1].detail


def test_changed_kernels_are_refused() -> None:
    assert proved(lambda text: text + "\n")["kernels"] is False
