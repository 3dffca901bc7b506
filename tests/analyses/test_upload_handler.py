"""Uploads stay in memory, within limits; one file too large does not harm the others."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from django.core.files.uploadedfile import InMemoryUploadedFile, SimpleUploadedFile
from django.test import RequestFactory
from pytest_django import Settings

from analyses.exceptions import TooLargeError
from analyses.intake import _read

LIMIT = 100_000


@pytest.fixture(autouse=True)
def _small_limit(settings: Settings) -> None:
    settings.UPLOAD_MAX_BYTES = LIMIT


def received(*sizes: int) -> list[InMemoryUploadedFile]:
    files = [SimpleUploadedFile(f"{n}.jpg", b"x" * size) for n, size in enumerate(sizes)]
    request = RequestFactory().post("/", {"files": files})
    return request.FILES.getlist("files")


def test_a_file_within_the_limit_arrives_whole() -> None:
    (file,) = received(LIMIT)
    assert (file.size, len(file.read())) == (LIMIT, LIMIT)


def test_a_file_over_the_limit_is_cut_and_says_its_true_size() -> None:
    large, small = received(LIMIT * 3, 10)
    assert (large.size, len(large.read())) == (LIMIT * 3, LIMIT + 1)
    assert (small.size, small.read()) == (10, b"x" * 10)
    with pytest.raises(TooLargeError):
        _read(large)


def test_all_files_of_a_form_together_are_bounded() -> None:
    kept = [len(file.read()) for file in received(*[LIMIT] * 9)]
    assert sum(kept) == 5 * LIMIT


def test_no_upload_touches_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    received(LIMIT * 3)
    assert not list(tmp_path.iterdir())
