"""A lost second factor: an administrator asks for its removal, somebody else confirms it."""
