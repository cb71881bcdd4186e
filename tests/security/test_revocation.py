"""SECURITY G and T8: what has ended stays ended at every route, and what belongs to the server stays out of reach."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from conftest import ORIGIN, PASSWORD, Browser, Site
from flask import Response
from support.google import GINA, GoogleOnLoopback

from flask_better_auth import Hooks, clock
from flask_better_auth.endpoint import Endpoint
from flask_better_auth.hooks import Hook
from flask_better_auth.wire import Str, wire_name

START = datetime(2026, 10, 25, 0, 30, tzinfo=timezone.utc)  # half an hour before clocks in Europe change
MS, DAY, WEEK = timedelta(milliseconds=1), timedelta(days=1), timedelta(days=7)
NEW = "another good password"
THEME: dict[str, Any] = {
    "session": {"additional_fields": {"theme": {"required": False}}},
    "user": {"change_email": {"enabled": True}, "delete_user": {"enabled": True}},
    "email_verification": {"send_verification_email": lambda **message: None},
    "social_providers": [GoogleOnLoopback.option()],
}
#: Bodies that a live session is needed for, beyond what is made up of the schema.
BODIES: dict[str, dict[str, Any]] = {
    "change_email": {"newEmail": "new@example.com"},
    "delete_user": {"password": PASSWORD},
    "change_password": {"currentPassword": PASSWORD, "newPassword": PASSWORD},
    "set_password": {"newPassword": PASSWORD},
    "verify_password": {"password": PASSWORD},
    "update_session": {"theme": "dark"},
    "update_user": {"name": "Changed"},
    "link_social_account": {"provider": "google"},
}
#: What such a body gets from them while the session lives: the user has a password, and one way of signing in.
REFUSING = ("set_password", "unlink_account")
#: Where a session is asked for.
GUARDS = ("session", "sensitive_session", "fresh_session")
#: Endpoints that ask for it themselves, since server code may name a user instead: about an account of a provider.
ASKING = ("get_access_token", "refresh_token", "account_info")


@pytest.fixture
def standing() -> Iterator[time_machine.Coordinates]:
    """A clock that stands still until it is moved."""
    with time_machine.travel(START, tick=False) as coordinates:
        yield coordinates


def endpoints(site: Site) -> list[Endpoint]:
    return [bound.endpoint for bound in site.app.extensions["better_auth"].registry]


def guarded(site: Site) -> list[Endpoint]:
    """The endpoints that need a session."""
    return [e for e in endpoints(site) if e.name in ASKING or any(guard.__name__ in GUARDS for guard in e.guards)]


def selection(site: Site, endpoint: Endpoint) -> dict[str, Any]:
    """The account of a provider that an endpoint is asked about."""
    if endpoint.name not in ASKING:
        return {}
    return {"accountId": next((row.id for row in site.rows("account") if row.provider_id == "google"), "none")}


def body_of(site: Site, endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.name in ASKING and endpoint.body is not None:
        return selection(site, endpoint)
    if endpoint.name in BODIES or endpoint.body is None:
        return BODIES.get(endpoint.name, {})
    return {endpoint.body.wire_names[n]: "text" for n, f in endpoint.body.fields.items() if isinstance(f, Str)}


def send(site: Site, endpoint: Endpoint, cookies: dict[str, str]) -> list[Response]:
    """What a session gets at an endpoint, at each of its routes and through ``auth.api``."""
    body, answers = body_of(site, endpoint), []
    query = selection(site, endpoint) if endpoint.body is None else {}
    for method, path in endpoint.routes(additions=True):
        browser = site.browser()
        browser.cookies = dict(cookies)
        options = {} if method == "GET" else {"data": json.dumps(body), "content_type": "application/json"}
        answers.append(browser.request(method, re.sub("<.*?>", "x", path), query_string=query, **options))
    headers = {"Origin": ORIGIN, "Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())}
    given = {"body": body} if endpoint.body is not None else {}
    answers.append(getattr(site.api, endpoint.name)(**given, query=query, headers=headers, as_response=True))
    return answers


def with_google(google: GoogleOnLoopback, browser: Browser) -> Browser:
    """The browser, when its user has an account there too."""
    answer = google.link(browser, {**GINA, "email": browser.session()["user"]["email"]})
    assert answer.headers["Location"] == "/home"
    return browser


def another(browser: Browser) -> Browser:
    """A further browser of the same user."""
    other = browser.site.browser()
    assert other.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD}).status_code == 200
    return other


# ---------------------------------------------------------------- G5: replay


def sign_out(victim: Browser, other: Browser) -> Response:
    return victim.post("/sign-out")


def revoke_by_token(victim: Browser, other: Browser) -> Response:
    return other.post("/revoke-session", {"token": victim.session()["session"]["token"]})


def revoke_others(victim: Browser, other: Browser) -> Response:
    return other.post("/revoke-other-sessions")


def revoke_all(victim: Browser, other: Browser) -> Response:
    return other.post("/revoke-sessions")


def change_password(victim: Browser, other: Browser) -> Response:
    return other.post(
        "/change-password", {"currentPassword": PASSWORD, "newPassword": NEW, "revokeOtherSessions": True}
    )


def change_own_password(victim: Browser, other: Browser) -> Response:
    return victim.post(
        "/change-password", {"currentPassword": PASSWORD, "newPassword": NEW, "revokeOtherSessions": True}
    )


def revoke_by_server(victim: Browser, other: Browser) -> Response:
    session_id = victim.session()["session"]["id"]
    answer: Response = victim.site.api.revoke_session(session_id=session_id, as_response=True)
    return answer


def sign_out_by_server(victim: Browser, other: Browser) -> Response:
    answer: Response = victim.site.api.revoke_sessions(user_id=victim.session()["user"]["id"], as_response=True)
    return answer


ENDS = [
    sign_out,
    revoke_by_token,
    revoke_others,
    revoke_all,
    change_password,
    change_own_password,
    revoke_by_server,
    sign_out_by_server,
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_g5_session_that_ended_is_nobodys_at_every_route(
    make_auth: Callable[..., Site], google: GoogleOnLoopback, end: Callable[[Browser, Browser], Response]
) -> None:
    site = make_auth(**THEME)
    victim = with_google(google, site.sign_up("ada"))
    other, cookies = another(victim), dict(victim.cookies)
    ends = ("revoke_session", "revoke_sessions", "revoke_other_sessions", "delete_user")
    walked = guarded(site)
    assert len(walked) >= 13
    for endpoint in walked:
        if endpoint.name not in ends:
            for answer in send(site, endpoint, cookies):  # the session lives, and each route knows it
                assert answer.status_code == (400 if endpoint.name in REFUSING else 200), endpoint
    assert end(victim, other).status_code == 200
    before, asked = site.snapshot(), len(google.provider.log)
    for endpoint in walked:
        for answer in send(site, endpoint, cookies):
            assert (answer.status_code, answer.json["code"]) == (401, "UNAUTHORIZED"), endpoint
            assert "session_token=; " in answer.headers["Set-Cookie"]
    replayed = site.browser()
    replayed.cookies = dict(cookies)
    assert replayed.session() is None
    assert (site.snapshot(), len(google.provider.log)) == (before, asked)


def test_g5_every_endpoint_but_these_needs_a_session(site: Site) -> None:
    open_to_all = {"ok", "error", "sign_up_email", "sign_in_email", "sign_out", "get_session"}
    open_to_all |= {"request_password_reset", "request_password_reset_callback", "reset_password"}
    open_to_all |= {"send_verification_email", "verify_email", "sign_in_social", "callback_oauth"}
    open_to_all |= {"delete_user_callback"}  # it says 404 without a session, as the reference does
    of_the_server = {"create_user", "cleanup"}
    assert {e.name for e in endpoints(site)} - {e.name for e in guarded(site)} == open_to_all | of_the_server


# ---------------------------------------------------------------- G9: the clock


@pytest.mark.parametrize("jump", [timedelta(hours=1), -timedelta(hours=1), -WEEK, 400 * DAY])
def test_g9_a_clock_that_jumps_brings_no_session_back(
    site: Site, standing: time_machine.Coordinates, jump: timedelta
) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    cookies = dict(ada.cookies)
    revoked = another(ada)
    ended = dict(revoked.cookies)
    assert ada.post("/revoke-other-sessions").status_code == 200
    standing.move_to(START + WEEK)
    (endpoint,) = (e for e in guarded(site) if e.name == "verify_password")
    assert {answer.status_code for answer in send(site, endpoint, cookies)} == {401}
    standing.move_to(START + WEEK + jump)
    for jar in (cookies, ended):
        assert {answer.status_code for answer in send(site, endpoint, jar)} == {401}
    standing.move_to(START)
    assert {answer.status_code for answer in send(site, endpoint, cookies)} == {401}
    assert bob.session() is not None


@pytest.mark.parametrize("left", [MS, timedelta(0), -MS], ids=["before", "at", "after"])
def test_g9_every_route_ends_a_session_at_the_same_millisecond(
    make_auth: Callable[..., Site],
    google: GoogleOnLoopback,
    standing: time_machine.Coordinates,
    left: timedelta,
) -> None:
    session = {**THEME["session"], "fresh_age": 0, "disable_session_refresh": True}
    site = make_auth(**{**THEME, "session": session})
    for endpoint in guarded(site):
        site.emptied()
        standing.move_to(START)
        ada = site.sign_up("ada")
        if endpoint.name in REFUSING:
            continue  # the next test knows
        cookies = dict((with_google(google, ada) if endpoint.name in ASKING else ada).cookies)
        standing.move_to(START + WEEK - left)
        answer = send(site, endpoint, cookies)[0]
        assert answer.status_code == (200 if left > timedelta(0) else 401), endpoint


# ---------------------------------------------------------------- G10: freshness


def test_g10_only_fresh_routes_refuse_an_old_session_and_a_refresh_does_not_help(
    make_auth: Callable[..., Site], standing: time_machine.Coordinates
) -> None:
    site = make_auth(**THEME)
    ada = site.sign_up("ada")
    standing.shift(DAY - MS)
    assert ada.get("/list-sessions").status_code == 200
    standing.shift(timedelta(hours=1))
    assert "Set-Cookie" in ada.get("/get-session").headers  # extended, and no fresher for it
    fresh = {e.name for e in guarded(site) if any(guard.__name__ == "fresh_session" for guard in e.guards)}
    assert fresh == {"list_sessions", "unlink_account"}
    before = site.snapshot()
    for endpoint in guarded(site):
        if endpoint.name in fresh:
            for answer in send(site, endpoint, ada.cookies):
                assert (answer.status_code, answer.json["code"]) == (403, "SESSION_NOT_FRESH"), endpoint
    assert site.snapshot() == before
    # to change the password the old one is asked for; the new session of it is fresh
    body = {"currentPassword": PASSWORD, "newPassword": NEW, "revokeOtherSessions": True}
    assert ada.post("/change-password", body).status_code == 200
    assert ada.get("/list-sessions").status_code == 200


# ---------------------------------------------------------------- G11: other people's sessions


@pytest.mark.parametrize("spelling", ["as it is", "id", "cookie", "with a space", "in capitals"])
def test_g11_another_users_session_is_as_unknown_as_one_that_never_was(site: Site, door: Any, spelling: str) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    (session,) = (row for row in site.rows("session") if row.token == ada.session()["session"]["token"])
    given = {
        "as it is": session.token,
        "id": session.id,
        "cookie": ada.cookies["better-auth.session_token"],
        "with a space": session.token + " ",
        "in capitals": session.token.upper(),
    }[spelling]
    unknown = door(site)("revoke_session", {"token": "never-existed"}, cookies=bob.cookies)
    before = site.snapshot()
    answer = door(site)("revoke_session", {"token": given}, cookies=bob.cookies)
    assert (answer.status_code, answer.data) == (unknown.status_code, unknown.data)
    assert answer.headers.getlist("Set-Cookie") == unknown.headers.getlist("Set-Cookie") == []
    assert site.snapshot() == before
    assert ada.post("/revoke-session", {"token": session.token}).status_code == 200
    assert site.snapshot() != before


def test_g11_bulk_revocations_and_lists_are_about_the_caller_alone(site: Site) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    listed = bob.get("/list-sessions").json
    assert [session["token"] for session in listed] == [bob.session()["session"]["token"]]
    for path in ("/revoke-other-sessions", "/revoke-sessions"):
        assert bob.post(path).status_code == 200
        assert ada.session() is not None
    assert bob.session() is None


# ---------------------------------------------------------------- G12: what of a session its owner may change


CORE = {
    "id": "mine",
    "token": "chosen-by-me",
    "userId": "somebody",
    "expiresAt": "2099-01-01T00:00:00.000Z",
    "createdAt": "2099-01-01T00:00:00.000Z",
    "updatedAt": "2099-01-01T00:00:00.000Z",
    "ipAddress": "10.0.0.1",
    "userAgent": "mine",
    "activeOrganizationId": "theirs",
    "impersonatedBy": "nobody",
}


@pytest.mark.parametrize("path", ["/update-session", "/update-user"])
@pytest.mark.parametrize("name", CORE)
def test_g12_core_columns_of_a_session_are_nobodys_to_set(
    make_auth: Callable[..., Site], standing: time_machine.Coordinates, path: str, name: str
) -> None:
    site = make_auth(**THEME)
    ada = site.sign_up("ada")
    allowed = {"theme": "dark"} if path == "/update-session" else {"name": "Changed"}
    python = re.sub("([A-Z])", r"_\1", name).lower()
    before = site.snapshot()
    for key in {name, python}:
        answer = ada.post(path, {key: CORE[name]})
        assert (answer.status_code, answer.json) == (400, {"message": "No fields to update"})
    assert site.snapshot() == before
    for key in {name, python}:
        assert ada.post(path, {**allowed, key: CORE[name]}).status_code == 200
    (was,), (session,) = before["session"], site.snapshot()["session"]
    assert {column for column in was if was[column] != session[column]} <= {"theme"}
    assert site.snapshot() != before


# ---------------------------------------------------------------- privileged keywords


@pytest.mark.parametrize("signed_in", [True, False], ids=["bob", "nobody"])
@pytest.mark.parametrize("where", ["body", "query", "form", "both", "headers"])
def test_t8_keywords_of_the_server_are_unknown_over_http(
    make_auth: Callable[..., Site], google: GoogleOnLoopback, where: str, signed_in: bool
) -> None:
    site = make_auth(**THEME)
    ada, bob = with_google(google, site.sign_up("ada")), site.sign_up("bob")
    user, session = ada.session()["user"], ada.session()["session"]
    privileged = [e for e in endpoints(site) if e.privileged is not None]
    of_sessions = {"list_sessions", "revoke_session", "revoke_sessions"}
    assert {e.name for e in privileged} >= {*of_sessions, "update_user", *ASKING}
    values = {"user_id": user["id"], "session_id": session["id"], "data": {"name": "Taken over"}}
    hers, (account,) = site.snapshot(), [row for row in site.rows("account") if row.provider_id == "google"]
    for endpoint in privileged:
        assert endpoint.privileged is not None
        chosen = selection(site, endpoint)
        python = {name: values[name] for name in endpoint.privileged.fields}
        wired = {wire_name(name): value for name, value in python.items()}
        # those that are asked about an account take no name that they do not know, and this one for nothing
        given = {**wired, **chosen} if chosen else {**python, **wired, "privileged": python}
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
        for method, path in endpoint.routes(additions=True):
            browser = site.browser()
            browser.cookies = dict(bob.cookies) if signed_in else {}
            options: dict[str, Any] = {"query_string": texts if where in ("query", "both") else chosen}
            if method != "GET" and where in ("body", "both"):
                options |= {"data": json.dumps(given), "content_type": "application/json"}
            elif method != "GET" and where == "form":
                options |= {"data": texts}
            elif method != "GET":
                options |= {"data": json.dumps(chosen), "content_type": "application/json"}
            if where == "headers":
                options["headers"] = {name.replace("_", "-"): value for name, value in texts.items()}
            answer = browser.request(method, path, **options)
            assert answer.status_code < 500
            assert not any(token in answer.text for token in (session["token"], account.access_token)), endpoint
            if chosen and signed_in and where != "form":
                assert (answer.status_code, answer.json["code"]) == (400, "ACCOUNT_NOT_FOUND"), endpoint
            assert signed_in or answer.status_code in (400, 401, 415), endpoint
            bob = bob if bob.session() else another_bob(site)
    now = site.snapshot()
    assert [row for row in now["session"] if row["user_id"] == user["id"]] == [
        row for row in hers["session"] if row["user_id"] == user["id"]
    ]
    assert (now["user"], now["account"]) == (hers["user"], hers["account"])
    for endpoint in privileged:  # and each of them is what it looks like, where the server says it
        assert endpoint.privileged is not None
        chosen = {"account_id": account.id} if endpoint.name in ASKING else {}
        named = {name: values[name] for name in endpoint.privileged.fields}
        result = getattr(site.api, endpoint.name)(**named, **chosen)
        if chosen:
            assert result.get("access_token") in google.provider.access_tokens or result["data"]["sub"] == GINA["sub"]
        else:
            assert result == {"status": True} or result[0]["token"] == session["token"]
    now = site.snapshot()
    assert [row for row in now["session"] if row["user_id"] == user["id"]] == []
    assert now["user"] != hers["user"]


def another_bob(site: Site) -> Browser:
    browser = site.browser()
    assert browser.post("/sign-in/email", {"email": "bob@example.com", "password": PASSWORD}).status_code == 200
    return browser


@pytest.mark.parametrize("part", ["body", "query"])
def test_t8_a_body_that_is_passed_on_from_a_client_holds_no_keyword_of_the_server(site: Site, part: str) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    user_id = ada.session()["user"]["id"]
    headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in bob.cookies.items())}
    before = site.snapshot()["user"]
    forged = {"user_id": user_id, "userId": user_id, "data": {"name": "Taken over"}}
    answer = site.api.update_user(**{part: forged}, headers=headers, as_response=True)
    assert (answer.status_code, site.snapshot()["user"]) == (400, before)
    answer = site.api.list_sessions(**{part: forged}, headers=headers, as_response=True)
    assert [session["userId"] for session in answer.json] == [bob.session()["user"]["id"]]
    assert site.api.update_user(user_id=user_id, data={"name": "Changed"}) == {"status": True}
    assert site.snapshot()["user"] != before


# ---------------------------------------------------------------- T8: what has no route


def test_t8_endpoints_of_the_server_have_no_route(site: Site) -> None:
    ada = site.sign_up("ada")
    hidden = [e for e in endpoints(site) if e.path is None]
    assert {e.name for e in hidden} == {"create_user", "set_password", "cleanup"}
    rules = {rule.endpoint for rule in site.app.url_map.iter_rules()}
    before = site.snapshot()
    for endpoint in hidden:
        assert f"better_auth.{endpoint.name}" not in rules
        assert callable(getattr(site.api, endpoint.name))
        for name in (endpoint.name, endpoint.name.replace("_", "-"), wire_name(endpoint.name)):
            for path in (f"/{name}", f"/server/{name}", f"/server:{name}", f"/api/{name}"):
                for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
                    answer = ada.request(method, path, json={"email": "x@example.com", "newPassword": NEW})
                    assert (answer.status_code, answer.data) == (404, b""), path
    assert site.snapshot() == before


# ---------------------------------------------------------------- PATCH


def test_patch_is_another_way_to_update_the_user(site: Site) -> None:
    ada = site.sign_up("ada")
    answer = ada.request("PATCH", "/update-user", json={"name": "Countess"})
    assert (answer.status_code, answer.json) == (200, {"status": True})
    assert ada.session()["user"]["name"] == "Countess"


def test_patch_meets_every_check_of_the_original(site: Site) -> None:
    ada, nobody = site.sign_up("ada"), site.browser()
    before = site.snapshot()
    body = {"json": {"name": "Changed"}}
    assert nobody.request("PATCH", "/update-user", **body).status_code == 401
    foreign = ada.request("PATCH", "/update-user", headers={"Origin": "https://evil.test"}, **body)
    assert (foreign.status_code, foreign.json["code"]) == (403, "INVALID_ORIGIN")
    assert ada.request("PATCH", "/update-user", data={"name": "B"}).status_code == 415
    assert ada.request("PATCH", "/update-user", json={"email": "b@example.com"}).status_code == 400
    for path in ("/update-user/", "//update-user", "/sign-out", "/update-session", "/get-session"):
        assert ada.request("PATCH", path, **body).status_code == 404
    assert site.snapshot() == before


def test_patch_is_gone_without_additions_and_where_the_path_is_disabled(make_auth: Callable[..., Site]) -> None:
    for options, post in (({"additions": False}, 200), ({"disabled_paths": ["/update-user"]}, 404)):
        site = make_auth(**options)
        ada = site.sign_up("ada")
        assert ada.request("PATCH", "/update-user", json={"name": "B"}).status_code == 404
        assert ada.post("/update-user", {"name": "B"}).status_code == post


def test_hooks_know_an_endpoint_by_its_path_however_it_was_reached(make_auth: Callable[..., Site]) -> None:
    seen: list[str] = []
    hooks = Hooks(before=Hook(lambda call: seen.append(call.request.method), matcher="/update-user"))
    ada = make_auth(hooks=hooks).sign_up("ada")
    ada.request("PATCH", "/update-user", json={"name": "B"})
    ada.post("/update-user", {"name": "B"})
    ada.post("/revoke-other-sessions")
    assert seen == ["PATCH", "POST"]


def test_time_of_the_tests_is_the_time_of_the_package(standing: time_machine.Coordinates) -> None:
    assert clock.now() == START
