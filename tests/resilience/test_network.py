"""SECURITY R4: the network between the application and the database slows down, breaks, or swallows everything."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PASSWORD, STUCK, Browser, Site, at_once
from flask import Response
from outages import Proxy, proxy
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from test_readme import blocks

SERVER = make_url(os.environ.get("TEST_DATABASE_URL") or "sqlite://")
DIALECT = SERVER.get_backend_name()
PORTS = {"postgresql": 5432, "mysql": 3306}
DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
#: Seconds that the server may be silent, and that connecting may take, as they are configured here.
LONGEST, CONNECT = 1, 2
#: How much longer an answer may take.
MORE = 1
#: Requests that are under way at once: each has its connection.
THREADS = 4


def recommended(address: URL) -> dict[str, Any]:
    """The engine options of the docs, with less patience."""
    page: dict[str, Any] = {}
    for _, code in blocks(DOCS, "python"):
        exec(code, page)
    if DIALECT == "mysql":
        options: dict[str, Any] = page["mysql"](LONGEST)
    else:
        dsn = address.set(drivername="postgresql").render_as_string(hide_password=False)
        options = page["postgresql"](dsn, LONGEST)
    return options


class TestTheNetwork:
    """A file needs none."""

    __test__ = DIALECT != "sqlite"

    @pytest.fixture
    def network(self) -> Iterator[Proxy]:
        """What is between the application and its database."""
        with proxy(SERVER.host or "127.0.0.1", SERVER.port or PORTS[DIALECT]) as made:
            yield made

    @pytest.fixture
    def make_site(self, network: Proxy, make_auth: Callable[..., Site]) -> Callable[..., Site]:
        """Builds applications behind that network."""
        address = SERVER.set(host="127.0.0.1", port=network.port)
        settings = {"SQLALCHEMY_DATABASE_URI": address.render_as_string(hide_password=False)}

        def make(**engine_options: Any) -> Site:
            options = {**recommended(address), **engine_options}
            return make_auth(settings=settings, engine_options=options, session={"update_age": 0})

        return make

    @pytest.fixture
    def site(self, make_site: Callable[..., Site]) -> Site:
        """One with the recommended options."""
        return make_site()

    @pytest.fixture
    def browsers(self, site: Site) -> list[Browser]:
        """Users, each with a connection that was used before."""
        browsers = [site.sign_up(f"user{number}") for number in range(THREADS)]
        at_once(THREADS, lambda number: browsers[number].session())
        return browsers

    @staticmethod
    def send(browser: Browser, number: int) -> tuple[Response, float]:
        """A read that writes, a write, or a sign-in; and how long it took."""
        begun = time.monotonic()
        if number % 3 == 0:
            answer = browser.get("/get-session")
        elif number % 3 == 1:
            answer = browser.post("/update-user", {"name": f"Name {number}"})
        else:
            body = {"email": f"user{number}@example.com", "password": PASSWORD}
            answer = browser.site.browser().post("/sign-in/email", body)
        return answer, time.monotonic() - begun

    def hold_an_outage(self, answers: list[tuple[Response, float]], longest: float) -> None:
        for answer, lasted in answers:
            assert (answer.status_code, answer.json["code"]) == (503, "SERVICE_UNAVAILABLE")
            assert answer.headers["Retry-After"]
            assert "Set-Cookie" not in answer.headers
            assert lasted < longest, lasted
        print([round(lasted, 2) for _, lasted in answers])

    def hold_recovery(self, site: Site, browsers: list[Browser], threads: int) -> None:
        """At once everybody is served again, nothing is held, and nobody waits."""
        answers = at_once(THREADS, lambda number: self.send(browsers[number], number))
        assert [answer.status_code for answer, _ in answers] == [200] * THREADS
        assert max(lasted for _, lasted in answers) < LONGEST + MORE
        with site.app.app_context():
            assert site.db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool counts
        assert sum(not thread.daemon for thread in threading.enumerate()) <= threads

    def test_r4_a_slow_network_is_slow_and_nothing_else(
        self, site: Site, network: Proxy, browsers: list[Browser]
    ) -> None:
        network.latency = 0.02
        answers = at_once(THREADS, lambda number: self.send(browsers[number], number))
        network.latency = 0.0
        assert [answer.status_code for answer, _ in answers] == [200] * THREADS

    def test_r4_connections_that_are_cut_while_idle_fail_no_request(
        self, site: Site, network: Proxy, browsers: list[Browser]
    ) -> None:
        threads = threading.active_count()
        network.reset()
        self.hold_recovery(site, browsers, threads)

    def test_r4_connections_that_are_cut_at_work_fail_with_503_alone(
        self, site: Site, network: Proxy, browsers: list[Browser]
    ) -> None:
        threads, stop = threading.active_count(), threading.Event()

        def cut() -> None:
            while not stop.wait(random.uniform(0.01, 0.1)):
                network.reset()

        def work(number: int) -> list[tuple[Response, float]]:
            end, answers = time.monotonic() + 1.5, []
            while time.monotonic() < end:
                answers.append(self.send(browsers[number], number))
            return answers

        cutting = threading.Thread(target=cut)
        cutting.start()
        answers = [answer for each in at_once(THREADS, work) for answer in each]
        stop.set()
        cutting.join(STUCK)
        self.hold_an_outage(
            [(answer, lasted) for answer, lasted in answers if answer.status_code != 200], LONGEST + MORE
        )
        assert {200, 503} == {answer.status_code for answer, _ in answers}
        self.hold_recovery(site, browsers, threads)

    def test_r4_a_network_that_swallows_everything_holds_a_request_as_long_as_configured(
        self, site: Site, network: Proxy, browsers: list[Browser]
    ) -> None:
        threads = threading.active_count()
        network.hole.set()
        answers = at_once(THREADS, lambda number: self.send(browsers[number], number))
        network.hole.clear()
        # the connection from the pool does not answer, nor does a new one
        self.hold_an_outage(answers, LONGEST + CONNECT + MORE)
        self.hold_recovery(site, browsers, threads)

    def test_r4_requests_that_wait_for_a_connection_of_those_that_hang_wait_as_long_as_configured(
        self, make_site: Callable[..., Site], network: Proxy
    ) -> None:
        site = make_site(pool_size=1, max_overflow=0, pool_timeout=1)
        browsers = [site.sign_up(f"user{number}") for number in range(THREADS)]
        threads = threading.active_count()
        network.hole.set()
        answers = at_once(THREADS, lambda number: self.send(browsers[number], number))
        network.hole.clear()
        self.hold_an_outage(answers, 1 + LONGEST + CONNECT + MORE)
        self.hold_recovery(site, browsers, threads)

    def test_r4_a_row_that_somebody_else_keeps_locked_holds_a_request_as_long_as_configured(
        self, site: Site, browsers: list[Browser]
    ) -> None:
        threads, user = threading.active_count(), site.auth.User
        engine = create_engine(SERVER)
        with engine.connect() as other:
            other.execute(site.db.select(user.id).with_for_update())
            answers = [self.send(browsers[1], 1)]
            other.rollback()
        engine.dispose()
        self.hold_an_outage(answers, LONGEST + MORE)
        self.hold_recovery(site, browsers, threads)
