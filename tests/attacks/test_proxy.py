"""The example of a proxy before the application: it lets through what the application takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

from analyses.upload_handler import MAX_FULL_FILES

CONFIGURATION = Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf.example"
UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def directives() -> dict[str, list[str]]:
    """Return what is set in the block that serves the application, its locations included."""
    text = re.sub(r"#.*", "", CONFIGURATION.read_text())
    [block] = [one for one in blocks(text, "server") if "proxy_pass" in one]
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"(?<![^;{}\s])([a-z_]+)\s+([^;{}]+);", block):
        found.setdefault(name, []).append(value.strip())
    return found


def blocks(text: str, name: str) -> list[str]:
    """Return the contents of the blocks of `name`, braces inside them balanced."""
    found = []
    for start in re.finditer(rf"\b{name}\s*\{{", text):
        depth, at = 1, start.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        found.append(text[start.end() : at - 1])
    return found


def size(value: str) -> int:
    match = re.fullmatch(r"(\d+)([kmg]?)", value.lower())
    assert match is not None, value
    return int(match[1]) * UNITS[match[2]]


def the_only(name: str) -> str:
    [value] = directives()[name]
    return value


def test_a_body_may_be_as_large_as_for_the_application_and_no_larger() -> None:
    whole = MAX_FULL_FILES * settings.UPLOAD_MAX_BYTES + settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert size(the_only("client_max_body_size")) == whole


def test_a_slow_sender_waits_in_the_proxys_memory_and_never_on_its_disk() -> None:
    assert the_only("proxy_request_buffering") == "on"
    assert size(the_only("client_body_buffer_size")) == size(the_only("client_max_body_size"))
    assert the_only("proxy_max_temp_file_size") == "0"
    assert "client_body_in_file_only" not in directives()


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Host", "$host"),
        ("X-Forwarded-For", "$remote_addr"),
        ("X-Forwarded-Proto", "https"),
        ("X-Request-ID", "$request_id"),
    ],
)
def test_what_a_stranger_says_of_themselves_is_replaced(header: str, value: str) -> None:
    sent = dict(line.split(maxsplit=1) for line in directives()["proxy_set_header"])
    assert sent[header] == value


def test_addresses_with_ids_are_not_written_down() -> None:
    assert the_only("access_log") == "off"


def test_too_often_is_not_the_servers_fault_and_no_log_holds_an_address() -> None:
    text = re.sub(r"#.*", "", CONFIGURATION.read_text())
    assert re.findall(r"limit_(?:req|conn)_status (\d+);", text) == ["429", "429"]
    assert the_only("access_log") == "off"
    assert the_only("error_log").endswith(" crit")
