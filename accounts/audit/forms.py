"""What an administrator may look for in the trail."""

from __future__ import annotations

from datetime import date

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _

from accounts.audit.models import Action

# A day on which the trail can have grown; the midnight of the last there is cannot be computed.
_REAL = (
    MinValueValidator(date(2000, 1, 1), _("Choose a day from the year 2000 on.")),
    MaxValueValidator(date(2999, 12, 31), _("Choose a day before the year 3000.")),
)


def _day() -> forms.DateInput:
    return forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class TrailFilterForm(forms.Form):
    """Filters by action, by person (address or id) and by day; all of them optional."""

    action = forms.ChoiceField(
        label=_("What"), required=False, choices=[("", _("Everything")), *Action.choices]
    )
    who = forms.CharField(
        label=_("Who, or whose record"),
        help_text=_("E-mail address or id"),
        required=False,
        max_length=254,
    )
    since = forms.DateField(label=_("From"), required=False, widget=_day(), validators=_REAL)
    until = forms.DateField(label=_("To"), required=False, widget=_day(), validators=_REAL)
