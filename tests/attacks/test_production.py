"""Behind TLS: the cookies, the redirects and the headers of the production settings."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import json, django
django.setup()
from django.core.management import call_command
from django.test import Client
from django.test.utils import setup_test_environment
call_command("migrate", verbosity=0)
from django.core.cache import cache
from django.conf import settings
from accounts.models import User
settings.STORAGES["staticfiles"]["BACKEND"] = (
    "django.contrib.staticfiles.storage.StaticFilesStorage")
# The cookie must come from the middleware: force_login writes one of the test client's own.
settings.SESSION_SAVE_EVERY_REQUEST = True
client = Client(headers={"host": "dermai.example"})
plain = client.get("/accounts/login/")
page = client.get("/accounts/login/", secure=True)
client.force_login(User.objects.create_user("a@example.org"))
client.get("/accounts/profile/", secure=True)
home = client.get("/", secure=True)
csrf = client.cookies["__Host-csrftoken"].value
sent = {"name": "A", "language": "ca", "csrfmiddlewaretoken": csrf}
client.post("/accounts/profile/", sent, secure=True)
told = client.get("/accounts/profile/", secure=True).content.decode()
page_language = client.cookies["__Host-language"].value
client.cookies["__Host-language"] = "es"
client.post("/i18n/setlang/", {"language": "en", "csrfmiddlewaretoken": csrf}, secure=True)
print(json.dumps({
    "plain": [plain.status_code, plain["Location"]],
    "hsts": page["Strict-Transport-Security"],
    "cookies": {n: {k: v for k, v in c.items() if v} for n, c in client.cookies.items()},
    "foreign": client.get("/", secure=True, headers={"host": "evil.example"}).status_code,
    "debug": settings.DEBUG,
    "home": home.status_code,
    "told": 'lang="ca"' in told and "Your profile has been saved." in told,
    "languages": [page_language, client.cookies["__Host-language"].value],
}))
"""


def test_production_speaks_tls_with_host_cookies(tmp_path: Path) -> None:
    from django.conf import settings

    environment = {
        "PATH": "/usr/bin:/bin",
        "DJANGO_SETTINGS_MODULE": "dermai.settings",
        "DERMAI_MODE": "production",
        "DERMAI_HOME": str(tmp_path),
        "ALLOWED_HOSTS": "dermai.example",
        "SECRET_KEY": "s" * 60,
        "AUDIT_KEY": "a" * 60,
        "IMAGE_MASTER_KEYS": "b" * 64,
        "DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3",
        "REDIS_URL": settings.REDIS_URL,
        "EMAIL_URL": "memorymail://",
        "LOG_LEVEL": "ERROR",
    }
    asked = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    found = json.loads(asked.stdout)
    assert found["plain"] == [301, "https://dermai.example/accounts/login/"]
    assert "max-age=31536000; includeSubDomains" in found["hsts"]
    assert found["foreign"] == 400
    assert found["home"] == 200
    assert found["debug"] is False
    assert found["told"], (
        "the message of the request before, on a page in the language that it chose"
    )
    assert found["languages"] == ["ca", "en"]
    expected = {"__Host-sessionid", "__Host-csrftoken", "__Host-language"}
    assert set(found["cookies"]) - {"sessionid"} == expected
    for name in expected:
        cookie = found["cookies"][name]
        assert cookie["secure"] is True
        assert cookie["httponly"] is True
        assert cookie["path"] == "/"
        assert cookie["samesite"] in {"Lax", "Strict"}
        assert "domain" not in cookie
