"""A program that uses the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.test import Client

from accounts import tokens

if TYPE_CHECKING:
    from accounts.models import User


def signed_in(user: User) -> Client:
    """Return a client that sends a new token of `user`'s, and no session."""
    _, secret = tokens.issue(user)
    return Client(headers={"Authorization": f"Bearer {secret}"})
