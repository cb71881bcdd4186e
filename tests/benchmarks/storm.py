"""Whether reads stay quick while sign-ins keep every core busy: a real server, and its load from another process."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from . import site as sites
from .measure import Report, latencies, percentile
from .site import EMAIL, ORIGIN, PASSWORD, backend, sign_up

_ROOT = Path(__file__).parents[2]
_MODULE = __package__ or ""
_SIGN_IN = json.dumps({"email": EMAIL, "password": PASSWORD})


def run(report: Report, url: str, *, requests: int, browsers: int = 4) -> None:
    """Read through gunicorn's gthread worker, in calm and under the storm.

    Args:
        report: what to tell.
        url: of the database.
        requests: how many reads of each kind.
        browsers: how many sign in, each again and again.
    """
    with sites.site(url, testing=True) as site:
        cookie, token = sign_up(site)
        with _gunicorn(url) as port:
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

            def read(path: str, cookie: str) -> None:
                client.request("GET", path, headers={"Cookie": cookie})
                answer = client.getresponse()
                body = answer.read()
                assert answer.status == 200, (path, answer.status, body)
                assert b"ada@" in body

            cases = {
                "get-session": lambda: read("/api/auth/get-session", cookie),
                "bare view": lambda: read("/bare/get-session", f"token={token}"),
                "bare view again": lambda: read("/bare/get-session", f"token={token}"),
            }
            calm = latencies(cases, requests=requests)
            with _load(port, browsers) as storm:
                stormy = latencies(cases, requests=requests)
            client.close()
    report.title(f"Reads while {browsers} browsers sign in again and again, gunicorn gthread, on {backend(url)}")
    for name in cases:
        figures = [percentile(times[name], share) * 1000 for times in (calm, stormy) for share in (0.5, 0.99)]
        report.note("{:<26}calm p50 {:.1f}, p99 {:.1f} ms; storm p50 {:.1f}, p99 {:.1f} ms".format(name, *figures))
    report.note(f"{storm[0]:.0f} sign-ins a second meanwhile")
    get, bare = (percentile(stormy[name], 0.99) for name in ("get-session", "bare view"))
    report.mark(
        "storm: p99 of get-session", get * 1000, most=10, unit=" ms", beside=f"{get / bare:.2f} of a bare view's"
    )


@contextmanager
def _gunicorn(url: str) -> Iterator[int]:
    """A server with one worker of many threads; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd, port = listener.fileno(), listener.getsockname()[1]
        server = subprocess.Popen(
            f"{sys.executable} -m gunicorn {_MODULE}.served:app --bind fd://{fd} --workers 1 "
            "--worker-class gthread --threads 16 --keep-alive 60 --log-level error".split(),
            cwd=_ROOT,
            env={**os.environ, "BENCHMARK_DATABASE": url, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'tests'}"},
            pass_fds=[fd],
        )
    try:
        yield port
    finally:
        server.terminate()
        server.wait(30)


@contextmanager
def _load(port: int, browsers: int) -> Iterator[list[float]]:
    """Another process that signs in; at the end, how often it did so a second."""
    rate: list[float] = []
    storm = subprocess.Popen(
        [sys.executable, "-m", f"{_MODULE}.storm", str(port), str(browsers)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": f"{_ROOT}{os.pathsep}{_ROOT / 'tests'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert storm.stdin
    assert storm.stdout
    try:
        assert storm.stdout.readline() == "signed in\n"
        yield rate
    finally:
        with suppress(BrokenPipeError):
            storm.stdin.close()
        rate.append(float(storm.stdout.read()))
        storm.wait(30)


def _storm(port: int, browsers: int) -> None:
    """Sign in until the standard input ends; print how often that was a second."""
    over, counts = threading.Event(), [0] * browsers
    first = threading.Barrier(browsers + 1)

    def browser(number: int) -> None:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Content-Type": "application/json", "Origin": ORIGIN}
        while not over.is_set():
            client.request("POST", "/api/auth/sign-in/email", _SIGN_IN, headers)
            answer = client.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            if not counts[number]:
                first.wait()
            counts[number] += 1

    threads = [threading.Thread(target=browser, args=[number]) for number in range(browsers)]
    for thread in threads:
        thread.start()
    first.wait(60)
    start = time.perf_counter()
    print("signed in", flush=True)
    sys.stdin.read()
    print(sum(counts) / (time.perf_counter() - start), flush=True)
    over.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    _storm(int(sys.argv[1]), int(sys.argv[2]))
