"""Tags of the shell: icons from the sprite, and the places that a role has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from analyses import wording
from analyses.styleguide import sample_of

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

    from analyses.glyph import Glyph

register = template.Library()


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Draw the sprite's symbol `name`; it is decoration, so the words beside it must suffice."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        css,
        static("img/icons.svg"),
        name,
    )


@register.filter
def image_type(code: str) -> str:
    """Name the type of a photo."""
    return str(wording.IMAGE_TYPES.get(code, code))


@register.simple_tag
def sample_glyph() -> Glyph:
    """Return a made-up glyph, for pages that show no one's lesion."""
    return sample_of(seed=3)


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the bars. `action` marks the one thing to do among the places to be."""

    url: str
    label: str
    icon: str
    current: bool
    action: bool = False


@register.simple_tag(takes_context=True)
def places(context: dict[str, Any], *, phone: bool = False) -> list[Place]:
    """Return the places of this role; on a phone the action "New photo" stands among them."""
    request = context["request"]
    here = request.path

    def place(name: str, label: str, icon_name: str, *, action: bool = False) -> Place:
        url = reverse(name)
        return Place(url, label, icon_name, current=here == url, action=action)

    overview = place("analyses:dashboard", _("Overview"), "home")
    if request.user.is_admin:
        return [
            overview,
            place("admin:index", _("Administration"), "person"),
            place("accounts:audit", _("Audit trail"), "shield"),
        ]
    found = [
        overview,
        place("analyses:list", _("History"), "history"),
        place("analyses:lesions", _("Lesions"), "lesion"),
    ]
    if request.user.is_dermatologist:
        # What waits for an opinion takes the place of the person's own lesions.
        found[2] = place("accounts:patients", _("Patients"), "person")
        found.insert(1, place("analyses:worklist", _("Cases"), "doctor"))
        return found
    if phone:
        found.insert(1, place("analyses:upload", _("New photo"), "camera", action=True))
    return found
