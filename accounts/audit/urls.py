"""The addresses of the trail, in the namespace `accounts`."""

from django.urls import path

from accounts.audit import views

urlpatterns = [
    path("audit/", views.trail, name="audit"),
    path("record-access/", views.access_log, name="access_log"),
]
