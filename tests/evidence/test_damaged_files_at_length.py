"""Ten thousand damaged files through intake: no crash, none over two seconds, nor over 600 MB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest
from hypothesis import HealthCheck, given, settings

from analyses.exceptions import DecoderUnavailableError, DecodeTimeoutError, UndecodableError
from analyses.models import Analysis
from tests.attacks.mutations import damaged
from tests.evidence.damaged_through_intake import packed
from tests.factories import make_user
from tests.faults.processes import environment

ROOT = Path(__file__).resolve().parents[2]
FILES = int(os.environ.get("DAMAGED_FILES", "10000"))
SECONDS = 2.0  # on the clock, for one file from its arrival to the answer
BYTES = 600 * 1000 * 1000
# What intake says when the process that decodes broke, met a limit, or was not to be had.
BROKEN = {e.code for e in (UndecodableError, DecodeTimeoutError, DecoderUnavailableError)}
NO_LIMITS = dict.fromkeys(
    (
        *("UPLOADS_PER_DAY", "MAX_PENDING_PER_USER", "MAX_HELD_PER_USER", "REFUSALS_PER_USER"),
        *("EXPORTS_PER_HOUR", "LESIONS_PER_USER", "LESION_CHANGES_PER_HOUR"),
    ),
    "0",
)


@pytest.mark.evidence
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("transactional_db", "inference_queue", "image_store")
def test_ten_thousand_damaged_files_break_nothing() -> None:
    owner = make_user()
    intake = subprocess.Popen(
        [sys.executable, "-m", "tests.evidence.damaged_through_intake", str(owner.pk)],
        cwd=ROOT,
        env=environment(**NO_LIMITS, LOG_LEVEL="ERROR"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with intake:
        assert intake.stdin is not None
        assert intake.stdout is not None
        _send(intake.stdin)
        intake.stdin.close()
        told = intake.stdout.read()
    assert intake.returncode == 0
    found = json.loads(told)
    print(found)  # noqa: T201 - the evidence itself
    answers = found["answers"]
    assert sum(answers.values()) >= FILES
    assert len(answers) > 4, "the damage is too much alike"
    assert not BROKEN & answers.keys()
    assert found["worst"] < SECONDS
    assert max(found["peak"].values()) < BYTES
    assert found["left"] == []
    assert not Analysis.objects.exists()


def _send(there: IO[bytes]) -> None:
    @settings(
        max_examples=FILES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged())
    def send(content: bytes) -> None:
        there.write(packed(content))

    send()
