"""Secrets of the embedded mode: made on the first start, kept in files of mode 600."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SECRET_BYTES = 32


def local_secret(path: Path) -> str:
    """Return the secret in `path`, made first where there is none.

    Several processes start at once: the file is created exclusively, and who loses reads.
    """
    fresh = secrets.token_hex(SECRET_BYTES)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    if not path.exists():
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(fresh)
        try:
            # link() never overwrites and is atomic: nobody reads half a secret.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()
