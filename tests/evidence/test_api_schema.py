"""schemathesis asks every operation of the OpenAPI document two thousand questions: no 5xx."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.attacks.serving import serving
from tests.cases import make_ended
from tests.factories import make_lesion

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "250"))  # for each operation
AT_LEAST = 2_000
# It ends the token that the questions are asked with.
LEFT_OUT = "/api/v1/tokens/current/"
SETTINGS = """
[parameters]
"path.analysis_id" = "{analysis}"
"path.lesion_id" = "{lesion}"
"""


@pytest.mark.evidence
@pytest.mark.timeout(3600)
@pytest.mark.usefixtures("transactional_db", "inference_queue")
def test_two_thousand_requests_from_the_schema_find_no_server_error(
    image_store: Path, tmp_path: Path
) -> None:
    record = tmp_path / "asked.har"
    with serving(image_store, UPLOADS_PER_DAY="0", MAX_PENDING_PER_USER="0") as server:
        analysis, lesion = make_ended(server.owner), make_lesion(server.owner)
        config = tmp_path / "schemathesis.toml"
        config.write_text(SETTINGS.format(analysis=analysis.pk, lesion=lesion.pk))
        asked = subprocess.run(
            [
                *(
                    str(Path(sys.executable).with_name("schemathesis")),
                    "--config-file",
                    str(config),
                ),
                *("run", f"http://127.0.0.1:{server.port}/api/v1/schema/"),
                *("--header", f"Authorization: Bearer {server.token}"),
                *("--exclude-path", LEFT_OUT, "--exclude-method", "DELETE"),
                *("--phases", "examples,coverage,fuzzing", "--mode", "positive"),
                *("--checks", "not_a_server_error", "--max-examples", str(EXAMPLES)),
                *("--report", "har", "--report-har-path", str(record), "--seed", "1"),
                *("--continue-on-failure", "--suppress-health-check", "all"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    entries = json.loads(record.read_text())["log"]["entries"]
    found = Counter(entry["response"]["status"] for entry in entries)
    print(dict(found))  # noqa: T201 - the evidence itself
    assert not [status for status in found if status >= 500 or status == 0], asked.stdout[-4000:]
    assert asked.returncode == 0, asked.stdout[-4000:]
    if EXAMPLES >= 250:
        assert found.total() >= AT_LEAST
    fine = sum(n for status, n in found.items() if 200 <= status < 300)
    assert 3 * fine >= found.total(), found
