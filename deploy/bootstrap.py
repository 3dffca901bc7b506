"""Makes the virtual environment and installs what is pinned, once per set of requirements.

Runs before anything is installed, so it uses the standard library alone. Called by the Makefile as
`python deploy/bootstrap.py [--dev]`.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

SUPPORTED = ((3, 11), (3, 12))
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
CONSTRAINTS = ROOT / "deploy" / "constraints.txt"
SEMGREP = VENV / "tools" / "semgrep"
SEMGREP_PINS = ROOT / "deploy" / "semgrep" / "requirements.txt"


class BootstrapError(Exception):
    """The environment cannot be made; the message says what to do."""


def main() -> int:
    """Bring `.venv` up to date and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="with the checks and the training")
    dev = parser.parse_args().dev
    try:
        require_python()
        bring_up_to_date(dev=dev)
        if dev:
            bring_semgrep_up_to_date()
    except BootstrapError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("stopped; the next start goes on from here.")
        return 130
    return 0


def require_python() -> None:
    """Refuse an interpreter that the pinned packages are not made for."""
    if sys.version_info[:2] not in SUPPORTED:
        raise BootstrapError(
            f"DermAI needs Python 3.11 or 3.12; {sys.executable} is Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}. Install one of the two, or name it: "
            "make run PYTHON=/path/to/python3.12"
        )


def bring_up_to_date(*, dev: bool) -> None:
    """Install unless the stamp says that exactly this has been installed here."""
    wanted = fingerprint()
    stamp = VENV / (".installed-dev" if dev else ".installed")
    stamps = [VENV / ".installed-dev", stamp]  # the larger set contains the smaller
    if venv_works() and any(path.is_file() and path.read_text() == wanted for path in stamps):
        return
    started = time.monotonic()
    if not venv_works():
        make_venv()
    stamp.unlink(missing_ok=True)
    requirements = ROOT / ("requirements-dev.txt" if dev else "requirements.txt")
    say(f"installing {requirements.name} into .venv (several minutes the first time) ...")
    install(requirements)
    stamp.write_text(wanted)
    say(f"installed in {time.monotonic() - started:.0f} s.")


def fingerprint() -> str:
    """Hash of everything that decides what is installed."""
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for path in (ROOT / "requirements.txt", ROOT / "requirements-dev.txt", CONSTRAINTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def venv_works() -> bool:
    """Whether `.venv` runs, in place, on a supported Python: a moved or upgraded one does not."""
    if not PYTHON.exists():
        return False
    code = "import sys; print(sys.prefix, sys.version_info[0], sys.version_info[1])"
    asked = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False)
    answers = {f"{VENV} {major} {minor}" for major, minor in SUPPORTED}
    return asked.returncode == 0 and asked.stdout.strip() in answers


def make_venv() -> None:
    """Make an empty `.venv` with pip in it."""
    if VENV.exists():
        say("the virtual environment in .venv does not work here; making it anew.")
        shutil.rmtree(VENV)
    say(f"making a virtual environment in .venv with {sys.executable} ...")
    made = subprocess.run([sys.executable, "-m", "venv", VENV], check=False)
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        raise BootstrapError(
            "this Python cannot make virtual environments (its venv or ensurepip part is "
            "missing). On Debian and Ubuntu: apt-get install python3-venv"
        )


def install(requirements: Path) -> None:
    """Install with uv, which is several times as fast, or with pip where uv cannot be had."""
    pip = [PYTHON, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        run([PYTHON, "-m", "ensurepip"])
    quiet = ["--quiet", "--disable-pip-version-check"]
    uv = subprocess.run([*pip, "install", *quiet, "-c", CONSTRAINTS, "uv"], check=False)
    if uv.returncode == 0:
        # Bytecode once and now, as pip does: else each process compiles whatever it imports.
        install_all = [VENV / "bin" / "uv", "pip", "install", "--compile-bytecode"]
        command = [*install_all, "--python", PYTHON, "-r", requirements]
        if subprocess.run(command, check=False).returncode == 0:
            return
        say("uv could not install; trying pip ...")
    run([*pip, "install", "--disable-pip-version-check", "-r", requirements])


def bring_semgrep_up_to_date() -> None:
    """Install semgrep apart: what it pulls in must not decide which versions the product has."""
    wanted = SEMGREP_PINS.read_text()
    stamp = SEMGREP / ".installed"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    say("installing semgrep into .venv/tools ...")
    shutil.rmtree(SEMGREP, ignore_errors=True)
    run([PYTHON, "-m", "venv", SEMGREP])
    python, uv = SEMGREP / "bin" / "python", VENV / "bin" / "uv"
    if uv.exists():
        run([uv, "pip", "install", "--python", python, "-r", SEMGREP_PINS])
    else:
        run([python, "-m", "pip", "install", "--disable-pip-version-check", "-r", SEMGREP_PINS])
    stamp.write_text(wanted)


def run(command: list[str | Path]) -> None:
    """Run `command`; a failure ends the installation."""
    if subprocess.run(command, check=False).returncode != 0:
        line = " ".join(str(part) for part in command)
        raise BootstrapError(f"this failed, see above: {line}")


def say(line: str) -> None:
    """Print one line at once."""
    print(f"dermai: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
