"""Signing up, in and out, through both doors."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import FAST, PASSWORD, Site

from flask_better_auth import APIError, Hooks

BODY = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}


def test_sign_up_opens_a_session(site: Site, door: Any) -> None:
    answer = door(site)("sign_up_email", BODY)
    assert answer.status_code == 200
    (session,) = site.rows("session")
    assert answer.json["token"] == session.token
    assert answer.json["user"]["email"] == "ada@example.com"
    assert answer.headers["Set-Cookie"].startswith(f"better-auth.session_token={session.token}.")


def test_sign_up_twice_is_refused(site: Site, door: Any) -> None:
    invoke = door(site)
    assert invoke("sign_up_email", BODY).status_code == 200
    again = invoke("sign_up_email", {**BODY, "email": "ADA@Example.com"})
    assert (again.status_code, again.json["code"]) == (422, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL")
    assert len(site.rows("user")) == len(site.rows("account")) == 1


def test_sign_in_takes_the_address_in_any_case(site: Site, door: Any) -> None:
    site.sign_up("ada")
    answer = door(site)("sign_in_email", {"email": "Ada@EXAMPLE.com", "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json["redirect"] is False


def test_wrong_password_raises_an_api_error(site: Site) -> None:
    site.sign_up("ada")
    with pytest.raises(APIError) as caught:
        site.api.sign_in_email(email="ada@example.com", password="wrong password")
    error = caught.value
    assert (error.code, error.status, error.status_code) == ("INVALID_EMAIL_OR_PASSWORD", "UNAUTHORIZED", 401)
    assert error.body == {"message": "Invalid email or password", "code": "INVALID_EMAIL_OR_PASSWORD"}


def test_sign_out_ends_the_session_and_clears_the_cookies(site: Site) -> None:
    browser = site.sign_up("ada")
    assert browser.session()["user"]["name"] == "Ada"
    assert browser.post("/sign-out").json == {"success": True}
    assert browser.cookies == {}
    assert browser.session() is None
    assert site.rows("session") == []


def test_two_sign_ins_at_once_survive_the_rehash_of_the_first(make_auth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one verified the old form of the same password: that is no reason to refuse it."""
    site = make_auth(password_hash="scrypt")
    site.sign_up("ada")
    state = site.app.extensions["better_auth"]
    verify, interrupted = state.passwords.verify, []

    def verify_slowly(stored: str, password: str) -> bool:
        verdict = verify(stored, password)
        if not interrupted:
            interrupted.append(stored)
            (row,) = site.rows("account")
            with site.app.app_context():
                site.db.session.get(site.auth.Account, row.id).password = FAST.hash(PASSWORD)
                site.db.session.commit()
        return verdict

    monkeypatch.setattr(state.passwords, "verify", verify_slowly)
    assert site.browser().post("/sign-in/email", {"email": BODY["email"], "password": PASSWORD}).status_code == 200
    assert interrupted


@pytest.mark.parametrize("target", ["myapp://../x", "MYAPP://Deep/Link", "HTTPS://APP.EXAMPLE.COM/x", "/a?b=//c"])
def test_the_place_to_go_leaves_as_it_came(make_auth: Any, target: str) -> None:
    """Werkzeug reads every Location as an http URL, and fails on some that applications use."""
    site = make_auth(trusted_origins=["myapp://", "https://app.example.com"])
    site.sign_up("ada")
    answer = site.browser().post("/sign-in/email", {**BODY, "callbackURL": target})
    assert (answer.status_code, answer.json["url"]) == (200, target)
    assert answer.headers.getlist("Location") == [target]


def test_a_header_that_cannot_be_sent_is_a_failure_without_a_page(make_auth: Any) -> None:
    site = make_auth(hooks=Hooks(after=lambda call: call.headers.add("X-Name", "a\nb")))
    answer = site.browser().get("/ok")
    assert (answer.status_code, answer.data) == (500, b"")
    assert "Content-Type" not in answer.headers
