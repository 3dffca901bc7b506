"""The analyses part of the API, version 1."""
