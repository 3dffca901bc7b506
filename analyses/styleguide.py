"""Made-up values for the styleguide: every component in every state, nobody's data."""

from __future__ import annotations

import math
import random
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

from django import forms
from django.utils.translation import gettext as _

from analyses import wording
from analyses.glyph import Glyph, glyph_of
from analyses.models import Analysis, FailureCode, Result, Status
from analyses.presentation import Entry, entry, result_page
from analyses.progress import Progress, Step
from inference_worker.verdict import Category, Gate, Rejection

NOON: Final = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
GRID: Final = 7


def sample_shape(seed: int) -> tuple[list[tuple[float, float]], list[list[float]]]:
    """Make up an outline and an activation grid, always the same for the same `seed`."""
    chance = random.Random(seed)  # noqa: S311 - a drawing, not a secret
    waves = [(k, chance.uniform(0.02, 0.22) / k, chance.uniform(0, math.tau)) for k in (2, 3, 5)]
    stretch = chance.uniform(0.75, 1.0)
    outline = []
    for i in range(72):
        angle = math.tau * i / 72
        r = 0.27 * (1 + sum(a * math.sin(k * angle + p) for k, a, p in waves))
        outline.append((0.5 + r * stretch * math.cos(angle), 0.5 + 1.3 * r * math.sin(angle)))
    peak = (chance.uniform(2.3, 3.7), chance.uniform(2.3, 3.7))
    grid = [
        [
            min(
                1.0,
                math.exp(-((i - peak[0]) ** 2 + (j - peak[1]) ** 2) / 3.2) + 0.12 * chance.random(),
            )
            for i in range(GRID)
        ]
        for j in range(GRID)
    ]
    return outline, grid


def sample_of(seed: int, *, outline: bool = True, heat: bool = True) -> Glyph:
    """Draw a made-up glyph."""
    shape, grid = sample_shape(seed)
    heatmap = {"grid": grid, "box": (0, 0, 1, 1)} if heat else None
    return glyph_of(shape if outline else None, heatmap, width=600, height=450)


def sample_result(category: Category, seed: int) -> Result:
    """Make up a result that was never stored."""
    p = {"melanoma": 0.996, "malignant": 0.994, "suspicious": 0.41, "benign": 0.004}[category]
    chance = random.Random(seed)  # noqa: S311 - a drawing, not a secret
    shape, grid = sample_shape(seed)
    spread = 0.24 if category is Category.SUSPICIOUS else 0.004
    members = [
        {"p_malignant": min(1.0, max(0.0, p + chance.uniform(-spread, spread)))}
        for _member in range(5)
    ]
    votes = dict.fromkeys((c.value for c in Category), 0)
    votes[category.value] = 39
    votes["suspicious"] += 6
    mel = p * 0.8 if category == "melanoma" else p * 0.2
    return Result(
        category=category.value,
        decided=category is not Category.SUSPICIOUS,
        confidence=max(p, 1 - p),
        gate=Gate.FIXED.value,
        threshold=0.99,
        p_malignant=p,
        p_melanoma=mel,
        probabilities={
            "mel": mel, "bcc": (p - mel) * 0.7, "akiec": (p - mel) * 0.3,
            "nv": (1 - p) * 0.8, "bkl": (1 - p) * 0.15, "df": (1 - p) * 0.04,
            "vasc": (1 - p) * 0.01,
        },
        members=members,
        votes=votes,
        outline=shape,
        measurements={
            "area_share": 0.21, "asymmetry": 0.18, "border": 1.24, "colours": 3,
            "diameter_px": 268.4,
        },
        heatmap={"grid": grid, "box": (0, 0, 1, 1)},
        timings={"quality": 12.0, "ensemble": 2900.0},
        bundle_name="starter",
        bundle_version="1.0.0",
        bundle_sha256="4d" * 32,
    )  # fmt: skip


def sample_analysis(number: int, status: Status, **fields: Any) -> Analysis:
    """Make up an analysis that was never stored."""
    return Analysis(
        id=uuid.UUID(int=number),
        status=status,
        width=600,
        height=450,
        created_at=NOON - timedelta(days=number),
        completed_at=NOON - timedelta(days=number) + timedelta(seconds=9),
        image_purged_at=NOON - timedelta(days=number) + timedelta(seconds=10),
        sha256="0" * 64,
        **fields,
    )


class SampleForm(forms.Form):
    """One field of each kind."""

    name = forms.CharField(
        label="Name of the lesion", help_text="Words by which you know it again."
    )
    site = forms.ChoiceField(
        label="Where on the body?", choices=[("", "Not stated"), ("leg", "Leg")]
    )
    how = forms.ChoiceField(
        label="How was the photo taken?",
        choices=[("d", "Through a dermatoscope"), ("c", "With a phone")],
        initial="d",
        widget=forms.RadioSelect,
    )
    password = forms.CharField(label="Password", widget=forms.PasswordInput)
    agree = forms.BooleanField(label="I agree that my photo is analysed.")


def _entries() -> list[Entry]:
    found = [
        sample_analysis(n, Status.COMPLETED, result=sample_result(category, n))
        for n, category in enumerate(Category, start=1)
    ]
    found += [
        sample_analysis(6, Status.REJECTED, error_code=Rejection.BLURRED),
        sample_analysis(7, Status.FAILED, error_code=FailureCode.TIME_LIMIT),
        sample_analysis(8, Status.QUEUED),
    ]
    return [entry(analysis) for analysis in found]


def samples() -> dict[str, Any]:
    """Return what the styleguide's template shows."""
    rows = _entries()
    done = [row.analysis for row in rows if row.outcome is not None]
    steps = (
        Step(_("Received"), _("Your photo arrived whole."), "done"),
        Step(_("Waiting for its turn"), "", "done"),
        Step(_("Being analysed"), "", "now", ("done", "done", "now", "later", "later")),
        Step(_("Result"), _("Then your photo is deleted."), "later"),
    )
    return {
        "entries": rows,
        "results": [(analysis, result_page(analysis)) for analysis in done],
        "glyphs": [sample_of(seed) for seed in range(1, 7)],
        "bare_glyphs": [
            sample_of(2, heat=False),
            sample_of(2, outline=False),
            sample_of(2, outline=False, heat=False),
        ],
        "sample_form": SampleForm(prefix="ok"),
        "bad_form": SampleForm({}, prefix="bad"),
        "progress": Progress(steps, "", "", "sample"),
        "analysis": SimpleNamespace(pk=uuid.UUID(int=9)),
        "warnings": wording.WARNINGS,
        "levels": ["info", "success", "warning", "error"],
        "drawings": ["asymmetry", "border", "colours", "diameter_px", "area_share"],
        "neutrals": ["paper", "surface", "sunken", "line", "line-strong", "ink", "ink-soft"],
        "tones": ["brand", "slate-mark", "amber-mark", "rust-mark", "error"],
    }
