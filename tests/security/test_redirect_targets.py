"""SECURITY A: where a browser may be sent after a request, and the page that shows errors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from conftest import DISGUISED, PASSWORD, Browser, Site, build_site, tear_down
from flask import Response

TRUSTED = ("https://app.example.com", "https://*.example.com", "http://192.168.*.*", "myapp://callback")
ADA = "ada@example.com"
_numbers = itertools.count()


class Input(NamedTuple):
    """A field that names a target, and what its refusals say."""

    path: str
    field: str
    code: str
    label: str
    in_query: bool = False

    def body(self) -> dict[str, Any]:
        email = f"new{next(_numbers)}@example.com" if self.path == "/sign-up/email" else ADA
        body = {"email": email, "password": PASSWORD, "name": "New"}
        return {"email": email} if self.path == "/request-password-reset" else body

    def send(self, browser: Browser, target: Any) -> Response:
        if self.in_query:
            return browser.post(self.path, self.body(), query_string={self.field: target})
        return browser.post(self.path, {**self.body(), self.field: target})


SIGN_IN = Input("/sign-in/email", "callbackURL", "INVALID_CALLBACK_URL", "callbackURL")
SIGN_UP = SIGN_IN._replace(path="/sign-up/email")
RESET = Input("/request-password-reset", "redirectTo", "INVALID_REDIRECT_URL", "redirectURL")
INPUTS = [
    SIGN_IN,
    SIGN_UP,
    RESET,
    SIGN_IN._replace(in_query=True),
    Input("/sign-in/email", "errorCallbackURL", "INVALID_ERROR_CALLBACK_URL", "errorCallbackURL"),
    Input("/sign-in/email", "newUserCallbackURL", "INVALID_NEW_USER_CALLBACK_URL", "newUserCallbackURL"),
]
every_input = pytest.mark.parametrize(
    "field", [pytest.param(i, id=f"{i.path}{'?' if i.in_query else ' '}{i.field}") for i in INPUTS]
)
declared = pytest.mark.parametrize("field", [SIGN_IN, SIGN_UP, RESET], ids=["sign-in", "sign-up", "reset"])


@pytest.fixture(scope="module")
def mails() -> list[str]:
    """The links that were mailed."""
    return []


@pytest.fixture(scope="module")
def shop(server_url: str | None, tmp_path_factory: pytest.TempPathFactory, mails: list[str]) -> Iterator[Site]:
    """An application that trusts one origin of each sort, with the user Ada."""
    url = server_url or f"sqlite:///{tmp_path_factory.mktemp('targets')}/test.db"
    options = {
        "trusted_origins": TRUSTED,
        "table_prefix": "targets_",
        "email_and_password": {"send_reset_password": lambda user, url, token: mails.append(url)},
    }
    site = build_site(url, options=options)
    site.sign_up("ada")
    yield site
    tear_down(site)


@pytest.fixture
def browser(shop: Site, mails: list[str]) -> Browser:
    """Nobody's browser, before any mail was sent."""
    mails.clear()
    return shop.browser()


def assert_refused(field: Input, browser: Browser, mails: list[str], target: Any) -> None:
    before = browser.site.snapshot()
    answer = field.send(browser, target)
    assert (answer.status_code, answer.json["code"]) == (403, field.code)
    assert answer.json["message"] == f"Invalid {field.label}"
    assert_nothing_happened(answer, browser, mails, before)


def assert_nothing_happened(answer: Response, browser: Browser, mails: list[str], before: Any) -> None:
    assert "Set-Cookie" not in answer.headers
    assert "Location" not in answer.headers
    assert mails == []
    assert browser.site.snapshot() == before


@every_input
@pytest.mark.parametrize(
    "target",
    [
        "/dash?x=1#y",
        "/a?next=https://evil.test",
        "https://app.example.com/in",
        "https://a.example.com",
        "http://192.168.1.5/in",
        "myapp://callback/in",
    ],
)
def test_trusted_targets_are_where_the_browser_goes(
    browser: Browser, mails: list[str], field: Input, target: str
) -> None:
    answer = field.send(browser, target)
    assert answer.status_code == 200, answer.data
    goes_on = field is SIGN_IN
    assert answer.headers.getlist("Location") == ([target] if goes_on else [])
    assert answer.json.get("url") == (target if goes_on else None)
    if field is RESET:
        (link,) = mails
        assert link.endswith(f"?callbackURL={quote(target, safe='')}")
    else:
        assert len(browser.cookies) == 1


