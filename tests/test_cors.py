"""Beside Flask-CORS, set up before or after: preflights are completed, and only for the origins it was told."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import FAST, PASSWORD, SECRET
from flask import Flask
from flask.testing import FlaskClient
from flask_cors import CORS

from flask_better_auth import BetterAuth

APP, EVIL = "https://app.example.com", "https://evil.test"
BODY = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}


@pytest.fixture(params=["cors first", "cors last"])
def client(request: pytest.FixtureRequest) -> FlaskClient:
    app = Flask("host")
    app.testing = True
    app.config.update(
        BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_URL="https://api.example.com", BETTER_AUTH_DATABASE_URI="sqlite://"
    )

    def cors() -> Any:
        return CORS(app, origins=[APP], supports_credentials=True, expose_headers=["set-auth-token", "X-Retry-After"])

    if request.param == "cors first":
        cors()
    BetterAuth(app, password_hash=FAST, trusted_origins=[APP])
    if request.param == "cors last":
        cors()
    return app.test_client()


def preflight(client: FlaskClient, origin: str, path: str = "/api/auth/sign-up/email") -> Any:
    return client.options(path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})


def test_a_preflight_of_a_known_origin_is_completed(client: FlaskClient) -> None:
    answer = preflight(client, APP)
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [APP]
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


def test_a_preflight_of_another_origin_is_told_nothing(client: FlaskClient) -> None:
    answer = preflight(client, EVIL)
    assert not [name for name in answer.headers.keys() if name.lower().startswith("access-control-allow")]


def test_an_answer_carries_each_header_once(client: FlaskClient) -> None:
    answer = client.post("/api/auth/sign-up/email", json=BODY, headers={"Origin": APP})
    assert answer.status_code == 200
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [APP]
    assert answer.headers["Access-Control-Expose-Headers"] == "X-Retry-After, set-auth-token"
    assert "cookie" in {name.lower() for name in answer.vary}
    refused = client.post("/api/auth/sign-up/email", json=BODY, headers={"Origin": EVIL})
    assert refused.status_code == 403
    assert "Access-Control-Allow-Origin" not in refused.headers


@pytest.mark.parametrize("origin", [APP, EVIL, "null", "https://app.example.com.evil.test"])
def test_b7_credentials_are_for_named_origins_and_every_answer_varies_by_origin(
    client: FlaskClient, origin: str
) -> None:
    sent = {"Origin": origin}
    answers = [
        preflight(client, origin),
        preflight(client, origin, "/api/auth/nothing"),
        client.get("/api/auth/ok", headers=sent),
        client.get("/api/auth/get-session", headers=sent),
        client.get("/api/auth/nothing", headers=sent),
        client.post("/api/auth/sign-up/email", json=BODY, headers=sent),
        client.get("/api/auth/ok"),
    ]
    for answer in answers:
        allowed = answer.headers.getlist("Access-Control-Allow-Origin")
        assert allowed in ([], [APP]), "never *, and never whoever asks"
        assert "origin" in {name.lower() for name in answer.vary}


@pytest.mark.parametrize("origin", [APP, EVIL])
def test_b7_without_flask_cors_nobody_is_allowed_across_origins(origin: str) -> None:
    app = Flask("host")
    app.testing = True
    app.config.update(
        BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_URL="https://api.example.com", BETTER_AUTH_DATABASE_URI="sqlite://"
    )
    BetterAuth(app, password_hash=FAST, trusted_origins=[APP])
    client = app.test_client()
    for answer in (
        preflight(client, origin),
        client.post("/api/auth/sign-up/email", json=BODY, headers={"Origin": origin}),
    ):
        assert not [name for name in answer.headers.keys() if name.lower().startswith("access-control")]
        assert "origin" in {name.lower() for name in answer.vary}


def test_options_that_is_no_preflight_is_unknown(client: FlaskClient) -> None:
    assert client.options("/api/auth/ok").status_code == 404
    assert client.options("/api/auth/ok", headers={"Origin": APP}).status_code == 404
