"""Sign-in: accounts, passwords, throttling, the second factor."""

from __future__ import annotations

from dermai.settings.mode import EMBEDDED, env
from dermai.settings.web import TRUSTED_PROXIES

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
# The mails of a reset are counted per account too, where nobody is refused (accounts.reset_limits);
# tries of the second factor in accounts.code_limits.
ACCOUNT_RATE_LIMITS = {
    "login": "120/m/ip",
    "login_failed": "20/m/ip,5/5m/key",
    "reset_password": "20/m/ip",
}
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
    "authenticate_webauthn": "accounts.mfa_forms.AuthenticatePasskeyForm",
    "reauthenticate_webauthn": "accounts.mfa_forms.ReauthenticatePasskeyForm",
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
