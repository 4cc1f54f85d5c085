from __future__ import annotations

import fcntl
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ska_oso_oet.orb_threads import own_addresses
from ska_oso_oet.own_sockets import tcp_sockets
from ska_oso_oet.ska.subscribers import own_connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def test_listening_sockets_are_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockname() in own_addresses()


@pytest.mark.parametrize("look", [tcp_sockets, own_connections, own_addresses])
def test_a_file_keeps_its_locks_and_nothing_is_left_open(
    look: Callable[[], Iterable[object]], tmp_path: Path
) -> None:
    # To close a duplicate of a descriptor gives up the locks that SQLite has on the file; one that is left
    # open keeps the lock of who has given it back.
    with (tmp_path / "database").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        before = _open_descriptors()
        for each in look():
            if isinstance(each, socket.socket):
                each.close()
        assert _open_descriptors() == before
        assert "POSIX" in Path(f"/proc/self/fdinfo/{file.fileno()}").read_text()


def _open_descriptors() -> set[str]:
    return {each.name for each in Path("/proc/self/fd").iterdir() if each.exists()}
