"""SECURITY D: nobody tries passwords without end, no header and no spelling helps, and nobody is locked out."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import pytest
import time_machine
from conftest import PASSWORD, STUCK, Site, at_once
from flask import Response
from sqlalchemy import event
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_better_auth import Call, ConfigError, Limit, Reply
from flask_better_auth.endpoint import Routes
from flask_better_auth.passwords import Passwords
from flask_better_auth.plugin import Plugin
from flask_better_auth.windows import MemoryWindow, item_of

SIGN_IN = "/sign-in/email"
#: Nothing listens there.
NOWHERE = "redis://127.0.0.1:1/0"
#: No limit by address at sign-in, so that the one by account is seen alone.
BY_ACCOUNT = {"custom_rules": {SIGN_IN: False}}


@pytest.fixture(autouse=True)
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still unless a test moves it."""
    with time_machine.travel(datetime.now(timezone.utc), tick=False) as traveller:
        yield traveller


@pytest.fixture
def limited(make_auth: Callable[..., Site], dialect: str) -> Callable[..., Site]:
    """Builds applications with rate limits: ``limited(max=5)``."""

    def make(*, options: dict[str, Any] | None = None, **rate_limit: Any) -> Site:
        engine_options: dict[str, Any] = {"pool_size": 16, "max_overflow": 0, "pool_timeout": STUCK}
        if dialect == "sqlite":
            engine_options["connect_args"] = {"timeout": STUCK}
        rate_limit = {"enabled": True, **rate_limit}
        site = make_auth(engine_options=engine_options, rate_limit=rate_limit, **(options or {}))
        if dialect == "sqlite":
            with site.app.app_context(), site.db.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        return site

    return make


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were verified."""
    seen: list[str] = []
    original = Passwords.verify

    def verify(self: Passwords, stored: str | None, password: str) -> bool:
        seen.append(password)
        return original(self, stored, password)

    monkeypatch.setattr(Passwords, "verify", verify)
    return seen


def address(number: int) -> str:
    """One address out of many, each in a network of its own."""
    return f"{11 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1"


def sign_in(
    site: Site,
    email: str = "ada@example.com",
    password: str = "wrong password",
    *,
    at: str = "192.0.2.1",
    **options: Any,
) -> Response:
    """A sign-in from an address."""
    body = {"email": email, "password": password}
    return site.browser().post(SIGN_IN, body, environ_base={"REMOTE_ADDR": at}, **options)


def statuses(answers: list[Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def rows(site: Site) -> list[Any]:
    model = site.auth.model("rate_limit")
    with site.app.app_context():
        return [(row.key, row.count) for row in site.db.session.scalars(site.db.select(model).order_by(model.key))]


# ---------------------------------------------------------------- whose request it is


def test_d1_a_forged_x_forwarded_for_has_no_limit_of_its_own(limited: Callable[..., Site]) -> None:
    site = limited()
    answers = [sign_in(site, headers={"X-Forwarded-For": address(n)}) for n in range(20)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 17
    assert sign_in(site, at="192.0.2.2").status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For: {}, {}",
        "X-Real-IP: {}",
        "CF-Connecting-IP: {}",
        "True-Client-IP: {}",
        "Forwarded: for={}",
        "X-Client-IP: {}",
        "X-Cluster-Client-IP: {}",
        "Fastly-Client-IP: {}",
    ],
)
def test_d2_no_other_header_that_a_client_writes_has_one_either(limited: Callable[..., Site], header: str) -> None:
    site = limited()
    name, value = header.split(": ")
    answers = [sign_in(site, headers={name: value.format(address(n), address(n + 1))}) for n in range(20)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 17


def test_d3_a_network_of_ipv6_is_one_client(limited: Callable[..., Site]) -> None:
    site = limited()
    answers = [sign_in(site, f"user{n}@example.com", at=f"2001:db8:0:1::{n:x}") for n in range(1000)]
    assert statuses(answers) == {401: 3, 429: 997}
    assert sign_in(site, at="2001:db8:0:2::1").status_code == 401


@pytest.mark.parametrize(
    "spellings",
    [
        ["2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:0db8::0001", "2001:db8::1%eth0", "2001:db8::1%1"],
        ["1.2.3.4", "::ffff:1.2.3.4", "::ffff:0102:0304", "::FFFF:1.2.3.4"],
        ["fe80::1%eth0", "fe80::1%2", "fe80::2"],
        ["", "unknown", "_hidden", "1.2.3.4.5"],
    ],
)
def test_d3_every_spelling_of_an_address_is_one_client(limited: Callable[..., Site], spellings: list[str]) -> None:
    site = limited(custom_rules={SIGN_IN: Limit(len(spellings), per=10)})
    answers = [sign_in(site, at=spelling) for spelling in (*spellings, *spellings)]
    assert statuses(answers) == {401: len(spellings), 429: len(spellings)}


def test_d4_who_shares_a_proxy_with_an_attacker_can_sign_in(limited: Callable[..., Site]) -> None:
    site = limited()
    site.sign_up("ada")
    site.app.wsgi_app = ProxyFix(site.app.wsgi_app, x_for=1)  # type: ignore[method-assign]  # how Flask documents it
    attacks = [sign_in(site, headers={"X-Forwarded-For": f"{address(n)}, 198.51.100.66"}) for n in range(10)]
    assert statuses(attacks) == {401: 3, 429: 7}
    assert sign_in(site, password=PASSWORD, headers={"X-Forwarded-For": "203.0.113.5"}).status_code == 200


def test_d4_a_proxy_whose_word_nobody_reads_is_warned_of_once(
    limited: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    site = limited(**BY_ACCOUNT, failures_per_account=Limit(2, per=60))
    answers = [sign_in(site, at="10.0.0.1", headers={"X-Forwarded-For": address(n)}) for n in range(4)]
    assert statuses(answers) == {401: 2, 429: 2}  # per account, all the same
    assert sum("ProxyFix" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("at", ["10.0.0.1", "192.168.0.9", "127.0.0.1", "::1", "fd00::1"])
def test_d4_the_warning_is_for_any_private_proxy(
    limited: Callable[..., Site], caplog: pytest.LogCaptureFixture, at: str
) -> None:
    site = limited()
    site.browser().get("/ok", environ_base={"REMOTE_ADDR": at}, headers={"X-Forwarded-For": "203.0.113.5"})
    assert "ProxyFix" in caplog.text


def test_d4_there_is_no_warning_of_clients_that_forge_the_header_nor_behind_proxyfix(
    limited: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    site = limited()
    forged = {"X-Forwarded-For": "203.0.113.5"}
    site.browser().get("/ok", environ_base={"REMOTE_ADDR": "8.8.8.8"}, headers=forged)
    site.browser().get("/ok", environ_base={"REMOTE_ADDR": "10.0.0.1"})
    site.app.wsgi_app = ProxyFix(site.app.wsgi_app, x_for=1)  # type: ignore[method-assign]  # how Flask documents it
    site.browser().get("/ok", environ_base={"REMOTE_ADDR": "10.0.0.1"}, headers={"X-Forwarded-For": "10.0.0.7"})
    assert "ProxyFix" not in caplog.text


# ---------------------------------------------------------------- which path, which account


@pytest.mark.parametrize(
    "path",
    [
        "//sign-in/email",
        "/sign-in//email",
        "/sign-in/email/",
        "/Sign-In/Email",
        "/sign-in/email;x",
        "/sign-in/%65mail",
        "/sign-in%2femail",
        "/./sign-in/email",
        "/x/../sign-in/email",
        "/sign-in/%2e/email",
        "/sign-in/email?x=1",
        "/sign-in/email?",
        "/sign-in/email%00",
    ],
)
@pytest.mark.parametrize("slashes", [False, True], ids=["", "slashes-skipped"])
def test_d5_no_spelling_of_the_path_escapes_its_limit(
    limited: Callable[..., Site], verified: list[str], path: str, slashes: bool
) -> None:
    site = limited(options={"advanced": {"skip_trailing_slashes": slashes}})
    assert statuses([sign_in(site) for _ in range(3)]) == {401: 3}
    answer = site.browser().post(
        path, {"email": "a@example.com", "password": PASSWORD}, environ_base={"REMOTE_ADDR": "192.0.2.1"}
    )
    assert answer.status_code in (404, 429)
    assert len(verified) == 3


def test_d5_spellings_that_are_served_count_as_well(limited: Callable[..., Site]) -> None:
    site = limited(options={"advanced": {"skip_trailing_slashes": True}})
    answers = [site.browser().post(SIGN_IN + end, {}) for end in ("/", "?x=1", "", "/")]
    assert statuses(answers) == {400: 3, 429: 1}


def test_d6_every_spelling_of_an_address_is_one_account(limited: Callable[..., Site], verified: list[str]) -> None:
    site = limited(**BY_ACCOUNT, failures_per_account=Limit(4, per=60))
    site.sign_up("ada")
    spellings = ["ada@example.com", "ADA@example.com", "ada@EXAMPLE.COM", "aDa@eXample.com", "Ada@Example.Com"]
    answers = [sign_in(site, spelling, at=address(n)) for n, spelling in enumerate(spellings)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 429]
    at_signs = "ada\uff20example.com", "ada@ex\xadample.com"
    odd = ["\uff41da@example.com", "ada@example.com.", " ada@example.com", *at_signs]
    answers = [sign_in(site, spelling, at=address(n + 9)) for n, spelling in enumerate(odd)]
    assert all(answer.status_code in (400, 429) for answer in answers)
    assert len(verified) == 4
    assert sign_in(site, "ada+tag@example.com", at=address(99)).status_code == 401  # another account


def test_d7_a_success_resets_no_counter_of_other_accounts(limited: Callable[..., Site]) -> None:
    site = limited(options={"email_and_password": {"auto_sign_in": False}})
    for who in ("ada", "mallory"):
        site.api.create_user(name=who, email=f"{who}@example.com", password=PASSWORD)
    assert [sign_in(site).status_code for _ in range(2)] == [401, 401]
    assert sign_in(site, "mallory@example.com", PASSWORD).status_code == 200
    assert sign_in(site).status_code == 429  # by address


def test_d7_a_success_resets_no_counter_of_another_account(limited: Callable[..., Site]) -> None:
    site = limited(**BY_ACCOUNT, failures_per_account=Limit(3, per=60))
    for who in ("ada", "mallory"):
        site.api.create_user(name=who, email=f"{who}@example.com", password=PASSWORD)
    assert [sign_in(site, at=address(n)).status_code for n in range(3)] == [401, 401, 401]
    assert sign_in(site, "mallory@example.com", PASSWORD).status_code == 200
    assert sign_in(site).status_code == 429


def test_d8_a_thousand_addresses_try_a_hundred_passwords_on_one_account(
    limited: Callable[..., Site], verified: list[str], clock: time_machine.Traveller
) -> None:
    site = limited()
    owner = site.sign_up("ada")
    answers = [sign_in(site, password=f"wrong password {n}", at=address(n)) for n in range(1000)]
    assert statuses(answers) == {401: 100, 429: 900}
    assert len(verified) == 100
    assert answers[-1].headers["Retry-After"] == "3600"
    # the owner is let through from where the account is signed in, and anybody once the attack has paused
    assert owner.session()["user"]["email"] == "ada@example.com"
    assert sign_in(site, password=PASSWORD, at="127.0.0.1").status_code == 200
    assert sign_in(site, password=PASSWORD, at=address(5000)).status_code == 429
    clock.shift(3600)
    assert sign_in(site, password=PASSWORD, at=address(5000)).status_code == 200


def test_d8_the_address_of_the_owner_has_a_budget_and_no_more(limited: Callable[..., Site]) -> None:
    site = limited(**BY_ACCOUNT, failures_per_account=Limit(3, per=60))
    site.sign_up("ada")
    site.sign_up("bob")
    assert statuses([sign_in(site, at=address(n)) for n in range(5)]) == {401: 3, 429: 2}
    assert statuses([sign_in(site, at="127.0.0.1") for _ in range(5)]) == {401: 3, 429: 2}
    assert sign_in(site, password=PASSWORD, at="127.0.0.1").status_code == 429


@pytest.mark.parametrize("ended", ["signed out", "expired", "another account's"])
def test_d8_only_a_live_session_of_the_account_lets_an_address_through(
    limited: Callable[..., Site], clock: time_machine.Traveller, ended: str
) -> None:
    site = limited(**BY_ACCOUNT, failures_per_account=Limit(3, per=9 * 86400))
    if ended == "another account's":
        site.api.create_user(name="ada", email="ada@example.com", password=PASSWORD)
        site.sign_up("bob")
    else:
        owner = site.sign_up("ada")
        if ended == "signed out":
            owner.post("/sign-out")
        else:
            clock.shift(8 * 86400)
    assert statuses([sign_in(site, at=address(n)) for n in range(4)]) == {401: 3, 429: 1}
    assert sign_in(site, password=PASSWORD, at="127.0.0.1").status_code == 429


def test_d8_only_failures_in_a_row_count(limited: Callable[..., Site]) -> None:
    site = limited(**BY_ACCOUNT, failures_per_account=Limit(3, per=60))
    site.api.create_user(name="ada", email="ada@example.com", password=PASSWORD)
    for _ in range(3):
        assert [sign_in(site).status_code for _ in range(2)] == [401, 401]
        assert sign_in(site, password=PASSWORD).status_code == 200


def test_d8_an_account_that_does_not_exist_is_refused_alike(limited: Callable[..., Site]) -> None:
    site = limited(**BY_ACCOUNT, failures_per_account=Limit(3, per=60))
    site.sign_up("ada")

    def asked(email: str) -> list[tuple[int, bytes, list[tuple[str, str]]]]:
        answers = [sign_in(site, email, at=address(n)) for n in range(5)]
        return [(a.status_code, a.data, sorted((k, v) for k, v in a.headers if k != "Date")) for a in answers]

    assert asked("ada@example.com") == asked("nobody@example.com")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/verify-password", {"password": "wrong password"}),
        ("/change-password", {"currentPassword": "wrong password", "newPassword": "another password"}),
    ],
)
def test_d8_whoever_has_taken_over_a_session_has_no_more_attempts_either(
    limited: Callable[..., Site], verified: list[str], path: str, body: dict[str, str]
) -> None:
    site = limited(custom_rules={"/**": False}, failures_per_account=Limit(3, per=60))
    thief = site.sign_up("ada")
    answers = [thief.post(path, body, environ_base={"REMOTE_ADDR": "8.8.8.8"}) for _ in range(6)]
    assert statuses(answers) == {400: 3, 429: 3}
    assert len(verified) == 3
    assert statuses([sign_in(site, at=address(n)) for n in range(3)]) == {429: 3}  # it is one budget


def test_d9_one_address_cannot_try_a_password_on_many_accounts(
    limited: Callable[..., Site], verified: list[str]
) -> None:
    site = limited()
    answers = [sign_in(site, f"user{n}@example.com") for n in range(1000)]
    assert statuses(answers) == {401: 3, 429: 997}
    assert len(verified) == 3


def test_d10_of_many_attempts_at_once_no_more_are_verified(
    limited: Callable[..., Site], verified: list[str], storage: str
) -> None:
    site = limited(**BY_ACCOUNT, failures_per_account=Limit(7, per=3600), storage=storage)
    site.api.create_user(name="ada", email="ada@example.com", password=PASSWORD)
    answers = at_once(200, lambda number: sign_in(site, at=address(number)))
    assert statuses(answers) == {401: 7, 429: 193}
    assert len(verified) == 7


# ---------------------------------------------------------------- mail


@pytest.fixture
def outbox(limited: Callable[..., Site]) -> tuple[Site, list[str]]:
    """An application that can send links, and whom they went to."""
    sent: list[str] = []

    def send(user: dict[str, Any], **_: Any) -> None:
        sent.append(user["email"])

    return limited(options={"email_and_password": {"send_reset_password": send}}), sent


def test_d11_a_recipient_gets_five_mails_an_hour_and_the_sender_cannot_tell(
    outbox: tuple[Site, list[str]], clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    site, sent = outbox
    for who in ("ada", "bob"):
        site.api.create_user(name=who, email=f"{who}@example.com", password=PASSWORD)

    def ask(number: int, who: str = "Ada") -> Response:
        body = {"email": f"{who}@example.com"}
        return site.browser().post("/request-password-reset", body, environ_base={"REMOTE_ADDR": address(number)})

    answers = [ask(number) for number in range(100)]
    assert len({(answer.status_code, answer.data) for answer in answers}) == 1
    assert sent == ["ada@example.com"] * 5
    held = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(held) == 95
    assert "ada" not in caplog.text
    ask(1, "bob")
    assert sent[5:] == ["bob@example.com"]
    clock.shift(3600)
    ask(2)
    assert sent[6:] == ["ada@example.com"]


def test_d11_what_the_server_itself_sends_is_not_limited(outbox: tuple[Site, list[str]]) -> None:
    site, sent = outbox
    site.api.create_user(name="ada", email="ada@example.com", password=PASSWORD)
    for _ in range(7):
        site.api.request_password_reset(email="ada@example.com")
    assert len(sent) == 7


# ---------------------------------------------------------------- when the storage is away


def drop_table(site: Site) -> None:
    with site.app.app_context():
        site.auth.model("rate_limit").__table__.drop(site.db.engine)


@pytest.fixture(params=["redis", "database"])
def stranded(request: pytest.FixtureRequest, limited: Callable[..., Site]) -> Site:
    """An application whose limits have lost their storage."""
    site = limited(storage=NOWHERE if request.param == "redis" else "database", max=5)
    if request.param == "database":
        drop_table(site)
    return site


def test_d12_without_its_storage_the_limit_stays_and_sign_in_closes(
    stranded: Site, verified: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    answers = [sign_in(stranded) for _ in range(20)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [503] * 17
    assert answers[3].json == {"code": "SERVICE_UNAVAILABLE", "message": "Service temporarily unavailable"}
    assert answers[3].headers["Retry-After"] == "10"
    answers = [stranded.browser().get("/get-session") for _ in range(20)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 15
    assert len(verified) == 3
    assert sum("storage of the rate limits" in record.message for record in caplog.records) == 1


def test_d12_without_its_storage_an_account_bears_no_more_failures(limited: Callable[..., Site]) -> None:
    site = limited(storage=NOWHERE, **BY_ACCOUNT, failures_per_account=Limit(4, per=60))
    assert statuses([sign_in(site, at=address(n)) for n in range(20)]) == {401: 4, 503: 16}


def test_d12_a_storage_that_is_back_is_used_again(
    limited: Callable[..., Site], clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    site = limited(storage="database", max=5)
    drop_table(site)
    assert statuses([site.browser().get("/ok") for _ in range(4)]) == {200: 4}
    with site.app.app_context():
        site.db.create_all()
    assert site.browser().get("/ok").status_code == 200
    assert rows(site) == []  # not before the pause is over
    clock.shift(5)
    assert statuses([site.browser().get("/ok") for _ in range(6)]) == {200: 5, 429: 1}
    assert rows(site) == [("127.0.0.1|/ok", 5)]
    assert "is back" in caplog.text


def test_d12_a_storage_that_stays_away_is_asked_once_in_a_while(
    limited: Callable[..., Site], clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    site = limited(storage="database")
    drop_table(site)
    asked: list[str] = []
    with site.app.app_context():
        event.listen(site.db.engine, "before_cursor_execute", lambda conn, cursor, text, *rest: asked.append(text))
    for _ in range(3):
        for _ in range(5):
            site.browser().get("/ok")
        clock.shift(5)
    assert len(asked) == 3
    assert sum("storage of the rate limits" in record.message for record in caplog.records) == 1


def test_d12_the_memory_that_flooding_takes_is_bounded() -> None:
    window, item = MemoryWindow(), item_of(Limit(3, per=3600))
    for number in range(150_000):
        assert window.hit(item, f"2001:0db8:{number >> 16:04x}:{number & 0xFFFF:04x}:0000:0000:0000:0000|{SIGN_IN}")
    assert len(window) == 100_000
    entries = window._entries
    parts = [part for key, entry in entries.items() for part in (key, entry, entry[1])]
    assert sum(map(sys.getsizeof, parts)) + sys.getsizeof(entries) < 50e6


def test_d12_what_is_over_is_forgotten(clock: time_machine.Traveller) -> None:
    window, item = MemoryWindow(), item_of(Limit(3, per=10))
    for number in range(1000):
        window.hit(item, str(number))
    clock.shift(10)
    for number in range(500):
        window.hit(item, f"new {number}")
    assert len(window) == 500


# ---------------------------------------------------------------- what is limited


class Things(Plugin):
    """Contributes an endpoint with a limit."""

    id = "things"
    routes = Routes()
    rate_limits = (("/things/*", Limit(2, per=10)),)


@Things.routes.get("/things/list")
def list_things(call: Call) -> Reply:
    return Reply({})


def test_d13_http_is_limited_and_server_calls_are_not(limited: Callable[..., Site]) -> None:
    site = limited(options={"plugins": [Things()]}, failures_per_account=Limit(3, per=60))
    for _ in range(10):
        assert site.api.list_things() == {}
        assert (
            site.api.sign_in_email(email="a@example.com", password="wrong password", as_response=True).status_code
            == 401
        )
    assert statuses([site.browser().get("/things/list") for _ in range(4)]) == {200: 2, 429: 2}
    assert statuses([sign_in(site) for _ in range(4)]) == {401: 3, 429: 1}


def test_d13_the_answer_says_when_to_come_again(limited: Callable[..., Site], clock: time_machine.Traveller) -> None:
    site = limited()
    for _ in range(3):
        sign_in(site)
    clock.shift(2.5)
    answer = sign_in(site)
    assert answer.status_code == 429
    assert json.loads(answer.data) == {
        "message": "Too many requests. Please try again later.",
        "code": "RATE_LIMIT_EXCEEDED",
    }
    assert answer.headers["X-Retry-After"] == answer.headers["Retry-After"] == "8"
    assert answer.content_type == "application/json"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("HEAD", "/ok"),
        ("HEAD", "/get-session"),
        ("OPTIONS", SIGN_IN),
        ("GET", SIGN_IN),
        ("DELETE", "/get-session"),
        ("GET", "/nope"),
        ("POST", "/sign-in/nope"),
        ("GET", "//ok"),
        ("GET", "/%6fk"),
        ("POST", "/sign-out"),
    ],
)
def test_d14_what_no_endpoint_answers_leaves_no_trace(limited: Callable[..., Site], method: str, path: str) -> None:
    site = limited(storage="database", max=2, options={"disabled_paths": ["/sign-out"]})
    preflight = {"Origin": "https://other.example.com", "Access-Control-Request-Method": "POST"}
    for _ in range(5):
        answer = site.browser().request(method, path, headers={**preflight})
        assert answer.status_code == (204 if method == "OPTIONS" else 404)
    assert rows(site) == []
    site.browser().get("/ok")
    assert rows(site) == [("127.0.0.1|/ok", 1)]


# ---------------------------------------------------------------- races (SECURITY S17)


def test_s17_of_many_requests_at_once_no_more_get_through(
    limited: Callable[..., Site], storage: str, request: pytest.FixtureRequest
) -> None:
    rounds, threads = (200, 64) if request.config.getoption("--races") == "full" else (10, 16)
    site = limited(storage=storage, max=5, window=3600)
    for number in range(rounds):
        at = address(number)
        answers = at_once(threads, lambda _, at=at: site.browser().get("/ok", environ_base={"REMOTE_ADDR": at}))
        assert statuses(answers) == {200: 5, 429: threads - 5}


def test_s17_counting_in_memory_is_one_step() -> None:
    class Slow(OrderedDict[str, tuple[int, int]]):
        """Lets another thread in between reading and writing, if one comes."""

        def get(self, *key: Any) -> Any:
            found = super().get(*key)
            with suppress(threading.BrokenBarrierError):
                meeting.wait(0.2)
            return found

    meeting, window = threading.Barrier(2), MemoryWindow()
    window._entries = Slow()
    assert Counter(at_once(2, lambda _: window.hit(item_of(Limit(1, per=60)), "key"))) == {True: 1, False: 1}


def test_a_storage_that_nobody_knows_is_refused_without_its_password(limited: Callable[..., Site]) -> None:
    with pytest.raises(ConfigError, match="BETTER_AUTH_RATE_LIMIT_STORAGE") as refused:
        limited(storage="rediss+x://user:hush@host")
    assert "hush" not in str(refused.value)
