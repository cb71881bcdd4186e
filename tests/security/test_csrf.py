"""SECURITY B: requests that another site makes a browser send."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from conftest import ORIGIN, PASSWORD, Browser, Site, build_site, every_plugin, tear_down
from flask import Response

from flask_better_auth import guards
from flask_better_auth.endpoint import FORM, JSON, Endpoint

EVIL = "https://evil.test"
TRUSTED = "https://trusted.example.com"
SAFE = {"GET", "HEAD", "OPTIONS"}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
ADA = {"email": "ada@example.com", "password": PASSWORD}
CROSS_SITE_NAVIGATION = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
LOGINS = [
    pytest.param("/sign-in/email", ADA, id="sign-in"),
    pytest.param("/sign-up/email", {**ADA, "email": "new@example.com", "name": "New"}, id="sign-up"),
]


@pytest.fixture(scope="module")
def mails() -> list[Any]:
    """What was mailed."""
    return []


@pytest.fixture(scope="module")
def shop(server_url: str | None, tmp_path_factory: pytest.TempPathFactory, mails: list[Any]) -> Iterator[Site]:
    """An application that trusts one more origin and mails whoever signs up twice, with the user Ada."""
    url = server_url or f"sqlite:///{tmp_path_factory.mktemp('csrf')}/test.db"
    options = {
        "trusted_origins": [TRUSTED],
        "table_prefix": "csrf_",
        "plugins": every_plugin(),
        "email_and_password": {
            "auto_sign_in": False,
            "on_existing_user_sign_up": lambda user: mails.append(user),
            "send_reset_password": lambda user, url, token: mails.append(url),
        },
    }
    site = build_site(url, options=options)
    site.sign_up("ada")
    yield site
    tear_down(site)


@pytest.fixture
def ada(shop: Site, mails: list[Any]) -> Browser:
    """A browser that Ada is signed in with, before any mail was sent."""
    browser = shop.browser()
    assert browser.post("/sign-in/email", ADA).status_code == 200
    assert browser.cookies
    mails.clear()
    return browser


@pytest.fixture
def nobody(shop: Site, mails: list[Any]) -> Browser:
    """A browser without cookies, before any mail was sent."""
    mails.clear()
    return shop.browser()


def endpoints(site: Site) -> list[Endpoint]:
    return [b.endpoint for b in site.app.extensions["better_auth"].registry if b.endpoint.path is not None]


def url_of(endpoint: Endpoint) -> str:
    return re.sub("<[^>]+>", "x", endpoint.path or "")


def mutating(site: Site) -> list[tuple[str, str]]:
    """Method and path of every route that may change something."""
    routes = [route for endpoint in endpoints(site) for route in endpoint.routes(additions=True)]
    return [(method, re.sub("<[^>]+>", "x", path)) for method, path in routes if method not in SAFE]


def code(answer: Response) -> str:
    """``ok``, or the code of the error."""
    return "ok" if answer.status_code == 200 else answer.json["code"]


def assert_refused(browser: Browser, wanted: str, send: Callable[[], Response], status: int = 403) -> None:
    before = browser.site.snapshot()
    answer = send()
    assert (answer.status_code, answer.json["code"]) == (status, wanted)
    assert answer.json["message"]
    assert "Set-Cookie" not in answer.headers
    assert browser.site.snapshot() == before


# ---------------------------------------------------------------- every route


def test_b1_the_registry_names_every_route_that_takes_a_body(shop: Site) -> None:
    rules = [rule for rule in shop.app.url_map.iter_rules() if rule.endpoint.startswith("better_auth.")]
    served = {(method, re.sub("<[^>]+>", "x", r.rule)) for r in rules for method in (r.methods or set()) - SAFE}
    assert served == {(method, f"/api/auth{path}") for method, path in mutating(shop)}
    assert {("POST", "/sign-out"), ("PATCH", "/update-user"), ("POST", "/sign-in/username")} <= set(mutating(shop))


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"Origin": EVIL}, "INVALID_ORIGIN"),
        ({"Origin": None, "Referer": EVIL + "/page"}, "INVALID_ORIGIN"),
        ({"Origin": EVIL, "Referer": ORIGIN, "Sec-Fetch-Site": "same-origin"}, "INVALID_ORIGIN"),
        ({"Origin": None}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": "null"}, "MISSING_OR_NULL_ORIGIN"),
    ],
    ids=str,
)
def test_b1_every_mutating_route_refuses_a_foreign_page(ada: Browser, headers: dict[str, Any], wanted: str) -> None:
    before = ada.site.snapshot()
    for method, path in mutating(ada.site):
        answer = ada.request(method, path, headers=headers, json={})
        assert (answer.status_code, answer.json["code"]) == (403, wanted), path
        assert "Set-Cookie" not in answer.headers, path
    assert ada.site.snapshot() == before
    assert ada.session()["user"]["email"] == ADA["email"]


def test_b1_every_mutating_route_is_reached_from_an_own_page(ada: Browser) -> None:
    cookies = dict(ada.cookies)
    for method, path in mutating(ada.site):
        ada.cookies = dict(cookies)
        answer = ada.request(method, path, json={})
        assert answer.status_code not in (404, 415), path
        assert "ORIGIN" not in answer.text, path


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"Origin": ORIGIN}, "ok"),
        ({"Origin": ORIGIN.upper()}, "ok"),
        ({"Origin": TRUSTED}, "ok"),
        ({"Origin": None, "Referer": ORIGIN + "/page?x=1"}, "ok"),
        ({"Origin": "", "Referer": TRUSTED + "/page"}, "ok"),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, "ok"),
        ({"Origin": None}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": ""}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": None, "Sec-Fetch-Site": "same-origin"}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": "null"}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": "null", "Referer": ORIGIN}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": "null", "Sec-Fetch-Site": "same-site"}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": "null", "Sec-Fetch-Site": "none"}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": EVIL}, "INVALID_ORIGIN"),
        ({"Origin": EVIL, "Referer": ORIGIN}, "INVALID_ORIGIN"),
        ({"Origin": EVIL, "Sec-Fetch-Site": "same-origin"}, "INVALID_ORIGIN"),
        ({"Origin": None, "Referer": EVIL + "/" + ORIGIN}, "INVALID_ORIGIN"),
        ({"Origin": ORIGIN + ".evil.test"}, "INVALID_ORIGIN"),
        ({"Origin": ORIGIN + ":8080"}, "INVALID_ORIGIN"),
        ({"Origin": f"{ORIGIN} {EVIL}"}, "INVALID_ORIGIN"),
        ({"Origin": "/"}, "INVALID_ORIGIN"),
        ({"Origin": "localhost"}, "INVALID_ORIGIN"),
    ],
    ids=str,
)
def test_b2_cookies_are_taken_from_trusted_pages_only(ada: Browser, headers: dict[str, Any], wanted: str) -> None:
    before = ada.site.snapshot()
    answer = ada.post("/update-user", {"name": f"Ada {headers}"}, headers=headers)
    assert code(answer) == wanted
    assert (ada.site.snapshot() != before) is (wanted == "ok")


# ---------------------------------------------------------------- signing somebody in


@pytest.mark.parametrize(("path", "body"), LOGINS)
@pytest.mark.parametrize("origin", [EVIL, "null", None, ORIGIN])
def test_b3_form_of_another_site_signs_nobody_in(
    nobody: Browser, mails: list[Any], path: str, body: dict[str, str], origin: str | None
) -> None:
    headers = {**CROSS_SITE_NAVIGATION, "Origin": origin}
    assert_refused(
        nobody,
        "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED",
        lambda: nobody.post(path, data=urlencode(body), content_type=FORM, headers=headers),
    )
    assert mails == []


@pytest.mark.parametrize("site_of_form", ["same-origin", "same-site", "none"])
def test_b3_own_form_signs_in(nobody: Browser, site_of_form: str) -> None:
    headers = {**CROSS_SITE_NAVIGATION, "Sec-Fetch-Site": site_of_form}
    answer = nobody.post("/sign-in/email", data=urlencode(ADA), content_type=FORM, headers=headers)
    assert answer.status_code == 200
    assert nobody.session()["user"]["email"] == ADA["email"]


def test_b3_a_wrong_body_is_refused_before_the_form_is_judged(nobody: Browser) -> None:
    assert_refused(
        nobody,
        "VALIDATION_ERROR",
        lambda: nobody.post("/sign-in/email", {"email": 1}, headers=CROSS_SITE_NAVIGATION),
        status=400,
    )


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"Origin": None}, "ok"),
        ({"Origin": None, "Sec-Fetch-Site": "", "Sec-Fetch-Mode": "", "Sec-Fetch-Dest": ""}, "ok"),
        ({"Origin": ORIGIN}, "ok"),
        ({"Origin": TRUSTED}, "ok"),
        ({"Origin": TRUSTED, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, "ok"),
        ({"Origin": None, "Referer": ORIGIN + "/login"}, "ok"),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}, "ok"),
        ({"Origin": EVIL}, "INVALID_ORIGIN"),
        ({"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, "INVALID_ORIGIN"),
        ({"Origin": EVIL, "Sec-Fetch-Site": "same-origin"}, "INVALID_ORIGIN"),
        ({"Origin": None, "Referer": EVIL}, "INVALID_ORIGIN"),
        ({"Origin": "null"}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": None, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": None, "Sec-Fetch-Site": "same-origin"}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": None, "Sec-Fetch-Mode": "navigate"}, "MISSING_OR_NULL_ORIGIN"),
        ({"Origin": None, "Sec-Fetch-Dest": "document"}, "MISSING_OR_NULL_ORIGIN"),
        ({"Cookie": "theme=dark"}, "ok"),
        ({"Cookie": "theme=dark", "Origin": None}, "MISSING_OR_NULL_ORIGIN"),
        ({"Cookie": "theme=dark", "Origin": EVIL}, "INVALID_ORIGIN"),
        ({"Cookie": "theme=dark", "Origin": EVIL, **CROSS_SITE_NAVIGATION}, "INVALID_ORIGIN"),
    ],
    ids=str,
)
@pytest.mark.parametrize(("path", "body"), LOGINS)
def test_b4_signing_in_and_up_is_for_trusted_pages_and_for_clients_that_are_no_browsers(
    nobody: Browser, mails: list[Any], path: str, body: dict[str, str], headers: dict[str, Any], wanted: str
) -> None:
    body = {**body, "email": ADA["email"]}  # a sign-up with a taken address sends a mail
    if wanted == "ok":
        assert nobody.post(path, body, headers=headers).status_code == 200
        assert len(mails) == (path == "/sign-up/email")
    else:
        assert_refused(nobody, wanted, lambda: nobody.post(path, body, headers=headers))
        assert mails == []


# ---------------------------------------------------------------- media types and methods

BODIES = {
    "/sign-in/email": ADA,
    "/sign-up/email": {**ADA, "name": "Ada"},
    "/update-user": {"name": "Other"},
    "/request-password-reset": {"email": ADA["email"]},
    "/sign-out": {},
}
FOREIGN_TYPES = [
    FORM,
    "text/plain",
    "text/plain;charset=UTF-8",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/jsonp",
    "application/vnd.api+json",
    "text/plain, application/json",
    "application/json, text/plain",
    "*/*",
]


@pytest.mark.parametrize("path", BODIES)
def test_b5_json_is_taken_by_its_media_type(ada: Browser, path: str) -> None:
    for media_type in (JSON, "application/json; charset=utf-8", "Application/JSON"):
        answer = ada.post(path, data=json.dumps(BODIES[path]), content_type=media_type)
        assert answer.status_code == 200, media_type


@pytest.mark.parametrize("media_type", FOREIGN_TYPES)
def test_b5_other_media_types_are_refused_by_every_route_with_a_body(
    ada: Browser, mails: list[Any], media_type: str
) -> None:
    before = ada.site.snapshot()
    tried = []
    for endpoint in endpoints(ada.site):
        if endpoint.body is None or media_type in endpoint.media_types:
            continue
        tried.append(endpoint.path)
        data = json.dumps(BODIES.get(endpoint.path or "", {}))
        answer = ada.post(url_of(endpoint), data=data, content_type=media_type)
        assert (answer.status_code, answer.json["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE"), endpoint
        assert "Set-Cookie" not in answer.headers
    assert {"/update-user", "/request-password-reset", "/sign-out"} <= set(tried)
    assert media_type == FORM or set(BODIES) <= set(tried)
    assert ada.site.snapshot() == before
    assert mails == []


@pytest.mark.parametrize("path", [path for path in BODIES if path != "/sign-out"])
def test_b5_body_without_a_media_type_is_no_body(ada: Browser, mails: list[Any], path: str) -> None:
    assert_refused(ada, "VALIDATION_ERROR", lambda: ada.post(path, data=json.dumps(BODIES[path])), status=400)
    assert mails == []


overrides = pytest.mark.parametrize(
    ("where", "name"),
    [
        ("headers", "X-HTTP-Method-Override"),
        ("headers", "X-HTTP-Method"),
        ("headers", "X-Method-Override"),
        ("query_string", "_method"),
        ("query_string", "unrelated"),
    ],
)


@overrides
def test_b6_no_route_is_reached_by_another_method(ada: Browser, mails: list[Any], where: str, name: str) -> None:
    before = ada.site.snapshot()
    for endpoint in endpoints(ada.site):
        for method in set(METHODS).difference(method for method, _ in endpoint.routes(additions=True)):
            body = {} if method in SAFE else {"json": BODIES.get(endpoint.path or "", {})}
            answer = ada.request(method, url_of(endpoint), **{where: {name: endpoint.methods[0]}}, **body)
            assert (answer.status_code, answer.data) == (404, b""), (method, endpoint)
            assert "Set-Cookie" not in answer.headers
    assert ada.site.snapshot() == before
    assert mails == []


@overrides
def test_b6_a_route_keeps_the_method_it_was_called_by(ada: Browser, where: str, name: str) -> None:
    answer = ada.post("/update-user", {"name": f"Ada {name}"}, **{where: {name: "DELETE"}})
    assert answer.json == {"status": True}
    assert ada.session()["user"]["name"] == f"Ada {name}"


def test_b10_no_get_route_starts_a_sign_in(nobody: Browser, mails: list[Any]) -> None:
    """A picture of another site must not begin what ends with a session."""
    before, state = nobody.site.snapshot(), nobody.site.app.extensions["better_auth"]
    starting = [e for e in endpoints(nobody.site) if re.match(r"/(sign-in|sign-up|link)", e.path or "")]
    assert {e.path for e in starting} >= {"/sign-in/email", "/sign-up/email", "/sign-in/username"}
    assert [e.path for e in starting if not SAFE.isdisjoint(e.methods)] == []
    reading = [e for e in endpoints(nobody.site) if "GET" in e.methods]
    for path in {*map(url_of, starting), *map(url_of, reading)}:
        answer = nobody.get(
            path, query_string=ADA, headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
        )
        assert nobody.cookies == {}, path
        assert answer.status_code == 404 or path in set(map(url_of, reading))
    assert nobody.site.snapshot() == before
    assert mails == []
    assert state.config.base_path == "/api/auth"


def test_b6_fields_in_the_query_change_nothing(ada: Browser) -> None:
    before = ada.site.snapshot()
    assert ada.get("/update-user", query_string={"name": "x", "_method": "POST"}).status_code == 404
    assert ada.get("/sign-out", query_string={"_method": "POST"}).status_code == 404
    assert ada.post("/update-user", {}, query_string={"name": "x"}).status_code == 400
    assert ada.post("/update-user", {"_method": "DELETE"}).status_code == 400
    assert ada.site.snapshot() == before


# ---------------------------------------------------------------- exemptions


ENDING = {
    "/sign-out": ...,
    "/revoke-session": {"token": "<own>"},
    "/revoke-sessions": {},
    "/change-password": {"currentPassword": PASSWORD, "newPassword": PASSWORD, "revokeOtherSessions": True},
}


@pytest.mark.parametrize("path", ENDING)
@pytest.mark.parametrize("headers", [{"Origin": EVIL}, {"Origin": None}, {"Origin": "null"}], ids=str)
def test_b9_another_site_signs_nobody_out(ada: Browser, headers: dict[str, Any], path: str) -> None:
    own = ada.session()["session"]["token"]
    body = {"token": own} if path == "/revoke-session" else ENDING[path]
    assert ada.post(path, body, headers={**CROSS_SITE_NAVIGATION, **headers}).status_code == 403
    assert ada.session()["session"]["token"] == own
    assert ada.post(path, body).status_code == 200
    session = ada.session()
    assert session is None or session["session"]["token"] != own


def test_b3_no_form_of_another_site_reaches_a_sign_in_that_does_not_judge_forms(nobody: Browser) -> None:
    """Without a check of its own, a route that signs in takes what only scripts send: a browser asks first, and is not
    answered."""
    unjudged = [
        endpoint
        for endpoint in endpoints(nobody.site)
        if (endpoint.path or "").startswith("/sign-") and guards.form_csrf not in endpoint.guards
    ]
    assert [endpoint.path for endpoint in unjudged] == ["/sign-out", "/sign-in/social", "/sign-in/username"]
    for endpoint in unjudged:
        for media_type in (FORM, "text/plain", "multipart/form-data; boundary=x"):
            data = json.dumps({"username": "ada", "password": PASSWORD})
            assert_refused(
                nobody,
                "UNSUPPORTED_MEDIA_TYPE",
                lambda: nobody.post(url_of(endpoint), data=data, content_type=media_type, headers={"Origin": EVIL}),  # noqa: B023
                status=415,
            )
        asking = {"Origin": EVIL, "Access-Control-Request-Method": "POST"}
        preflight = nobody.request("OPTIONS", url_of(endpoint), headers=asking)
        assert not [name for name in preflight.headers.keys() if name.lower().startswith("access-control-allow")]


def probes(site: Site) -> dict[str, str]:
    """What each sort of attack brings, with ``ok`` for one that succeeds."""
    ada, target = site.sign_up("ada"), {**ADA, "callbackURL": EVIL}
    nobody = site.browser
    answers = {
        "foreign page": ada.post("/update-user", {"name": "A"}, headers={"Origin": EVIL}),
        "no page": ada.post("/update-user", {"name": "B"}, headers={"Origin": None}),
        "foreign login": nobody().post("/sign-in/email", ADA, headers={"Origin": EVIL}),
        "foreign login with cookies": ada.post("/sign-in/email", ADA, headers={"Origin": EVIL}),
        "foreign form": nobody().post("/sign-in/email", ADA, headers=CROSS_SITE_NAVIGATION),
        "foreign target": nobody().post("/sign-in/email", target),
    }
    assert site.browser().post("/sign-in/email", ADA).status_code == 200
    return {name: code(answer) for name, answer in answers.items()}


REFUSALS = {
    "foreign page": "INVALID_ORIGIN",
    "no page": "MISSING_OR_NULL_ORIGIN",
    "foreign login": "INVALID_ORIGIN",
    "foreign login with cookies": "INVALID_ORIGIN",
    "foreign form": "CROSS_SITE_NAVIGATION_LOGIN_BLOCKED",
    "foreign target": "INVALID_CALLBACK_URL",
}
PAGES = {"foreign page", "no page"}
LOGIN_PAGES = {"foreign login", "foreign login with cookies"}


@pytest.mark.parametrize(
    ("csrf", "origin", "allowed"),
    [
        (None, False, set()),
        (False, False, set()),
        (True, False, set(REFUSALS) - {"foreign target"}),
        (None, True, set(REFUSALS)),
        (False, True, set(REFUSALS) - {"foreign form"}),
        (True, True, set(REFUSALS)),
        (None, ["/sign-in"], {*LOGIN_PAGES, "foreign target"}),
        (False, ["/sign-in"], {*LOGIN_PAGES, "foreign target"}),
        (True, ["/sign-in"], set(REFUSALS)),
        (None, ["/update-user"], PAGES),
        (False, [], set()),
    ],
)
def test_switches_turn_off_what_they_name_and_no_more(
    make_auth: Callable[..., Site], csrf: bool | None, origin: bool | list[str], allowed: set[str]
) -> None:
    site = make_auth(advanced={"disable_csrf_check": csrf, "disable_origin_check": origin})
    assert probes(site) == {name: "ok" if name in allowed else refusal for name, refusal in REFUSALS.items()}


@pytest.mark.parametrize(
    ("exempt", "covered"),
    [
        ("/sign-in/email", True),
        ("/sign-in", True),
        ("/sign-in/", True),
        ("/sign-in/em", False),
        ("/sign-in/email/more", False),
        ("/sign", False),
        ("/Sign-In", False),
        ("sign-in", False),
        ("/sign-in/*", False),
        ("/public/data", False),
    ],
)
def test_b8_exempt_path_covers_itself_and_what_is_below(
    make_auth: Callable[..., Site], exempt: str, covered: bool
) -> None:
    site = make_auth(advanced={"disable_origin_check": [exempt]})
    site.sign_up("ada")
    answer = site.browser().post("/sign-in/email", ADA, headers={"Origin": EVIL})
    assert code(answer) == ("ok" if covered else "INVALID_ORIGIN")


def test_b8_dot_segments_borrow_no_exemption(make_auth: Callable[..., Site]) -> None:
    site = make_auth(advanced={"disable_origin_check": ["/sign-out"]})
    ada = site.sign_up("ada")
    before = site.snapshot()
    for joint in ("/../", "/%2e%2e/", "//../", ";/"):
        answer = ada.post(f"/sign-out{joint}update-user", {"name": "Other"}, headers={"Origin": EVIL})
        assert (answer.status_code, answer.data) == (404, b""), joint
    assert ada.post("/update-user", {"name": "Other"}, headers={"Origin": EVIL}).json["code"] == "INVALID_ORIGIN"
    assert site.snapshot() == before
    assert ada.post("/sign-out", headers={"Origin": EVIL}).json == {"success": True}
