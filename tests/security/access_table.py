"""Who may do what: for every route and each of its methods the answer that each person gets.

200 shown · 202, 204 done · 286 the poll has ended · 302 sent on (the anonymous to the sign-in; else
done) · 400, 415, 422 let in, but what was sent is empty · 401 not signed in · 403 not for this role
· 404 does not exist for this person · 405 not this way · 409 in conflict · 503 not ready here.
"""

# ruff: noqa: E501 - the tables read as tables

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PAGE_CELLS: Final = ("anonymous", "patient, own", "dermatologist, own", "admin, own")
OBJECT_CELLS: Final = (
    "anonymous",
    "patient, own",
    "patient, foreign",
    "dermatologist, own",
    "dermatologist, shared",
    "dermatologist, foreign",
    "admin, own",
    "admin, foreign",
)

# Columns as in PAGE_CELLS.
PAGES: Final = r"""
GET    /                                                            200  200  200  200
GET    /accounts/^confirm-email/(?P<key>[-:\w]+)/$                  200  200  200  200
POST   /accounts/^confirm-email/(?P<key>[-:\w]+)/$                  404  404  404  404
GET    /accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$  200  200  200  200
POST   /accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$  200  200  200  200
GET    /accounts/audit/                                             302  404  404  200
GET    /accounts/confirm-email/                                     200  200  200  200
GET    /accounts/hospital/again/                                    302  404  404  404
POST   /accounts/hospital/again/                                    302  404  404  404
GET    /accounts/hospital/link/                                     302  404  404  404
POST   /accounts/hospital/link/                                     302  404  404  404
POST   /accounts/hospital/                                          404  404  404  404
GET    /accounts/hospital/callback/                                 404  404  404  404
GET    /accounts/hospital/sign-up/                                  404  404  404  404
POST   /accounts/hospital/sign-up/                                  404  404  404  404
GET    /accounts/inactive/                                          200  200  200  200
GET    /accounts/login/                                             200  302  302  302
POST   /accounts/login/                                             200  302  302  302
GET    /accounts/logout/                                            302  200  200  200
POST   /accounts/logout/                                            302  302  302  302
GET    /accounts/password/change/                                   302  302  302  302
POST   /accounts/password/change/                                   302  302  302  302
GET    /accounts/password/reset/                                    200  200  200  200
POST   /accounts/password/reset/                                    200  200  200  200
GET    /accounts/password/reset/done/                               200  200  200  200
GET    /accounts/password/reset/key/done/                           200  200  200  200
GET    /accounts/password/set/                                      302  200  200  200
POST   /accounts/password/set/                                      302  200  200  200
GET    /accounts/patients/                                          302  404  200  404
POST   /accounts/patients/code/                                     302  404  302  404
GET    /accounts/profile/                                           302  200  200  200
POST   /accounts/profile/                                           302  200  200  200
GET    /accounts/reauthenticate/                                    302  403  403  403
POST   /accounts/reauthenticate/                                    302  403  403  403
GET    /accounts/record-access/                                     302  200  200  200
GET    /accounts/second-factor-reset/<str:token>/                   404  404  404  404
POST   /accounts/second-factor-reset/<str:token>/                   404  404  404  404
GET    /accounts/second-factor-resets/                              302  404  404  200
POST   /accounts/second-factor-resets/                              302  404  404  422
POST   /accounts/second-factor-resets/confirm/                      302  404  404  302
GET    /accounts/second-factor/                                     302  200  200  200
GET    /accounts/second-factor/authenticate/                        302  302  302  302
POST   /accounts/second-factor/authenticate/                        302  302  302  302
GET    /accounts/second-factor/reauthenticate/                      302  403  403  403
POST   /accounts/second-factor/reauthenticate/                      302  403  403  403
GET    /accounts/second-factor/recovery-codes/                      302  404  404  404
GET    /accounts/second-factor/recovery-codes/download/             302  404  404  404
GET    /accounts/second-factor/recovery-codes/generate/             302  200  200  200
POST   /accounts/second-factor/recovery-codes/generate/             302  200  200  200
GET    /accounts/second-factor/totp/activate/                       302  200  200  200
POST   /accounts/second-factor/totp/activate/                       302  200  200  200
GET    /accounts/second-factor/totp/deactivate/                     302  404  404  404
POST   /accounts/second-factor/totp/deactivate/                     302  404  404  404
GET    /accounts/second-factor/webauthn/                            302  200  200  200
GET    /accounts/second-factor/webauthn/add/                        302  200  200  200
POST   /accounts/second-factor/webauthn/add/                        302  200  200  200
GET    /accounts/second-factor/webauthn/reauthenticate/             302  403  403  403
POST   /accounts/second-factor/webauthn/reauthenticate/             302  403  403  403
GET    /accounts/sessions/                                          302  200  200  200
POST   /accounts/sessions/end-others/                               302  302  302  302
GET    /accounts/sharing/                                           302  200  200  200
POST   /accounts/sharing/                                           302  422  422  404
GET    /accounts/signup/                                            200  302  302  302
POST   /accounts/signup/                                            200  302  302  302
GET    /admin/                                                      302  302  302  200
POST   /admin/                                                      302  302  302  200
GET    /admin/(?P<url>.*)$                                          302  302  302  404
POST   /admin/(?P<url>.*)$                                          302  302  302  404
GET    /admin/<app_label>/                                          302  302  302  200
POST   /admin/<app_label>/                                          302  302  302  200
GET    /admin/accounts/user/                                        302  302  302  200
POST   /admin/accounts/user/                                        302  302  302  200
GET    /admin/accounts/user/add/                                    302  302  302  200
POST   /admin/accounts/user/add/                                    302  302  302  200
GET    /admin/autocomplete/                                         302  302  302  403
POST   /admin/autocomplete/                                         302  302  302  405
GET    /admin/jsi18n/                                               302  302  302  200
POST   /admin/jsi18n/                                               302  302  302  405
GET    /admin/login/                                                302  403  403  302
POST   /admin/login/                                                302  403  403  200
GET    /admin/logout/                                               302  302  302  405
POST   /admin/logout/                                               302  302  302  302
GET    /admin/password_change/                                      302  302  302  302
POST   /admin/password_change/                                      302  302  302  302
GET    /admin/password_change/done/                                 302  302  302  302
POST   /admin/password_change/done/                                 302  302  302  302
GET    /admin/r/<path:content_type_id>/<path:object_id>/            302  302  302  404
POST   /admin/r/<path:content_type_id>/<path:object_id>/            302  302  302  404
GET    /analyses/                                                   302  200  200  200
GET    /analyses/new/                                               302  200  200  200
POST   /analyses/new/                                               302  422  422  422
GET    /api/v1/<path:path>                                          404  404  404  404
GET    /api/v1/analyses/                                            401  200  200  200
POST   /api/v1/analyses/                                            401  415  415  415
GET    /api/v1/analyses/export.csv                                  401  200  200  200
GET    /api/v1/docs/                                                200  200  200  200
GET    /api/v1/lesions/                                             401  200  200  200
POST   /api/v1/lesions/                                             401  400  400  400
GET    /api/v1/schema/                                              200  200  200  200
GET    /api/v1/tokens/                                              401  200  200  200
POST   /api/v1/tokens/                                              400  400  400  400
DELETE /api/v1/tokens/current/                                      401  404  404  404
GET    /dashboard/                                                  302  200  200  200
GET    /healthz                                                     200  200  200  200
GET    /i18n/setlang/                                               302  302  302  302
POST   /i18n/setlang/                                               302  302  302  302
GET    /lesions/                                                    302  200  200  200
GET    /model/                                                      200  200  200  200
GET    /privacy/                                                    302  200  200  200
GET    /privacy/consent/                                            302  200  200  200
POST   /privacy/consent/                                            302  302  302  302
GET    /privacy/erase/                                              302  200  200  200
POST   /privacy/erase/                                              302  422  422  422
GET    /privacy/export/                                             302  200  200  200
POST   /privacy/export/                                             302  200  200  200
GET    /readyz                                                      503  503  503  503
GET    /reviews/                                                    302  404  200  404
GET    /styleguide/                                                 200  200  200  200
"""

