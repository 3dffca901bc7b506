"""What the pages show of an analysis: stored numbers turned into words and drawing coordinates.

Coordinates leave here as whole numbers or ready strings, so that no locale puts a comma into SVG.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from analyses import wording
from analyses.glyph import Glyph, glyph_of, smooth_path
from analyses.models import Analysis, Review, Status
from inference_worker.verdict import Category

if TYPE_CHECKING:
    import uuid
    from collections.abc import Collection, Iterable

    from django_stubs_ext import StrOrPromise

    from analyses.models import Result

DOTS: Final = 100
HALF: Final = 0.5
BAR: Final = 1000  # units of a bar's full width
LINE: Final = 400  # units of the members' line; fewer, so that its marks stay large on a phone


@dataclass(frozen=True, slots=True)
class Entry:
    """An analysis as one row or card. `outcome` is None until and unless it has a result.

    `answered` says that a dermatologist has written an opinion on it.
    """

    analysis: Analysis
    glyph: Glyph
    outcome: wording.Outcome | None
    refusal: wording.Refusal | None
    tone: str
    icon: str
    state: StrOrPromise
    malignant: str
    answered: bool = False

    @property
    def name(self) -> StrOrPromise:
        """What the person calls it: the lesion's name, else its place on the body."""
        if self.analysis.lesion is not None:
            return self.analysis.lesion.name
        if self.analysis.body_site:
            return self.analysis.get_body_site_display()
        return _("Photo")


@dataclass(frozen=True, slots=True)
class VotePart:
    """One category's share of the opinions, as a piece of the stacked bar."""

    label: StrOrPromise
    tone: str
    count: int
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class MemberMark:
    """One member's own estimate: its place on the line and its words."""

    number: int
    x: int
    words: str


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One diagnostic class: its name, what it is, and its share in words and as a bar."""

    name: StrOrPromise
    about: StrOrPromise
    malignant: bool
    words: str
    width: int


@dataclass(frozen=True, slots=True)
class Measure:
    """One measurement with its drawing's name."""

    key: str
    title: StrOrPromise
    about: StrOrPromise
    value: str


@dataclass(frozen=True, slots=True)
class ResultPage:
    """All that the result page says."""

    outcome: wording.Outcome
    dots: tuple[str, ...]
    malignant: str
    melanoma: str | None
    benign: str
    votes: tuple[VotePart, ...]
    vote_total: int
    vote_words: str
    members: tuple[MemberMark, ...]
    members_words: str
    ensemble_x: int
    zone: int
    zone_right: int
    gate: StrOrPromise
    gate_words: str
    classes: tuple[ClassRow, ...]
    measures: tuple[Measure, ...]
    notes: tuple[StrOrPromise, ...]
    total_seconds: str | None
    outline_path: str
    has_heatmap: bool

    @property
    def has_overlay(self) -> bool:
        """Whether there is anything to lay over a photo."""
        return self.has_heatmap or bool(self.outline_path)


def entry(analysis: Analysis, *, withheld: bool = False) -> Entry:
    """Present one analysis; its `result` should be loaded already.

    `withheld` leaves out all that the model said: the viewer's own opinion comes first.
    """
    if withheld:
        blank = glyph_of(None, None, width=analysis.width, height=analysis.height)
        return Entry(analysis, blank, None, None, "", "waiting", _("Your opinion first"), "")
    result = analysis.result
    glyph = glyph_of(
        result.outline if result else None,
        result.heatmap if result else None,
        width=analysis.width,
        height=analysis.height,
    )
    if result is not None:
        outcome = wording.outcome_of(result.category)
        return Entry(
            analysis, glyph, outcome, None, outcome.tone, outcome.icon, outcome.short,
            wording.short_in_hundred(result.p_malignant),
        )  # fmt: skip
    if analysis.status == Status.REJECTED:
        refusal = wording.rejection_of(analysis.error_code)
        return Entry(analysis, glyph, None, refusal, "", "photo-off", refusal.title, "")
    if analysis.status == Status.FAILED:
        refusal = wording.failure_of(analysis.error_code)
        return Entry(analysis, glyph, None, refusal, "", "stopped", refusal.title, "")
    icon = "person" if analysis.status == Status.HUMAN_ONLY else "waiting"
    return Entry(analysis, glyph, None, None, "", icon, Status(analysis.status).label, "")


def entries(analyses: Iterable[Analysis], *, withheld: Collection[uuid.UUID] = ()) -> list[Entry]:
    """Present several; those whose ids are `withheld` without what the model or others said."""
    rows = list(analyses)
    answered = set(Review.objects.filter(analysis__in=rows).values_list("analysis_id", flat=True))
    answered.difference_update(withheld)
    shown = (entry(analysis, withheld=analysis.pk in withheld) for analysis in rows)
    return [replace(one, answered=one.analysis.pk in answered) for one in shown]


def result_page(analysis: Analysis) -> ResultPage:
    """Present a completed analysis. Raises `ValueError` for one without a result."""
    result = analysis.result
    if result is None:
        msg = f"analysis {analysis.pk} has no result"
        raise ValueError(msg)
    votes = _votes(result)
    total = sum(part.count for part in votes)
    zone = max(3, round((1 - result.threshold) * LINE))
    return ResultPage(
        outcome=wording.outcome_of(result.category),
        dots=_dots(result.p_malignant),
        malignant=wording.in_hundred(result.p_malignant),
        melanoma=None if result.p_melanoma is None else wording.in_hundred(result.p_melanoma),
        benign=wording.in_hundred(1 - result.p_malignant),
        votes=votes,
        vote_total=total,
        vote_words=_vote_words(result, total),
        members=_members(result),
        members_words=_members_words(result),
        ensemble_x=round(result.p_malignant * LINE),
        zone=zone,
        zone_right=LINE - zone,
        gate=wording.gate_name(result.gate),
        gate_words=_gate_words(result),
        classes=_classes(result),
        measures=_measures(result),
        notes=_notes(analysis),
        total_seconds=_seconds(result),
        outline_path=_outline_path(analysis, result),
        has_heatmap=bool(result.heatmap),
    )


