"""schemathesis asks every operation of the OpenAPI document thousands of questions: no 5xx.

What the document allows first, then what it forbids: wrong types, absent and foreign fields, other
methods; the second time with DELETE, for whose sake the token asked with is not among the ids.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.serving import Server, serving
from tests.cases import make_ended
from tests.evidence.test_damaged_files_at_length import NO_LIMITS
from tests.factories import make_lesion
from tests.faults.processes import ROOT, environment

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "250"))  # for each operation
AT_LEAST = 2_000
# It ends the token that the questions are asked with.
LEFT_OUT = "/api/v1/tokens/current/"
SETTINGS = """
[parameters]
"path.analysis_id" = "{analysis}"
"path.lesion_id" = "{lesion}"
"""

pytestmark = [
    pytest.mark.evidence,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("transactional_db", "inference_queue"),
]
Entry = dict[str, Any]


def test_two_thousand_requests_from_the_schema_find_no_server_error(
    image_store: Path, tmp_path: Path
) -> None:
    with serving(image_store, **NO_LIMITS) as server:
        entries = ask(server, tmp_path, "positive", "--exclude-method", "DELETE")
    found = told(entries)
    if EXAMPLES >= 250:
        assert found.total() >= AT_LEAST
    fine = sum(n for status, n in found.items() if 200 <= status < 300)
    assert 3 * fine >= found.total(), found


def test_what_the_schema_forbids_is_refused_and_breaks_nothing(
    image_store: Path, tmp_path: Path
) -> None:
    with serving(image_store, **NO_LIMITS) as server:
        entries = ask(server, tmp_path, "negative")
    found = told(entries)
    refused = sum(n for status, n in found.items() if 400 <= status < 500)
    assert 2 * refused >= found.total(), found
    assert 401 not in found, "the token was ended on the way"
    assert {"DELETE", "GET", "POST", "PATCH"} <= {entry["request"]["method"] for entry in entries}


@pytest.fixture(autouse=True)
def _collected_static_files() -> None:
    """Collect what pages that answer an error name: without it a server is not as it is run."""
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"],
        cwd=ROOT,
        env=environment(),
        check=True,
    )


def ask(server: Server, folder: Path, mode: str, *options: str) -> list[Entry]:
    """Let schemathesis ask in `mode`; return each question with its answer."""
    analysis, lesion = make_ended(server.owner), make_lesion(server.owner)
    config, record = folder / "schemathesis.toml", folder / "asked.har"
    config.write_text(SETTINGS.format(analysis=analysis.pk, lesion=lesion.pk))
    asked = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
            *("run", f"http://127.0.0.1:{server.port}/api/v1/schema/"),
            *("--header", f"Authorization: Bearer {server.token}"),
            *("--exclude-path", LEFT_OUT, *options),
            *("--phases", "examples,coverage,fuzzing", "--mode", mode),
            *("--checks", "not_a_server_error", "--max-examples", str(EXAMPLES)),
            *("--report", "har", "--report-har-path", str(record), "--seed", "1"),
            *("--continue-on-failure", "--suppress-health-check", "all"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    entries: list[Entry] = json.loads(record.read_text())["log"]["entries"]
    broken = [e for e in entries if e["response"]["status"] >= 500 or not e["response"]["status"]]
    assert not broken, asked.stdout[-4000:]
    assert asked.returncode == 0, asked.stdout[-4000:]
    return entries


def told(entries: list[Entry]) -> Counter[int]:
    """Count the answers by their status, and print them: they are the evidence."""
    found = Counter(entry["response"]["status"] for entry in entries)
    print(dict(found))  # noqa: T201 - the evidence itself
    return found
