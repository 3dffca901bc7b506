"""`python -m dermai.embedded`: the whole product on one machine, for `make run`.

Prepares the database and the static files, starts a private Redis, the web server, both workers
and beat, says where to go once they all answer, and ends them together on Ctrl-C.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import http.client
import json
import os
import socket
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dermai import private_redis
from dermai.supervisor import Child, ChildFailedError, StoppedError, Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
START_LIMIT: Final = 300.0  # s until everything must have answered
WORKERS: Final = ("inference", "maintenance")
MODEL: Final = "model"  # as `/readyz` calls it
# A worker that is asked to end finishes its analysis first, if that takes no longer than this.
WORKER_GRACE: Final = 30.0  # s


class StartError(Exception):
    """The product cannot start; the message says why and what to do."""


def main() -> int:
    """Run until Ctrl-C; return the exit status."""
    try:
        home = prepare_home()
        port = chosen_port()
        with sole_owner(home):
            require_free(port)
            return serve(home, port)
    except (StartError, private_redis.RedisMissingError, private_redis.SocketFolderError) as error:
        say(f"error: {error}")
        return 1


def prepare_home() -> Path:
    """Return the folder of this installation's data, which nobody else may read."""
    if os.environ.get("DERMAI_MODE", "embedded") != "embedded":
        raise StartError(
            "`make run` starts the embedded mode, but DERMAI_MODE says otherwise. Unset it, or "
            "see deploy/README.md for the processes of production."
        )
    os.umask(0o077)
    home = Path(os.environ.get("DERMAI_HOME") or ROOT / "var").resolve()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
        (home / "logs").mkdir(exist_ok=True)
    except OSError as error:
        raise StartError(
            f"the folder {home} cannot be used ({error.strerror}). Set DERMAI_HOME to a folder "
            "that you may write."
        ) from error
    # Read by the settings, here and in every child.
    os.environ["DERMAI_HOME"] = str(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "dermai.settings"
    return home


def chosen_port() -> int:
    """Return PORT, 8000 without one."""
    text = os.environ.get("PORT") or "8000"
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise StartError(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    os.environ["PORT"] = text
    return int(text)


@contextmanager
def sole_owner(home: Path) -> Iterator[None]:
    """Hold the lock of `home`: two installations in one folder would share a Redis socket."""
    with (home / "run.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StartError(
                f"DermAI is running already with its data in {home}. End that one first, or "
                "start with another DERMAI_HOME and PORT."
            ) from error
        yield


def require_free(port: int) -> None:
    """Refuse a port on which something else listens."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                continue  # this machine has no IPv6
            raise StartError(
                f"port {port} cannot be used ({error.strerror}). End what uses it, or choose "
                f"another: make run PORT={port + 1 if port < 2**16 - 1 else 8000}"
            ) from error


def serve(home: Path, port: int) -> int:
    """Start everything in order, keep it running, end it."""
    supervisor = Supervisor(folder=ROOT, logs=home / "logs", environment=os.environ, say=say)
    supervisor.listen_to_signals()
    try:
        start(supervisor, home, port)
        announce(home, port)
        supervisor.run()
    except ChildFailedError as error:
        say(f"error: {error}")
        return 1
    except StoppedError:
        pass
    finally:
        say("ending ...")
        supervisor.end()
        say("ended. The data are kept.")
    return 0


def start(supervisor: Supervisor, home: Path, port: int) -> None:
    """Prepare the data, then start each process and wait until all of them answer."""
    manage = [sys.executable, str(ROOT / "manage.py")]
    if not os.environ.get("REDIS_URL"):
        path = private_redis.socket_path(home)
        supervisor.start(
            Child(
                "redis",
                private_redis.server_command(home),
                needed=True,
                before=lambda: private_redis.prepare_socket_folder(path),
            )
        )
    say("preparing the database ...")
    supervisor.run_step("migrate", [*manage, "migrate", "--no-input"])
    supervisor.run_step("demo accounts", [*manage, "demo_accounts"])
    collect_static(supervisor, home, manage)
    if not os.environ.get("REDIS_URL"):
        supervisor.wait_until(lambda: private_redis.answers(path), lambda: "Redis", START_LIMIT)
    say("starting the web server, the workers and beat ...")
    for child in processes(home):
        supervisor.start(child)
    supervisor.wait_until(
        lambda: failing_parts(port) is not None, lambda: "the web server", START_LIMIT
    )
    supervisor.wait_until(
        lambda: needed_parts(port) == [],
        lambda: ", ".join(needed_parts(port) or ["the web server"]),
        START_LIMIT,
    )


def processes(home: Path) -> list[Child]:
    """Return the processes beside Redis, in the order of their start."""
    celery = [sys.executable, "-m", "celery", "-A", "dermai"]
    options = ["--pool", "prefork", "--concurrency", "1", "--loglevel", "INFO"]
    options += ["--without-gossip", "--without-mingle"]
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "deploy/gunicorn.conf.py")]
    workers = [
        Child(
            f"{queue} worker",
            [*celery, "worker", "-Q", queue, "-n", f"{queue}@%h", *options],
            grace=WORKER_GRACE,
        )
        for queue in WORKERS
    ]
    schedule = ["--schedule", str(home / "beat-schedule"), "--pidfile", ""]
    beat = Child("beat", [*celery, "beat", *schedule, "--loglevel", "INFO"])
    return [Child("web", [*gunicorn, "dermai.wsgi:application"]), *workers, beat]


def collect_static(supervisor: Supervisor, home: Path, manage: list[str]) -> None:
    """Collect the static files, unless the same ones have been collected."""
    stamp = home / "static.stamp"
    wanted = static_fingerprint()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    say("collecting the static files ...")
    supervisor.run_step("collectstatic", [*manage, "collectstatic", "--no-input", "--clear"])
    stamp.write_text(wanted)


def static_fingerprint() -> str:
    """Hash of what collectstatic would collect: our own files, and the pins of all others."""
    digest = hashlib.sha256((ROOT / "deploy" / "constraints.txt").read_bytes())
    for path in sorted((ROOT / "static").rglob("*")):
        if path.is_file():
            found = path.stat()
            line = f"{path.relative_to(ROOT)} {found.st_size} {found.st_mtime_ns}\n"
            digest.update(line.encode())
    return digest.hexdigest()


def needed_parts(port: int) -> list[str] | None:
    """Return what `failing_parts` does, without the model: photos may wait for that."""
    parts = failing_parts(port)
    return parts and [name for name in parts if name != MODEL]


def failing_parts(port: int) -> list[str] | None:
    """Return what the web server says is not ready yet; None while it does not answer itself."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        parts = json.load(connection.getresponse())["parts"]
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return [name for name, state in parts.items() if state != "ok"]


def announce(home: Path, port: int) -> None:
    """Say where to go."""
    say(f"DermAI is ready: http://localhost:{port}")
    accounts = home / "demo-accounts.json"
    if accounts.is_file():
        say(f"demo accounts:   {accounts}")
    say(f"data and logs:   {home}")
    if MODEL in (failing_parts(port) or ()):
        say("The model is still being prepared; photos that are sent meanwhile wait for it.")
    say("Press Ctrl-C to end.")


def say(line: str) -> None:
    """Print one line at once."""
    print(f"dermai: {line}", flush=True)  # noqa: T201 - this is the program's output


if __name__ == "__main__":
    sys.exit(main())
