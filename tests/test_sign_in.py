"""Signing up, in and out, through both doors."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import PASSWORD, Site

from flask_better_auth import APIError

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
