"""Node and its packages, which the tests of interoperability need."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest


def command(name: str) -> str:
    """Where a program of Node is."""
    return shutil.which(name) or pytest.fail(f"{name} is missing: install Node 20 or later")


def install(folder: Path) -> None:
    """The packages of the lock file, installed once per clone; who comes second at the same time waits."""
    npm, lock, done = command("npm"), folder / "package-lock.json", folder / "node_modules" / ".installed"
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if done.is_file() and done.read_bytes() == lock.read_bytes():
            return
        result = subprocess.run([npm, "ci"], cwd=folder, capture_output=True, text=True)
        if result.returncode:
            pytest.fail(f"npm ci:\n{result.stdout}{result.stderr}")
        done.write_bytes(lock.read_bytes())
