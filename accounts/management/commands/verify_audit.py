"""`manage.py verify_audit`: walk the audit trail and say whether it holds."""

from __future__ import annotations

import argparse
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.audit.chain import verify, verify_seal
from accounts.audit.models import AuditEvent


class Command(BaseCommand):
    """Exit 0 when every row, link and signature of the trail holds; else name each fault."""

    help = "Verify the audit trail: every row, every link, every signed checkpoint."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what the log says of earlier ends of the trail."""
        parser.add_argument(
            "--seal",
            action="append",
            default=[],
            type=_seal,
            metavar="EVENT:HASH",
            help="the trail must hold this event, as a log line says: the trail is sealed at …",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the number of events, or raise with every fault."""
        faults = verify()
        for event_id, event_hash in options["seal"]:
            faults += verify_seal(event_id, event_hash)
        if faults:
            lines = "\n".join(f"event {fault.event_id}: {fault.what}" for fault in faults)
            raise CommandError(f"The audit trail does not hold ({len(faults)} faults):\n{lines}")
        self.stdout.write(f"The audit trail holds: {AuditEvent.objects.count()} events.")


def _seal(text: str) -> tuple[int, str]:
    match = re.fullmatch(r"([0-9]+):([0-9a-f]{64})", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no seal; it is the event's number, a colon and 64 hexadecimal digits."
        )
    return int(match[1]), match[2]
