"""What a parser, a hook or a path can do to the server: oversized and broken input, exceptions, aliases, leaks."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from io import BytesIO, RawIOBase
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

import pytest
from argon2 import PasswordHasher, Type
from conftest import FAST, ORIGIN, PASSWORD, SECRET, Browser, Site, build_site, tear_down
from flask import Flask, Response, got_request_exception
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, exc, update
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.test import create_environ
from werkzeug.wrappers import Request

from flask_better_auth import BetterAuth, ConfigError, DatabaseHooks, Hooks, signals, views, wire
from flask_better_auth.api import APIError
from flask_better_auth.context import Call, Record, Reply
from flask_better_auth.endpoint import FORM
from flask_better_auth.hooks import Hook

BASE = "/api/auth"
MAX_BODY = 65536
TABLES = ("user", "account", "session")
ROUTED = [endpoint for routes in views.CORE for endpoint in routes if endpoint.path]
#: Every route below the base path with each of its methods, and those that take a body.
EVERY = [(e, method, (BASE + e.path).encode()) for e in ROUTED for method in e.methods]
TAKING = [(e, method, path) for e, method, path in EVERY if method != "GET" and e.body is not None]
ADA = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}


class Boom(Exception):
    """What the application's code raises here."""


@pytest.fixture(scope="module")
def shared(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One application for the many requests that are refused; ``ada`` has signed up."""
    url = server_url or f"sqlite:///{tmp_path_factory.mktemp('parser')}/test.db"
    site = build_site(url, options={"table_prefix": "shared_"})  # other tests drop tables of their own
    site.sign_up("ada")
    yield site
    tear_down(site)


def wsgi(
    site: Site,
    method: str,
    path: bytes,
    *,
    query: bytes = b"",
    headers: dict[str, bytes] | None = None,
    body: Any = None,
    **environ: Any,
) -> Response:
    """Hand the application a request whose bytes no client has tidied up."""
    made = create_environ(method=method, base_url=ORIGIN)
    made.update(PATH_INFO=path.decode("latin-1"), QUERY_STRING=query.decode("latin-1"), HTTP_ORIGIN=ORIGIN)
    made["RAW_URI"] = made["REQUEST_URI"] = quote(path) + "?" + query.decode("latin-1")
    if body is not None:
        made["wsgi.input"] = BytesIO(body) if isinstance(body, bytes) else body
    if isinstance(body, bytes):
        made.update(CONTENT_LENGTH=str(len(body)), CONTENT_TYPE="application/json")
    for name, value in (headers or {}).items():
        key = name.upper().replace("-", "_")
        made[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value.decode("latin-1")
    made.update(environ)
    # a request object is sent as it is, everything else would be normalised
    return site.app.test_client(use_cookies=False).open(Request(made), buffered=True)


CALLBACK = "http://localhost/api/auth/callback/"


def is_of(answer: Response, endpoint: Any) -> bool:
    """Whether an endpoint has answered: by a page, by JSON, by an error with a message, or, where browsers come back
    from providers, by a redirect to a place of our own."""
    if endpoint.name == "callback_oauth" and answer.status_code == 302:
        return answer.headers["Location"].startswith(("http://localhost/api/auth/error?error=", CALLBACK))
    if answer.status_code >= 400:
        return bool(answer.json["message"])
    return answer.mimetype == ("text/html" if endpoint.path == "/error" else "application/json")


def shown(answer: Response) -> tuple[int, bytes]:
    """What a client sees."""
    return answer.status_code, answer.data


# ---------------------------------------------------------------- T1


class Endless(RawIOBase):
    """A body of a hundred megabytes that counts what is read of it."""

    def __init__(self) -> None:
        self.read_so_far = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), 100_000_000 - self.read_so_far)
        buffer[:size] = b" " * size
        self.read_so_far += size
        return size


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the bodies that the JSON parser got."""
    lengths: list[int] = []
    original = wire.parse_json

    def parse_json(text: bytes, **options: Any) -> Any:
        lengths.append(len(text))
        return original(text, **options)

    monkeypatch.setattr(wire, "parse_json", parse_json)
    return lengths


def padded(length: int) -> bytes:
    """A JSON object of so many bytes."""
    return b'{"pad":"' + b"x" * (length - 10) + b'"}'


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
@pytest.mark.parametrize("media_type", ["application/json", "application/x-www-form-urlencoded", ""])
def test_t1_body_over_the_bound_is_refused_unparsed(
    shared: Site, parsed: list[int], media_type: str, chunked: bool
) -> None:
    framing: dict[str, Any] = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""} if chunked else {}
    headers = {"Content-Type": media_type.encode()}
    for endpoint, method, path in TAKING:
        answer = wsgi(shared, method, path, body=padded(MAX_BODY + 1), headers=headers, **framing)
        assert (answer.status_code, answer.json.get("code")) == (413, "PAYLOAD_TOO_LARGE"), endpoint
        assert answer.json["message"]
        assert parsed == []
        answer = wsgi(shared, method, path, body=padded(MAX_BODY), headers=headers, **framing)
        assert answer.status_code not in (413, 500), endpoint
        assert parsed == ([MAX_BODY] if media_type == "application/json" else [])
        parsed.clear()


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
def test_t1_hundred_megabytes_are_not_read(shared: Site, parsed: list[int], chunked: bool) -> None:
    body = Endless()
    framing: dict[str, Any] = {"wsgi.input_terminated": True} if chunked else {"CONTENT_LENGTH": "100000000"}
    headers = {"Content-Type": b"application/json"}
    answer = wsgi(shared, "POST", b"/api/auth/sign-in/email", body=body, headers=headers, **framing)
    assert (answer.status_code, answer.json["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert body.read_so_far <= 2 * MAX_BODY
    assert parsed == []


@pytest.mark.parametrize("framing", [{"wsgi.input_terminated": True}, {"CONTENT_LENGTH": "100000000"}], ids=str)
def test_t1_body_that_an_endpoint_does_not_take_is_not_read(
    shared: Site, parsed: list[int], framing: dict[str, Any]
) -> None:
    ignoring = [entry for entry in EVERY if entry not in TAKING]
    assert len(ignoring) >= 4
    for endpoint, method, path in ignoring:
        body = Endless()
        answer = wsgi(shared, method, path, body=body, headers={"Content-Type": b"application/json"}, **framing)
        assert answer.status_code < 500, endpoint
        assert (body.read_so_far, parsed) == (0, []), endpoint


def test_t1_body_without_a_length_that_is_not_chunked_is_no_body(shared: Site, parsed: list[int]) -> None:
    body = Endless()  # reading it would wait for a client that has nothing more to say
    headers = {"Content-Type": b"application/json"}
    answer = wsgi(shared, "POST", b"/api/auth/sign-in/email", body=body, headers=headers)
    assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")
    assert (body.read_so_far, parsed) == (0, [])


def test_t1_bound_can_be_configured(make_auth: Callable[..., Site]) -> None:
    browser = make_auth(max_body=200).browser()
    assert browser.post("/sign-up/email", {**ADA, "image": "x" * 200}).status_code == 413
    assert browser.post("/sign-up/email", ADA).status_code == 200


# ---------------------------------------------------------------- T2

TOKEN, MARK = b"better-auth.session_token", b"better-auth.dont_remember"
COOKIES = {
    "ten thousand": b"; ".join(b"c%d=v" % i for i in range(10_000)),
    "ten thousand of our name": b"; ".join([TOKEN + b"=v"] * 10_000),
    "64 kB": TOKEN + b"=" + b"a." * 32_768,
    "invalid UTF-8": b"\xff\xfe=\x80; " + TOKEN + b"=\xff\xfe\x80." + b"\xe4" * 44 + b"; " + MARK + b"=\xc3(",
    "percent junk": TOKEN + b"=%ff%fe%zz%.%00%; " + MARK + b"=%u0041%",
    "encoded invalid UTF-8": TOKEN + b"=a." + b"%ff" * 44 + b"; " + MARK + b"=%ed%a0%80." + b"%ed%a0%80" * 44,
    "no cookies at all": b'=;;==;,;" ;\x7f\x01; \\;' + TOKEN + b"; " + MARK + b'="',
}
HEADERS = {
    "user agent of 64 kB": {"User-Agent": b"a" * 65_536},
    "user agent of 64 kB in Latin-1": {"User-Agent": b"\xff" * 65_536},
    "user agent with NUL": {"User-Agent": b"a\0b"},
    "accept of 64 kB": {"Accept": b"text/html;q=0.1," * 4096},
    "authorization": {"Authorization": b"Bearer \xff\xfe" + b"a" * 65_536},
    "content length of letters": {"Content-Length": b"abc"},
    "content length below zero": {"Content-Length": b"-1"},
    "content length of thirty digits": {"Content-Length": b"9" * 30},
    "content type of 64 kB": {"Content-Type": b"application/json; " + b"a" * 65_536},
    "content type": {"Content-Type": b"\xff\xfe/;;=;charset=\xff"},
    "range": {"Range": b"bytes=-\xff", "If-Modified-Since": b"\xff", "If-None-Match": b"\xff"},
    "referer": {"Referer": b"http://[::1/\xff"},
    "method override": {"X-HTTP-Method-Override": b"\xff", "Transfer-Encoding": b"\xff"},
}
HOSTS = [b"\xff\xfe", b"[::1", b"a" * 65_536, b"localhost:99999999", b"localhost:x", b"a@b", b"a/b", b"%ff", b" "]
ORIGINS = [b"\xff\xfe", b"http://[::1", b"http://" + b"a" * 65_536, b"http://localhost:x", b"%ff", b"http://\x00"]
QUERIES = {
    "invalid UTF-8": b"\xff=\xfe&error=\xff\xfe&callbackURL=\xc3(&disableRefresh=\x80",
    "percent junk": b"%=%&%zz=%u0041&error=%ff%fe&error_description=%ed%a0%80&disableRefresh=%",
    "NUL": b"error=%00&error_description=a%00b&disableCookieCache=%00",
    "64 kB": b"error=" + b"x" * 65_536,
    "ten thousand": b"&".join(b"error=%d" % i for i in range(10_000)),
    "separators": b"&&==&=&;;&error&&#?",
}
PATHS = {
    "invalid UTF-8": b"/\xff\xfe",
    "truncated UTF-8": b"/ok\xc3",
    "NUL": b"/ok\0",
    "line feed": b"/ok\r\nX: y",
    "percent junk": b"/%zz%",
    "64 kB": b"/" + b"a" * 65_536,
    "many segments": b"/a" * 32_768,
    "many slashes": b"/" * 65_536,
    "surrogate": b"/\xed\xa0\x80",
}
BODIES = {
    "invalid UTF-8": b'{"email":"\xff\xfe"}',
    "UTF-16": '{"email":"a"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"email":"a"}',
    "encoded surrogate": b'{"email":"\xed\xa0\x80"}',
    "escaped surrogate": b'{"email":"\\ud800"}',
    "NUL": b"\0",
    "percent junk": b"email=%ff%zz&password=%",
    "no end": b'{"email":',
    "nesting": b"[" * 60_000,
    "long number": b'{"email":' + b"9" * 60_000 + b"}",
}


@pytest.mark.parametrize("cookie", COOKIES.values(), ids=COOKIES)
def test_t2_broken_cookies_are_no_cookies(shared: Site, cookie: bytes) -> None:
    for endpoint, method, path in EVERY:
        body = None if method == "GET" else b"{}"
        without = wsgi(shared, method, path, body=body)
        answer = wsgi(shared, method, path, body=body, headers={"Cookie": cookie})
        assert answer.status_code < 500, endpoint
        assert shown(answer) == shown(without), endpoint


@pytest.mark.parametrize("cookie", COOKIES.values(), ids=COOKIES)
def test_t2_session_is_found_beside_broken_cookies(shared: Site, cookie: bytes) -> None:
    browser = shared.browser()
    signed_in = browser.post("/sign-in/email", {"email": ADA["email"], "password": PASSWORD})
    others = cookie.replace(TOKEN + b"=", b"t=")
    headers = {"Cookie": TOKEN + b"=" + browser.cookies[TOKEN.decode()].encode() + b"; " + others}
    answer = wsgi(shared, "GET", b"/api/auth/get-session", headers=headers)
    assert answer.json["session"]["token"] == signed_in.json["token"]


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
def test_t2_broken_headers_are_no_failure(shared: Site, headers: dict[str, bytes]) -> None:
    for endpoint, method, path in EVERY:
        answer = wsgi(shared, method, path, headers=headers)
        assert answer.status_code < 500, endpoint
        assert is_of(answer, endpoint), endpoint


@pytest.mark.parametrize("value", HOSTS, ids=range(len(HOSTS)))
def test_t2_broken_hosts_are_no_failure(shared: Site, value: bytes) -> None:
    for endpoint, method, path in EVERY:
        assert wsgi(shared, method, path, headers={"Host": value}).status_code < 500, endpoint


@pytest.mark.parametrize("value", ORIGINS, ids=range(len(ORIGINS)))
def test_t2_broken_origins_are_foreign_origins(shared: Site, value: bytes) -> None:
    for endpoint, method, path in EVERY:
        answer = wsgi(shared, method, path, headers={"Origin": value, "Cookie": b"a=b"})
        assert answer.status_code < 500, endpoint
        if method != "GET":
            assert (answer.status_code, answer.json["code"]) == (403, "INVALID_ORIGIN"), endpoint


@pytest.mark.parametrize("agent", [h["User-Agent"] for n, h in HEADERS.items() if "agent" in n], ids=len)
def test_t2_user_with_a_broken_user_agent_can_use_everything(make_auth: Callable[..., Site], agent: bytes) -> None:
    site = make_auth()
    browser, headers = site.browser(), {"User-Agent": agent.decode("latin-1")}
    assert browser.post("/sign-up/email", ADA, headers=headers).status_code == 200
    assert browser.post("/sign-in/email", ADA, headers=headers).status_code == 200
    stored = browser.get("/get-session", headers=headers).json["session"]["userAgent"]
    assert stored
    assert headers["User-Agent"].replace("\0", "").startswith(stored)
    assert len(browser.get("/list-sessions", headers=headers).json) == 2
    assert browser.post("/update-user", {"name": "Ada"}, headers=headers).status_code == 200
    assert browser.post("/sign-out", headers=headers).status_code == 200


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_t2_broken_queries_are_no_failure(shared: Site, query: bytes) -> None:
    for endpoint, method, path in EVERY:
        answer = wsgi(shared, method, path, query=query, body=None if method == "GET" else b"{}")
        assert answer.status_code < 500, endpoint
        assert is_of(answer, endpoint), endpoint


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_t2_broken_paths_are_unknown_paths(shared: Site, path: bytes) -> None:
    for prefix in (b"/api/auth", b"/api/auth/sign-in"):
        for method in ("GET", "POST"):
            answer = wsgi(shared, method, prefix + path)
            assert shown(answer) == (404, b"")
            assert "Content-Type" not in answer.headers


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_t2_broken_bodies_are_bad_requests(shared: Site, body: bytes) -> None:
    for endpoint, method, path in TAKING:
        for media_type in endpoint.media_types:
            answer = wsgi(shared, method, path, body=body, headers={"Content-Type": media_type.encode()})
            assert answer.status_code < 500, endpoint
            assert is_of(answer, endpoint), endpoint
            # every text is a form, and nothing in one has to be there for a browser that is sent round
            assert answer.status_code >= 400 or (endpoint.name, media_type) == ("callback_oauth", FORM), endpoint
            if media_type == "application/json":
                assert (answer.status_code, answer.json["code"]) == (400, "BAD_REQUEST"), endpoint


def test_t2_form_of_many_fields_is_a_bad_request(shared: Site) -> None:
    def send(fields: int) -> Response:
        form = b"email=ada@example.com&password=" + quote(PASSWORD).encode() + b"&a=" * fields
        headers = {"Content-Type": b"application/x-www-form-urlencoded"}
        return wsgi(shared, "POST", b"/api/auth/sign-in/email", body=form, headers=headers)

    assert (send(10_000).status_code, send(10).status_code) == (400, 200)


# ---------------------------------------------------------------- T4


def boom(*args: Any, **kwargs: Any) -> Any:
    """A hook, a matcher, a receiver or a sender that fails."""
    raise Boom("of the application")


def around(table: str, operation: str, when: str) -> dict[str, Any]:
    """Options with a database hook that fails."""
    return {"database_hooks": DatabaseHooks(**{table: {operation: {when: boom}}})}


@pytest.fixture
def told() -> Iterator[list[Any]]:
    """The exceptions that an error tracker hears of."""
    heard: list[Any] = []

    def hear(sender: Any, exception: Any, **more: Any) -> None:
        heard.append(exception)

    with got_request_exception.connected_to(hear):
        yield heard


def failures(caplog: pytest.LogCaptureFixture) -> list[Any]:
    """The types of the exceptions in the log."""
    return [r.exc_info[0] for r in caplog.records if r.levelno >= logging.ERROR and r.exc_info]


def counts(site: Site) -> list[int]:
    """How many users, accounts and sessions there are."""
    return [len(site.rows(table)) for table in TABLES]


#: What fails during a sign-up, and how many users, accounts and sessions there are afterwards.
FAILING: dict[str, tuple[dict[str, Any], list[int]]] = {
    "before hook": ({"hooks": Hooks(before=boom)}, [0, 0, 0]),
    "matcher of a before hook": ({"hooks": Hooks(before=Hook(lambda call: None, boom))}, [0, 0, 0]),
    "after hook": ({"hooks": Hooks(after=boom)}, [1, 1, 1]),
    "matcher of an after hook": ({"hooks": Hooks(after=Hook(lambda call: None, boom))}, [1, 1, 1]),
    "before a user is made": (around("user", "create", "before"), [0, 0, 0]),
    "before an account is made": (around("account", "create", "before"), [0, 0, 0]),
    "before a session is made": (around("session", "create", "before"), [0, 0, 0]),
}


@pytest.mark.parametrize(("options", "rows"), FAILING.values(), ids=FAILING)
def test_t4_failing_hook_is_an_empty_500_and_nothing_half_written(
    make_auth: Callable[..., Site],
    told: list[Any],
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    rows: list[int],
) -> None:
    site = make_auth(settings={"DEBUG": True}, **options)
    answer = site.browser().post("/sign-up/email", ADA)
    assert shown(answer) == (500, b"")
    assert not {"Content-Type", "Set-Cookie"} & set(answer.headers.keys())
    assert counts(site) == rows
    assert [type(e) for e in told] == [Boom]
    assert failures(caplog) == [Boom]


@pytest.mark.parametrize(("options", "rows"), FAILING.values(), ids=FAILING)
def test_t4_failing_hook_reaches_the_caller_of_the_api(
    make_auth: Callable[..., Site], options: dict[str, Any], rows: list[int]
) -> None:
    site = make_auth(settings={"DEBUG": True}, **options)
    with pytest.raises(Boom):
        site.api.sign_up_email(body=ADA)
    assert counts(site) == rows


@pytest.mark.parametrize(
    ("table", "operation", "path", "body"),
    [("user", "update", "/update-user", {"name": "Eve"}), ("session", "delete", "/sign-out", {})],
)
def test_t4_failing_hook_before_a_change_leaves_the_row(
    make_auth: Callable[..., Site], table: str, operation: str, path: str, body: dict[str, Any]
) -> None:
    site = make_auth(settings={"DEBUG": True}, **around(table, operation, "before"))
    browser = site.sign_up("ada")
    before = site.snapshot()
    answer = browser.post(path, body)
    assert shown(answer) == (500, b"")
    assert "Set-Cookie" not in answer.headers
    assert site.snapshot() == before
    assert browser.session()["user"]["name"] == "Ada"


AFTER = {
    "after a user is made": around("user", "create", "after"),
    "after an account is made": around("account", "create", "after"),
    "after a session is made": around("session", "create", "after"),
}


@pytest.mark.parametrize("options", AFTER.values(), ids=AFTER)
def test_t4_failing_work_after_the_commit_changes_no_answer(
    make_auth: Callable[..., Site], door: Any, caplog: pytest.LogCaptureFixture, options: dict[str, Any]
) -> None:
    site, heard = make_auth(settings={"DEBUG": True}, **options), []

    def hear(sender: Any, **more: Any) -> None:
        heard.append(more["user"]["email"])

    with signals.user_signed_in.connected_to(hear, sender=site.app):
        answer = door(site)("sign_up_email", ADA)
    assert answer.status_code == 200
    assert answer.json["user"]["email"] == ADA["email"]
    assert "Set-Cookie" in answer.headers
    assert counts(site) == [1, 1, 1]
    assert failures(caplog) == [Boom]
    assert heard == [ADA["email"]]  # the work behind it is done all the same


@pytest.mark.parametrize(
    ("signal", "name", "body", "status"),
    [
        (signals.user_signed_up, "sign_up_email", ADA, 200),
        (signals.user_signed_in, "sign_in_email", ADA, 200),
        (signals.sign_in_failed, "sign_in_email", {**ADA, "password": "wrong password"}, 401),
        (signals.session_revoked, "sign_out", {}, 200),
    ],
    ids=["signed up", "signed in", "sign-in failed", "session revoked"],
)
def test_t4_failing_receiver_of_a_signal_changes_no_answer(
    make_auth: Callable[..., Site],
    door: Any,
    caplog: pytest.LogCaptureFixture,
    signal: Any,
    name: str,
    body: dict[str, Any],
    status: int,
) -> None:
    site = make_auth(settings={"DEBUG": True})
    invoke, answers = door(site), []
    for who, receivers in (("ada", []), ("bob", [boom])):
        cookies = {} if name == "sign_up_email" else site.sign_up(who).cookies
        sent = {**body, "email": f"{who}@example.com"} if body else body
        with contextlib.ExitStack() as stack:
            for receiver in receivers:
                stack.enter_context(signal.connected_to(receiver, sender=site.app))
            answers.append(invoke(name, sent, cookies=cookies))
    regular, failed = answers
    assert failed.status_code == regular.status_code == status
    assert [name for name, _ in failed.headers] == [name for name, _ in regular.headers]
    assert failed.json.keys() == regular.json.keys()
    assert failures(caplog) == [Boom]
    assert PASSWORD not in caplog.text


def test_t4_failing_sender_of_a_reset_link_changes_no_answer(
    make_auth: Callable[..., Site], door: Any, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[dict[str, Any]] = []

    def send(**message: Any) -> None:
        sent.append(message)
        raise Boom("the mail server is away")

    site = make_auth(settings={"DEBUG": True}, email_and_password={"send_reset_password": send})
    site.sign_up("ada")
    invoke = door(site)
    known, unknown = (invoke("request_password_reset", {"email": f"{who}@example.com"}) for who in ("ada", "eve"))
    assert shown(known) == shown(unknown)
    assert known.status_code == 200
    assert failures(caplog) == [Boom]
    (message,) = sent
    (row,) = site.rows("verification")
    assert row.identifier == f"reset-password:{message['token']}"
    assert message["token"] not in caplog.text


def test_t4_failing_notice_of_a_taken_address_changes_no_answer(
    make_auth: Callable[..., Site], door: Any, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"auto_sign_in": False, "on_existing_user_sign_up": boom}
    site = make_auth(settings={"DEBUG": True}, email_and_password=options)
    invoke = door(site)
    first, second = invoke("sign_up_email", ADA), invoke("sign_up_email", ADA)
    assert first.status_code == second.status_code == 200
    assert first.json["user"].keys() == second.json["user"].keys()
    assert failures(caplog) == [Boom]
    assert counts(site) == [1, 1, 0]


def test_t4_request_that_is_stopped_leaves_nothing_half_written(make_auth: Callable[..., Site]) -> None:
    class Stop(BaseException):
        """As a server's time limit or a greenlet's end is raised, at any point."""

    stopping = [True]

    def stop(data: dict[str, Any], call: Call) -> None:
        if stopping:
            raise Stop

    site = make_auth(database_hooks=DatabaseHooks(session={"create": {"before": stop}}))
    browser = site.browser()
    with pytest.raises(Stop):
        browser.post("/sign-up/email", ADA)
    with site.app.app_context():
        assert site.db.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool counts
    assert counts(site) == [0, 0, 0]
    stopping.clear()
    assert browser.post("/sign-up/email", ADA).status_code == 200


# ---------------------------------------------------------------- T7

#: Other spellings of ``/ok`` and ``/sign-in/email`` below the base path.
ALIASES = {
    "/ok": ["//ok", "/./ok", "/ok;x", "/ok/", "/OK", "/%6fk", "/%6Fk", "/ok%2f", "/ok%00", "/ok.json", "/ok%20",
            "/../auth/ok", "/x/../ok", "/%2e/ok", "/%2e%2e/auth/ok", "/ok/.", "/ok/..;/ok", "/ok%3fx",
            "/ok%23x", "/ok%0a", "%2fok"],
    "/sign-in/email": ["//sign-in/email", "/sign-in//email", "/sign-in/email/", "/Sign-In/Email", "/sign-in/email;x",
                       "/sign-in;x/email", "/sign-in%2femail", "/sign-in%2Femail", "/sign-in/./email",
                       "/sign%2din/email", "/sign-in/%65mail", "/sign-in/x/../email", "/sign-in/email%2f",
                       "/sign-in%252femail", "/sign-in\\email", "/sign-in%5cemail"],
}  # fmt: skip
ALIAS = [pytest.param(path, alias, id=alias) for path, aliases in ALIASES.items() for alias in aliases]
#: The same for the base path itself, which is the host's to answer.
FOREIGN = ["//api/auth/ok", "///api/auth/ok", "/api//auth/ok", "/api/./auth/ok", "/API/auth/ok", "/x/../api/auth/ok",
           "/api%2fauth/ok",
           "/%61pi/auth/ok", "/api/%61uth/ok", "/api/auth%2fok", "/api;x/auth/ok"]  # fmt: skip


class Answer(NamedTuple):
    """What came over a socket."""

    status: int
    content_type: str | None
    body: bytes


class Served:
    """An application behind a real server, and what reached its endpoints."""

    def __init__(self, site: Site, port: int, reached: list[str | None]) -> None:
        self.site, self.port, self.reached = site, port, reached

    def send(self, target: str, method: str = "GET", body: bytes = b"", framing: str | None = None) -> Answer:
        """Send a request whose target is written as it is."""
        length = f"Content-Length: {len(body)}" if framing is None else framing
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nOrigin: {ORIGIN}\r\n"
            f"Content-Type: application/json\r\n{length}\r\nConnection: close\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(head.encode("latin-1") + body)
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            with answer:
                return Answer(answer.status, answer.getheader("Content-Type"), answer.read())


class Quiet(WSGIRequestHandler):
    """Writes no access log."""

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def serve(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Starts servers, each at most once; ``ada`` has signed up."""
    running: dict[Any, tuple[Served, Any, threading.Thread]] = {}

    def start(**options: Any) -> Served:
        key = repr(options)
        if key not in running:
            url = server_url or f"sqlite:///{tmp_path_factory.mktemp('served')}/test.db"
            reached: list[str | None] = []
            hooks = Hooks(before=lambda call: reached.append(call.endpoint.path))
            site = build_site(url, options={"hooks": hooks, "table_prefix": f"served{len(running)}_", **options})
            site.sign_up("ada")
            server = make_server("127.0.0.1", 0, site.app, threaded=True, request_handler=Quiet)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            running[key] = Served(site, server.port, reached), server, thread
        served = running[key][0]
        served.reached.clear()
        return served

    yield start
    for served, server, thread in running.values():
        server.shutdown()
        thread.join()
        server.server_close()
        tear_down(served.site)


def body_for(path: str) -> tuple[str, bytes]:
    """A method and a body that the endpoint takes."""
    if path == "/ok":
        return "GET", b""
    return "POST", json.dumps({"email": ADA["email"], "password": PASSWORD}).encode()


@pytest.mark.parametrize("through", ["socket", "client"])
@pytest.mark.parametrize(("path", "alias"), ALIAS)
def test_t7_alias_of_a_path_reaches_no_endpoint(
    serve: Callable[..., Served], path: str, alias: str, through: str
) -> None:
    served = serve()
    method, body = body_for(path)

    def send(target: str) -> Answer:
        if through == "socket":
            return served.send(BASE + target, method, body)
        answer = served.site.browser().request(method, target, data=body, content_type="application/json")
        return Answer(answer.status_code, answer.headers.get("Content-Type"), answer.data)

    assert send(alias) == (404, None, b"")
    assert served.reached == []
    assert send(path).status == 200
    assert served.reached == [path]


@pytest.mark.parametrize("target", FOREIGN)
def test_t7_alias_of_the_base_path_reaches_no_endpoint(serve: Callable[..., Served], target: str) -> None:
    served = serve()
    answer = wsgi(served.site, "GET", unquote_to_bytes(target), RAW_URI=target, REQUEST_URI=target)
    assert answer.status_code in (308, 404)  # the host's own rules may merge slashes
    assert served.reached == []
    answer = wsgi(served.site, "GET", b"/api/auth/ok")
    assert (answer.status_code, served.reached) == (200, ["/ok"])


@pytest.mark.parametrize("options", [{}, {"advanced": {"skip_trailing_slashes": True}}], ids=["strict", "with slashes"])
def test_t7_disabled_path_is_closed_under_every_spelling(serve: Callable[..., Served], options: dict[str, Any]) -> None:
    closed = serve(disabled_paths=tuple(ALIASES), **options)
    for path, aliases in ALIASES.items():
        method, body = body_for(path)
        assert closed.send(BASE + path, method, body)[::2] == (404, b"Not Found")
        for alias in aliases:
            assert closed.send(BASE + alias, method, body).status == 404, alias
    for target in FOREIGN:
        answer = wsgi(closed.site, "GET", unquote_to_bytes(target), RAW_URI=target, REQUEST_URI=target)
        assert answer.status_code in (308, 404), target
    assert closed.reached == []
    assert closed.send(BASE + "/get-session").status == 200


def test_t7_trailing_slash_is_an_alias_only_where_it_is_asked_for(serve: Callable[..., Served]) -> None:
    served = serve(advanced={"skip_trailing_slashes": True})
    assert [served.send(BASE + p).status for p in ("/ok", "/ok/", "/ok//", "//ok/", "/ok%2f")] == [
        200,
        200,
        404,
        404,
        404,
    ]
    assert served.reached == ["/ok", "/ok"]


def test_t1_chunked_body_over_the_bound_is_refused_by_a_real_server(
    serve: Callable[..., Served], parsed: list[int]
) -> None:
    def send(length: int) -> Answer:
        body = padded(length)
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (body[i : i + 9000] for i in range(0, length, 9000)))
        return served.send(BASE + "/sign-in/email", "POST", chunks + b"0\r\n\r\n", "Transfer-Encoding: chunked")

    served = serve()
    too_large = send(MAX_BODY + 1)
    assert (too_large.status, json.loads(too_large.body)["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert parsed == []
    assert send(MAX_BODY).status == 400
    assert parsed == [MAX_BODY]


# ---------------------------------------------------------------- T10


def start(settings: dict[str, Any], **options: Any) -> BetterAuth:
    """The extension on a new application, in production unless the settings say otherwise."""
    app = Flask("host")
    app.config.update({"SQLALCHEMY_DATABASE_URI": "sqlite://", "BETTER_AUTH_URL": "https://example.com", **settings})
    db = SQLAlchemy()
    db.init_app(app)
    return BetterAuth(app, db=db, **options)


WEAK = {
    "short": "a-secret-of-31-characters-01234",
    "the reference's default": "better-auth-secret-12345678901234567890",
    "of the tutorials": "better-auth-secret-123456789012345678901234567890",
    "one letter": "x" * 64,
    "seven letters": "abcdefg" * 8,
}


@pytest.mark.parametrize("secret", WEAK.values(), ids=WEAK)
def test_t10_weak_secret_is_refused_in_production(secret: str) -> None:
    with pytest.raises(ConfigError, match="BETTER_AUTH_SECRET") as caught:
        start({"BETTER_AUTH_SECRET": secret})
    assert secret not in str(caught.value)
    start({"BETTER_AUTH_SECRET": secret, "TESTING": True})
    start({"BETTER_AUTH_SECRET": secret, "DEBUG": True})


@pytest.mark.parametrize(
    "place",
    [
        lambda secret: {"settings": {"BETTER_AUTH_SECRET": secret}},
        lambda secret: {"settings": {"SECRET_KEY": secret}},
        lambda secret: {"settings": {"SECRET_KEY": secret.encode()}},
        lambda secret: {"settings": {}, "secret": secret},
    ],
    ids=["BETTER_AUTH_SECRET", "SECRET_KEY", "SECRET_KEY in bytes", "an argument"],
)
def test_t10_secret_is_held_to_the_same_wherever_it_comes_from(place: Callable[[str], dict[str, Any]]) -> None:
    with pytest.raises(ConfigError, match="BETTER_AUTH_SECRET"):
        start(**place(WEAK["short"]))
    start(**place(SECRET))


@pytest.mark.parametrize("settings", [{}, {"TESTING": True}, {"DEBUG": True}], ids=str)
def test_t10_missing_secret_is_refused_everywhere(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="BETTER_AUTH_SECRET"):
        start(settings)


def argon2(memory: int, passes: int, kind: Type = Type.ID) -> PasswordHasher:
    """A hasher of so many KiB and passes."""
    return PasswordHasher(memory_cost=memory, time_cost=passes, parallelism=1, type=kind)


@pytest.mark.parametrize(
    "hasher",
    [FAST, argon2(19456, 1), argon2(19455, 2), argon2(47103, 1), argon2(65536, 4, Type.I), argon2(65536, 4, Type.D)],
    ids=["cheapest", "one pass", "little memory", "little memory for one pass", "argon2i", "argon2d"],
)
def test_t10_fast_hasher_is_refused_in_production(hasher: PasswordHasher) -> None:
    with pytest.raises(ConfigError, match="password_hash"):
        start({"BETTER_AUTH_SECRET": SECRET}, password_hash=hasher)
    start({"BETTER_AUTH_SECRET": SECRET, "TESTING": True}, password_hash=hasher)
    start({"BETTER_AUTH_SECRET": SECRET, "DEBUG": True}, password_hash=hasher)


@pytest.mark.parametrize("hasher", [None, "argon2id", "scrypt", argon2(19456, 2), argon2(47104, 1), argon2(12288, 3)])
def test_t10_strong_hasher_is_taken_in_production(hasher: Any) -> None:
    start({"BETTER_AUTH_SECRET": SECRET}, password_hash=hasher)


# ---------------------------------------------------------------- T12


@pytest.fixture
def secrets(make_auth: Callable[..., Site]) -> tuple[Site, Browser, list[str]]:
    """A site with a row of every kind, the user's browser, and every text that must stay hidden."""
    hidden = {"user": {"pin": {"type": "string", "required": False, "returned": False}}}
    site = make_auth(
        user={"additional_fields": hidden["user"]}, email_and_password={"send_reset_password": lambda **m: None}
    )
    browser = site.sign_up("ada", pin="pin-of-ada-0001")
    assert browser.post("/request-password-reset", {"email": ADA["email"]}).status_code == 200
    oauth = {name: f"{name}-of-ada" for name in ("access_token", "refresh_token", "id_token")}
    with site.app.app_context(), site.db.engine.begin() as connection:
        connection.execute(update(site.auth.Account).values(oauth))
    (account,), (session,), (verification,) = (site.rows(t) for t in ("account", "session", "verification"))
    secret = verification.identifier.partition(":")[2]
    return site, browser, [SECRET, account.password, session.token, secret, "pin-of-ada-0001", *oauth.values()]


def assert_hidden(text: str, hidden: list[str]) -> None:
    """None of the secrets is in the text."""
    assert [secret for secret in hidden if secret in text] == []


def test_t12_instances_and_records_hide_secrets(secrets: tuple[Site, Browser, list[str]]) -> None:
    site, _, hidden = secrets
    seen = ""
    for table in (*TABLES, "verification"):
        (row,) = site.rows(table)
        record = Record({c.key: getattr(row, c.key) for c in row.__mapper__.column_attrs})
        seen += str(dict(record))
        new = type(row)(**record)
        for shown_as in (repr(row), str(row), f"{row}", repr([row]), repr(new), repr(record), str(record), f"{record}"):
            assert_hidden(shown_as, hidden)
            assert type(row).__name__ in shown_as or "Record" in shown_as
    assert [secret for secret in hidden if secret not in seen] == [SECRET]  # the rows do hold them


def test_t12_to_dict_has_what_may_leave_the_server(secrets: tuple[Site, Browser, list[str]]) -> None:
    site, _, hidden = secrets
    (user,), (account,) = site.rows("user"), site.rows("account")
    assert_hidden(repr([user.to_dict(), account.to_dict()]), hidden)
    assert user.to_dict()["email"] == ADA["email"]
    assert account.to_dict()["provider_id"] == "credential"
    assert (user.pin, account.access_token) == ("pin-of-ada-0001", "access_token-of-ada")


def test_t12_objects_of_a_call_hide_secrets(make_auth: Callable[..., Site]) -> None:
    seen: list[str] = []
    held: list[str] = []

    def look(call: Call) -> None:
        objects = [call, call.endpoint, call.state, call.config, call.cookies, call.state.cookies, call.returned]
        objects += [call.session, call.user, call.new_session, call.state.passwords, call.db]
        seen.extend(f"{thing!r} {thing}" for thing in objects)
        if isinstance(call.returned, Reply) and call.new_session is not None:
            held.extend([call.new_session.token, call.state.config.secret])

    site = make_auth(hooks=Hooks(before=look, after=look))
    site.sign_up("ada")
    (account,) = site.rows("account")
    assert len(held) == 2
    assert_hidden(" ".join(seen), [*held, account.password, PASSWORD])


def test_t12_error_hides_the_cookies_that_leave_with_it(secrets: tuple[Site, Browser, list[str]]) -> None:
    site, browser, hidden = secrets
    headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
    with pytest.raises(APIError) as caught:
        site.api.update_user(body={}, headers=headers)
    assert_hidden(f"{caught.value!r} {caught.value}", hidden)


def test_t12_configuration_hides_secrets() -> None:
    uri = "postgresql+psycopg://host:password-of-the-database@localhost/app"
    auth = start({"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_DATABASE_URI": uri}, disabled_paths=("/ok",))
    (app,) = auth._apps
    config = app.extensions["better_auth"].config
    for shown_as in (repr(config), str(config), f"{config}", repr(auth), repr(app.extensions["better_auth"])):
        assert_hidden(shown_as, [SECRET, "password-of-the-database"])
    assert "disabled_paths=('/ok',)" in repr(config)
    assert (config.secret, config.database_uri) == (SECRET, uri)


@pytest.mark.parametrize("name", ["BETTER_AUTH_SECRET", "BETTER_AUTH_DATABASE_URI"])
def test_t12_error_of_the_configuration_hides_the_value(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        start({"BETTER_AUTH_SECRET": SECRET, name: ["not-to-be-shown"]})
    assert "not-to-be-shown" not in str(caught.value)


@pytest.mark.parametrize(("table", "column"), [("account", "password"), ("session", "token")])
def test_t12_log_of_a_database_error_hides_secrets(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture, table: str, column: str
) -> None:
    made: list[str] = []

    def note(data: dict[str, Any], call: Call) -> None:
        made.append(data[column])

    def misdirect(connection: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> tuple[str, Any]:
        insert = statement.startswith("INSERT") and f" {table} " in statement.replace("`", "")
        return (statement.replace(table, "nowhere", 1) if insert else statement), parameters

    site = make_auth(database_hooks=DatabaseHooks(**{table: {"create": {"before": note}}}))
    with site.app.app_context():
        event.listen(site.db.engine, "before_cursor_execute", misdirect, retval=True)
    answer = site.browser().post("/sign-up/email", ADA)
    assert answer.status_code in (500, 503)
    (failed,) = failures(caplog)
    assert issubclass(failed, exc.SQLAlchemyError)
    assert len(made) == 1
    assert_hidden(caplog.text, [*made, PASSWORD])
    assert counts(site) == [0, 0, 0]


# ---------------------------------------------------------------- T13


def test_t13_pages_run_no_script_and_fit_in_no_frame(shared: Site) -> None:
    pages = 0
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'"
    for endpoint in ROUTED:
        for query in ({}, {"error": "state_mismatch"}, {"error": hostile, "error_description": hostile}):
            answer = shared.browser().get(endpoint.path, query_string=query)
            if answer.mimetype != "text/html":
                continue
            pages += 1
            policy = [part.strip() for part in answer.headers["Content-Security-Policy"].split(";")]
            assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy)
            assert not [part for part in policy if "unsafe" in part]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-store"
            assert not [word for word in ("<script", "<img", "<style", " style=", "javascript:") if word in answer.text]
    assert pages == 3


def test_t13_error_page_says_what_went_wrong(shared: Site) -> None:
    text = shared.browser().get("/error", query_string={"error": "state_mismatch", "error_description": "a<b"}).text
    assert "state_mismatch" in text
    assert "a&lt;b" in text


# ---------------------------------------------------------------- T14


def test_t14_value_signed_for_one_cookie_is_refused_in_every_other(make_auth: Callable[..., Site]) -> None:
    site = make_auth()
    jar = site.app.extensions["better_auth"].cookies
    token, mark = jar.session_token.name, jar.dont_remember.name
    browser, other = site.browser(), site.browser()
    site.sign_up("ada")
    assert browser.post("/sign-in/email", {**ADA, "rememberMe": False}).status_code == 200
    assert browser.session()["user"]["email"] == ADA["email"]
    before = site.snapshot()
    for source in (token, mark):
        for place in {token, jar.session_data.name, mark} - {source}:
            other.cookies = {place: browser.cookies[source]}
            assert other.session() is None, (source, place)
            assert other.get("/list-sessions").status_code == 401, (source, place)
    assert site.snapshot() == before


@pytest.mark.parametrize("mark_is_genuine", [True, False])
def test_t14_session_token_is_no_mark_that_the_session_is_brief(
    make_auth: Callable[..., Site], mark_is_genuine: bool
) -> None:
    site = make_auth(session={"update_age": 0})
    browser = site.sign_up("ada")
    brief = site.browser()
    assert brief.post("/sign-in/email", {**ADA, "rememberMe": False}).status_code == 200
    token, mark = "better-auth.session_token", "better-auth.dont_remember"
    browser.cookies[mark] = brief.cookies[mark] if mark_is_genuine else brief.cookies[token]
    extended = "Set-Cookie" in browser.get("/get-session").headers
    assert extended is not mark_is_genuine
