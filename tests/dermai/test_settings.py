"""The settings as a whole process reads them: what production refuses to start without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "DERMAI_MODE": "production",
    "SECRET_KEY": "s" * 64,
    "IMAGE_MASTER_KEYS": "ab" * 32,
    "AUDIT_KEY": "cd" * 32,
    "ALLOWED_HOSTS": "dermai.example",
    "DATABASE_URL": "postgres://dermai:secret@db.example/dermai",
    "REDIS_URL": "redis://:secret@redis.example:6379",
    "EMAIL_URL": "smtp://mail.example:25",
}


def read_settings(
    home: Path, environment: dict[str, str], names: str
) -> subprocess.CompletedProcess[str]:
    """Print the settings `names` (an expression over `s`) from a process of its own."""
    code = f"from django.conf import settings as s; print(*({names},))"
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={
            **kept,
            "DJANGO_SETTINGS_MODULE": "dermai.settings",
            "DERMAI_HOME": str(home),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", sorted(set(PRODUCTION) - {"DERMAI_MODE"}))
def test_production_refuses_to_start_without_each_of_its_values(name: str, tmp_path: Path) -> None:
    environment = {key: value for key, value in PRODUCTION.items() if key != name}
    answer = read_settings(tmp_path, environment, "s.MODE")
    assert answer.returncode != 0
    assert f"Set the {name} environment variable" in answer.stderr


def test_production_starts_with_all_of_its_values(tmp_path: Path) -> None:
    answer = read_settings(
        tmp_path,
        PRODUCTION,
        "s.MODE, s.DEBUG, s.SESSION_COOKIE_SECURE, s.ACCOUNT_EMAIL_VERIFICATION",
    )
    assert answer.stdout.split() == ["production", "False", "True", "mandatory"], answer.stderr
    assert list(tmp_path.iterdir()) == [], "production must make no secrets of its own"


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = "from-the-file" * 4
    (tmp_path / "key").write_text(secret)
    environment = {key: value for key, value in PRODUCTION.items() if key != "SECRET_KEY"}
    environment["SECRET_KEY_FILE"] = str(tmp_path / "key")
    assert read_settings(tmp_path, environment, "s.SECRET_KEY").stdout.strip() == secret


@pytest.mark.parametrize("name", ["SECRET_KEY", "AUDIT_KEY", "IMAGE_MASTER_KEYS"])
def test_the_line_break_at_a_files_end_is_no_part_of_the_secret(name: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-the-file" * 4 + "\n")
    environment = {key: value for key, value in PRODUCTION.items() if key != name}
    environment[f"{name}_FILE"] = str(tmp_path / "key")
    told = read_settings(tmp_path, environment, f"repr(s.{name})").stdout
    assert "from-the-file" in told
    assert "\\n" not in told


def test_production_does_not_start_for_debugging(tmp_path: Path) -> None:
    answer = read_settings(tmp_path, PRODUCTION | {"DEBUG": "true"}, "s.MODE")
    assert answer.returncode != 0
    assert "DEBUG is on in production" in answer.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("SECRET_KEY_FALLBACKS", f"{'s' * 64},short"),
        ("IMAGE_MASTER_KEYS", f"{'ab' * 32},short"),
        ("IMAGE_MASTER_KEYS", ""),
        ("AUDIT_KEY", ""),
        ("AUDIT_KEY", " " * 40),
        ("AUDIT_KEY_FALLBACKS", "short"),
    ],
)
def test_a_secret_that_could_be_guessed_is_refused(name: str, value: str, tmp_path: Path) -> None:
    answer = read_settings(tmp_path, PRODUCTION | {name: value}, "s.MODE")
    assert answer.returncode != 0
    assert f"ImproperlyConfigured: {name}: each secret needs 32 characters" in answer.stderr


@pytest.mark.parametrize("url", ["redis://redis.example:6379", "rediss://user@redis.example/0"])
def test_a_redis_on_the_network_without_a_password_is_refused(url: str, tmp_path: Path) -> None:
    answer = read_settings(tmp_path, PRODUCTION | {"REDIS_URL": url}, "s.MODE")
    assert answer.returncode != 0
    assert "REDIS_URL names no password" in answer.stderr
    socket = PRODUCTION | {"REDIS_URL": "unix:///run/redis/redis.sock"}
    assert read_settings(tmp_path, socket, "s.MODE").stdout.strip() == "production"


def test_the_embedded_mode_needs_nothing_and_keeps_its_secrets(tmp_path: Path) -> None:
    first = read_settings(tmp_path, {}, "s.SECRET_KEY")
    second = read_settings(tmp_path, {}, "s.SECRET_KEY")
    assert first.returncode == 0, first.stderr
    assert len(first.stdout.strip()) == 64
    assert first.stdout == second.stdout
    secrets = [path for path in tmp_path.iterdir() if path.suffix == ".key"]
    assert len(secrets) >= 2
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    answer = read_settings(tmp_path, {"DERMAI_MODE": "prodution"}, "s.MODE")
    assert "must be 'embedded' or 'production'" in answer.stderr


HOSPITAL = {
    "OIDC_ISSUER": "https://id.hospital.example/realm/",
    "OIDC_CLIENT_ID": "dermai",
    "OIDC_NAME": "St. Mary's",
}


def test_the_hospitals_provider_comes_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-the-file")
    more = {**HOSPITAL, "OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    answer = read_settings(
        tmp_path, PRODUCTION | more, "s.SOCIALACCOUNT_PROVIDERS['openid_connect']['APPS'][0]"
    )
    assert "'secret': 'from-the-file'" in answer.stdout, answer.stderr
    url = "https://id.hospital.example/realm/.well-known/openid-configuration"
    assert f"'server_url': '{url}'" in answer.stdout


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "Set the OIDC_CLIENT_SECRET environment variable"),
        ({"OIDC_ISSUER": "http://id.hospital.example"}, "must begin with https://"),
        ({"OIDC_SIGNUP": "anybody"}, "must be 'invited' or 'patients'"),
    ],
)
def test_half_a_provider_is_refused(more: dict[str, str], words: str, tmp_path: Path) -> None:
    answer = read_settings(tmp_path, PRODUCTION | HOSPITAL | more, "s.OIDC_ISSUER")
    assert answer.returncode != 0
    assert words in answer.stderr


def test_the_limits_of_an_analysis_follow_from_one_number(tmp_path: Path) -> None:
    answer = read_settings(
        tmp_path,
        {"ANALYSIS_TIME_LIMIT": "100"},
        "s.CELERY_TASK_SOFT_TIME_LIMIT, s.CELERY_TASK_TIME_LIMIT, "
        "s.CELERY_BROKER_TRANSPORT_OPTIONS['visibility_timeout'], s.RECONCILE_AFTER",
    )
    soft, hard, visibility, reconcile = map(int, answer.stdout.split())
    assert (soft, hard, visibility, reconcile) == (90, 100, 150, 200)
