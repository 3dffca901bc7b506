"""`python -m benchmarks.platform`: uploads through HTTP to the whole running product.

It is started on a port of its own with the embedded Redis and SQLite. First one person sends photos
one at a time: what the product adds to the pipeline's own time. Then all send as fast as they can:
throughput and latency; with `--browser`, when an open page shows its result. Every upload that was
accepted must have ended, for its owner too. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import secrets
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import django
from PIL import Image

from benchmarks import photos, platform_page, platform_product
from benchmarks import platform_figures as figures
from benchmarks.platform_figures import Became
from benchmarks.platform_page import Watched
from benchmarks.platform_users import PhotoFile, User, send_all
from dermai.embedded import StartError
from dermai.private_redis import RedisMissingError, SocketFolderError
from dermai.supervisor import ChildFailedError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.platform_figures import Figures, Sent
    from benchmarks.platform_product import Product
    from inference_worker.pixels import Pixels

DISTINCT: Final = 10  # drawn photos, sent again and again
MOST_PHOTOS: Final = 200  # of a folder; they are held in memory
REHEARSALS: Final = 4  # each web process starts a decoder at its first photo
LOOKS_EVERY: Final = 0.005  # s, while one upload is waited for


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, return 0; 1 where something was lost or the product did not run."""
    options = _parser().parse_args(arguments)
    try:
        files = _files(options.photos)
        with tempfile.TemporaryDirectory(prefix="dermai-b-") as made:
            home = options.home or Path(made)
            port = platform_product.prepare(home, options.bundle)
            with platform_product.running(port, options.workers, say) as product:
                told = measure(product, files, options)
    except (OSError, StartError, ChildFailedError, RedisMissingError, SocketFolderError) as error:
        say(f"error: {error}")
        return 1
    except StoppedError:
        return 1
    print(json.dumps(told))
    return 1 if told["lost"] else 0


def measure(product: Product, files: Sequence[PhotoFile], options: argparse.Namespace) -> Figures:
    """Return all figures of the running `product`."""
    django.setup()
    users = _make_users(product.port, options.users)
    say(f"{REHEARSALS} uploads that are not timed: they start what later ones find running")
    first = [files[number % len(files)] for number in range(REHEARSALS)]
    sent = [_send_and_wait(product, users[0], photo, options)[0] for photo in first]
    say(f"{options.alone} uploads, one at a time")
    turns = [files[number % len(files)] for number in range(options.alone)]
    alone = [_send_and_wait(product, users[0], photo, options) for photo in turns]
    say(f"{options.users} users, {options.each} uploads each, {options.workers} workers")
    together = send_all(users, files, options.each, options.image_type)
    _wait(product, together, options.patience, every=0.2)
    watched = _watched(product, users[0], files, options)
    _wait(product, watched.sent, options.patience, every=0.2)
    sent += [*(one for one, _ in alone), *together, *watched.sent]
    return {
        "users": options.users,
        "workers": options.workers,
        **figures.counts(sent, _found(users, sent)),
        **figures.idle(
            [one for one, _ in alone],
            [
                replace(found, ended_at=seen_at)
                for one, seen_at in alone
                for found in _found(users, [one])
            ],
        ),
        **figures.busy(together, _found(users, together)),
        **figures.percentiles("page_shows", watched.waits),
        "pages_discarded": watched.discarded,
        "worker_ready_s": round(product.ready_after(), 2),
        **{f"{name}_mb": round(size / 2**20) for name, size in product.memory().items()},
    }


def _watched(
    product: Product, user: User, files: Sequence[PhotoFile], options: argparse.Namespace
) -> Watched:
    if options.browser is None:
        return Watched((), (), 0)
    say(f"{options.watched} pages that a browser has open")
    return platform_page.watch(
        product,
        user,
        files,
        options.image_type,
        options.browser,
        times=options.watched,
        ahead=options.ahead,
    )


