"""The dermatologist's form: what it looks like, what to do, a note."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import forms
from django.utils.translation import gettext_lazy as _

from analyses.models import Advice, Opinion
from analyses.models.review import NOTE_MAX_LENGTH

if TYPE_CHECKING:
    from analyses.models import Review


class ReviewForm(forms.Form):
    """One opinion. The same form amends it."""

    opinion = forms.ChoiceField(
        label=_("What do you see?"), choices=Opinion.choices, widget=forms.RadioSelect
    )
    advice = forms.ChoiceField(
        label=_("What should the patient do?"), choices=Advice.choices, widget=forms.RadioSelect
    )
    note = forms.CharField(
        label=_("Note to the patient"),
        help_text=_("In plain words; the patient reads it exactly as you write it."),
        required=False,
        max_length=NOTE_MAX_LENGTH,
        widget=forms.Textarea(attrs={"rows": 5}),
    )

    @classmethod
    def of(cls, review: Review) -> ReviewForm:
        """Return the form filled with a review that is to be amended."""
        return cls(
            initial={"opinion": review.opinion, "advice": review.advice, "note": review.note}
        )
