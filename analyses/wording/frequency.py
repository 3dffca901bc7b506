"""Probabilities as natural frequencies: people read "about 6 in 100" better than "6.2%".

And other numbers as the language writes them.
"""

from __future__ import annotations

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def per_hundred(share: float) -> int:
    """Round a share in [0, 1] to a count of a hundred; only an exact 0 or 1 gives 0 or 100."""
    count = round(share * 100)
    if count == 0 and share > 0:
        return 1
    if count == 100 and share < 1:  # noqa: PLR2004 - a hundred is a hundred
        return 99
    return min(max(count, 0), 100)


def in_hundred(share: float) -> str:
    """Say a share in [0, 1] in words, never as a certainty."""
    if share < 0.005:  # noqa: PLR2004 - what rounds to nothing
        return _("fewer than 1 in 100")
    if share > 0.995:  # noqa: PLR2004 - what rounds to everything
        return _("more than 99 in 100")
    return _("about %(count)d in 100") % {"count": per_hundred(share)}


def short_in_hundred(share: float) -> str:
    """Say the count of a hundred for a column of numbers."""
    if share < 0.005:  # noqa: PLR2004 - what rounds to nothing
        return "<1"
    if share > 0.995:  # noqa: PLR2004 - what rounds to everything
        return ">99"
    return str(per_hundred(share))


def of_opinions(count: int, total: int) -> str:
    """Say how many of the member × view opinions are meant."""
    return ngettext("%(count)d of %(total)d opinion", "%(count)d of %(total)d opinions", total) % {
        "count": count,
        "total": total,
    }


def decimal(value: float, places: int) -> str:
    """Return a number as the language writes it, rounded: `number_format` alone cuts it off."""
    return number_format(round(value, places) + 0.0, places)  # + 0.0: no minus before a zero
