"""`manage.py privacy_report`: what is kept, and that nothing is kept that should be gone."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from analyses.holdings import Holdings, take_stock
from analyses.tombstones import TombstoneFileError

LOOK_AGAIN: Final = 1.0  # s


class Command(BaseCommand):
    """Exit 0 when nothing is left over, 1 otherwise."""

    help = "Count what is kept, and what is kept though it should be gone (exit code 1)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Offer JSON for machines."""
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the account, and end with 1 where something is left over."""
        holdings = _stock()
        if holdings.leftovers.total:
            # A picture that is being deleted at this moment is gone a moment later.
            time.sleep(LOOK_AGAIN)
            holdings = _stock()
        if options["json"]:
            self.stdout.write(json.dumps(asdict(holdings), cls=DjangoJSONEncoder, indent=2))
        else:
            oldest = holdings.oldest_picture
            self.stdout.write("Kept")
            self._table(asdict(holdings.records))
            self.stdout.write(f"  oldest picture: {oldest.isoformat() if oldest else 'none'}")
            self.stdout.write("Left over (must be zero)")
            self._table(asdict(holdings.leftovers))
        if holdings.leftovers.total:
            self.stderr.write("Something is kept that should be gone; see docs/privacy.md.")
            sys.exit(1)

    def _table(self, numbers: dict[str, int]) -> None:
        for name, number in numbers.items():
            self.stdout.write(f"  {name.replace('_', ' ')}: {number}")


def _stock() -> Holdings:
    try:
        return take_stock()
    except (TombstoneFileError, OSError) as error:
        raise CommandError(f"What is kept cannot be told: {error}") from error