def _dots(share: float) -> tuple[str, ...]:
    """Fill the hundred dots; what is fewer than one is a part of one, so that none means none."""
    if share and round(share * DOTS) == 0:
        return ("part", *[""] * (DOTS - 1))
    return tuple("on" if i < wording.per_hundred(share) else "" for i in range(DOTS))


def _votes(result: Result) -> tuple[VotePart, ...]:
    """Order the opinions from most to least worrying; the two doctor categories keep apart."""
    labels: dict[Category, StrOrPromise] = {
        Category.MELANOMA: _("melanoma"),
        Category.MALIGNANT: _("other skin cancer"),
        Category.SUSPICIOUS: _("cannot tell"),
        Category.BENIGN: _("no signs found"),
    }
    total = sum(int(result.votes.get(c.value, 0)) for c in labels)
    parts, before = [], 0
    for category, label in labels.items():
        count = int(result.votes.get(category.value, 0))
        if count:
            x, end = round(before / total * BAR), round((before + count) / total * BAR)
            tone = "rust-dark" if category is Category.MELANOMA else wording.tone_of(category)
            parts.append(VotePart(label, tone, count, x, end - x))
            before += count
    return tuple(parts)


def _vote_words(result: Result, total: int) -> str:
    same = int(result.votes.get(result.category, 0))
    if not total:
        return ""
    if same == total:
        return _("All %(total)d opinions say the same.") % {"total": total}
    return _("%(same)s say the same as this result.") % {"same": wording.of_opinions(same, total)}


def _members(result: Result) -> tuple[MemberMark, ...]:
    return tuple(
        MemberMark(
            number=i,
            x=round(float(member["p_malignant"]) * LINE),
            words=wording.in_hundred(float(member["p_malignant"])),
        )
        for i, member in enumerate(result.members, start=1)
    )


def _members_words(result: Result) -> str:
    shares = [float(member["p_malignant"]) for member in result.members]
    if len(shares) < 2:  # noqa: PLR2004 - one alone agrees with nobody
        return ""
    malignant = result.p_malignant >= HALF
    same = sum((share >= HALF) == malignant for share in shares)
    lowest, highest = wording.in_hundred(min(shares)), wording.in_hundred(max(shares))
    agree = (
        _("All %(total)d models lean the same way.") % {"total": len(shares)}
        if same == len(shares)
        else ngettext(
            "%(same)d of %(total)d models leans this way; the others lean the other way.",
            "%(same)d of %(total)d models lean this way; the others lean the other way.",
            same,
        )
        % {"same": same, "total": len(shares)}
    )
    if lowest == highest:
        return _("%(agree)s Each of them expects skin cancer in %(share)s.") % {
            "agree": agree,
            "share": lowest,
        }
    return _("%(agree)s Their own numbers for skin cancer run from %(lowest)s to %(highest)s.") % {
        "agree": agree,
        "lowest": lowest,
        "highest": highest,
    }


def _gate_words(result: Result) -> str:
    sure, needed = wording.per_hundred(result.confidence), wording.per_hundred(result.threshold)
    values = {"sure": sure, "needed": needed}
    if result.decided:
        return (
            _("The model is %(sure)d in 100 sure. It only speaks from %(needed)d in 100.") % values
        )
    if result.confidence >= result.threshold:
        return _("An ordinary photo always goes to a human, however sure the model is.")
    return (
        _("The model is %(sure)d in 100 sure. It only speaks from %(needed)d in 100, so it leaves "
          "this photo to a human.")
        % values
    )  # fmt: skip


def _classes(result: Result) -> tuple[ClassRow, ...]:
    malignant = {"mel", "bcc", "akiec"}
    return tuple(
        ClassRow(name, about, code in malignant, wording.in_hundred(share), round(share * BAR))
        for code, (name, about) in wording.CLASS_NAMES.items()
        if (share := result.probabilities.get(code)) is not None
    )


def _measures(result: Result) -> tuple[Measure, ...]:
    stored = result.measurements
    if not stored:
        return ()
    values = {
        "asymmetry": wording.decimal(stored["asymmetry"], 2),
        "border": wording.decimal(stored["border"], 2),
        "colours": _("%(count)d of 6") % {"count": stored["colours"]},
        "diameter_px": _("%(count)s pixels") % {"count": wording.decimal(stored["diameter_px"], 0)},
        "area_share": wording.in_hundred(stored["area_share"]),
    }
    return tuple(
        Measure(key, title, about, values[key])
        for key, (title, about) in wording.MEASUREMENTS.items()
    )


def _notes(analysis: Analysis) -> tuple[StrOrPromise, ...]:
    codes = (analysis.quality or {}).get("notes") or ()
    return tuple(wording.QUALITY_NOTES[c] for c in codes if c in wording.QUALITY_NOTES)


def _seconds(result: Result) -> str | None:
    if not result.timings:
        return None
    return wording.decimal(sum(result.timings.values()) / 1000, 1)


def _outline_path(analysis: Analysis, result: Result) -> str:
    """Return the outline as a path in px of the upright photo, "" where there is none."""
    if not result.outline:
        return ""
    return smooth_path([(x * analysis.width, y * analysis.height) for x, y in result.outline])
