"""The compiled translations say what their sources say: nobody needs gettext to run the product."""

from __future__ import annotations

import gettext
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_is_fresh(language: str) -> None:
    folder = ROOT / "dermai" / "locale" / language / "LC_MESSAGES"
    with (folder / "django.po").open("rb") as file:
        source = read_po(file)
    with (folder / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    stale = []
    for message in source:
        if not message.id or message.fuzzy or not message.string:
            continue
        if isinstance(message.id, tuple):
            singular, plural = message.id
            found = tuple(
                compiled.npgettext(message.context, singular, plural, n)
                if message.context
                else compiled.ngettext(singular, plural, n)
                for n in (1, 1000)
            )
            fresh = found[0] == message.string[0] and found[1] in message.string
        else:
            found_one = (
                compiled.pgettext(message.context, message.id)
                if message.context
                else compiled.gettext(message.id)
            )
            fresh = found_one == message.string
        if not fresh:
            stale.append(message.id)
    assert len(list(source)) > 20
    assert stale == [], "run: .venv/bin/python manage.py compilemessages (needs gettext)"
