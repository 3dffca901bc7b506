"""Makers of users, lesions and analyses. What a test is about, it says; the rest is plain."""

from __future__ import annotations

import itertools
from typing import Any

from allauth.account.models import EmailAddress
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.consent import HEALTH_DATA_VERSION
from accounts.models import Consent, Role, User
from analyses.intake import submit
from analyses.models import Analysis, Lesion
from inference_worker.verdict import (
    CLASSES,
    BundleRef,
    Category,
    Classification,
    Gate,
    Heatmap,
    ImageType,
    Measurements,
    Member,
    Quality,
    Rejection,
    Verdict,
    Votes,
)
from tests import images

PASSWORD = "correct horse battery staple"
BUNDLE = BundleRef(name="drawn", version="1.0.0", sha256="b" * 64)
_numbers = itertools.count(1)


def make_user(
    name: str = "",
    *,
    role: str = Role.PATIENT,
    password: str | None = None,
    consented: bool = True,
    verified: bool = True,
    **fields: Any,
) -> User:
    """Create a user; hashing a password takes its time, so only where one is needed.

    Who must have a second factor has one, so that the pages open. Everybody has agreed to the
    processing of health data, so that photos are taken; without `consented` nobody was asked. The
    address is confirmed unless `verified` says otherwise.
    """
    name = name or f"person{next(_numbers)}"
    if role != Role.PATIENT:
        fields.setdefault("second_factor_since", timezone.now())
    user = User.objects.create_user(
        f"{name}@example.org", password, role=role, name=name.title(), **fields
    )
    EmailAddress.objects.create(user=user, email=user.email, verified=verified, primary=True)
    if consented:
        make_consent(user)
    return user


def make_consent(user: User, version: str = HEALTH_DATA_VERSION) -> Consent:
    """Store a consent directly: what a test reads in the trail is what the test is about."""
    return Consent.objects.create(user=user, kind=Consent.Kind.HEALTH_DATA, wording_version=version)


def make_lesion(owner: User, name: str = "", **fields: Any) -> Lesion:
    return Lesion.objects.create(owner=owner, name=name or f"Lesion {next(_numbers)}", **fields)


def make_upload(
    content: bytes | None = None, *, name: str = "lesion.jpg", media_type: str = "image/jpeg"
) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, images.jpeg() if content is None else content, media_type)


def make_analysis(owner: User | None = None, **options: Any) -> Analysis:
    """Submit a drawn photo, through intake."""
    return submit(
        owner=owner or make_user(), upload=options.pop("upload", None) or make_upload(), **options
    )


def make_verdict(
    category: Category = Category.BENIGN,
    *,
    rejection: Rejection | None = None,
    image_type: ImageType = ImageType.DERMOSCOPIC,
) -> Verdict:
    """Make a verdict of five members that agree."""
    quality = Quality(short_side=240, sharpness=120.0, brightness=0.6, notes=("hair",))
    if rejection is not None:
        return Verdict(
            bundle=BUNDLE,
            image_type=image_type,
            width=320,
            height=240,
            quality=quality,
            rejection=rejection,
        )
    p_malignant = {
        Category.BENIGN: 0.002,
        Category.SUSPICIOUS: 0.4,
        Category.MALIGNANT: 0.995,
        Category.MELANOMA: 0.996,
    }[category]
    p_melanoma = p_malignant * (0.1 if category is Category.MALIGNANT else 0.9)
    counts = {one.value: 45 if one is category else 0 for one in Category}
    probabilities = dict.fromkeys(CLASSES, (1 - p_malignant) / 4) | {
        "mel": p_melanoma,
        "bcc": (p_malignant - p_melanoma) / 2,
        "akiec": (p_malignant - p_melanoma) / 2,
    }
    return Verdict(
        bundle=BUNDLE,
        image_type=image_type,
        width=320,
        height=240,
        quality=quality,
        classification=Classification(
            category=category,
            decided=category is not Category.SUSPICIOUS,
            confidence=max(p_malignant, 1 - p_malignant),
            gate=Gate.FIXED,
            threshold=0.99,
            p_malignant=p_malignant,
            p_melanoma=p_melanoma,
            probabilities=probabilities,
            members=(Member(p_malignant, p_melanoma),) * 5,
            votes=Votes(**counts),
        ),
        outline=((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7)),
        measurements=Measurements(
            area_share=0.16, asymmetry=0.1, border=1.2, colours=2, diameter_px=140.0
        ),
        heatmap=Heatmap(grid=((0.0, 0.5), (0.5, 1.0)), box=(0.125, 0.0, 0.875, 1.0)),
        timings={"quality": 3.0, "ensemble": 120.0},
    )
