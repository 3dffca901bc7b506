"""Celery: what is sent, how it is run, and what the beat starts."""

from __future__ import annotations

from dermai.redis_urls import broker_url
from dermai.settings.analysis import (
    ANALYSIS_SOFT_TIME_LIMIT,
    ANALYSIS_TIME_LIMIT,
    BROKER_VISIBILITY_TIMEOUT,
    RECONCILE_EVERY,
)
from dermai.settings.storage import REDIS_URL

CELERY_BROKER_URL = broker_url(REDIS_URL)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
# A poison image would be redelivered for ever; `reconcile` re-enqueues and counts instead.
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_TASK_TIME_LIMIT = ANALYSIS_TIME_LIMIT
CELERY_TASK_SOFT_TIME_LIMIT = ANALYSIS_SOFT_TIME_LIMIT
CELERY_TASK_DEFAULT_QUEUE = "maintenance"
CELERY_TASK_ROUTES = {"inference_worker.tasks.*": {"queue": "inference"}}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": BROKER_VISIBILITY_TIMEOUT,
    # A broker that is down must not hold an upload: intake goes on, reconcile enqueues later.
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "retry_on_timeout": False,
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = 1
# A child is a fresh interpreter: nothing of torch's threads and locks is ever forked.
CELERY_WORKER_POOL_START_METHOD = "spawn"
# It loads Django anew, which takes a busy machine longer than the 4 s of the default; who is killed
# for that is replaced by one who is killed for that.
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 120.0  # s
# Nothing here asks workers by remote control, and by it whoever can write to the broker could end
# them, or lift their time limits.
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
DAILY = 24 * 3600.0  # s
CELERY_BEAT_SCHEDULE = {
    "reconcile": {"task": "analyses.tasks.reconcile", "schedule": float(RECONCILE_EVERY)},
    "send-letters": {"task": "accounts.tasks.send_letters", "schedule": 60.0},
    "send-notices": {"task": "analyses.tasks.send_notices", "schedule": 60.0},
    "apply-retention": {"task": "analyses.tasks.apply_retention", "schedule": DAILY},
    "seal-trail": {"task": "accounts.tasks.seal_trail", "schedule": DAILY},
    "clear-sessions": {"task": "accounts.tasks.clear_sessions", "schedule": DAILY},
    "cut-trail": {"task": "accounts.tasks.cut_trail", "schedule": DAILY},
}
