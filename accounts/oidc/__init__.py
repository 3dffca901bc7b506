"""Sign-in through a hospital's own OpenID Connect provider."""
