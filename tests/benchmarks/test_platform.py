"""The benchmark of the whole product: what its figures say, and one small run of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import platform_figures as figures
from benchmarks.platform_figures import Became, Sent
from benchmarks.platform_users import PhotoFile, User
from tests import images

ROOT = Path(__file__).resolve().parents[2]
SENT = Sent(0, posted_at=10.0, answered_at=10.2, http_status=202, analysis_id="a")
BECAME = Became(
    status="COMPLETED",
    seen="COMPLETED",
    attempts=1,
    accepted_at=10.1,
    claimed_at=10.15,
    ended_at=11.1,
    pipeline=0.9,
)


class TestCounts:
    def test_what_ended_and_is_shown_so_is_not_lost(self) -> None:
        ended = [replace(BECAME, status=s, seen=s) for s in ("COMPLETED", "REJECTED", "FAILED")]
        told = figures.counts([SENT] * 3, ended)
        assert (told["accepted"], told["lost"]) == (3, 0)
        assert told["completed"] == told["rejected"] == told["failed"] == 1

    @pytest.mark.parametrize(
        "became",
        [
            [],
            [replace(BECAME, status="RUNNING", seen="RUNNING")],
            [replace(BECAME, seen="404")],
        ],
        ids=["no row", "not ended", "not shown"],
    )
    def test_what_was_accepted_and_did_not_end_for_its_owner_is_lost(
        self, became: list[Became]
    ) -> None:
        assert figures.counts([SENT], became)["lost"] == 1

    def test_what_was_refused_is_not_lost(self) -> None:
        told = figures.counts([replace(SENT, http_status=429, analysis_id=None)], [])
        assert (told["refused"], told["lost"]) == (1, 0)

    def test_only_attempts_after_the_first_are_repeated(self) -> None:
        told = figures.counts([SENT] * 2, [BECAME, replace(BECAME, attempts=3)])
        assert told["repeated_attempts"] == 2


class TestTimes:
    def test_percentiles_are_in_milliseconds(self) -> None:
        told = figures.percentiles("x", [0.1, 0.2, 0.3])
        assert told["x_ms_p50"] == 200
        assert 290 < float(told["x_ms_p99"]) <= 300

    def test_the_overhead_is_what_the_pipeline_did_not_take(self) -> None:
        told = figures.idle([SENT], [BECAME])
        assert told["idle_overhead_ms_p50"] == pytest.approx(100)
        assert told["idle_until_claimed_ms_p50"] == pytest.approx(50)
        assert told["idle_answer_ms_p50"] == pytest.approx(200)

    def test_a_photo_without_a_result_has_no_overhead(self) -> None:
        told = figures.idle([SENT], [replace(BECAME, status="REJECTED", pipeline=None)])
        assert not any("overhead" in name for name in told)

    def test_throughput_counts_from_the_first_upload_to_the_last_end(self) -> None:
        told = figures.busy([SENT, replace(SENT, posted_at=10.1)], [BECAME] * 2)
        assert told["throughput_per_s"] == pytest.approx(2 / 1.1, abs=1e-3)
        assert told["busy_latency_ms_p50"] == pytest.approx(1000)

    def test_nothing_that_ended_has_no_throughput(self) -> None:
        assert "throughput_per_s" not in figures.busy([SENT], [replace(BECAME, ended_at=None)])


def test_an_upload_that_nobody_answers_is_refused() -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    photo = PhotoFile("a.jpg", "image/jpeg", images.jpeg())
    sent = User(port, 3, "token").send(photo, "clinical")
    assert (sent.sender, sent.http_status, sent.analysis_id) == (3, 0, None)


@pytest.mark.timeout(600)
def test_a_small_run_loses_nothing_and_ends_with_one_object(tmp_path: Path) -> None:
    from tests.inference_worker import tiny  # loads torch

    (tmp_path / "bundle").mkdir()
    bundle = tiny.write(tmp_path / "bundle", segmenter_bias=0.5)
    command = [sys.executable, "-m", "benchmarks.platform", "--bundle", str(bundle)]
    command += ["--users", "2", "--workers", "2", "--alone", "1", "--each", "1"]
    chromium = os.environ.get("CHROMIUM")  # CI fails without one before it gets here
    if chromium:
        command += ["--browser", chromium, "--watched", "4", "--ahead", "6"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"INFERENCE_ENGINE": "torch"},
        capture_output=True,
        text=True,
        check=False,
        timeout=580,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["accepted"], told["lost"]) == (told["uploads"], 0)
    assert told["uploads"] >= 7 + 4 * 7 if chromium else told["uploads"] == 7
    assert (told["users"], told["workers"], told["failed"]) == (2, 2, 0)
    assert told["throughput_per_s"] > 0
    assert told["idle_overhead_ms_p50"] > 0
    assert told["web_memory_mb"] < told["worker_memory_mb"] <= told["worker_peak_memory_mb"]
    assert 0 < told["worker_pss_mb"] < told["worker_memory_mb"]
    assert 0 < told["web_pss_mb"] < told["web_memory_mb"]
    if chromium:
        assert told["page_shows_ms_p50"] > 0
        assert told["pages_discarded"] < 4


def test_a_folder_without_photos_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.platform", "--photos", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "no .jpg or .png" in done.stderr
    assert "preparing" not in done.stdout
