"""Addresses, applications, pages and static files."""

from __future__ import annotations

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from dermai.settings.analysis import IMAGE_STORE
from dermai.settings.mode import BASE_DIR, DERMAI_HOME, EMBEDDED, env

# --- Addresses ------------------------------------------------------------------------------------

ALLOWED_HOSTS: list[str] = (
    env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
    if EMBEDDED
    else env.list("ALLOWED_HOSTS")
)
if not EMBEDDED and "*" in ALLOWED_HOSTS:
    msg = "ALLOWED_HOSTS is '*'; it must list the names that the product answers to."
    raise ImproperlyConfigured(msg)
# Where people reach the product: every link in an e-mail begins with it.
PUBLIC_URL: str = env.str(
    "PUBLIC_URL",
    default=f"http://localhost:{env.str('PORT', default='8000')}"
    if EMBEDDED
    else f"https://{ALLOWED_HOSTS[0].lstrip('.')}",
).rstrip("/")
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Number of trusted proxies before the application; 0 means that the peer is the client.
TRUSTED_PROXIES: int = env.int("TRUSTED_PROXIES", default=0)

# --- Applications ---------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
    "django.contrib.auth",  # behind accounts, whose command changepassword goes before its own
    "analyses",
]

MIDDLEWARE = [
    "dermai.logs.RequestLogMiddleware",
    "dermai.security_headers.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "dermai.body_limit.BodyLimitMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.sessions.limits.SessionLimitsMiddleware",
    "accounts.middleware.SecondFactorMiddleware",
    "analyses.denials.DenialMiddleware",
]

ROOT_URLCONF = "dermai.urls"
WSGI_APPLICATION = "dermai.wsgi.application"
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Language, time, static files -----------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("es", _("Spanish")), ("ca", _("Catalan"))]
LOCALE_PATHS = [BASE_DIR / "dermai" / "locale"]
FORMAT_MODULE_PATH = ["dermai.formats"]
USE_I18N = True
USE_TZ = True
TIME_ZONE: str = env.str("TIME_ZONE", default="UTC")

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(DERMAI_HOME / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "images": {
        "BACKEND": "analyses.storage.PrivateFileSystemStorage",
        "OPTIONS": {"location": IMAGE_STORE},
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
