"""The analyses application."""

from django.apps import AppConfig


class AnalysesConfig(AppConfig):
    name = "analyses"
    verbose_name = "Analyses"

    def ready(self) -> None:
        """Connect the receivers."""
        from analyses import signals  # noqa: F401 - connects them
