"""The form with which a patient shares the record."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.care import wording
from accounts.care.models import CareRelationship

MAX_REFERENCE = 254


class ShareForm(forms.Form):
    """Whom to share with, how much, and the consent."""

    reference = forms.CharField(
        label=_("Code or e-mail address of your dermatologist"),
        help_text=_(
            "The code has ten letters and figures; you get it from your dermatologist. The address "
            "must be exactly the one that your dermatologist uses here."
        ),
        max_length=MAX_REFERENCE,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}
        ),
    )
    scope = forms.ChoiceField(
        label=_("What may be seen?"),
        choices=[(value, title) for value, (title, _text) in wording.SCOPES.items()],
        initial=CareRelationship.Scope.EVERYTHING.value,
        widget=forms.RadioSelect,
    )
    consent = forms.BooleanField(label=wording.CONSENT)

    @property
    def scope_options(self) -> list[dict[str, Any]]:
        """The scopes with their explanations."""
        chosen = str(self["scope"].value() or "")
        return [
            {
                "id": f"id_scope_{i}",
                "value": value,
                "title": title,
                "text": text,
                "checked": value == chosen,
            }
            for i, (value, (title, text)) in enumerate(wording.SCOPES.items())
        ]
