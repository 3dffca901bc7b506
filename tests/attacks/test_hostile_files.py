"""Hostile files at the real intake: a named answer, soon, in little memory, and nothing kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django.fixtures import Settings

from accounts.models import User
from analyses import images as stored_images
from analyses import imaging, storage
from analyses.exceptions import IntakeError, TruncatedError
from analyses.formats import Format
from analyses.intake import submit
from analyses.models import Analysis
from tests import images
from tests.attacks.corpus import ACCEPTED, GROUPS, MARK, Attack, foreign, oriented
from tests.factories import make_user

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 1024 * 1024
# The evidence in numbers, measured where nothing else runs: in a process of its own.
MEASURE = """
import json, pathlib, re, time
from django.conf import settings
settings.configure(USE_I18N=False)
from analyses import imaging
from analyses.exceptions import IntakeError
from analyses.formats import check_agreement, sniff
from tests import images
from tests.attacks.corpus import corpus
worst = ("", 0.0)
attacks = corpus()
# Not ru_maxrss: a child inherits that peak from the process that started it.
def peak():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+)", status)[1])
before = peak()
def cost(content, name, media_type):
    started = time.process_time()
    try:
        check_agreement(sniff(content), name=name, media_type=media_type)
        imaging.decode(content, max_pixels=25_000_000, min_side=96)
    except IntakeError:
        pass
    return time.process_time() - started
dear = []
for attack in attacks:
    dear.append((cost(attack.content, attack.filename, attack.media_type), attack))
after = peak()
honest = images.encode(images.lesion(5000, 5000), "PNG", compress_level=1)
# The least of three: what else the machine does only adds.
largest = min(cost(honest, "photo.png", "image/png") for _ in range(3))
for once, attack in sorted(dear, key=lambda one: -one[0])[:10]:
    again = (cost(attack.content, attack.filename, attack.media_type) for _ in range(2))
    worst = max(worst, (attack.name, min(once, *again)), key=lambda one: one[1])
print(json.dumps({"attacks": len(attacks), "worst": worst, "largest_photo": largest,
                  "rss_kb": after, "before_kb": before}))
"""


def upload(attack: Attack) -> SimpleUploadedFile:
    return SimpleUploadedFile(attack.filename, attack.content, attack.media_type)


def kept(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*")]


def row(analysis: Analysis) -> bytes:
    return repr(list(Analysis.objects.filter(pk=analysis.pk).values())).encode()


def outcome(attack: Attack, owner: User) -> tuple[str, Analysis | None]:
    try:
        return ACCEPTED, submit(owner=owner, upload=upload(attack))
    except IntakeError as refusal:
        return refusal.code, None


@pytest.mark.django_db
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_hostile_files_get_their_named_answer_and_leave_nothing(
    group: Callable[[], Iterator[Attack]], image_store: Path, settings: Settings
) -> None:
    settings.REFUSALS_PER_USER = 0  # each file is to be looked at
    owner = make_user()
    wrong = []
    for attack in group():
        code, analysis = outcome(attack, owner)
        if code not in attack.codes:
            wrong.append(f"{attack.name}: {code or 'accepted'} instead of {attack.codes}")
        expected = [f"{analysis.pk}.sealed"] if analysis else []
        if kept(image_store) != expected or Analysis.objects.count() != len(expected):
            wrong.append(f"{attack.name}: left {kept(image_store)}")
        if analysis is not None:
            traces = [imaging.pack(stored_images.read(analysis)), row(analysis)]
            if any(MARK in trace or attack.filename.encode() in trace for trace in traces):
                wrong.append(f"{attack.name}: something of the file's own survived")
            storage.delete(analysis.pk)
            analysis.delete()
    assert not wrong


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda plain: plain),
        (2, np.fliplr),
        (3, lambda plain: np.rot90(plain, 2)),
        (4, np.flipud),
        (5, lambda plain: plain.swapaxes(0, 1)),
        (6, lambda plain: np.rot90(plain, 3)),
        (7, lambda plain: np.rot90(plain, 2).swapaxes(0, 1)),
        (8, np.rot90),
    ],
)
@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tiff"])
def test_every_orientation_comes_out_upright(
    orientation: int, turned: Callable[[np.ndarray], np.ndarray], extension: str
) -> None:
    content = oriented(orientation, extension).content
    found = imaging.decode(content, max_pixels=10**6, min_side=96).pixels
    expected = turned(np.asarray(images.lesion(200, 120)))
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 6


def test_the_whole_corpus_takes_little_memory_and_no_file_more_work_than_an_honest_photo() -> None:
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=170,
    )
    found = json.loads(measured.stdout)
    assert found["attacks"] > 120
    # In one process on one machine: what a lesion's photo of the most pixels allowed costs.
    assert found["worst"][1] < 1.5 * found["largest_photo"], found
    assert found["rss_kb"] * 1024 < 600 * MEGABYTE, found


@pytest.mark.parametrize("attack", list(foreign()), ids=lambda attack: attack.name)
def test_a_foreign_kind_is_refused_by_its_content_alone(attack: Attack) -> None:
    """Whatever the file is called, and whatever its sender says that it is."""
    with pytest.raises(IntakeError) as refusal:
        imaging.decode(attack.content, max_pixels=25_000_000, min_side=96)
    assert refusal.value.code in attack.codes


@pytest.mark.parametrize("found", Format)
@pytest.mark.parametrize("kind", ["BMP", "GIF", "ICO", "JPEG2000", "PPM", "TGA"])
def test_pillow_tries_no_decoder_but_that_of_the_kind_that_was_found(
    found: Format, kind: str
) -> None:
    content = images.encode(images.lesion(160, 120), kind)
    with pytest.raises(TruncatedError):
        imaging._open(content, found, max_pixels=25_000_000)
