"""Every address of the product."""

from django.contrib import admin
from django.urls import include, path

from dermai.health import healthz, readyz

handler400 = "dermai.bad_request.bad_request"
handler429 = "dermai.too_many_requests.too_many_requests"  # asked for by allauth
urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("", include("analyses.urls")),
    path("accounts/", include("accounts.urls")),
    path("accounts/", include("accounts.signin_urls")),
    path("accounts/", include("accounts.oidc.urls")),
    path("accounts/second-factor/", include("allauth.mfa.urls")),
    path("api/v1/", include("dermai.api_urls")),
    path("admin/", admin.site.urls),
]
