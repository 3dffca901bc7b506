"""Sign-in through the hospital, 404 on every page where none is set up."""

from django.urls import path

from accounts.oidc import views

urlpatterns = [
    path("hospital/", views.sign_in, name="hospital_sign_in"),
    path("hospital/link/", views.link, name="hospital_link"),
    path("hospital/again/", views.again, name="hospital_again"),
    # The name is allauth's, which sends new people there.
    path("hospital/sign-up/", views.sign_up, name="socialaccount_signup"),
    path("hospital/callback/", views.callback, name="hospital_callback"),
]
