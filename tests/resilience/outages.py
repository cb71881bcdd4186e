"""What can happen to a database: a server that is killed and started again, and a network that fails between."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
from conftest import STUCK

#: Where distributions put the programs of the server, the newest version last.
_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))


def _as_postgres(*command: str) -> list[str]:
    """The server refuses to run as root."""
    return ["runuser", "-u", "postgres", "--", *command] if os.geteuid() == 0 else [*command]


class Cluster:
    """A PostgreSQL server of our own in a temporary folder; it answers on the loopback address alone."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._log = folder, folder / "log"
        on_path = shutil.which("initdb")
        assert on_path or _PROGRAMS, "the programs of the PostgreSQL server must be installed: initdb and postgres"
        self._programs = Path(on_path).parent if on_path else _PROGRAMS[-1]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        initdb = [
            str(self._programs / "initdb"),
            "-D",
            str(folder / "data"),
            "-U",
            "tester",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        subprocess.run(_as_postgres(*initdb, "--no-sync"), check=True, capture_output=True, cwd="/")
        self.start()

    @property
    def url(self) -> str:
        """Its database, as SQLAlchemy spells it."""
        return f"postgresql+psycopg://tester@127.0.0.1:{self.port}/postgres"

    @property
    def dsn(self) -> str:
        """Its database, as libpq spells it."""
        return self.url.replace("+psycopg", "")

    def start(self) -> float:
        """Start it; the moment in which it first let somebody in."""
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_buffers": "16MB",
            "fsync": "off",  # processes are killed, not the machine: what was written is written
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            command = _as_postgres(str(self._programs / "postgres"), "-D", str(self.folder / "data"), *settings)
            self._server = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", start_new_session=True)
        end = time.monotonic() + STUCK
        while time.monotonic() < end:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn, connect_timeout=2).close()
                return time.monotonic()
            time.sleep(0.01)
        raise AssertionError(self._log.read_text())

    def kill(self) -> None:
        """``kill -9`` of the server and of every process that serves a connection."""
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for process in (postmaster, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        end = time.monotonic() + STUCK
        while any(map(_runs, (postmaster, *map(int, children)))):  # its shared memory is in use as long as one lives
            assert time.monotonic() < end
            time.sleep(0.005)
        self._server.wait(STUCK)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="better-auth-") as folder:
        made = Cluster(Path(folder))
        try:
            yield made
        finally:
            with suppress(FileNotFoundError):
                made.kill()


class Proxy:
    """Passes connections on to a server, as well as the network does today.

    Args:
        host: of the server.
        port: of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        #: Seconds that each piece is on its way.
        self.latency = 0.0
        #: Nothing gets through, and nobody is told.
        self.hole = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._server)
            self._pairs.append((near, far))
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.latency:
                    time.sleep(self.latency)
                if self.hole.is_set():
                    continue  # as if it had been lost
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Cut every connection there is, in the middle of whatever it says."""
        pairs, self._pairs = self._pairs, []
        for near, far in pairs:
            for end in (near, far):
                with suppress(OSError), end:
                    # no farewell: the peer gets a RST
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    end.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Let nobody in any more, and cut who is."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()


@contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """A network that is gone afterwards."""
    with closing(Proxy(host, port)) as made:
        yield made
