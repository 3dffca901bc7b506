"""Users, roles, sign-in, consent."""