@every_input
def test_a1_foreign_target_is_refused(browser: Browser, mails: list[str], field: Input) -> None:
    assert_refused(field, browser, mails, "https://evil.test")


@every_input
@pytest.mark.parametrize("target", DISGUISED)
def test_a2_disguised_foreign_target_is_refused(browser: Browser, mails: list[str], field: Input, target: str) -> None:
    assert_refused(field, browser, mails, target)


@every_input
@pytest.mark.parametrize(
    "target",
    [
        "https://app.example.com@evil.test",
        "https://app.example.com.evil.test",
        "https://evil.test#app.example.com",
        "https://evil.test?https://app.example.com",
        "https://evil.test/https://app.example.com",
        "https://app.example.com:443@evil.test",
        "https://app.example.com:8443",
        "https://app.example.c\u043em",
    ],
)
def test_a3_lookalike_of_a_trusted_origin_is_refused(
    browser: Browser, mails: list[str], field: Input, target: str
) -> None:
    assert_refused(field, browser, mails, target)


@every_input
@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:msgbox(1)",
        "JaVaScRiPt:alert(1)",
        "\x01javascript:alert(1)",
        "java\nscript:alert(1)",
        "javascript://app.example.com/%0aalert(1)",
        "javascript://callback/%0aalert(1)",
    ],
)
def test_a4_script_is_no_target(browser: Browser, mails: list[str], field: Input, target: str) -> None:
    assert_refused(field, browser, mails, target)


@every_input
@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test/.example.com",
        "https://evil.test?.example.com",
        "https://evil.test#.example.com",
        "https://a.example.com.evil.test",
        "https://evil.test\\.example.com",
        "http://a.example.com",
        "https://example.com",
        "https://evilexample.com",
    ],
)
def test_a6_wildcard_covers_subdomains_only(browser: Browser, mails: list[str], field: Input, target: str) -> None:
    assert_refused(field, browser, mails, target)


@every_input
@pytest.mark.parametrize("target", ["http://192.168.attacker.com", "http://192.168.1.attacker.com"])
def test_a7_pattern_of_digits_covers_addresses_only(
    browser: Browser, mails: list[str], field: Input, target: str
) -> None:
    assert_refused(field, browser, mails, target)


@every_input
@pytest.mark.parametrize("target", ["myapp://callback.evil", "myapp://x@callback", "myapp://callback\n"])
def test_a8_custom_scheme_is_held_to_its_authority(
    browser: Browser, mails: list[str], field: Input, target: str
) -> None:
    assert_refused(field, browser, mails, target)


@every_input
@pytest.mark.parametrize("target", ["/ok\r\nSet-Cookie: a=b", "/ok\nx", "/ok\rx"])
def test_a9_line_breaks_inject_no_header(browser: Browser, mails: list[str], field: Input, target: str) -> None:
    assert_refused(field, browser, mails, target)


@every_input
@pytest.mark.parametrize("start", ["/", "https://app.example.com/", "myapp://callback/"])
def test_a9_target_of_ten_kilobytes_is_refused(browser: Browser, mails: list[str], field: Input, start: str) -> None:
    assert_refused(field, browser, mails, start.ljust(10_240, "a"))


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/ok", "/ok"),
        ("/\u00e9t\u00e9 <b>", "/%C3%A9t%C3%A9%20%3Cb%3E"),
        ("/ok?x=%0d%0aSet-Cookie:a=b", "/ok?x=%0d%0aSet-Cookie:a=b"),
        ("/\U0001f600", "/%F0%9F%98%80"),
    ],
)
def test_a9_there_is_one_location_and_it_is_ascii(browser: Browser, target: str, location: str) -> None:
    answer = SIGN_IN.send(browser, target)
    assert answer.status_code == 200
    assert answer.headers.getlist("Location") == [location]
    assert [line.partition("=")[0] for line in answer.headers.getlist("Set-Cookie")] == ["better-auth.session_token"]


