"""Make the virtual environment of this project: `python .ci/setup.py FOLDER STAMP`.

Needs Python 3.11 with its `venv` module and nothing else. STAMP is touched when all is in place; if it is
missing, FOLDER starts empty, so what a run that failed left behind is never used.
"""

from __future__ import annotations

import importlib.util
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

MINIMUM = (3, 11)
CPU_TORCH = "torch==2.13.0"
PROJECT = Path(__file__).resolve().parent.parent


def main(folder: Path, stamp: Path) -> None:
    """Create `folder` as a virtual environment with the project and its tools, then touch `stamp`."""
    _require_python()
    options = [] if stamp.exists() else ["--clear"]
    subprocess.run([sys.executable, "-m", "venv", *options, str(folder)], check=True)
    python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    _provide_torch(python)
    if not _install(python, "--editable", f"{PROJECT}[dev]"):
        sys.exit("setup: the project could not be installed; pip's own message is above")
    stamp.touch()


def _require_python() -> None:
    if sys.version_info < MINIMUM:
        wanted = ".".join(map(str, MINIMUM))
        sys.exit(f"setup: {sys.executable} is older than Python {wanted}; choose another: make PYTHON=PATH")
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        sys.exit(
            f"setup: {sys.executable} cannot make virtual environments (no venv or ensurepip).\n"
            "On Debian and Ubuntu: apt-get install python3-venv. Or choose another: make PYTHON=PATH"
        )


def _provide_torch(python: str) -> None:
    """Put a torch that suits the machine in place before the project asks for any torch.

    An open range resolves to the newest CUDA build, several gigabytes: wanted where there is a GPU and
    only there. A torch that the chosen Python already has is kept on a GPU machine (it was made for it),
    and taken elsewhere if the CPU build cannot be had.
    """
    if _has_gpu():
        if _has_torch():
            _borrow_packages(python)
        return
    if _install(python, CPU_TORCH):
        return
    if not _has_torch():
        sys.exit(f"setup: {CPU_TORCH} could not be installed, and {sys.executable} has no torch to lend")
    print(f"setup: {CPU_TORCH} could not be installed; using the torch of {sys.executable}", flush=True)
    _borrow_packages(python)


def _has_gpu() -> bool:
    tool = shutil.which("nvidia-smi")
    return tool is not None and subprocess.run([tool, "-L"], capture_output=True).returncode == 0


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _borrow_packages(python: str) -> None:
    """Let the new environment see the packages of this Python, behind its own."""
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip()
    folders = dict.fromkeys(
        [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()]
    )
    Path(own, "borrowed.pth").write_text("\n".join(folders) + "\n", encoding="utf-8")


def _install(python: str, *what: str) -> bool:
    command = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *what]
    print("setup:", " ".join(command[1:]), flush=True)
    return subprocess.run(command).returncode == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
