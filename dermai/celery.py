"""The Celery application: JSON only, arguments are ids."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dermai.settings")

app = Celery("dermai", task_cls="dermai.task_requests:Task")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["analyses", "inference_worker", "accounts"])
