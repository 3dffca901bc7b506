"""Spanish and Catalan are complete, and what is committed is what was compiled."""

from __future__ import annotations

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.utils import translation

from analyses import wording
from inference_worker.verdict import Category

LOCALE = Path(__file__).resolve().parents[2] / "dermai" / "locale"
LANGUAGES = ("es", "ca")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|<[^>]+>")
FIELD = re.compile(r'(msgid_plural|msgid|msgstr(?:\[\d\])?) (".*")$')


def messages(language: str) -> list[dict[str, str]]:
    """Read the catalogue's source: one dict of fields for each message."""
    text = (LOCALE / language / "LC_MESSAGES" / "django.po").read_text(encoding="utf-8")
    found = []
    for block in text.split("\n\n")[1:]:
        fields: dict[str, str] = {"flags": ""}
        for line in block.splitlines():
            if line.startswith("#,"):
                fields["flags"] += line
            if match := FIELD.match(line):
                fields[match[1]] = ast.literal_eval(match[2])
        found.append(fields)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_message_is_untranslated_or_fuzzy(language: str) -> None:
    for message in messages(language):
        assert "fuzzy" not in message["flags"], message
        translated = [value for name, value in message.items() if name.startswith("msgstr")]
        assert translated, message
        assert all(translated), message


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_placeholder_and_tag_survives_the_translation(language: str) -> None:
    for message in messages(language):
        wanted = set(PLACEHOLDER.findall(message.get("msgid_plural", message["msgid"])))
        last = [value for name, value in sorted(message.items()) if name.startswith("msgstr")][-1]
        assert set(PLACEHOLDER.findall(last)) == wanted, message


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_is_the_one_of_its_source(language: str) -> None:
    with (LOCALE / language / "LC_MESSAGES" / "django.mo").open("rb") as compiled:
        catalogue = gettext.GNUTranslations(compiled)

    for message in messages(language):
        if "msgid_plural" in message:
            told = catalogue.ngettext(message["msgid"], message["msgid_plural"], 2)
            assert told == message["msgstr[1]"]
        else:
            assert catalogue.gettext(message["msgid"]) == message["msgstr"]


def test_both_languages_hold_the_same_messages() -> None:
    spanish, catalan = ({m["msgid"] for m in messages(language)} for language in LANGUAGES)

    assert spanish == catalan


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("es", "Enséñesela pronto a un médico"),
        ("ca", "Ensenyeu-la aviat a un metge"),
    ],
)
def test_the_sentence_that_matters_is_told_in_each_language(language: str, sentence: str) -> None:
    with translation.override(language):
        assert str(wording.outcome_of(Category.MELANOMA).sentence) == sentence


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "about 6 in 100"), ("es", "unas 6 de cada 100"), ("ca", "unes 6 de cada 100")],
)
def test_natural_frequencies_are_told_in_each_language(language: str, words: str) -> None:
    with translation.override(language):
        assert wording.in_hundred(0.06) == words