# The thing that the address names, then columns as in OBJECT_CELLS. The shared analysis waits for
# the dermatologist's opinion, so its page sends there and its heat map is withheld.
OBJECTS: Final = r"""
GET    /accounts/second-factor/webauthn/keys/<int:pk>/edit/        passkey   302  302  404  302  404  404  302  404
POST   /accounts/second-factor/webauthn/keys/<int:pk>/edit/        passkey   302  302  404  302  404  404  302  404
GET    /accounts/second-factor/webauthn/keys/<int:pk>/remove/      passkey   302  302  404  302  404  404  302  404
POST   /accounts/second-factor/webauthn/keys/<int:pk>/remove/      passkey   302  302  404  302  404  404  302  404
POST   /accounts/sessions/<int:session_id>/end/                    session   302  302  404  302  404  404  302  404
POST   /accounts/sharing/<uuid:pk>/end/                            share     302  302  404  302  302  404  302  404
POST   /accounts/tokens/<int:token_id>/revoke/                     token     302  302  404  302  404  404  302  404
GET    /admin/accounts/user/<path:object_id>/                      user      302  302  302  302  302  302  302  302
POST   /admin/accounts/user/<path:object_id>/                      user      302  302  302  302  302  302  302  302
GET    /admin/accounts/user/<path:object_id>/change/               user      302  302  302  302  302  302  200  200
POST   /admin/accounts/user/<path:object_id>/change/               user      302  302  302  302  302  302  200  200
GET    /admin/accounts/user/<path:object_id>/delete/               user      302  302  302  302  302  302  403  403
POST   /admin/accounts/user/<path:object_id>/delete/               user      302  302  302  302  302  302  403  403
GET    /admin/accounts/user/<path:object_id>/history/              user      302  302  302  302  302  302  200  200
POST   /admin/accounts/user/<path:object_id>/history/              user      302  302  302  302  302  302  200  200
GET    /analyses/<uuid:pk>/                                        analysis  302  200  404  200  302  404  200  404
GET    /analyses/<uuid:pk>/delete/                                 analysis  302  200  404  200  404  404  200  404
POST   /analyses/<uuid:pk>/delete/                                 analysis  302  302  404  302  404  404  302  404
GET    /analyses/<uuid:pk>/heatmap.png                             analysis  302  200  404  200  404  404  200  404
GET    /analyses/<uuid:pk>/photo.jpg                               analysis  302  200  404  200  200  404  200  404
GET    /analyses/<uuid:pk>/preview.jpg                             analysis  302  404  404  404  404  404  404  404
GET    /analyses/<uuid:pk>/progress/                               analysis  302  286  404  286  286  404  286  404
POST   /analyses/<uuid:pk>/reveal/                                 analysis  302  404  404  404  302  404  404  404
GET    /analyses/<uuid:pk>/review/                                 analysis  302  404  404  404  200  404  404  404
POST   /analyses/<uuid:pk>/review/                                 analysis  302  404  404  404  422  404  404  404
GET    /api/v1/analyses/<uuid:analysis_id>/                        analysis  401  200  404  200  200  404  200  404
GET    /api/v1/analyses/<uuid:analysis_id>/heatmap.png             analysis  401  200  404  200  404  404  200  404
GET    /api/v1/lesions/<uuid:lesion_id>/                           lesion    401  200  404  200  404  404  200  404
PATCH  /api/v1/lesions/<uuid:lesion_id>/                           lesion    401  200  404  200  404  404  200  404
DELETE /api/v1/lesions/<uuid:lesion_id>/                           lesion    401  204  404  204  404  404  204  404
DELETE /api/v1/tokens/<int:token_id>/                              token     401  204  404  204  404  404  204  404
GET    /lesions/<uuid:pk>/                                         lesion    302  200  404  200  200  404  200  404
GET    /lesions/<uuid:pk>/delete/                                  lesion    302  200  404  200  404  404  200  404
POST   /lesions/<uuid:pk>/delete/                                  lesion    302  302  404  302  404  404  302  404
"""

