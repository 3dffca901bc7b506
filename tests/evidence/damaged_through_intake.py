"""Sends damaged files through intake and prints what came of them, as JSON.

A process of its own: what it and the decoding processes below it ever held can be measured then,
and a crash that takes the process along is seen by whoever started it.

    python -m tests.evidence.damaged_through_intake OWNER_ID FILES
"""

from __future__ import annotations

import io
import json
import resource
import sys
import time
from collections import Counter

import django
from hypothesis import HealthCheck, given, settings

from benchmarks import memory
from tests import images
from tests.attacks.mutations import damaged

LENIENT = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def main(owner_id: str, files: int) -> None:
    django.setup()
    from accounts.models import User
    from analyses.exceptions import IntakeError
    from analyses.intake import submit

    owner = User.objects.get(pk=owner_id)
    submit(owner=owner, upload=io.BytesIO(images.jpeg())).delete()  # the decoding process runs
    answers: Counter[str] = Counter()
    seconds: list[float] = []

    @settings(LENIENT, max_examples=files)
    @given(damaged())
    def send(content: bytes) -> None:
        # Without name and type: a lie about the kind must not spare the decoder the work.
        upload = io.BytesIO(content)
        accepted = None
        started = time.perf_counter()
        try:
            accepted = submit(owner=owner, upload=upload)
        except IntakeError as refusal:
            answers[refusal.code] += 1
        seconds.append(time.perf_counter() - started)
        if accepted is not None:
            answers["accepted"] += 1
            accepted.delete()

    send()
    _report(answers, seconds)


def _report(answers: Counter[str], seconds: list[float]) -> None:
    from analyses import decoding, storage

    server = decoding._server._process
    assert server is not None
    server.terminate()
    server.wait()  # only of those that were waited for does the system tell what they held
    peak = {
        "web": memory.peak(),
        "decoder": 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    }
    found = {
        "answers": answers,
        "worst": max(seconds),
        "peak": peak,
        "left": [str(image_id) for image_id, _written in storage.stored()],
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
