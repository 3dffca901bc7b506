"""Django's own command, with what a change on the pages does besides: a trace, and an end."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands import changepassword
from django.db import transaction

from accounts import people
from accounts.models import User


class Command(changepassword.Command):
    """Change a password; what was opened with the one before ends, and the trail says so."""

    def handle(self, *args: Any, **options: Any) -> str | None:
        """Ask for the new password, twice. Raises `CommandError`."""
        with transaction.atomic():
            said = super().handle(*args, **options)
            # Named as Django's command finds it, by the exact address.
            people.note_new_password(User.objects.get(email=options["username"]))
        return said
