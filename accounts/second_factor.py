"""The second factor: who must have one, how its secrets are kept, how a code is spent."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Final, cast

import qrcode
from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.utils.translation import gettext as _
from qrcode.image.svg import SvgPathFillImage

from accounts.models import Role
from accounts.vault import vault

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.models import User

MANDATORY_FOR: Final = frozenset({Role.DERMATOLOGIST, Role.ADMIN})
_KEY_PURPOSE: Final = b"dermai second factor"


def is_mandatory(user: User) -> bool:
    """Whether `user` must have a second factor: everybody but patients."""
    return user.role in MANDATORY_FOR


def is_missing(user: User) -> bool:
    """Whether `user` must set one up before anything else."""
    return is_mandatory(user) and user.second_factor_since is None


def factors_of(user: User) -> QuerySet[Authenticator]:
    """Return what opens the account beside the password. Recovery codes alone are no factor."""
    factors = Authenticator.objects.filter(user=user)
    return factors.exclude(type=Authenticator.Type.RECOVERY_CODES)  # type: ignore[no-any-return]


def verify(user: User, code: str) -> Authenticator | None:
    """Return what `code` is right for, the authenticator app or the recovery codes; spend it."""
    typed = Authenticator.objects.filter(user=user).exclude(type=Authenticator.Type.WEBAUTHN)
    for authenticator in typed:
        if authenticator.wrap().validate_code(code):
            authenticator.user = user
            return authenticator if spend(user, code) else None
    return None


def spend(user: User, code: str) -> bool:
    """Mark `code` as used; False where it has been already.

    allauth remembers a code for one period only; with the tolerance it is valid for three.
    """
    digest = hashlib.sha256("".join(code.split()).encode()).hexdigest()
    valid_for = (2 * app_settings.TOTP_TOLERANCE + 1) * app_settings.TOTP_PERIOD
    return bool(cache.add(f"second-factor:{user.pk}:{digest}", 1, timeout=valid_for))


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # untyped library
    """Encrypts the secrets, and keeps the mandatory factor from being removed."""

    def encrypt(self, text: str) -> str:
        """Encrypt a secret before it is stored."""
        return vault(_KEY_PURPOSE).encrypt(text.encode()).decode("ascii")

    def decrypt(self, encrypted_text: str) -> str:
        """Decrypt a stored secret."""
        return vault(_KEY_PURPOSE).decrypt(encrypted_text.encode("ascii")).decode()

    def generate_authenticator_name(self, user: User, type: str) -> str:  # noqa: A002 - the library's
        """Propose a plain name; the library's count in "master" and "backup" keys."""
        del user, type
        return _("My passkey")

    def build_totp_svg(self, url: str) -> str:
        """Draw the key on white: a scanner does not read black on a dark page."""
        picture = io.BytesIO()
        qrcode.make(url, image_factory=SvgPathFillImage).save(picture)
        return picture.getvalue().decode()

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        """Whether it may go: not the last factor of somebody who must have one."""
        user = cast("User", authenticator.user)
        others = factors_of(user).exclude(pk=authenticator.pk)
        is_factor = authenticator.type != Authenticator.Type.RECOVERY_CODES
        return not is_mandatory(user) or (is_factor and others.exists())
