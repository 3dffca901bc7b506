"""What is removed from the folder of converted networks: leavings, and what nobody uses any more.

Workers may share the folder, of other bundles and of other versions too, and may be killed at any
moment. So age decides, by the time of the folder itself: writing makes it new, and so does reading.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

UNFINISHED: Final = "unfinished-"
"""How the name of a folder begins that is being written, or was when its writer was killed."""

UNFINISHED_FOR: Final = 24 * 3600.0
"""Seconds after which no process writes there any more; converting takes minutes."""

UNUSED_FOR: Final = 30 * 24 * 3600.0
"""Seconds after which a bundle's folder that no worker has read is not missed."""

logger = logging.getLogger(__name__)


def mark_used(folder: Path) -> None:
    """Note that `folder` is in use now; a folder that cannot be written is left as it is."""
    try:
        os.utime(folder)
    except OSError as error:
        logger.debug("the use of %s is not noted (%s)", folder, error.strerror)


def clean(cache: Path, *, keep: Path) -> None:
    """Remove the outdated folders in `cache`, never `keep`; others' files are left alone."""
    for folder in _outdated(cache):
        if folder == keep:
            continue
        logger.info("removing %s, which nothing uses any more", folder)
        try:
            # First its name: who looks for it finds all of it or nothing.
            with tempfile.TemporaryDirectory(
                dir=cache, prefix=UNFINISHED, ignore_cleanup_errors=True
            ) as away:
                folder.rename(Path(away) / folder.name)
        except OSError as error:
            logger.warning("%s cannot be removed (%s)", folder, error.strerror)


def _outdated(cache: Path) -> Iterator[Path]:
    now = time.time()
    # Not integers, whose names begin otherwise: nobody can make them again without photos.
    bundles = "[0-9a-f]*-openvino-*"
    for pattern, limit in ((f"{UNFINISHED}*", UNFINISHED_FOR), (bundles, UNUSED_FOR)):
        for folder in sorted(cache.glob(pattern)):
            try:
                if folder.is_dir() and now - folder.stat().st_mtime > limit:
                    yield folder
            except OSError:  # another worker was faster
                continue
