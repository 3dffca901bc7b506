"""The export forgets nothing: each field of each table is in it, or stands here with a reason.

A new table, or a new field of one, fails `test_every_field_is_told_or_exempt` until it is decided.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from allauth.account import app_settings as account_settings
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.test.utils import isolate_apps

from accounts.audit.chain import record
from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship, InvitationCode
from accounts.models import ApiToken, Consent, Letter, Role, SecondFactorReset, User
from analyses import archive
from analyses.models import Analysis, DeletionEvent, Lesion, Result, Reveal, Review
from inference_worker.verdict import Category
from tests.cases import make_ended
from tests.factories import make_user

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("image_store")]

NUMBER: Final = "a number of the database, which tells nothing of anybody"
ALICE: Final = "the person whose archive it is: account.json tells the id"
SECRET: Final = "opens the account, or proves that one may"
UNUSED: Final = "nothing writes it here"

# Tables that hold nothing of a person whom they name.
NOT_PERSONAL: Final = {
    "contenttypes.ContentType": "the names of the tables",
    "sessions.Session": "encoded; UserSession tells when, from where and with what it was opened",
    "socialaccount.SocialApp": UNUSED,  # the provider stands in the settings
    "accounts.AuditHead": "the end of the chain of everybody's events",
    "accounts.AuditCheckpoint": "a signature over the chain of everybody's events",
    "auth.Permission": "the names of Django's permissions",
    "auth.Group": UNUSED,
    "analyses.Tombstone": "a hash of the id of what is gone",
}

# Of each table, by its label: the file, the list in it (where it is not the file itself), and under
# which name each field stands there. A word behind the label tells two lists of one table apart.
TOLD: Final[dict[str, tuple[str, str, dict[str, str]]]] = {
    "accounts.User": ("account.json", "", {
        "id": "id", "email": "email", "name": "name", "role": "role", "language": "language",
        "is_active": "active", "last_login": "last_sign_in", "date_joined": "joined",
        "second_factor_since": "second_factor_since",
        "hospital_ended_at": "hospital_sign_in_ended",
    }),
    "account.EmailAddress": ("account.json", "addresses", {
        "email": "email", "verified": "verified", "primary": "primary",
    }),
    "accounts.Consent": ("account.json", "consents", {
        "kind": "kind", "wording_version": "wording_version", "given_at": "given_at",
        "withdrawn_at": "withdrawn_at",
    }),
    "accounts.ApiToken": ("account.json", "api_tokens", {
        "created_at": "created_at", "expires_at": "expires_at", "revoked_at": "revoked_at",
        "last_used_at": "last_used_at",
    }),
    "mfa.Authenticator": ("account.json", "second_factors", {
        "type": "kind", "created_at": "created_at", "last_used_at": "last_used_at",
    }),
    "socialaccount.SocialAccount": ("account.json", "linked_sign_ins", {
        "provider": "provider", "uid": "uid", "date_joined": "date_joined",
        "last_login": "last_login",
    }),
    "usersessions.UserSession": ("account.json", "signed_in_at", {
        "created_at": "created_at", "last_seen_at": "last_seen_at", "ip": "ip",
        "user_agent": "user_agent",
    }),
    "accounts.Letter": ("account.json", "letters_waiting", {
        "written_at": "written_at", "claimed_at": "claimed_at",
    }),
    "accounts.CareRelationship given": ("account.json", "shares", {
        "id": "id", "dermatologist": "with", "scope": "scope", "wording_version": "wording_version",
        "consented_at": "consented_at", "revoked_at": "revoked_at",
    }),
    "accounts.CareRelationship received": ("account.json", "shared_with_you", {
        "id": "id", "scope": "scope", "wording_version": "wording_version",
        "consented_at": "consented_at", "revoked_at": "revoked_at",
    }),
    "accounts.InvitationCode": ("account.json", "invitation_codes", {"renewed_at": "renewed_at"}),
    "accounts.SecondFactorReset": ("second_factor_resets.json", "", {
        "user": "about_you", "asked_by": "asked_by", "asked_at": "asked_at", "done_by": "done_by",
        "done_at": "done_at",
    }),
    "accounts.AuditEvent": ("access.json", "", {
        "at": "at", "action": "action", "actor_id": "by_you", "actor_role": "role",
        "subject_id": "about_you", "object_type": "object", "object_id": "object_id",
        "details": "details",
    }),
    "admin.LogEntry": ("admin_log.json", "", {
        "action_time": "at", "user": "by", "content_type": "object", "object_id": "object_id",
        "object_repr": "called", "action_flag": "action", "change_message": "changes",
    }),
    "analyses.Lesion": ("lesions.json", "", {
        "id": "id", "name": "name", "body_site": "body_site", "created_at": "created_at",
    }),
    "analyses.Analysis": ("analyses.json", "", {
        "id": "id", "lesion": "lesion_id", "body_site": "body_site", "image_type": "image_type",
        "sha256": "sha256", "source_format": "source_format", "width": "width", "height": "height",
        "idempotency_key": "idempotency_key", "status": "status", "stage": "stage",
        "quality": "quality", "attempts": "attempts", "uncounted_attempts": "uncounted_attempts",
        "created_at": "created_at", "enqueued_at": "enqueued_at", "claimed_at": "claimed_at",
        "completed_at": "completed_at", "image_purged_at": "image_purged_at",
        "hold_kind": "hold_kind", "hold_consented_at": "hold_consented_at",
        "hold_wording_version": "hold_wording_version", "held_until": "held_until",
    }),
    "analyses.Analysis failed": ("analyses.json", "", {"error_code": "error_code"}),
    "analyses.Result": ("analyses.json", "result", {
        name: name
        for name in (
            "category", "decided", "confidence", "gate", "threshold", "p_malignant", "p_melanoma",
            "probabilities", "members", "votes", "outline", "measurements", "heatmap", "timings",
            "bundle_name", "bundle_version", "bundle_sha256", "created_at",
        )
    }),
    "analyses.DeletionEvent": ("deletions.json", "", {
        "analysis": "analysis", "reason": "reason", "size_bytes": "size_bytes", "at": "at",
    }),
    "analyses.Review read": ("answers.json", "", {
        "id": "id", "analysis": "analysis", "author_name": "by", "opinion": "opinion",
        "advice": "advice", "note": "note", "model_category": "model_category", "blind": "blind",
        "saw_photo": "saw_photo", "supersedes": "replaces", "created_at": "at",
        "notified_at": "notified_at",
    }),
    "analyses.Review written": ("written_answers.json", "", {
        "id": "id", "analysis": "analysis", "author_name": "by", "opinion": "opinion",
        "advice": "advice", "note": "note", "blind": "blind", "saw_photo": "saw_photo",
        "supersedes": "replaces", "created_at": "at", "notified_at": "notified_at",
    }),
    "analyses.Reveal of hers": ("reveals.json", "", {
        "analysis": "analysis", "user": "by", "at": "at",
    }),
    "analyses.Reveal by her": ("reveals.json", "", {
        "analysis": "analysis", "user": "by", "at": "at",
    }),
}  # fmt: skip

EXEMPT: Final = {
    "accounts.User.password": SECRET,
    "accounts.User.is_superuser": UNUSED,
    "accounts.User.groups": UNUSED,
    "accounts.User.user_permissions": UNUSED,
    "account.EmailAddress.id": NUMBER,
    "account.EmailAddress.user": ALICE,
    "account.EmailConfirmation.id": UNUSED,
    "account.EmailConfirmation.email_address": UNUSED,
    "account.EmailConfirmation.created": UNUSED,
    "account.EmailConfirmation.sent": UNUSED,
    "account.EmailConfirmation.key": UNUSED,
    "accounts.Consent.id": NUMBER,
    "accounts.Consent.user": ALICE,
    "accounts.ApiToken.id": NUMBER,
    "accounts.ApiToken.user": ALICE,
    "accounts.ApiToken.digest": SECRET,
    "mfa.Authenticator.id": NUMBER,
    "mfa.Authenticator.user": ALICE,
    "mfa.Authenticator.data": SECRET,  # but for the name of a passkey, see `test_archive`
    "socialaccount.SocialAccount.id": NUMBER,
    "socialaccount.SocialAccount.user": ALICE,
    "socialaccount.SocialAccount.extra_data": UNUSED,
    "socialaccount.SocialToken.id": UNUSED,
    "socialaccount.SocialToken.app": UNUSED,
    "socialaccount.SocialToken.account": UNUSED,
    "socialaccount.SocialToken.token": UNUSED,
    "socialaccount.SocialToken.token_secret": UNUSED,
    "socialaccount.SocialToken.expires_at": UNUSED,
    "usersessions.UserSession.id": NUMBER,
    "usersessions.UserSession.user": ALICE,
    "usersessions.UserSession.session_key": SECRET,
    "usersessions.UserSession.data": UNUSED,
    "accounts.Letter.id": NUMBER,
    "accounts.Letter.user": ALICE,
    "accounts.Letter.sealed": SECRET,
    "accounts.CareRelationship.patient": "Alice, or a patient, who stays unnamed",
    "accounts.InvitationCode.id": NUMBER,
    "accounts.InvitationCode.dermatologist": ALICE,
    "accounts.InvitationCode.code": SECRET,
    "accounts.SecondFactorReset.id": SECRET,  # the mailed link names it
    "accounts.AuditEvent.id": NUMBER,
    "accounts.AuditEvent.previous_hash": "of the event before, which may be anybody's",
    "accounts.AuditEvent.hash": "a check sum over the chain of everybody's events",
    "admin.LogEntry.id": NUMBER,
    "analyses.Lesion.owner": ALICE,
    "analyses.Analysis.owner": ALICE,
    "analyses.Analysis.result": NUMBER,  # its fields stand in the analysis
    "analyses.Analysis.claimed_by": "names a process of the server",
    "analyses.Analysis.image_key": SECRET,
    "analyses.Result.id": NUMBER,
    "analyses.DeletionEvent.id": NUMBER,
    "analyses.Review.author": "`author_name` tells who, also when the account is gone",
    "analyses.Reveal.id": NUMBER,
}
# What stands there otherwise than it is stored.
CONVERTED: Final[dict[str, Callable[[Any], Any]]] = {
    "accounts.CareRelationship.dermatologist": lambda person: person.name,
    "accounts.SecondFactorReset.user": lambda person: person.name == "Alice",
    "accounts.SecondFactorReset.asked_by": lambda person: person.name,
    "accounts.SecondFactorReset.done_by": lambda person: person.name,
    "accounts.AuditEvent.actor_id": lambda pk: User.objects.get(pk=pk).name == "Alice",
    "accounts.AuditEvent.subject_id": lambda pk: User.objects.get(pk=pk).name == "Alice",
    "admin.LogEntry.user": lambda person: person.name,
    "admin.LogEntry.content_type": lambda content_type: content_type.model,
    "admin.LogEntry.action_flag": {CHANGE: "change"}.get,
    "analyses.Reveal.user": lambda person: person.name,
}
BEGINNING: Final = datetime(2031, 1, 1, tzinfo=UTC)


def label_of(key: str) -> str:
    return key.partition(" ")[0]


def fields_of(model: type[models.Model]) -> set[str]:
    fields = (*model._meta.concrete_fields, *model._meta.many_to_many)
    return {f"{model._meta.label}.{field.name}" for field in fields}


def told() -> set[str]:
    return {f"{label_of(key)}.{name}" for key, (_, _, names) in TOLD.items() for name in names}


def undecided(tables: Iterable[type[models.Model]]) -> set[str]:
    personal = {model for model in tables if model._meta.label not in NOT_PERSONAL}
    return {field for model in personal for field in fields_of(model)} - told() - EXEMPT.keys()


def related_to_people(tables: Iterable[type[models.Model]]) -> set[str]:
    """Return the labels of those that refer to an account, be it through others.

    What a single row of theirs has for itself, as an analysis its result, belongs to them.
    """
    found = {User._meta.label}
    while True:
        more = set(found)
        for model in tables:
            for field in (*model._meta.concrete_fields, *model._meta.many_to_many):
                target = field.related_model
                if not isinstance(target, type):
                    continue
                if target._meta.label in found:
                    more.add(model._meta.label)
                if field.one_to_one and model._meta.label in found:
                    more.add(target._meta.label)
        if more == found:
            return found
        found = more


class World:
    """Alice, a dermatologist with a record of her own, and one row of each table about her.

    No field that is told is empty; moments and texts are those of one field only.
    """

    def __init__(self, *, flag: bool) -> None:
        self.numbers = itertools.count(1)
        self.flag = flag
        self.rows: dict[str, models.Model] = {}
        self.alice = make_user("alice", role=Role.DERMATOLOGIST)
        self.bob = make_user("bob", role=Role.DERMATOLOGIST)
        self.carol = make_user("carol")
        self.root = make_user("root", role=Role.ADMIN)
        self._record()
        self._account()
        self._clinic()
        self._fill(
            "accounts.User", self.alice, password=self.text(), language="ca", is_active=flag,
            last_login=self.at(), second_factor_since=self.at(), hospital_ended_at=self.at(),
            date_joined=self.at(),
        )  # fmt: skip
        self.alice.refresh_from_db()

    def at(self) -> datetime:
        return BEGINNING + timedelta(seconds=next(self.numbers))

    def text(self) -> str:
        return f"sentinel-{next(self.numbers)}-"

    def _fill(self, key: str, row: models.Model, **values: Any) -> None:
        model = type(row)
        assert model._meta.label == label_of(key)
        if values:
            model._default_manager.filter(pk=row.pk).update(**values)
        self.rows[key] = model._default_manager.get(pk=row.pk)

    def _record(self) -> None:
        """Make her analyses, and what others wrote of them."""
        category = "melanoma" if self.flag else "suspicious"
        lesion = Lesion.objects.create(owner=self.alice, name=self.text(), body_site="head_neck")
        self._fill("analyses.Lesion", lesion, created_at=self.at())
        analysis = make_ended(self.alice, held=True, lesion=lesion)
        assert analysis.result is not None
        self._fill(
            "analyses.Analysis", analysis, body_site="lower_extremity", image_type="clinical",
            sha256=self.text(), source_format="TIFF", width=1234, height=2345,
            idempotency_key=self.text(), stage="ensemble", quality={"notes": [self.text()]},
            attempts=7, uncounted_attempts=5, created_at=self.at(), enqueued_at=self.at(),
            claimed_at=self.at(), completed_at=self.at(), image_purged_at=self.at(),
            hold_consented_at=self.at(), hold_wording_version=self.text(), held_until=self.at(),
            image_key=self.text().encode(), claimed_by=self.text(),
        )  # fmt: skip
        self._fill(
            "analyses.Result", analysis.result, category=category, decided=self.flag,
            confidence=0.811, gate="risk_controlled", threshold=0.822, p_malignant=0.833,
            p_melanoma=0.844, probabilities={"mel": 0.855}, members=[0.866],
            votes={one.value: 877 for one in Category}, outline=[[0.888]],
            measurements={"border": 0.899}, heatmap={"grid": [[0.911]]}, timings={"ensemble": 922},
            bundle_name=self.text(), bundle_version=self.text(), bundle_sha256=self.text(),
            created_at=self.at(),
        )  # fmt: skip
        failed = make_ended(self.alice)
        self._fill(
            "analyses.Analysis failed", failed, status="FAILED", result=None, error_code=self.text()
        )
        DeletionEvent.objects.all().delete()
        deletion = DeletionEvent.objects.create(
            analysis=failed, reason="hold_ended", size_bytes=987654, at=self.at()
        )
        self._fill("analyses.DeletionEvent", deletion)
        self._fill("analyses.Review read", self._review(analysis, self.bob))
        reveal = Reveal.objects.create(analysis=analysis, user=self.bob, at=self.at())
        self._fill("analyses.Reveal of hers", reveal)

    def _review(self, analysis: Analysis, author: User) -> Review:
        """Write an amended review."""
        earlier: Review | None = None
        for _version in range(2):
            earlier = Review.objects.create(
                analysis=analysis, author=author, author_name=self.text(), opinion="malignant",
                advice="soon", note=self.text(), model_category="melanoma", blind=self.flag,
                saw_photo=self.flag, supersedes=earlier, created_at=self.at(),
                notified_at=self.at(),
            )  # fmt: skip
        assert earlier is not None
        return earlier

    def _account(self) -> None:
        """Make what belongs to her account."""
        alice, text, at = self.alice, self.text, self.at
        Consent.objects.filter(user=alice).delete()
        EmailAddress.objects.filter(user=alice).delete()
        rows: dict[str, models.Model] = {
            "account.EmailAddress": EmailAddress(
                email=f"{text()}@example.org", verified=self.flag, primary=self.flag
            ),
            "accounts.Consent": Consent(
                kind="health_data", wording_version=text(), given_at=at(), withdrawn_at=at()
            ),
            "accounts.ApiToken": ApiToken(
                digest=text(), created_at=at(), expires_at=at(), revoked_at=at(), last_used_at=at()
            ),
            "mfa.Authenticator": Authenticator(
                type="totp", data={"secret": text()}, created_at=at(), last_used_at=at()
            ),
            "socialaccount.SocialAccount": SocialAccount(provider=text(), uid=text()),
            "usersessions.UserSession": UserSession(
                created_at=at(), last_seen_at=at(), ip="203.0.113.77", user_agent=text(),
                session_key=text(),
            ),
            "accounts.Letter": Letter(sealed=text(), written_at=at(), claimed_at=at()),
            "accounts.SecondFactorReset": SecondFactorReset(
                asked_by=self.root, asked_at=at(), done_by=self.bob, done_at=at()
            ),
        }  # fmt: skip
        for key, row in rows.items():
            row.user = alice  # type: ignore[attr-defined]
            row.save()
            self._fill(key, row)
        linked = self.rows["socialaccount.SocialAccount"]
        self._fill("socialaccount.SocialAccount", linked, last_login=at(), date_joined=at())
        entry = LogEntry.objects.create(
            action_time=at(), user=self.root, object_id=str(alice.pk), object_repr=text(),
            content_type=ContentType.objects.get_for_model(User), action_flag=CHANGE,
            change_message=text(),
        )  # fmt: skip
        self._fill("admin.LogEntry", entry)
        record(
            Action.TOKEN_CREATED, actor=alice, subject_id=alice.pk, object_type="sentinel",
            object_id=text(), details={"kind": "sentinel"},
        )  # fmt: skip
        self._fill("accounts.AuditEvent", AuditEvent.objects.get(object_type="sentinel"))

    def _clinic(self) -> None:
        """Make what she shares, what is shared with her, and what she wrote."""
        for key, patient, dermatologist in (
            ("accounts.CareRelationship given", self.alice, self.bob),
            ("accounts.CareRelationship received", self.carol, self.alice),
        ):
            share = CareRelationship.objects.create(
                patient=patient, dermatologist=dermatologist, scope="from_now_on",
                wording_version=self.text(), consented_at=self.at(), revoked_at=self.at(),
            )  # fmt: skip
            self._fill(key, share)
        code = InvitationCode.objects.create(
            dermatologist=self.alice, code="SENTINEL99", renewed_at=self.at()
        )
        self._fill("accounts.InvitationCode", code)
        theirs = make_ended(self.carol, held=True)
        self._fill("analyses.Review written", self._review(theirs, self.alice))
        reveal = Reveal.objects.create(analysis=theirs, user=self.alice, at=self.at())
        self._fill("analyses.Reveal by her", reveal)

    def archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(b"".join(archive.archive(self.alice))))


def entries(bundle: zipfile.ZipFile, file: str, part: str) -> list[dict[str, Any]]:
    content = json.loads(bundle.read(file))
    if isinstance(content, list):
        return [entry[part] for entry in content if entry[part]] if part else content
    return content[part] if part else [content]


def value_of(row: models.Model, name: str) -> Any:
    value = getattr(row, name)
    if converter := CONVERTED.get(f"{row._meta.label}.{name}"):
        return converter(value)
    return value.pk if isinstance(value, models.Model) else value


@pytest.mark.parametrize("flag", [True, False])
def test_what_is_said_to_be_told_is_in_the_archive(flag: bool) -> None:
    world = World(flag=flag)
    bundle = world.archive()
    assert world.rows.keys() == TOLD.keys()
    for key, (file, part, names) in TOLD.items():
        row = world.rows[key]
        told_here = {name: value_of(row, field) for field, name in names.items()}
        empty = {name for name, value in told_here.items() if value in (None, "", 0, {}, [])}
        assert {name for name in empty if told_here[name] is not flag} == set(), key
        wanted = json.loads(json.dumps(told_here, cls=DjangoJSONEncoder))
        found = [
            {name: entry[name] for name in names.values()} for entry in entries(bundle, file, part)
        ]
        assert wanted in found, key


def test_what_opens_anything_is_in_no_file() -> None:
    world = World(flag=True)
    bundle = world.archive()
    everything = b"".join(bundle.read(name) for name in bundle.namelist())
    kept_back = [field for field, reason in EXEMPT.items() if reason == SECRET]
    checked = set()
    for field in kept_back:
        label, _, name = field.rpartition(".")
        for key, row in world.rows.items():
            if label_of(key) == label and (value := getattr(row, name)):
                secret = value["secret"] if isinstance(value, dict) else value
                plain = secret if isinstance(secret, bytes) else str(secret).encode()
                assert plain not in everything, field
                checked.add(field)
    assert checked == set(kept_back)


def test_every_field_is_told_or_exempt() -> None:
    tables = apps.get_models()
    assert undecided(tables) == set(), "tell it in analyses/archive.py, or say here why not"
    known = {field for model in tables for field in fields_of(model)}
    assert (told() | EXEMPT.keys()) - known == set(), "there is no such field any more"
    assert told() & EXEMPT.keys() == set()
    labels = {model._meta.label for model in tables}
    assert NOT_PERSONAL.keys() <= labels
    assert NOT_PERSONAL.keys() & related_to_people(tables) == set()
    assert Result._meta.label in related_to_people(tables)
    assert all(EXEMPT.values())
    assert all(NOT_PERSONAL.values())


@isolate_apps("analyses")
def test_a_new_table_and_a_new_field_are_noticed() -> None:
    class Appointment(models.Model):
        patient = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
        at = models.DateTimeField()

        class Meta:
            app_label = "analyses"

        def __str__(self) -> str:
            return ""

    class Lesion(models.Model):
        depth = models.FloatField()

        class Meta:
            app_label = "analyses"

        def __str__(self) -> str:
            return ""

    assert undecided([Appointment]) == {
        "analyses.Appointment.id", "analyses.Appointment.patient", "analyses.Appointment.at",
    }  # fmt: skip
    assert undecided([Lesion]) == {"analyses.Lesion.depth"}
    assert related_to_people([Appointment]) == {"accounts.User", "analyses.Appointment"}


def test_each_file_of_records_has_its_table() -> None:
    bundle = World(flag=True).archive()
    names = set(bundle.namelist())
    records = {name.removesuffix(".json") for name in names if name.endswith(".json")}
    assert {f"{name}.csv" for name in records} == {n for n in names if n.endswith(".csv")}
    assert records == archive.EXPLAINED.keys()
    for name in records - {"account"}:
        rows = json.loads(bundle.read(f"{name}.json"))
        table = list(csv.DictReader(io.StringIO(bundle.read(f"{name}.csv").decode())))
        assert len(table) == len(rows) > 0, name


def test_what_is_said_to_be_unused_is() -> None:
    assert account_settings.EMAIL_CONFIRMATION_HMAC  # links are signed, not stored
    assert not settings.SOCIALACCOUNT_STORE_TOKENS
    assert settings.SOCIALACCOUNT_PROVIDERS.keys() == {"openid_connect"}
