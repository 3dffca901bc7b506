"""The export forgets nothing: each field of each table is in it, or stands here with a reason.

A new table, or a new field of one, fails `test_every_field_is_told_or_exempt` until it is decided.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest
from allauth.account import app_settings as account_settings
from django.apps import apps
from django.conf import settings
from django.contrib.admin.models import CHANGE
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.test.utils import isolate_apps

from accounts.models import User
from analyses import archive
from analyses.models import Result
from tests.analyses.world import World, label_of

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
    assert undecided(tables) == set(), "tell it in analyses/records.py, or say here why not"
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
