"""A person's own account."""

from django.urls import path

from accounts import views
from accounts.audit import urls as audit
from accounts.care import urls as care
from accounts.recovery import urls as recovery
from accounts.sessions import urls as sessions

app_name = "accounts"
urlpatterns = [
    path("profile/", views.profile, name="profile"),
    path("tokens/<int:token_id>/revoke/", views.revoke_token, name="revoke_token"),
    *care.urlpatterns,
    *audit.urlpatterns,
    *sessions.urlpatterns,
    *recovery.urlpatterns,
]
