"""The settings of DermAI, all of them, read from the environment.

The defaults run the embedded mode of `make run`: SQLite, a private Redis on a Unix socket, files
under `DERMAI_HOME`. With `DERMAI_MODE=production` no secret has a default. Any variable can come
from a file: `SECRET_KEY_FILE=/run/secrets/key` stands for `SECRET_KEY`.
"""

from __future__ import annotations

from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from dermai.local_secrets import local_secret
from dermai.private_redis import socket_path
from dermai.redis_urls import broker_url, cache_url
from inference_worker import engine_options

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()

# --- Mode -----------------------------------------------------------------------------------------

MODE: str = env.str("DERMAI_MODE", default="embedded")
if MODE not in {"embedded", "production"}:
    msg = f"DERMAI_MODE is {MODE!r}; it must be 'embedded' or 'production'."
    raise ImproperlyConfigured(msg)
EMBEDDED = MODE == "embedded"
DERMAI_HOME = Path(env.str("DERMAI_HOME", default=str(BASE_DIR / "var"))).resolve()
DERMAI_HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
DEBUG: bool = env.bool("DEBUG", default=False)

# --- Secrets --------------------------------------------------------------------------------------

SECRET_KEY: str = (
    env.str("SECRET_KEY", default="") or local_secret(DERMAI_HOME / "secret.key")
    if EMBEDDED
    else env.str("SECRET_KEY")
)
# Older keys that still open sessions and read what they encrypted, while a new one takes over.
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
# Wrapping keys of the images in flight, newest first: the first wraps, any may unwrap.
IMAGE_MASTER_KEYS: list[str] = (
    env.list("IMAGE_MASTER_KEYS", default=[]) or [local_secret(DERMAI_HOME / "master.key")]
    if EMBEDDED
    else env.list("IMAGE_MASTER_KEYS")
)

# How long the trail is kept; retention cuts its old end behind a signed checkpoint.
AUDIT_RETENTION_DAYS: int = env.int("AUDIT_RETENTION_DAYS", default=6 * 365)
# Signs the checkpoints of the audit trail.
AUDIT_KEY: str = (
    env.str("AUDIT_KEY", default="") or local_secret(DERMAI_HOME / "audit.key")
    if EMBEDDED
    else env.str("AUDIT_KEY")
)

# --- Addresses ------------------------------------------------------------------------------------

ALLOWED_HOSTS: list[str] = (
    env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
    if EMBEDDED
    else env.list("ALLOWED_HOSTS")
)
# Where people reach the product: links in e-mails that no request asked for begin with it.
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
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "accounts",
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

# --- Database -------------------------------------------------------------------------------------

if EMBEDDED and not env.str("DATABASE_URL", default=""):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DERMAI_HOME / "dermai.sqlite3",
            "OPTIONS": {
                # A writer waits for its turn instead of failing; IMMEDIATE takes the lock at the
                # start of a transaction, where waiting is allowed.
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    }
else:
    DATABASES = {"default": env.db_url("DATABASE_URL")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis: broker and cache ----------------------------------------------------------------------

REDIS_URL: str = (
    env.str("REDIS_URL", default=f"unix://{socket_path(DERMAI_HOME)}")
    if EMBEDDED
    else env.str("REDIS_URL")
)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": cache_url(REDIS_URL),
        "KEY_PREFIX": "dermai",
    }
}

# --- Analysis -------------------------------------------------------------------------------------

ANALYSIS_TIME_LIMIT: int = env.int("ANALYSIS_TIME_LIMIT", default=300)  # s, the hard limit
ANALYSIS_SOFT_TIME_LIMIT = int(0.9 * ANALYSIS_TIME_LIMIT)
BROKER_VISIBILITY_TIMEOUT = int(1.5 * ANALYSIS_TIME_LIMIT)
RECONCILE_AFTER = 2 * ANALYSIS_TIME_LIMIT
RECONCILE_EVERY: int = env.int("RECONCILE_EVERY", default=60)  # s
MAX_ATTEMPTS = 3
# A worker that has not renewed its lease for so long is taken for dead.
WORKER_LEASE_TTL: int = env.int("WORKER_LEASE_TTL", default=60)  # s
REVIEW_HOLD_DAYS: int = env.int("REVIEW_HOLD_DAYS", default=7)
# Results older than this are deleted; None keeps them until their owner deletes them.
RETENTION_DAYS: int | None = env.int("RETENTION_DAYS", default=0) or None
# Erased records by hash, apart from the database, so that no restored backup brings them back.
ERASURE_LOG = Path(env.str("ERASURE_LOG", default=str(DERMAI_HOME / "erasures.log")))
UPLOAD_MAX_BYTES: int = env.int("UPLOAD_MAX_BYTES", default=20 * 1024 * 1024)
UPLOAD_MAX_PIXELS: int = env.int("UPLOAD_MAX_PIXELS", default=25_000_000)
UPLOAD_MIN_SIDE = 96  # px, the short side
# For one person; 0 is no limit.
UPLOADS_PER_DAY: int = env.int("UPLOADS_PER_DAY", default=300)
MAX_PENDING_PER_USER: int = env.int("MAX_PENDING_PER_USER", default=30)
# Decoding happens in a process of its own with these limits, so many at once for each web process.
# The dearest picture of 25 MP, a lossless WebP, takes 545 MB and 1.2 s of the processor.
DECODE_MEMORY_LIMIT: int = env.int("DECODE_MEMORY_LIMIT", default=640 * 1024 * 1024)
DECODE_TIME_LIMIT: int = env.int("DECODE_TIME_LIMIT", default=8)  # s of the processor
DECODE_PARALLEL: int = env.int("DECODE_PARALLEL", default=2)
IMAGE_STORE = Path(env.str("IMAGE_STORE", default=str(DERMAI_HOME / "images")))
BUNDLE_DIR = Path(
    env.str("DERMAI_BUNDLE", default=str(BASE_DIR / "inference_worker" / "bundles" / "starter"))
)
# Networks converted for this machine are kept, so that only the first start pays for it.
INFERENCE_OPTIONS = engine_options.parse(
    env.str("INFERENCE_ENGINE", default="auto"), cache=DERMAI_HOME / "cache"
)
# Room for the form's other fields beside the picture.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_MAX_BYTES
FILE_UPLOAD_HANDLERS = ["analyses.upload_handler.CappedMemoryUploadHandler"]

