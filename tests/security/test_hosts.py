"""SECURITY C: host, proxy and base URL are the deployment's to say, not the client's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import PASSWORD, Browser, Site, build_site, tear_down
from flask import Response
from werkzeug.middleware.proxy_fix import ProxyFix

URL = "https://app.example.com"
ADA = {"email": "ada@example.com", "password": PASSWORD}
PRODUCTION = {"TESTING": False, "BETTER_AUTH_URL": None}
ALLOWED = "app.example.com,b.example.com:8443,[2001:db8::1]"

FORGED: list[dict[str, Any]] = [
    {"Host": "evil.test"},
    {"Host": "evil.test:443"},
    {"Host": "app.example.com.evil.test"},
    {"Host": "app.example.com@evil.test"},
    {"X-Forwarded-Host": "evil.test"},
    {"X-Forwarded-Host": "app.example.com, evil.test"},
    {"X-Forwarded-Server": "evil.test"},
    {"X-Host": "evil.test"},
    {"X-HTTP-Host-Override": "evil.test"},
    {"X-Original-Host": "evil.test"},
    {"X-Original-URL": "https://evil.test/api/auth/ok"},
    {"X-Rewrite-URL": "https://evil.test/api/auth/ok"},
    {"Forwarded": "host=evil.test;proto=http"},
    {"X-Forwarded-Port": "666"},
    {"X-Forwarded-Proto": "http"},
    {"X-Forwarded-Scheme": "http"},
    {"X-Forwarded-Prefix": "/evil"},
    {"Origin": "https://evil.test", "Referer": "https://evil.test/"},
]
forged = pytest.mark.parametrize("headers", FORGED, ids=lambda h: "-".join(map("=".join, h.items())))

MakeAuth = Callable[..., Site]


@pytest.fixture(scope="module")
def mails() -> list[str]:
    """The links that were mailed."""
    return []


@pytest.fixture(autouse=True)
def _no_mail_yet(mails: list[str]) -> None:
    mails.clear()


@pytest.fixture(scope="module")
def build(
    server_url: str | None, tmp_path_factory: pytest.TempPathFactory, mails: list[str]
) -> Iterator[Callable[..., Site]]:
    """Builds applications with the user Ada, side by side in one database."""
    made: list[Site] = []

    def make(settings: dict[str, Any], **options: Any) -> Site:
        url = server_url or f"sqlite:///{tmp_path_factory.mktemp('hosts')}/test.db"
        options = {
            "table_prefix": f"hosts{len(made)}_",
            "email_and_password": {"send_reset_password": lambda user, url, token: mails.append(url)},
            **options,
        }
        site = build_site(url, settings, options=options)
        made.append(site)
        site.api.create_user(name="Ada", email=ADA["email"], password=PASSWORD)
        return site

    yield make
    for site in made:
        tear_down(site)


@pytest.fixture(scope="module")
def configured(build: Callable[..., Site]) -> Site:
    """An application that knows its base URL."""
    return build({"BETTER_AUTH_URL": URL})


@pytest.fixture(scope="module")
def hosted(build: Callable[..., Site]) -> Site:
    """An application that knows the hosts it may be called by."""
    return build({"BETTER_AUTH_URL": None, "BETTER_AUTH_ALLOWED_HOSTS": ALLOWED})


@pytest.fixture(scope="module")
def deployed(build: Callable[..., Site]) -> Site:
    """The same in production."""
    return build({**PRODUCTION, "BETTER_AUTH_ALLOWED_HOSTS": ALLOWED}, password_hash="argon2id")


@pytest.fixture(scope="module")
def local(build: Callable[..., Site]) -> Site:
    """An application under test that knows nothing."""
    return build({"BETTER_AUTH_URL": None})


def ask_for_reset(browser: Browser, headers: dict[str, Any], **options: Any) -> Response:
    headers = {"Origin": None, **headers}
    return browser.post("/request-password-reset", {"email": ADA["email"]}, headers=headers, **options)


def sign_in(browser: Browser, headers: dict[str, Any], **options: Any) -> Response:
    return browser.post("/sign-in/email", ADA, headers={"Origin": None, **headers}, **options)


def assert_link(mails: list[str], start: str) -> None:
    (link,) = mails
    assert link.startswith(f"{start}/api/auth/reset-password/"), link
    assert "evil" not in link


# ---------------------------------------------------------------- a configured base URL


def test_c1_link_uses_the_configured_url(configured: Site, mails: list[str]) -> None:
    assert ask_for_reset(configured.browser(), {"Host": "app.example.com"}).status_code == 200
    assert_link(mails, URL)


@forged
def test_c1_no_header_changes_the_link(configured: Site, mails: list[str], headers: dict[str, str]) -> None:
    assert ask_for_reset(configured.browser(), headers).status_code == 200
    assert_link(mails, URL)


def test_c1_absolute_request_line_does_not_change_the_link(configured: Site, mails: list[str]) -> None:
    line = "http://evil.test/api/auth/request-password-reset"
    overrides = {"RAW_URI": line, "REQUEST_URI": line, "SERVER_NAME": "evil.test", "SERVER_PORT": "666"}
    assert ask_for_reset(configured.browser(), {}, environ_overrides=overrides).status_code == 200
    assert_link(mails, URL)


def test_c1_path_of_the_configured_url_is_kept(build: Callable[..., Site], mails: list[str]) -> None:
    site = build({"BETTER_AUTH_URL": URL + "/shop/"})
    assert ask_for_reset(site.browser(), {"Host": "evil.test"}).status_code == 200
    assert_link(mails, URL + "/shop")


@pytest.mark.parametrize("host", ["evil.test", "evil.test:443"])
def test_c1_host_of_the_request_is_no_trusted_origin(configured: Site, host: str) -> None:
    browser = configured.browser()
    own = browser.post("/sign-in/email", {**ADA, "callbackURL": URL + "/in"}, headers={"Origin": URL, "Host": host})
    assert own.status_code == 200
    before = configured.snapshot()
    foreign = browser.post("/sign-in/email", ADA, headers={"Origin": "https://evil.test", "Host": host})
    assert (foreign.status_code, foreign.json["code"]) == (403, "INVALID_ORIGIN")
    body = {**ADA, "callbackURL": "https://evil.test/in"}
    target = browser.post("/sign-in/email", body, headers={"Origin": URL, "Host": host})
    assert (target.status_code, target.json["code"]) == (403, "INVALID_CALLBACK_URL")
    assert configured.snapshot() == before


# ---------------------------------------------------------------- allowed hosts


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("app.example.com", "app.example.com"),
        ("APP.Example.com", "app.example.com"),
        ("app.example.com:80", "app.example.com"),
        ("b.example.com:8443", "b.example.com:8443"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_c2_allowed_host_is_served(hosted: Site, mails: list[str], host: str, shown: str) -> None:
    assert hosted.browser().get("/ok", headers={"Host": host}).json == {"ok": True}
    assert ask_for_reset(hosted.browser(), {"Host": host}).status_code == 200
    assert_link(mails, f"http://{shown}")


FOREIGN_HOSTS = [
    "evil.test",
    "localhost",
    "127.0.0.1",
    "example.com",
    "a.app.example.com",
    "evilapp.example.com",
    "app.example.com.evil.test",
    "app.example.com.",
    "app.example.com@evil.test",
    "evil.test@app.example.com",
    "app.example.com:8000@evil.test",
    "app.example.com:evil",
    "app.example.com:80:81",
    "evil.test:app.example.com",
    "app.example.com/evil",
    "app.example.com#",
    "app.example.com evil.test",
    "app.example.com, evil.test",
    "b.example.com",
    "b.example.com:80",
    "[2001:db8::2]",
    "[",
    ":80",
    "",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_c2_other_hosts_are_refused(hosted: Site, mails: list[str], host: str) -> None:
    before = hosted.snapshot()
    for forwarded in ({}, {"X-Forwarded-Host": "app.example.com", "Forwarded": "host=app.example.com"}):
        for send in (ask_for_reset, sign_in):
            answer = send(hosted.browser(), {"Host": host, **forwarded})
            assert (answer.status_code, answer.json["code"]) == (421, "INVALID_HOST")
            assert answer.json["message"]
            assert "Set-Cookie" not in answer.headers
    assert mails == []
    assert hosted.snapshot() == before


def test_c2_every_route_asks_for_the_host(hosted: Site) -> None:
    endpoints = [b.endpoint for b in hosted.app.extensions["better_auth"].registry if b.endpoint.path is not None]
    routes = [(method, e.path.replace("<", "").replace(">", "")) for e in endpoints for method in e.methods]
    for method, path in routes:
        body = {} if method == "GET" else {"json": {}}
        answer = hosted.browser().request(method, path, headers={"Host": "evil.test"}, **body)
        assert (answer.status_code, answer.json["code"]) == (421, "INVALID_HOST"), path
    assert ("GET", "/error") in routes


@pytest.mark.parametrize(
    "headers", [h for h in FORGED if not {"Host", "Origin"} & set(h)], ids=lambda h: "-".join(map("=".join, h.items()))
)
def test_c2_no_other_header_names_the_host(hosted: Site, mails: list[str], headers: dict[str, str]) -> None:
    assert ask_for_reset(hosted.browser(), {"Host": "app.example.com", **headers}).status_code == 200
    assert_link(mails, "http://app.example.com")


def test_c2_hosts_are_held_to_in_production_too(deployed: Site, mails: list[str]) -> None:
    for host in ("evil.test", "localhost"):
        answer = ask_for_reset(deployed.browser(), {"Host": host})
        assert (answer.status_code, answer.json["code"]) == (421, "INVALID_HOST")
    assert ask_for_reset(deployed.browser(), {"Host": "app.example.com"}).status_code == 200
    assert_link(mails, "http://app.example.com")


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        ("http://app.example.com", "app.example.com", 200),
        ("http://b.example.com:8443", "b.example.com:8443", 200),
        ("https://app.example.com", "app.example.com", 403),
        ("http://b.example.com:8443", "app.example.com", 403),
        ("http://evil.test", "app.example.com", 403),
        ("http://evil.test", "evil.test", 421),
    ],
)
def test_c2_own_origin_is_the_host_that_was_called(hosted: Site, origin: str, host: str, status: int) -> None:
    assert sign_in(hosted.browser(), {"Origin": origin, "Host": host}).status_code == status


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]", "[::1]:5000"])
def test_c2_loopback_is_allowed_under_test(local: Site, mails: list[str], host: str) -> None:
    assert ask_for_reset(local.browser(), {"Host": host}).status_code == 200
    assert_link(mails, f"http://{host}")


@pytest.mark.parametrize(
    "host", ["evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "localhost@evil.test", "127.0.0.2", "0.0.0.0"]
)
def test_c2_only_loopback_is_allowed_under_test(local: Site, mails: list[str], host: str) -> None:
    answer = ask_for_reset(local.browser(), {"Host": host})
    assert (answer.status_code, answer.json["code"]) == (421, "INVALID_HOST")
    assert mails == []


def test_c2_loopback_is_allowed_in_debug(make_auth: MakeAuth) -> None:
    site = make_auth(settings={**PRODUCTION, "DEBUG": True})
    assert site.browser().get("/ok", headers={"Host": "localhost:5000"}).json == {"ok": True}
    assert site.browser().get("/ok", headers={"Host": "evil.test"}).status_code == 421


def test_c2_production_without_a_name_answers_nobody_and_says_so(
    make_auth: MakeAuth, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        site = make_auth(settings=PRODUCTION, password_hash="argon2id")
    assert "BETTER_AUTH_URL" in caplog.text
    for host in ("localhost", "127.0.0.1", "[::1]", "app.example.com"):
        answer = site.browser().get("/ok", headers={"Host": host})
        assert (answer.status_code, answer.json["code"]) == (421, "INVALID_HOST")


def test_c2_allowed_hosts_replace_loopback_under_test(make_auth: MakeAuth) -> None:
    site = make_auth(settings={"BETTER_AUTH_URL": None}, allowed_hosts=["app.example.com"])
    assert site.browser().get("/ok", headers={"Host": "app.example.com"}).status_code == 200
    assert site.browser().get("/ok", headers={"Host": "localhost"}).status_code == 421


# ---------------------------------------------------------------- nothing is remembered


def test_c3_first_request_decides_nothing(build: Callable[..., Site], mails: list[str]) -> None:
    site = build({"BETTER_AUTH_URL": None}, allowed_hosts=["app.example.com", "b.example.com"])
    environ = {"SCRIPT_NAME": "/evil"}
    assert ask_for_reset(site.browser(), {"Host": "evil.test"}, environ_overrides=environ).status_code == 421
    assert ask_for_reset(site.browser(), {"Host": "b.example.com"}, environ_overrides=environ).status_code == 200
    mails.clear()
    for host in ("app.example.com", "b.example.com", "app.example.com"):
        assert ask_for_reset(site.browser(), {"Host": host}).status_code == 200
        assert_link(mails, f"http://{host}")
        mails.clear()
        assert sign_in(site.browser(), {"Host": host, "Origin": f"http://{host}"}).status_code == 200
    assert sign_in(site.browser(), {"Host": "app.example.com", "Origin": "http://b.example.com"}).status_code == 403


def test_c3_first_request_decides_nothing_beside_a_configured_url(build: Callable[..., Site], mails: list[str]) -> None:
    site = build({"BETTER_AUTH_URL": URL})
    assert sign_in(site.browser(), {"Host": "evil.test", "Origin": "http://evil.test"}).status_code == 403
    assert ask_for_reset(site.browser(), {"Host": "app.example.com"}).status_code == 200
    assert_link(mails, URL)


# ---------------------------------------------------------------- the scheme

INSECURE: list[dict[str, Any]] = [
    {},
    {"X-Forwarded-Proto": "http"},
    {"X-Forwarded-Scheme": "http"},
    {"X-Forwarded-Protocol": "http"},
    {"X-Forwarded-Ssl": "off"},
    {"X-Url-Scheme": "http"},
    {"Front-End-Https": "off"},
    {"Forwarded": "proto=http"},
]


def assert_secure(answer: Response) -> None:
    assert answer.status_code == 200, answer.data
    lines = answer.headers.getlist("Set-Cookie")
    assert lines
    for line in lines:
        assert line.startswith("__Secure-better-auth."), line
        assert "; Secure" in line


@pytest.mark.parametrize("headers", INSECURE, ids=str)
@pytest.mark.parametrize("fixed", [False, True], ids=["bare", "ProxyFix"])
def test_c4_no_header_drops_secure_from_cookies(
    configured: Site, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], fixed: bool
) -> None:
    if fixed:
        monkeypatch.setattr(configured.app, "wsgi_app", ProxyFix(configured.app.wsgi_app, x_proto=1))
    browser = configured.browser()
    assert_secure(sign_in(browser, headers))
    assert_secure(browser.post("/update-user", {"name": "Ada"}, headers={"Origin": URL, **headers}))
    assert_secure(browser.post("/sign-out", headers={"Origin": URL, **headers}))


def test_c4_plain_http_base_url_has_plain_cookies(site: Site) -> None:
    site.sign_up("ada")
    answer = sign_in(site.browser(), {"X-Forwarded-Proto": "https"})
    (line,) = answer.headers.getlist("Set-Cookie")
    assert line.startswith("better-auth.session_token=")
    assert "Secure" not in line


def test_c4_production_without_a_base_url_has_secure_cookies(deployed: Site) -> None:
    assert_secure(sign_in(deployed.browser(), {"Host": "app.example.com", "X-Forwarded-Proto": "http"}))


@pytest.mark.parametrize(
    ("sent", "scheme"),
    [("https", "https"), ("http, https", "https"), ("https, http", "http"), ("https,https", "https")],
)
def test_c4_the_last_scheme_counts_behind_a_proxy(
    hosted: Site, mails: list[str], monkeypatch: pytest.MonkeyPatch, sent: str, scheme: str
) -> None:
    monkeypatch.setattr(hosted.app, "wsgi_app", ProxyFix(hosted.app.wsgi_app, x_proto=1))
    headers = {"Host": "app.example.com", "X-Forwarded-Proto": sent, "X-Forwarded-Host": "evil.test"}
    assert ask_for_reset(hosted.browser(), headers).status_code == 200
    assert_link(mails, f"{scheme}://app.example.com")
    other = {"http": "https", "https": "http"}[scheme]
    assert sign_in(hosted.browser(), {**headers, "Origin": f"{scheme}://app.example.com"}).status_code == 200
    assert sign_in(hosted.browser(), {**headers, "Origin": f"{other}://app.example.com"}).status_code == 403


def test_c4_without_a_proxy_no_header_names_the_scheme(hosted: Site, mails: list[str]) -> None:
    headers = {"Host": "app.example.com", "X-Forwarded-Proto": "https"}
    assert ask_for_reset(hosted.browser(), headers).status_code == 200
    assert_link(mails, "http://app.example.com")
    assert sign_in(hosted.browser(), {**headers, "Origin": URL}).status_code == 403


# ---------------------------------------------------------------- the prefix

PREFIXES: list[dict[str, Any]] = [
    {"headers": {name: "/evil"}}
    for name in ("X-Forwarded-Prefix", "Script-Name", "X-Script-Name", "X-Forwarded-Path", "X-Forwarded-Uri")
]


def paths_of(answer: Response) -> set[str]:
    assert answer.status_code == 200, answer.data
    return {
        part.partition("=")[2]
        for line in answer.headers.getlist("Set-Cookie")
        for part in line.split("; ")
        if part.lower().startswith("path=")
    }


@pytest.mark.parametrize("spoof", [*PREFIXES, {"environ_overrides": {"SCRIPT_NAME": "/evil"}}], ids=str)
@pytest.mark.parametrize("fixed", [False, True], ids=["bare", "ProxyFix"])
def test_c5_prefix_changes_neither_link_nor_cookie_path(
    configured: Site, mails: list[str], monkeypatch: pytest.MonkeyPatch, spoof: dict[str, Any], fixed: bool
) -> None:
    if fixed:
        monkeypatch.setattr(configured.app, "wsgi_app", ProxyFix(configured.app.wsgi_app, x_proto=1))
    browser = configured.browser()
    headers, more = spoof.get("headers", {}), {k: v for k, v in spoof.items() if k != "headers"}
    assert ask_for_reset(browser, headers, **more).status_code == 200
    assert_link(mails, URL)
    assert paths_of(sign_in(browser, headers, **more)) == {"/"}
    assert paths_of(browser.post("/sign-out", headers={"Origin": URL, **headers}, **more)) == {"/"}


@pytest.mark.parametrize("spoof", PREFIXES, ids=str)
def test_c5_no_header_names_the_prefix_without_a_base_url(local: Site, mails: list[str], spoof: dict[str, Any]) -> None:
    headers = {"Host": "localhost", **spoof["headers"]}
    assert ask_for_reset(local.browser(), headers).status_code == 200
    assert_link(mails, "http://localhost")
    assert paths_of(sign_in(local.browser(), headers)) == {"/"}


def test_c5_the_server_names_the_prefix_where_no_base_url_does(local: Site, mails: list[str]) -> None:
    environ = {"SCRIPT_NAME": "/shop"}
    assert ask_for_reset(local.browser(), {"Host": "localhost"}, environ_overrides=environ).status_code == 200
    assert_link(mails, "http://localhost/shop")
    assert paths_of(sign_in(local.browser(), {"Host": "localhost"}, environ_overrides=environ)) == {"/"}
