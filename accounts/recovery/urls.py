"""Lost second factors."""

from django.urls import path

from accounts.recovery import views

urlpatterns = [
    path("second-factor-resets/", views.resets, name="resets"),
    path("second-factor-resets/confirm/", views.confirm, name="confirm_reset"),
    path("second-factor-reset/<str:token>/", views.by_mail, name="confirm_reset_by_mail"),
]