# --- Celery ---------------------------------------------------------------------------------------

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
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
DAILY = 24 * 3600.0  # s
CELERY_BEAT_SCHEDULE = {
    "reconcile": {"task": "analyses.tasks.reconcile", "schedule": float(RECONCILE_EVERY)},
    "send-notices": {"task": "analyses.tasks.send_notices", "schedule": 60.0},
    "apply-retention": {"task": "analyses.tasks.apply_retention", "schedule": DAILY},
    "seal-trail": {"task": "accounts.tasks.seal_trail", "schedule": DAILY},
    "clear-sessions": {"task": "accounts.tasks.clear_sessions", "schedule": DAILY},
    "cut-trail": {"task": "accounts.tasks.cut_trail", "schedule": DAILY},
}

# --- Sign-in --------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
# The address is unique without case, by a constraint that this check does not look at.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "signup": "accounts.forms.SignupForm",
    "login": "accounts.forms.LoginForm",
    "reset_password": "accounts.forms.ResetPasswordForm",
    "reset_password_from_key": "accounts.forms.ResetPasswordKeyForm",
    "change_password": "accounts.forms.ChangePasswordForm",
    "reauthenticate": "accounts.forms.ReauthenticateForm",
}
# "key" is account and address together (accounts.adapter). A clinic may share one address.
ACCOUNT_RATE_LIMITS = {"login": "120/m/ip", "login_failed": "20/m/ip,5/5m/key"}
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES
ACCOUNT_EMAIL_VERIFICATION = "optional" if EMBEDDED else "mandatory"
ACCOUNT_PREVENT_ENUMERATION = "strict"
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = "DermAI: "
ACCOUNT_EMAIL_NOTIFICATIONS = True
MFA_ADAPTER = "accounts.second_factor.MFAAdapter"
MFA_FORMS = {
    "authenticate": "accounts.mfa_forms.AuthenticateForm",
    "reauthenticate": "accounts.mfa_forms.ReauthenticateForm",
    "activate_totp": "accounts.mfa_forms.ActivateTOTPForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
# A passkey stands beside the password, so a touch is enough; the device may ask for more.
MFA_WEBAUTHN_USER_VERIFICATION = "preferred"
# Embedded mode is http on localhost, which only then passes; the browser still binds each passkey
# to its host. In production the origin has to be https.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = EMBEDDED
MFA_TOTP_ISSUER = "DermAI"
MFA_TOTP_TOLERANCE = 1  # periods of 30 s before and after: clocks differ, and typing takes time
MFA_RECOVERY_CODES_SHOW_ONCE = True
# Embedded, no mail leaves the machine, so nobody can confirm an address.
MFA_ALLOW_UNVERIFIED_EMAIL = EMBEDDED
API_TOKEN_DAYS: int = env.int("API_TOKEN_DAYS", default=30)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "analyses:dashboard"
LOGOUT_REDIRECT_URL = "home"

# --- E-mail: embedded writes it to files under DERMAI_HOME ----------------------------------------

if EMBEDDED and not env.str("EMAIL_URL", default=""):
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = DERMAI_HOME / "mail"
else:
    vars().update(env.email_url("EMAIL_URL"))
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="DermAI <no-reply@localhost>")

# --- API ------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": [
        "analyses.api.parsers.ShallowJSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "analyses.api.pagination.Pages",
    "EXCEPTION_HANDLER": "analyses.api.problems.exception_handler",
    "PAGE_SIZE": 25,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "DermAI API",
    "DESCRIPTION": "Melanoma screening research. Research use only, not a medical device.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# --- Security -------------------------------------------------------------------------------------

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# A session ends after this time without activity, and after that time in any case.
SESSION_IDLE_LIMIT: int = env.int("SESSION_IDLE_LIMIT", default=3600)  # s
SESSION_MAX_AGE: int = env.int("SESSION_MAX_AGE", default=12 * 3600)  # s
SESSION_COOKIE_AGE = SESSION_MAX_AGE
CSRF_COOKIE_HTTPONLY = True
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
if not EMBEDDED:
    SECURE_SSL_REDIRECT: bool = env.bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-sessionid"
    CSRF_COOKIE_NAME = "__Host-csrftoken"
    ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "blob:", "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

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

# --- Logs -----------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"ids": {"()": "dermai.logs.IdsFilter"}},
    "formatters": {
        "line": {
            "format": "%(asctime)s %(levelname)s %(name)s %(request_id)s %(task_id)s %(message)s"
        },
        "json": {"()": "dermai.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["ids"],
            "formatter": env.str("LOG_FORMAT", default="line" if EMBEDDED else "json"),
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    # These log whole addresses, and those hold ids: what became of a request is logged by route.
    "loggers": {"django.request": {"level": "ERROR"}, "django.server": {"level": "ERROR"}},
}
