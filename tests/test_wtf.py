"""SECURITY B11: beside Flask-WTF's ``CSRFProtect``, set up before or after, or without it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from conftest import FAST, ORIGIN, PASSWORD, SECRET
from flask import Flask, render_template_string, request_started
from flask_wtf.csrf import CSRFProtect

from flask_better_auth import BetterAuth

ADA = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}


def build(order: str, **settings: Any) -> Flask:
    app = Flask("host")
    app.testing = True
    app.config.update(SECRET_KEY=SECRET, BETTER_AUTH_URL=ORIGIN, BETTER_AUTH_DATABASE_URI="sqlite://", **settings)
    csrf, auth = CSRFProtect(), BetterAuth(password_hash=FAST)
    steps: dict[str, Callable[[Flask], object]] = {"csrf": csrf.init_app, "auth": auth.init_app}
    for step in order.split():
        steps[step](app)
    app.add_url_rule("/pay", "pay", lambda: "paid", methods=["POST"])
    app.add_url_rule("/form", "form", lambda: render_template_string("{{ csrf_token() }}"))
    return app


both_orders = pytest.mark.parametrize("order", ["csrf auth", "auth csrf"])


@both_orders
def test_b11_auth_routes_work_and_the_applications_stay_protected(order: str) -> None:
    client = build(order).test_client()
    assert client.post("/pay").status_code == 400
    assert client.post("/api/auth/sign-up/email", json=ADA).status_code == 200
    assert client.get("/api/auth/get-session").json["user"]["name"] == "Ada"
    assert client.post("/pay").status_code == 400
    assert client.post("/api/auth/sign-out", headers={"Origin": ORIGIN}).status_code == 200
    token = client.get("/form").text
    assert re.fullmatch(r"[\w.-]+", token)
    assert client.post("/pay", data={"csrf_token": token}).text == "paid"


@both_orders
def test_b11_our_own_checks_still_guard_our_routes(order: str) -> None:
    client = build(order).test_client()
    client.post("/api/auth/sign-up/email", json=ADA)
    for path in ("/sign-out", "/update-user"):
        refused = client.post(f"/api/auth{path}", json={"name": "X"}, headers={"Origin": "https://evil.test"})
        assert (refused.status_code, refused.json["code"]) == (403, "INVALID_ORIGIN")
    assert client.post("/api/auth/nothing").status_code == 404


@both_orders
def test_b11_a_base_path_above_everything_exempts_no_other_route(order: str) -> None:
    client = build(order, BETTER_AUTH_BASE_PATH="/pay/auth").test_client()
    assert client.post("/pay/auth/sign-up/email", json=ADA).status_code == 200
    assert client.post("/pay").status_code == 400


def test_b11_another_extension_of_that_name_is_left_alone() -> None:
    app = build("auth")
    app.extensions["csrf"] = object()
    assert app.test_client().post("/api/auth/sign-up/email", json=ADA).status_code == 200


def test_b11_nothing_listens_after_the_first_request() -> None:

    app = build("auth")
    assert list(request_started.receivers_for(app))
    app.test_client().get("/api/auth/ok")
    assert not list(request_started.receivers_for(app))
