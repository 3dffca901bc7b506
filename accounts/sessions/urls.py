"""Where a person is signed in."""

from django.urls import path

from accounts.sessions import views

urlpatterns = [
    path("sessions/", views.sessions, name="sessions"),
    path("sessions/end-others/", views.end_others, name="end_other_sessions"),
    path("sessions/<int:session_id>/end/", views.end, name="end_session"),
]
