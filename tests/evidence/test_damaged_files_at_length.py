"""Ten thousand damaged files: no crash, nothing over two seconds, nothing over 600 MB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = 10_000
SECONDS = 2.0  # of the processor, for one file
BYTES = 600 * 1024 * 1024
# In a process of its own, whose memory is measured; a crash of a decoder ends it, and is seen.
RUN = f"""
import collections, json, resource, time
from django.conf import settings as configured
configured.configure(USE_I18N=False)
from hypothesis import HealthCheck, given, settings
from analyses import imaging
from analyses.exceptions import IntakeError
from tests.attacks.mutations import damaged
answers = collections.Counter()
worst = 0.0
lenient = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
@settings(lenient, max_examples={FILES})
@given(damaged())
def run(content):
    global worst
    started = time.process_time()
    try:
        imaging.decode(content, max_pixels=25_000_000, min_side=96)
        answers["accepted"] += 1
    except IntakeError as refusal:
        answers[refusal.code] += 1
    worst = max(worst, time.process_time() - started)
run()
peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"answers": answers, "worst": worst, "peak": peak}}))
"""


@pytest.mark.evidence
def test_ten_thousand_damaged_files_break_nothing() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", RUN], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    found = json.loads(ran.stdout)
    print(found)  # noqa: T201 - the evidence itself
    assert sum(found["answers"].values()) >= FILES
    assert len(found["answers"]) > 4, "the damage is too much alike"
    assert found["worst"] < SECONDS
    assert found["peak"] < BYTES
