"""``auth.api``: arguments, results, errors, and the contexts a call runs in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from conftest import PASSWORD, Site
from flask import Flask, Response, current_app, g, has_app_context, has_request_context, request
from werkzeug.datastructures import Headers

from flask_better_auth.api import APIError

ADA = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}


@pytest.fixture
def host(site: Site) -> tuple[Site, list[str]]:
    """The application with views and hooks of its own, and what these hooks saw."""
    seen: list[str] = []

    @site.app.post("/outer")
    def outer() -> Any:
        before = request.get_data()
        session = site.api.get_session(headers=request.headers)
        assert request.get_data() == before
        return session["user"]["email"]

    @site.app.before_request
    def load() -> None:
        seen.append("before")
        g.session = site.api.get_session(headers=request.headers)

    @site.app.get("/who")
    def who() -> str:
        return str(g.session["user"]["name"])

    site.app.after_request(lambda response: seen.append("after") or response)
    site.app.teardown_request(lambda error: seen.append(f"teardown {error}"))
    return site, seen


@pytest.fixture
def ada(site: Site) -> dict[str, str]:
    """Headers of a signed-in caller."""
    browser = site.sign_up("ada")
    return {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}


def test_results_have_python_names_and_aware_times(site: Site, ada: dict[str, str]) -> None:
    result = site.api.get_session(headers=ada)
    assert set(result) == {"session", "user"}
    assert result["user"]["email_verified"] is False
    assert isinstance(result["session"]["expires_at"], datetime)
    assert result["session"]["expires_at"].tzinfo is not None
    assert "password" not in result["user"]


def test_nobody_is_none(site: Site) -> None:
    assert site.api.get_session(headers={}) is None


def test_plain_keywords_are_fields(site: Site) -> None:
    user = site.api.create_user(email="Ada@example.com", password=PASSWORD, name="Ada")["user"]
    assert user["email"] == "ada@example.com"
    assert site.api.sign_in_email(email="ada@example.com", password=PASSWORD)["user"] == user


def test_create_user_takes_what_clients_may_not_set(make_auth: Any) -> None:
    site = make_auth(user={"additional_fields": {"role": {"input": False, "default": "user"}, "nick": {}}})
    user = site.api.create_user(email="a@example.com", name="A", email_verified=True, data={"role": "boss"}, nick="x")
    assert user["user"]["role"] == "boss"
    assert (user["user"]["email_verified"], user["user"]["nick"]) == (True, "x")
    assert site.rows("account") == []


def test_wire_names_are_accepted_in_body_and_query(site: Site, ada: dict[str, str]) -> None:
    for body in ({**ADA, "callbackURL": "/x"}, {**ADA, "callback_url": "/x"}):
        del body["name"]
        assert site.api.sign_in_email(body=body)["url"] == "/x"
    assert site.api.get_session(query={"disableRefresh": True}, headers=ada)
    assert site.api.get_session(disable_refresh=True, headers=ada)


@pytest.mark.parametrize(
    "arguments",
    [
        {"body": {**ADA, "rememberMe": True, "remember_me": True}},
        {"body": ADA, "email": "ada@example.com"},
        {"body": ADA, "unheard_of": 1},
        {"body": {**ADA, "rememberMe": True}, "remember_me": True},
    ],
)
def test_a_field_given_twice_or_unheard_of_is_a_mistake(site: Site, arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="sign_up_email"):
        site.api.sign_up_email(**arguments)


def test_an_endpoint_nobody_declared_is_an_attribute_error(site: Site) -> None:
    with pytest.raises(AttributeError, match="sign_up_emial"):
        site.api.sign_up_emial()
    assert "sign_up_email" in dir(site.auth.api)


def test_headers_and_status_beside_the_result(site: Site) -> None:
    headers, result = site.api.sign_up_email(**ADA, return_headers=True)
    assert headers["Set-Cookie"].startswith(f"better-auth.session_token={result['token']}.")
    body, status = site.api.ok(return_status=True)
    assert (body, status) == ({"ok": True}, 200)
    headers, body, status = site.api.sign_in_email(
        email="ada@example.com", password=PASSWORD, callback_url="/in", return_headers=True, return_status=True
    )
    assert (headers["Location"], body["redirect"], status) == ("/in", True, 200)


def test_as_response_shows_the_wire_and_raises_nothing(site: Site) -> None:
    response = site.api.sign_up_email(**ADA, as_response=True)
    assert isinstance(response, Response)
    assert response.json is not None
    assert response.json["user"]["emailVerified"] is False
    refused = site.api.sign_up_email(**ADA, as_response=True)
    assert (refused.status_code, refused.json["code"]) == (422, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL")


def test_cookies_leave_with_the_error(site: Site, ada: dict[str, str]) -> None:
    with site.app.app_context():
        site.db.session.execute(site.db.delete(site.auth.Session))
        site.db.session.commit()
    with pytest.raises(APIError) as caught:
        site.api.list_sessions(headers=ada)
    assert (caught.value.code, caught.value.status) == ("UNAUTHORIZED", "UNAUTHORIZED")
    assert len(caught.value.headers.getlist("Set-Cookie")) == 3


def test_a_redirect_is_an_error_with_a_location(site: Site) -> None:
    site.app.testing = False
    with pytest.raises(APIError) as caught:
        site.api.error(query={"error": "state_not_found"})
    assert (caught.value.status, caught.value.status_code) == ("FOUND", 302)
    assert caught.value.headers["Location"] == "/?error=state_not_found"
    assert site.api.error(as_response=True).status_code == 302


def test_an_endpoint_that_asks_who_calls_needs_headers(site: Site) -> None:
    with pytest.raises(APIError, match="Headers is required") as caught:
        site.api.get_session()
    assert (caught.value.code, caught.value.status_code) == ("VALIDATION_ERROR", 400)


def test_a_call_by_the_server_is_not_held_to_origins(site: Site, ada: dict[str, str]) -> None:
    foreign = {**ada, "Origin": "https://evil.test"}
    assert site.api.update_user(body={"name": "New"}, headers=foreign) == {"status": True}
    result = site.api.sign_in_email(
        email="ada@example.com", password=PASSWORD, callback_url="https://elsewhere.test", headers=foreign
    )
    assert result["url"] == "https://elsewhere.test"


def test_read_only_headers_of_the_outer_request_are_taken(host: Any, ada: dict[str, str]) -> None:
    """WSGI headers cannot be changed, and describe the outer body: a POST with a body asks for the session."""
    client = host[0].app.test_client(use_cookies=False)
    assert client.post("/outer", headers=ada, json={"big": "x" * 100}).text == "ada@example.com"


@pytest.mark.parametrize("headers", [Headers(), {}, None])
def test_calls_work_without_any_context(site: Site, headers: Any) -> None:
    assert not has_app_context()
    assert site.auth.api.ok(headers=headers) == {"ok": True}
    assert not has_app_context()


def test_calls_work_in_a_context_and_leave_it_as_it_was(site: Site) -> None:
    with site.app.app_context():
        g.mark = 1
        site.auth.api.sign_up_email(**ADA)
        assert g.mark == 1
        assert not has_request_context()
    with site.app.test_request_context("/here", headers={"X-Mark": "outer"}):
        site.auth.api.sign_in_email(email="ada@example.com", password=PASSWORD)
        assert (request.path, request.headers["X-Mark"]) == ("/here", "outer")


def test_the_address_of_the_outer_request_is_the_callers(site: Site) -> None:
    with site.app.test_request_context("/", environ_base={"REMOTE_ADDR": "203.0.113.9"}):
        site.api.sign_up_email(**ADA, headers={"User-Agent": "Tester/1"})
    site.api.sign_in_email(email="ada@example.com", password=PASSWORD)
    assert sorted((s.ip_address, s.user_agent) for s in site.rows("session")) == [("", ""), ("203.0.113.9", "Tester/1")]


def test_only_what_says_who_asks_is_forwarded(site: Site) -> None:
    seen: list[dict[str, str]] = []

    def look(call: Any) -> None:
        seen.append(dict(call.request.headers))

    state = site.app.extensions["better_auth"]
    state.hooks = type(state.hooks)(before=look)
    site.api.ok(headers={"Cookie": "a=b", "Host": "evil.test", "Content-Length": "5", "X-Secret": "1", "Origin": "o"})
    assert seen == [{"Host": "localhost", "Cookie": "a=b", "Origin": "o"}]


def test_what_the_hooks_of_the_host_see_of_an_inner_call(host: Any) -> None:
    """No before_request and no after_request; the teardown functions, without an exception."""
    site, seen = host
    site.api.ok()
    with pytest.raises(APIError):
        site.api.sign_in_email(email="nobody@example.com", password=PASSWORD)
    assert seen == ["teardown None", "teardown None"]


def test_a_host_that_asks_for_the_session_before_each_request_does_not_recurse(host: Any, ada: Any) -> None:
    site, seen = host
    seen.clear()
    assert site.app.test_client(use_cookies=False).get("/who", headers=ada).text == "Ada"
    assert seen == ["before", "teardown None", "after", "teardown None"]


def test_an_api_error_that_leaves_a_view_becomes_its_json(site: Site) -> None:
    @site.app.get("/passes")
    def passes() -> Any:
        return site.api.sign_in_email(email="nobody@example.com", password=PASSWORD)

    answer = site.app.test_client().get("/passes")
    assert answer.status_code == 401
    assert answer.json == {"message": "Invalid email or password", "code": "INVALID_EMAIL_OR_PASSWORD"}


def test_with_several_applications_the_current_one_is_meant(site: Site) -> None:
    with pytest.raises(RuntimeError, match="has no such"):
        site.auth.for_app(Flask("stranger"))
    with site.app.app_context():
        assert current_app.extensions["better_auth"]
        assert site.auth.api.ok() == {"ok": True}


def test_the_server_only_endpoint_has_no_route(site: Site) -> None:
    browser = site.browser()
    for path in ("/create-user", "/create_user", "/createUser"):
        assert browser.post(path, ADA).status_code == 404
    assert site.rows("user") == []