@pytest.mark.parametrize("field", [i for i in INPUTS if not i.in_query], ids=lambda i: f"{i.path} {i.field}")
@pytest.mark.parametrize("target", [["https://evil.test"], {"a": "/dash"}, [], {}, 1, 1.5, True], ids=json.dumps)
def test_a11_target_that_is_no_text_is_refused(browser: Browser, mails: list[str], field: Input, target: Any) -> None:
    before = browser.site.snapshot()
    answer = field.send(browser, target)
    assert (answer.status_code, answer.json) == (400, {"message": f"Invalid {field.label}: expected a string"})
    assert_nothing_happened(answer, browser, mails, before)


@declared
@pytest.mark.parametrize("target", [0, False, None], ids=json.dumps)
def test_a11_empty_target_that_is_no_text_is_refused(
    browser: Browser, mails: list[str], field: Input, target: Any
) -> None:
    before = browser.site.snapshot()
    answer = field.send(browser, target)
    assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")
    assert f"[body.{field.field}]" in answer.json["message"]
    assert_nothing_happened(answer, browser, mails, before)


@declared
def test_empty_target_is_none(browser: Browser, field: Input) -> None:
    answer = field.send(browser, "")
    assert answer.status_code == 200
    assert "Location" not in answer.headers


def test_the_server_may_send_its_users_anywhere(shop: Site) -> None:
    result = shop.api.sign_in_email(email=ADA, password=PASSWORD, callback_url="https://partner.test/in")
    assert result["url"] == "https://partner.test/in"


# ---------------------------------------------------------------- the error page

SCRIPT = "<script>alert(1)</script>"
BAD_CODES = [SCRIPT, "a b", "a/b", 'x"y', "a\nb", "a\r\nSet-Cookie: a=b", "\u00e9t\u00e9", "a" * 201, ""]
DESCRIPTIONS = [
    SCRIPT,
    "<img src=x onerror=alert(1)>",
    "\"'><b>&amp;",
    "{code}",
    "\r\nSet-Cookie: a=b",
    "\u00e9t\u00e9",
]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An application as it is deployed."""
    settings = {"TESTING": False, "BETTER_AUTH_URL": "https://app.example.com"}
    options = {"password_hash": "argon2id"}
    site = build_site(f"sqlite:///{tmp_path_factory.mktemp('production')}/test.db", settings, options=options)
    yield site
    tear_down(site)


@pytest.mark.parametrize("code", ["state_not_found", "Abc_-09"])
def test_a10_error_page_shows_the_code(browser: Browser, code: str) -> None:
    answer = browser.get("/error", query_string={"error": code, "error_description": "Some words"})
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    assert f"<code>{code}</code>" in answer.text
    assert "Some words" in answer.text


@pytest.mark.parametrize("code", BAD_CODES)
def test_a10_error_page_shows_no_text_as_a_code(browser: Browser, code: str) -> None:
    answer = browser.get("/error", query_string={"error": code})
    assert answer.status_code == 200
    assert "<code>UNKNOWN</code>" in answer.text
    assert SCRIPT not in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_a10_error_page_escapes_the_description(browser: Browser, description: str) -> None:
    plain = browser.get("/error", query_string={"error": "x", "error_description": "word"})
    answer = browser.get("/error", query_string={"error": "x", "error_description": description})
    assert (answer.status_code, answer.content_type) == (200, "text/html; charset=utf-8")
    page = answer.text.partition("<p><code>x</code></p><p>")[2].partition("</p>")[0]
    assert page, answer.text
    assert not set(page) & set("<>\"'")
    assert answer.text.replace(page, "word") == plain.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("code", ["state_not_found", *BAD_CODES])
def test_a10_in_production_the_code_goes_to_the_application(production: Site, code: str) -> None:
    answer = production.browser().get("/error", query_string={"error": code})
    shown = "UNKNOWN" if code in BAD_CODES else code
    assert (answer.status_code, answer.data) == (302, b"")
    assert answer.headers.getlist("Location") == [f"/?error={shown}"]
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("description", DESCRIPTIONS)
def test_a10_in_production_the_description_stays_in_the_query(production: Site, description: str) -> None:
    query = {"error": "access_denied", "error_description": description}
    answer = production.browser().get("/error", query_string=query)
    (location,) = answer.headers.getlist("Location")
    assert location.startswith("/?error=access_denied&error_description=")
    assert not set(location) & set("<>\"'\r\n ")
    assert parse_qs(urlsplit(location).query) == {name: [value] for name, value in query.items()}
    assert "Set-Cookie" not in answer.headers
