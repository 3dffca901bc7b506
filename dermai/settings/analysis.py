"""Uploads and their analysis: limits, deadlines, the model."""

from __future__ import annotations

from pathlib import Path

from dermai.settings.mode import BASE_DIR, DERMAI_HOME, env
from inference_worker import engine_options

ANALYSIS_TIME_LIMIT: int = env.int("ANALYSIS_TIME_LIMIT", default=300)  # s, the hard limit
ANALYSIS_SOFT_TIME_LIMIT = int(0.9 * ANALYSIS_TIME_LIMIT)
BROKER_VISIBILITY_TIMEOUT = int(1.5 * ANALYSIS_TIME_LIMIT)
RECONCILE_AFTER = 2 * ANALYSIS_TIME_LIMIT
RECONCILE_EVERY: int = env.int("RECONCILE_EVERY", default=60)  # s
MAX_ATTEMPTS = 3
# A worker that has not renewed its lease for so long is taken for dead.
WORKER_LEASE_TTL: int = env.int("WORKER_LEASE_TTL", default=60)  # s
REVIEW_HOLD_DAYS: int = env.int("REVIEW_HOLD_DAYS", default=7)
# Results older than this are deleted; None keeps them until their owner deletes them.
RETENTION_DAYS: int | None = env.int("RETENTION_DAYS", default=0) or None
# Erased records by hash, apart from the database, so that no restored backup brings them back.
ERASURE_LOG = Path(env.str("ERASURE_LOG", default=str(DERMAI_HOME / "erasures.log")))
UPLOAD_MAX_BYTES: int = env.int("UPLOAD_MAX_BYTES", default=20 * 1024 * 1024)
UPLOAD_MAX_PIXELS: int = env.int("UPLOAD_MAX_PIXELS", default=25_000_000)
UPLOAD_MIN_SIDE = 96  # px, the short side
# For one person; 0 is no limit.
UPLOADS_PER_DAY: int = env.int("UPLOADS_PER_DAY", default=300)
MAX_PENDING_PER_USER: int = env.int("MAX_PENDING_PER_USER", default=30)
# Kept for a human, up to 75 MB each for `REVIEW_HOLD_DAYS`; those under way that may be count too.
MAX_HELD_PER_USER: int = env.int("MAX_HELD_PER_USER", default=20)
# Files that turned out to be no use, within ten minutes.
REFUSALS_PER_USER: int = env.int("REFUSALS_PER_USER", default=20)
# Lesions that one person follows, and how often an hour they may change them through the API.
LESIONS_PER_USER: int = env.int("LESIONS_PER_USER", default=300)
LESION_CHANGES_PER_HOUR: int = env.int("LESION_CHANGES_PER_HOUR", default=300)
# Tables taken along through the API: each reads everything and leaves a line in the trail.
EXPORTS_PER_HOUR: int = env.int("EXPORTS_PER_HOUR", default=20)
# Decoding happens in a process of its own with these limits, so many at once for each web process,
# and of one person one at a time.
# The dearest picture of 25 MP, a lossless WebP, takes 545 MB and 1.2 s of the processor.
DECODE_MEMORY_LIMIT: int = env.int("DECODE_MEMORY_LIMIT", default=640 * 1024 * 1024)
DECODE_TIME_LIMIT: int = env.int("DECODE_TIME_LIMIT", default=8)  # s of the processor
DECODE_PARALLEL: int = env.int("DECODE_PARALLEL", default=2)
IMAGE_STORE = Path(env.str("IMAGE_STORE", default=str(DERMAI_HOME / "images")))
BUNDLE_DIR = Path(
    env.str("DERMAI_BUNDLE", default=str(BASE_DIR / "inference_worker" / "bundles" / "starter"))
)
# Networks converted for this machine are kept, so that only the first start pays for it.
INFERENCE_OPTIONS = engine_options.parse(
    env.str("INFERENCE_ENGINE", default="auto"), cache=DERMAI_HOME / "cache"
)
# How many waiting photos a worker takes at once; 0: as many as the machine is best at.
ANALYSES_AT_ONCE: int = env.int("ANALYSES_AT_ONCE", default=0)
# Room for the form's other fields beside the picture.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_MAX_BYTES
# Of one form. The page's script sends one file a form, however many are chosen.
DATA_UPLOAD_MAX_NUMBER_FILES = 10
FILE_UPLOAD_HANDLERS = ["analyses.upload_handler.CappedMemoryUploadHandler"]
