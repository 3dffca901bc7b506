"""The append-only trail: who did what to whose record, and that nobody changed it since."""
