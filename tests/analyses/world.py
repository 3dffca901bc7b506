"""One row of each table about a person, in which no field that the archive tells is empty."""

from __future__ import annotations

import io
import itertools
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models

from accounts.audit.chain import record
from accounts.audit.models import Action, AuditEvent
from accounts.care.models import CareRelationship, InvitationCode
from accounts.models import ApiToken, Consent, Letter, Role, SecondFactorReset, User
from analyses import archive
from analyses.models import Analysis, DeletionEvent, Lesion, Reveal, Review
from inference_worker.verdict import Category
from tests.cases import make_ended
from tests.factories import make_user

BEGINNING: Final = datetime(2031, 1, 1, tzinfo=UTC)


def label_of(key: str) -> str:
    """Return the label of the model of a row that is called `key`: what stands before a space."""
    return key.partition(" ")[0]


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
