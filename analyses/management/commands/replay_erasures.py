"""`manage.py replay_erasures`: after restoring a backup, erase and end again what was since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from analyses import erasure, tombstones
from analyses.models import Tombstone


class Command(BaseCommand):
    """Erase what the tombstones of the table and of the files name."""

    help = "Erase or end again, after a restore, whatever a tombstone names."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take files of other hosts besides this one's."""
        parser.add_argument(
            "files",
            nargs="*",
            type=Path,
            help="tombstone files of other hosts, besides this host's ERASURE_LOG",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, erase, say how many there were."""
        stones = list(Tombstone.objects.all())
        for path in (settings.ERASURE_LOG, *options["files"]):
            if path in options["files"] and not path.exists():
                raise CommandError(f"There is no file {path}.")
            try:
                stones += tombstones.read(path)
            except tombstones.TombstoneFileError as error:
                raise CommandError(str(error)) from error
        erased = erasure.replay(stones)
        tombstones.complete_file()
        gone = {"account": "accounts", "lesion": "lesions", "analysis": "analyses"}
        over = {"sharing": "sharings", "consent": "consents"}
        counts = ", ".join(f"{erased[kind]} {name}" for kind, name in gone.items())
        ended = ", ".join(f"{erased[kind]} {name}" for kind, name in over.items())
        self.stdout.write(f"{len(stones)} tombstones read; erased again: {counts}.")
        self.stdout.write(f"Ended again: {ended}.")
