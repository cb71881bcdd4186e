"""``python -m tests.benchmarks``: every part in one run, each figure beside its mark."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version

from . import growth, hashing, imports, reads, statements, storm
from .measure import Report

PARTS = ("statements", "reads", "hashing", "imports", "storm", "growth")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and return 1 if something is wrong that no noise can explain."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"some of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and a tenth of the sessions")
    parser.add_argument("--sessions", type=int, help="the largest number of sessions (1,000,000)")
    parser.add_argument("--postgresql", default=os.environ.get("POSTGRES_URL"), help="URL; by default POSTGRES_URL")
    parser.add_argument("--mariadb", default=os.environ.get("MARIADB_URL"), help="URL; by default MARIADB_URL")
    given = parser.parse_args(arguments)
    unknown = set(given.parts).difference(PARTS)
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}")
    parts = given.parts or PARTS
    report, start = Report(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        urls = [f"sqlite:///{folder}/benchmark.db", *filter(None, (given.postgresql, given.mariadb))]
        best = given.postgresql or urls[0]
        report.title(_where())
        if len(urls) < 3:
            report.note("not measured: a database without --postgresql or --mariadb")
        if "statements" in parts:
            for url in urls:
                statements.run(report, url)
        if "reads" in parts:
            for url in urls:
                reads.run(report, url, rounds=20 if given.quick else 60)
        if "hashing" in parts:
            for url in urls:
                hashing.run(report, url, rounds=20 if given.quick else 60)
        if "imports" in parts:
            imports.run(report, rounds=5 if given.quick else 15)
        if "storm" in parts:
            storm.run(report, best, requests=200 if given.quick else 1000)
        if "growth" in parts and given.postgresql:
            largest = given.sessions or (100_000 if given.quick else 1_000_000)
            sizes = sorted({1_000, 100_000, largest})
            growth.run(report, given.postgresql, sizes=sizes, requests=300 if given.quick else 1500)
    report.title(f"{len(report.missed)} marks missed, {report.wrong} wrong; {time.perf_counter() - start:.0f} s")
    for name in report.missed:
        report.note(name)
    return 1 if report.wrong else 0


def _where() -> str:
    packages = " ".join(
        f"{name} {version(name)}" for name in ("flask", "sqlalchemy", "flask-sqlalchemy", "argon2-cffi")
    )
    load = "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg())
    return f"Python {platform.python_version()}, {packages}; {os.cpu_count()} cores, load before {load}"


if __name__ == "__main__":
    sys.exit(main())
