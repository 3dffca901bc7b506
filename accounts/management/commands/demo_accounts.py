"""`manage.py demo_accounts`: one account per role for a first look, in the embedded mode only."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING, Any

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.consent import give_health_data_consent
from accounts.models import Role, User
from accounts.people import create_account
from accounts.second_factor import MANDATORY_FOR

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD_BYTES = 12
NAMES = {
    Role.PATIENT: "Pat Demo",
    Role.DERMATOLOGIST: "Dr. Derm Demo",
    Role.ADMIN: "Ada Demo",
}


class Command(BaseCommand):
    """Creates the demo accounts, once."""

    help = "Create a demo account per role, where nobody has an account yet (embedded mode)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Create the accounts and write DERMAI_HOME/demo-accounts.json, mode 600."""
        del args, options
        if not settings.EMBEDDED:
            raise CommandError(
                "Demo accounts exist in the embedded mode only. Use `manage.py createsuperuser`."
            )
        if User.objects.exists():
            return
        path = settings.DERMAI_HOME / "demo-accounts.json"
        accounts = {
            role.value: {
                "email": f"{role.value}@demo.dermai.example",
                "password": secrets.token_urlsafe(PASSWORD_BYTES),
            }
            for role in (Role.PATIENT, Role.DERMATOLOGIST, Role.ADMIN)
        }
        for role in MANDATORY_FOR:
            accounts[role.value]["totp_secret"] = generate_totp_secret()
        # The file comes first: accounts whose passwords nobody knows would lock the first user out.
        write_private(path, json.dumps(accounts, indent=2) + "\n")
        with transaction.atomic():
            for role, name in NAMES.items():
                account = accounts[role.value]
                user = create_account(
                    email=account["email"],
                    password=account["password"],
                    role=role,
                    name=name,
                    by=None,
                )
                if "totp_secret" in account:
                    TOTP.activate(user, account["totp_secret"])
                if role == Role.PATIENT:
                    give_health_data_consent(user)
        self.stdout.write(f"demo accounts: {path}")


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` in one step, readable by its owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
