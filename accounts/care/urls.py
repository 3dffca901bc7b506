"""The addresses of sharing, in the namespace `accounts`."""

from django.urls import path

from accounts.care import views

urlpatterns = [
    path("sharing/", views.sharing, name="sharing"),
    path("sharing/<uuid:pk>/end/", views.end_sharing, name="end_sharing"),
    path("patients/", views.patients, name="patients"),
    path("patients/code/", views.renew_code, name="renew_code"),
]
