"""Logs: one line for people, JSON for machines."""

from __future__ import annotations

from dermai.settings.mode import EMBEDDED, env

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "ids": {"()": "dermai.logs.IdsFilter"},
        "routes": {"()": "dermai.logs.RouteFilter"},
    },
    "formatters": {
        "line": {
            "()": "dermai.logs.LineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(request_id)s %(task_id)s %(message)s",
        },
        "json": {"()": "dermai.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["ids", "routes"],
            "formatter": env.str("LOG_FORMAT", default="line" if EMBEDDED else "json"),
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    # These log whole addresses, and those hold ids: what became of a request is logged by route.
    "loggers": {"django.request": {"level": "ERROR"}, "django.server": {"level": "ERROR"}},
}
