"""In CI a skip is a failure: shown on a file of tests that skip in each way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "mark": "import pytest\n@pytest.mark.skip(reason='why not')\ndef test_it(): assert True\n",
    "body": "import pytest\ndef test_it(): pytest.skip('why not')\n",
    "module": "import pytest\npytest.importorskip('no_such_package')\n",
    "xfail": "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n",
}


def run_pytest(folder: Path, *, in_ci: bool) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.strict", "-p", "no:django"]
    return subprocess.run(
        [
            *command,
            "--continue-on-collection-errors",
            "-c",
            "/dev/null",
            "--rootdir",
            str(folder),
            str(folder),
        ],
        cwd=ROOT,
        env={**os.environ, "CI": "true" if in_ci else ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_skip_of_each_kind_fails_in_ci_and_there_alone(tmp_path: Path) -> None:
    for way, source in FILES.items():
        (tmp_path / f"test_{way}.py").write_text(source)
    elsewhere = run_pytest(tmp_path, in_ci=False)
    assert elsewhere.returncode == 0, elsewhere.stdout
    assert "3 skipped, 1 xfailed" in elsewhere.stdout
    in_ci = run_pytest(tmp_path, in_ci=True)
    assert in_ci.returncode == 1, in_ci.stdout
    assert "2 failed, 2 errors in" in in_ci.stdout
    assert in_ci.stdout.count("which is a failure in CI") >= len(FILES)


def test_an_expected_failure_alone_fails_in_ci(tmp_path: Path) -> None:
    (tmp_path / "test_xfail.py").write_text(FILES["xfail"])
    assert run_pytest(tmp_path, in_ci=True).returncode == 1