def _send_and_wait(
    product: Product, user: User, photo: PhotoFile, options: argparse.Namespace
) -> tuple[Sent, float]:
    """Send one photo; return it, and when its end could be read, in s since the epoch."""
    sent = user.send(photo, options.image_type)
    _wait(product, [sent], options.patience, every=LOOKS_EVERY)
    return sent, time.time()


def _wait(product: Product, sent: Sequence[Sent], patience: float, *, every: float) -> None:
    """Wait until all that was accepted has ended, for `patience` s; look `every` so many s."""
    from analyses.models import Analysis

    ids = [one.analysis_id for one in sent if one.analysis_id]
    deadline = time.monotonic() + patience
    while Analysis.objects.pending().filter(id__in=ids).exists() and time.monotonic() < deadline:
        product.supervisor.tend()
        product.supervisor.pause(every)


def _found(users: Sequence[User], sent: Sequence[Sent]) -> list[Became]:
    """Look in the database, and as its owner, what became of each that was accepted."""
    from analyses.models import Analysis

    senders = {one.analysis_id: users[one.sender] for one in sent if one.analysis_id}
    rows = Analysis.objects.select_related("result").filter(id__in=senders)
    return [
        Became(
            status=row.status,
            seen=senders[str(row.id)].status_of(str(row.id)),
            attempts=row.attempts,
            accepted_at=row.created_at.timestamp(),
            claimed_at=row.claimed_at.timestamp() if row.claimed_at else None,
            ended_at=row.completed_at.timestamp() if row.completed_at else None,
            pipeline=sum(row.result.timings.values()) / 1000 if row.result else None,
        )
        for row in rows
    ]


def _make_users(port: int, count: int) -> list[User]:
    from django.db import transaction

    from accounts import tokens
    from accounts.consent import give_health_data_consent
    from accounts.models import Role
    from accounts.people import create_account

    users = []
    for number in range(count):
        with transaction.atomic():
            email = f"{secrets.token_hex(8)}@benchmark.dermai.example"
            person = create_account(email=email, role=Role.PATIENT, by=None)
            give_health_data_consent(person)
        users.append(User(port, number, tokens.issue(person)[1], platform_page.session_of(person)))
    return users


def _files(folder: Path | None) -> list[PhotoFile]:
    if folder is None:
        drawn = photos.draw_photos(DISTINCT)
        return [PhotoFile(f"{n}.jpg", "image/jpeg", _jpeg(one)) for n, one in enumerate(drawn)]
    found = photos.find_photos(folder, MOST_PHOTOS)
    if not found:
        raise StartError(f"no .jpg or .png in {folder}: name a folder with photos")
    return [
        PhotoFile(path.name, photos.SUFFIXES[path.suffix.lower()], path.read_bytes())
        for path in found
    ]


def _jpeg(pixels: Pixels) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=92)
    return data.getvalue()


def say(text: str) -> None:
    """Print progress beside the result."""
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.platform", description=__doc__)
    parser.add_argument("--users", type=int, default=4, help="who send at the same time")
    parser.add_argument("--workers", type=int, default=1, help="inference workers")
    parser.add_argument("--alone", type=int, default=10, help="uploads sent one at a time before")
    parser.add_argument("--each", type=int, default=10, help="uploads of each user")
    parser.add_argument("--bundle", type=Path, help="a bundle's folder; the starter without it")
    parser.add_argument("--photos", type=Path, help="a folder of photos; drawn ones without it")
    parser.add_argument(
        "--image-type",
        choices=("clinical", "dermoscopic"),
        default="clinical",
        help="clinical photos are never refused as unlike those of the training, as drawn ones are",
    )
    parser.add_argument("--browser", type=Path, help="Chromium: when does a page show its end")
    parser.add_argument("--watched", type=int, default=5, help="pages that --browser has open")
    parser.add_argument(
        "--ahead",
        type=int,
        default=7,
        help="uploads before each of their photos; twice as many once a page is open too late",
    )
    parser.add_argument("--home", type=Path, help="keep data and converted networks there")
    parser.add_argument("--patience", type=float, default=600, help="s to wait for the last end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
