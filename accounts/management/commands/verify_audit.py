"""`manage.py verify_audit`: walk the audit trail and say whether it holds."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.audit.chain import verify
from accounts.audit.models import AuditEvent


class Command(BaseCommand):
    """Exit 0 when every row, link and signature of the trail holds; else name each fault."""

    help = "Verify the audit trail: every row, every link, every signed checkpoint."

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the number of events, or raise with every fault."""
        faults = verify()
        if faults:
            lines = "\n".join(f"event {fault.event_id}: {fault.what}" for fault in faults)
            raise CommandError(f"The audit trail does not hold ({len(faults)} faults):\n{lines}")
        self.stdout.write(f"The audit trail holds: {AuditEvent.objects.count()} events.")
