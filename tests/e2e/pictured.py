"""The made-up people of the pictures, and what is theirs: every page in every state."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from accounts.models import User

PASSWORD = "correct horse battery staple"
# Whose page it is, by the beginning of the picture's name; the rest are the patient's.
PEOPLE = {
    "out-": None,
    "doctor-": "bea@example.org",
    "admin-": "cleo@example.org",
    "passkey-": "dora@example.org",
    "linked-": "finn@example.org",
    "ended-": "gus@example.org",
    "new-": "eve@hospital.example",
}
PATIENT = "ana@example.org"
NEW = PEOPLE["new-"]  # signs in through the hospital, and has no account
HOSPITAL = "St. Mary's"
LONG = 24 * 3600  # s
ABSENT = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Pictured:
    """What there is to take pictures of.

    A path for each picture's name, in `once` one for each time, of what works a single time; open
    sessions, by e-mail address, of who could sign in by a real device or at a hospital only.
    """

    pages: dict[str, str]
    once: dict[str, list[str]]
    sessions: dict[str, str]


def prepare(rounds: int) -> Pictured:
    """Fill the database and collect the static files, for so many rounds of pictures."""
    import django

    django.setup()
    from allauth.account.forms import default_token_generator
    from allauth.account.models import EmailAddress, EmailConfirmationHMAC
    from allauth.account.utils import user_pk_to_url_str
    from allauth.mfa.models import Authenticator
    from allauth.socialaccount.models import SocialAccount
    from django.core.management import call_command
    from django.urls import reverse
    from django.utils import timezone

    from accounts.care.models import CareRelationship
    from accounts.care.services import share
    from accounts.models import Role
    from accounts.oidc.adapter import PROVIDER
    from accounts.recovery import services as recovery
    from analyses import images
    from analyses.models import Analysis
    from tests import images as drawn
    from tests.factories import make_user
    from tests.states import seed

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    person = make_user("ana", password=PASSWORD)
    doctor = make_user("bea", role=Role.DERMATOLOGIST, password=PASSWORD)
    admin = make_user("cleo", role=Role.ADMIN, password=PASSWORD)
    keyed = make_user("dora", password=PASSWORD)
    passkey = Authenticator.objects.create(
        user=keyed, type=Authenticator.Type.WEBAUTHN, data={"name": "My telephone"}
    )
    removal = recovery.ask(email=keyed.email, by=admin)
    removals = [
        recovery.link_of(recovery.ask(email=lost.email, by=admin))
        for lost in (
            make_user(f"lost{n}", second_factor_since=timezone.now()) for n in range(rounds)
        )
    ]
    linked = make_user("finn", password=PASSWORD, consented=False)
    SocialAccount.objects.create(user=linked, provider=PROVIDER, uid="drawn")
    ended = make_user("gus", password=PASSWORD, hospital_ended_at=timezone.now())
    EmailAddress.objects.filter(user=person).update(verified=False)
    address = EmailAddress.objects.get(user=person)
    # Somebody who never signs in, which would end the key.
    forgetful = make_user("hal", password=PASSWORD)
    reset_key = default_token_generator.make_token(forgetful)
    share(patient=person, reference=doctor.email, scope=CareRelationship.Scope.EVERYTHING)
    states = seed(person)
    held = states["result-held"]
    Analysis.objects.filter(pk=held.pk).update(
        image_key=images.keep(held.pk, np.asarray(drawn.lesion(held.width, held.height)))
    )
    lesion = states["result-melanoma"].lesion
    assert lesion is not None
    pages = {
        "out-home": reverse("home"),
        "out-login": reverse("account_login"),
        "out-signup": reverse("account_signup"),
        "out-reset": reverse("account_reset_password"),
        "out-too-many": reverse("account_reset_password"),
        "out-inactive": reverse("account_inactive"),
        "out-mailed-reset": reverse(
            "account_reset_password_from_key",
            kwargs={"uidb36": user_pk_to_url_str(forgetful), "key": reset_key},
        ),
        "out-mailed-confirmation": reverse(
            "account_confirm_email", args=[EmailConfirmationHMAC(address).key]
        ),
        "out-mailed-removal": recovery.link_of(removal),
        "out-mailed-removal-done": reverse("home"),
        "out-hospital-going": reverse("account_login"),
        "new-hospital-signup": reverse("socialaccount_signup"),
        "linked-hospital": reverse("hospital_link"),
        "linked-hospital-again": reverse("hospital_again"),
        "ended-hospital": reverse("hospital_link"),
        "out-mailed-removal-over": reverse("accounts:confirm_reset_by_mail", args=["no-such"]),
        "home": reverse("home"),
        "dashboard": reverse("analyses:dashboard"),
        "upload": reverse("analyses:upload"),
        "upload-human": reverse("analyses:upload") + "?hold=human_only",
        "history": reverse("analyses:list"),
        "history-compact": reverse("analyses:list") + "?density=compact",
        "history-none": reverse("analyses:list") + "?show=pending",
        "lesions": reverse("analyses:lesions"),
        "lesion": reverse("analyses:lesion", args=[lesion.pk]),
        "model": reverse("analyses:model"),
        "profile": reverse("accounts:profile"),
        "sharing": reverse("accounts:sharing"),
        "access-log": reverse("accounts:access_log"),
        "second-factor": reverse("mfa_index"),
        "second-factor-totp": reverse("mfa_activate_totp"),
        "second-factor-passkeys": reverse("mfa_list_webauthn"),
        "second-factor-passkey-add": reverse("mfa_add_webauthn"),
        "sessions": reverse("accounts:sessions"),
        "reauthenticate": reverse("account_reauthenticate"),
        "password": reverse("account_change_password"),
        "privacy": reverse("analyses:privacy"),
        "privacy-consent": reverse("analyses:consent"),
        "privacy-export": reverse("analyses:export_record"),
        "linked-consent": reverse("analyses:consent"),
        "erase": reverse("analyses:erase"),
        "delete": reverse("analyses:delete", args=[states["result-benign"].pk]),
        "api-docs": reverse("api-docs"),
        "styleguide": reverse("styleguide"),
        "not-found": reverse("analyses:detail", args=[ABSENT]),
        "passkey-list": reverse("mfa_list_webauthn"),
        "passkey-rename": reverse("mfa_edit_webauthn", args=[passkey.pk]),
        "passkey-remove": reverse("mfa_remove_webauthn", args=[passkey.pk]),
        "doctor-patients": reverse("accounts:patients"),
        "doctor-worklist": reverse("analyses:worklist"),
        "doctor-history": reverse("analyses:list"),
        "doctor-result-blind": reverse("analyses:detail", args=[states["result-held"].pk]),
        "doctor-result": reverse("analyses:detail", args=[states["result-melanoma"].pk]),
        "doctor-second-factor": reverse("mfa_index"),
        "admin-home": reverse("admin:index"),
        "admin-people": reverse("admin:accounts_user_changelist"),
        "admin-resets": reverse("accounts:resets"),
        "admin-audit": reverse("accounts:audit"),
        "admin-audit-senseless": reverse("accounts:audit") + "?until=9999-12-31",
        "admin-person": reverse("admin:accounts_user_change", args=[person.pk]),
        "admin-person-history": reverse("admin:accounts_user_history", args=[person.pk]),
        "admin-person-new": reverse("admin:accounts_user_add"),
    }
    results = {
        name: reverse("analyses:detail", args=[analysis.pk]) for name, analysis in states.items()
    }
    return Pictured(
        pages=pages | results,
        once={"out-mailed-removal-done": removals},
        sessions={one.email: session_of(one) for one in (keyed, linked, ended)},
    )


def session_of(user: User) -> str:
    """Open a session as if `user` had just shown a passkey, which no picture can do."""
    from allauth.account.internal.flows import login
    from django.test import Client

    user.refresh_from_db()
    client = Client()
    client.force_login(user)
    session = client.session
    # Later than any picture: the pages of factors ask anew after some minutes.
    shown = {"method": "mfa", "at": time.time() + LONG}
    session[login.AUTHENTICATION_METHODS_SESSION_KEY] = [shown]
    session[login._AUTHENTICATION_METHODS_USER_SESSION_KEY] = str(user.pk)
    session.save()
    return str(session.session_key)
