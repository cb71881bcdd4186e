"""What ``import flask_better_auth`` takes beside the packages that an application has anyway."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from .measure import Report

_CHILD = """
import time
start = time.process_time()
import flask, flask_sqlalchemy, flask_limiter, marshmallow, argon2
others = time.process_time()
{ours}
print(others - start, time.process_time() - others)
"""


def run(report: Report, *, rounds: int) -> None:
    """Measure in processes of their own, in turns: one that imports the package, one that does not."""
    ours: list[float] = []
    others: dict[str, list[float]] = {"import flask_better_auth": [], "pass": []}
    # a package is installed with its byte code, and a checkout gets it at the first import
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for number in range(rounds + 1):
        for line, found in others.items():
            command = [sys.executable, "-c", _CHILD.format(ours=line)]
            output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
            base, added = (float(figure) * 1000 for figure in output.split())
            if number:  # the first turn writes the byte code
                found.append(base)
                if line != "pass":
                    ours.append(added)
    report.title("Import")
    with_, without = (statistics.median(found) for found in others.values())
    noise = abs(with_ - without)
    report.note(f"the five packages take {without:.0f} ms of CPU; noise: that and itself differ by {noise:.1f} ms")
    report.mark("import over the five packages", statistics.median(ours), most=10, unit=" ms", beside="of CPU")