# What a session of this morning asks the password or the second factor for again, first. What is
# not here does not: what a person has to be able to end at once (a sharing, a session, a token)
# least of all. Changing the password and closing the account ask for it in their own forms.
ASKS_AGAIN: Final = r"""
GET    /accounts/hospital/link/
POST   /accounts/hospital/link/
GET    /accounts/password/set/
POST   /accounts/password/set/
GET    /accounts/second-factor-resets/
POST   /accounts/second-factor-resets/
POST   /accounts/second-factor-resets/confirm/
GET    /accounts/second-factor/recovery-codes/generate/
POST   /accounts/second-factor/recovery-codes/generate/
GET    /accounts/second-factor/totp/activate/
POST   /accounts/second-factor/totp/activate/
GET    /accounts/second-factor/webauthn/add/
POST   /accounts/second-factor/webauthn/add/
GET    /accounts/second-factor/webauthn/keys/<int:pk>/edit/
POST   /accounts/second-factor/webauthn/keys/<int:pk>/edit/
GET    /accounts/second-factor/webauthn/keys/<int:pk>/remove/
POST   /accounts/second-factor/webauthn/keys/<int:pk>/remove/
POST   /accounts/sharing/
GET    /admin/accounts/user/add/
POST   /admin/accounts/user/add/
GET    /admin/accounts/user/<path:object_id>/change/
POST   /admin/accounts/user/<path:object_id>/change/
GET    /privacy/export/
POST   /privacy/export/
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One route and method; `thing` is "" where the address names no object."""

    method: str
    route: str
    thing: str
    expected: dict[str, int]


def rows() -> list[Row]:
    """Return both tables."""
    found = []
    for line in PAGES.strip().splitlines():
        method, route, *statuses = line.split()
        found.append(Row(method, route[1:], "", _cells(PAGE_CELLS, statuses)))
    for line in OBJECTS.strip().splitlines():
        method, route, thing, *statuses = line.split()
        found.append(Row(method, route[1:], thing, _cells(OBJECT_CELLS, statuses)))
    return found


def asks_again() -> set[tuple[str, str]]:
    """Return method and route of what asks again who is there."""
    lines = (line.split() for line in ASKS_AGAIN.strip().splitlines())
    return {(method, route[1:]) for method, route in lines}


def _cells(names: tuple[str, ...], statuses: list[str]) -> dict[str, int]:
    return dict(zip(names, map(int, statuses), strict=True))
