"""The wheel holds all that the compiler needs, seen from a clean environment outside the repository."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SPEC = """
spec tiny {
  space h = 4 : permute
  param W : [h, h]
  expect dim(W -> W) == 15
}
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the running environment: nothing is fetched."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel; the wheel's dependencies are those of this one.

    A `.pth` file names the running environment's folders. Python does not follow the `.pth` files in those,
    so an editable install of the project there stays out of sight.
    """
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    lent = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "lent.pth").write_text("\n".join(lent) + "\n")
    return folder / "bin"


@pytest.fixture
def run(installed: Path, tmp_path: Path) -> Run:
    """Run a program of the clean environment in an empty folder."""
    environment = {"PATH": str(installed), "HOME": str(tmp_path)}

    def start(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(installed / program), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )

    return start


def test_the_wheel_holds_grammar_specs_and_types(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"qecompile/grammars/sym.lark", "qecompile/specs/mlp.sym", "qecompile/py.typed"} <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_package_is_the_installed_one(run, installed):
    found = run("python", "-c", "import qecompile; print(qecompile.__file__)").stdout.strip()
    assert Path(found).is_relative_to(installed.parent)


def test_commands_work_outside_the_repository(run, tmp_path):
    (tmp_path / "tiny.sym").write_text(SPEC)
    assert json.loads(run("qecompile", "check", "tiny.sym", "--json").stdout)["ok"] is True
    (pair,) = json.loads(run("qecompile", "derive", "tiny.sym", "--json").stdout)["hom"]
    assert (pair["dim"], pair["diagrams"]) == (15, 15)
    assert run("qecompile", "--version").stdout.startswith("qecompile ")


def test_an_emitted_file_runs_without_the_compiler(run, tmp_path):
    (tmp_path / "tiny.sym").write_text(SPEC)
    run("qecompile", "build", "tiny.sym", "-o", "tiny.py")
    program = (
        "import sys, torch; from tiny import EquivariantLinear; "
        "print(tuple(EquivariantLinear(1, 2)({'W': torch.zeros(3, 4, 4, 1)})['W'].shape)); "
        "assert 'qecompile' not in sys.modules"
    )
    assert run("python", "-c", program).stdout.strip() == "(3, 4, 4, 2)"
