"""That ``python -m tests.benchmarks`` still runs; how fast anything is, no test says."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from benchmarks import growth, hashing, reads, statements
from benchmarks.measure import Report


@pytest.mark.parametrize(
    "part",
    [
        lambda report, url: reads.run(report, url, rounds=1),
        lambda report, url: hashing.run(report, url, rounds=1),
    ],
    ids=["reads", "hashing"],
)
def test_a_part_measures(
    part: Callable[[Report, str], None], database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    part(Report(), database_url)
    assert " us of CPU" in capsys.readouterr().out


def test_every_endpoint_has_a_case_and_keeps_to_its_statements(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Report()
    monkeypatch.delitem(statements.CASES, "sign_out")
    monkeypatch.setitem(statements.CASES, "sign_in_email", statements.Case(1, statements.credentials))
    statements.run(report, database_url)
    assert report.wrong == 2, "the one without a case, and the one that is allowed too little"


def test_growth_fills_and_measures(database_url: str, dialect: str, capsys: pytest.CaptureFixture[str]) -> None:
    if dialect != "postgresql":
        pytest.skip("growth is measured on PostgreSQL")
    growth.run(Report(), database_url, sizes=[50, 100], requests=5)
    assert "plan of get-session" in capsys.readouterr().out
