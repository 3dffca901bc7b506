"""What sharing tells to whoever must know, inside the transaction that changes it."""

from __future__ import annotations

from typing import Final

from django.dispatch import Signal

# Sent with `relationship_id`, once a sharing has ended.
sharing_ended: Final = Signal()
