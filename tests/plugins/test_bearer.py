"""Bearer: the ``Authorization`` header in place of the cookie, and nothing that it opens beside."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, unquote

import pytest
import time_machine
from conftest import FAST, ORIGIN, PASSWORD, SECRET, Browser, Site
from flask import Flask, Response, jsonify, request
from flask_cors import CORS

from flask_better_auth import (
    APIError,
    BetterAuth,
    Call,
    ConfigError,
    ErrorCode,
    Hook,
    Hooks,
    Plugin,
    Reply,
    current_session,
    current_user,
    login_required,
)
from flask_better_auth.plugins import Bearer, Username
from flask_better_auth.plugins.bearer import BearerOptions

COOKIE, EXPOSE, TOKEN = "better-auth.session_token", "Access-Control-Expose-Headers", "set-auth-token"
EVIL = "https://evil.example"


def build(make_auth: Callable[..., Site], **options: Any) -> Site:
    """An application with views of its own, for bearers."""
    site = make_auth(plugins=[Bearer(**options.pop("bearer", {})), Username()], **options)

    @site.app.get("/me")
    @login_required
    def me() -> Any:
        return {"name": current_user.name, "token": current_session.token}

    @site.app.get("/through")
    def through() -> Any:
        found = site.auth.api.get_session(headers=request.headers)
        return jsonify(found and found["user"]["name"])

    return site


@pytest.fixture
def site(make_auth: Callable[..., Site]) -> Site:
    """One with the plugin's defaults."""
    return build(make_auth)


@pytest.fixture
def strict(make_auth: Callable[..., Site]) -> Site:
    """One that wants signatures."""
    return build(make_auth, bearer={"require_signature": True})


def signed(browser: Browser) -> str:
    """What ``set-auth-token`` said of the browser's session."""
    return unquote(browser.cookies[COOKIE])


def plain(browser: Browser) -> str:
    """The token of the browser's session."""
    return signed(browser).rpartition(".")[0]


def ask(site: Site, authorization: str, path: str = "/get-session", browser: Browser | None = None) -> Response:
    """A GET with an ``Authorization`` header, which keeps no cookie."""
    asking = site.browser()
    asking.cookies = dict(browser.cookies) if browser else {}
    return asking.get(path, headers={"Authorization": authorization})


def who(answer: Response) -> str | None:
    """The name of the user of a session."""
    assert answer.status_code == 200
    return answer.json["user"]["name"] if answer.json else None


# ---------------------------------------------------------------- what signs in


def test_options_are_those_of_the_reference() -> None:
    assert [f.name for f in fields(BearerOptions)] == ["require_signature"]
    assert Bearer().options.require_signature is False
    with pytest.raises(ConfigError):
        Bearer(require_signatures=True)


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer  ", "Bearer \t"])
@pytest.mark.parametrize("form", ["plain", "signed", "encoded"])
def test_a_token_signs_in_with_and_without_its_signature(site: Site, scheme: str, form: str) -> None:
    ada = site.sign_up("ada")
    token = {"plain": plain(ada), "signed": signed(ada), "encoded": quote(signed(ada), safe="")}[form]
    token = token.replace("%2E", ".")
    assert who(ask(site, scheme + token)) == "Ada"


def test_g16_a_token_without_signature_is_refused_where_one_is_required(strict: Site) -> None:
    ada = strict.sign_up("ada")
    assert ask(strict, f"Bearer {plain(ada)}", "/list-sessions").status_code == 401
    assert who(ask(strict, f"Bearer {plain(ada)}")) is None
    assert ask(strict, f"Bearer {signed(ada)}", "/list-sessions").status_code == 200
    assert who(ask(strict, f"Bearer {signed(ada)}")) == "Ada"


def malformed(plain: str, signed: str) -> dict[str, str]:
    """Headers that sign nobody in."""
    value, _, signature = signed.rpartition(".")
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    return {
        "empty": "",
        "scheme alone": "Bearer",
        "scheme and space": "Bearer ",
        "scheme and spaces": "Bearer    ",
        "token alone": plain,
        "tab for the space": f"Bearer\t{plain}",
        "other scheme": f"Basic {plain}",
        "longer scheme": f"BearerX {plain}",
        "two tokens": f"Bearer {plain} {plain}",
        "two headers": f"Bearer {plain},Bearer {plain}",
        "list": f"Bearer {plain}, {plain}",
        "quoted": f'Bearer "{plain}"',
        "parameter": f"Bearer {plain};x=1",
        "longer": f"Bearer {plain}x",
        "shorter": f"Bearer {plain[:-1]}",
        "other case": f"Bearer {plain.swapcase()}",
        "encoded dot": f"Bearer {value}%2E{quote(signature, safe='')}",
        "bad escape": f"Bearer {plain}%",
        "bad escape, signed": f"Bearer {value}%zz.{signature}",
        "not utf-8, signed": f"Bearer {value}%ff.{signature}",
        "nul": f"Bearer {plain}\0",
        "encoded nul": f"Bearer {plain}%00",
        "encoded nul, signed": f"Bearer {value}%00.{signature}",
        "latin": f"Bearer {plain}\xe4",
        "latin alone": "Bearer \xff\xfe",
        "non-breaking space": f"Bearer\xa0{plain}",
        "control": f"Bearer {plain}\x01",
        "wildcard": "Bearer %",
        "quote": "Bearer ' or 1=1 --",
        "dot": "Bearer .",
        "dots": "Bearer ..",
        "no signature": f"Bearer {value}.",
        "no token": f"Bearer .{signature}",
        "wrong signature": f"Bearer {value}.{flipped}",
        "signature of another": f"Bearer x{value}.{signature}",
        "short signature": f"Bearer {value}.{signature[:-2]}",
        "long signature": f"Bearer {value}.{signature}=",
        "signed twice": f"Bearer {signed}.{signature}",
        "100 kB": "Bearer " + "a" * 100_000,
        "100 kB of dots": "Bearer " + "." * 100_000,
        "100 kB of escapes": "Bearer " + "%41" * 33_000 + "." + "a" * 44,
    }


@pytest.mark.parametrize("require_signature", [False, True])
def test_g16_malformed_headers_sign_nobody_in_and_break_nothing(
    make_auth: Callable[..., Site], require_signature: bool, caplog: pytest.LogCaptureFixture
) -> None:
    site = build(make_auth, bearer={"require_signature": require_signature})
    ada = site.sign_up("ada")
    before = site.snapshot()
    for kind, header in malformed(plain(ada), signed(ada)).items():
        assert who(ask(site, header)) is None, kind
        assert ask(site, header, "/list-sessions").status_code == 401, kind
        assert ask(site, header, "~/me").status_code == 401, kind
        assert ask(site, header, "~/through").json is None, kind
    assert site.snapshot() == before
    assert who(ask(site, f"Bearer {signed(ada)}")) == "Ada"
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_g16_of_several_headers_the_server_sees_one_list(site: Site) -> None:
    ada, eve = site.sign_up("ada"), site.sign_up("eve")
    client = site.app.test_client(use_cookies=False)
    headers = [("Authorization", f"Bearer {plain(one)}") for one in (ada, eve)]
    assert client.get("/api/auth/list-sessions", headers=headers).status_code == 401
    assert client.get("/api/auth/list-sessions", headers=headers[:1]).status_code == 200


# ---------------------------------------------------------------- header and cookie at once


def test_g16_a_token_counts_before_a_cookie(site: Site) -> None:
    ada, eve = site.sign_up("ada"), site.sign_up("eve")
    for token in (plain(eve), signed(eve)):
        assert who(ask(site, f"Bearer {token}", browser=ada)) == "Eve"
        assert ask(site, f"Bearer {token}", "~/me", ada).json["name"] == "Eve"
        assert ask(site, f"Bearer {token}", "~/through", ada).json == "Eve"
    assert who(ada.get("/get-session")) == "Ada"


def test_g16_a_token_of_no_session_does_not_fall_back_to_the_cookie(site: Site) -> None:
    ada = site.sign_up("ada")
    assert who(ask(site, f"Bearer {'x' * 32}", browser=ada)) is None
    assert ask(site, f"Bearer {'x' * 32}", "/list-sessions", ada).status_code == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer non.sense", "Basic eDp5", "Bearer \xe4"])
def test_g16_what_is_no_token_leaves_the_cookie_in_force(site: Site, header: str) -> None:
    assert who(ask(site, header, browser=site.sign_up("ada"))) == "Ada"


def test_g16_a_token_without_signature_leaves_the_cookie_in_force_where_one_is_required(strict: Site) -> None:
    ada, eve = strict.sign_up("ada"), strict.sign_up("eve")
    assert who(ask(strict, f"Bearer {plain(eve)}", browser=ada)) == "Ada"


def test_a_write_is_made_by_the_tokens_user(site: Site) -> None:
    ada, eve = site.sign_up("ada", username="ada_l"), site.sign_up("eve", username="eve_l")
    bearer = {"Authorization": f"Bearer {plain(eve)}"}
    answer = ada.post("/update-user", {"name": "Changed", "username": "eve_m"}, headers=bearer)
    assert answer.status_code == 200
    assert {(user.username, user.name) for user in site.rows("user")} == {("ada_l", "Ada"), ("eve_m", "Changed")}
    assert answer.headers[TOKEN] == signed(eve)
    assert ada.post("/update-user", {"username": "ada_m"}, headers={"Authorization": "Bearer x"}).status_code == 401


# ---------------------------------------------------------------- set-auth-token


def test_every_answer_that_sets_the_cookie_announces_the_token(site: Site) -> None:
    browser = site.browser()
    body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD, "username": "ada_l"}
    start = datetime.now(timezone.utc)
    answers = {"sign-up": browser.post("/sign-up/email", body)}
    answers["update"] = browser.post("/update-user", {"name": "A"})
    with time_machine.travel(start + timedelta(days=2)):
        answers["refresh"] = browser.get("/get-session")
    answers["sign-in"] = browser.post("/sign-in/email", body)
    answers["username"] = browser.post("/sign-in/username", body)
    change = {"currentPassword": PASSWORD, "newPassword": PASSWORD + "!", "revokeOtherSessions": True}
    answers["change"] = browser.post("/change-password", change)
    for name, answer in answers.items():
        assert answer.status_code == 200, name
        lines = [line for line in answer.headers.getlist("Set-Cookie") if line.startswith(COOKIE)]
        assert unquote(lines[-1].partition("=")[2].partition(";")[0]) == answer.headers[TOKEN], name
        assert answer.headers.getlist(EXPOSE) == [TOKEN], name
    assert who(ask(site, f"Bearer {answers['username'].headers[TOKEN]}")) is None  # revoked by the change
    assert who(ask(site, f"Bearer {answers['change'].headers[TOKEN]}")) == "A"


def test_no_other_answer_announces_one(site: Site) -> None:
    ada = site.sign_up("ada")
    bearer = {"Authorization": f"Bearer {plain(ada)}"}
    answers = [
        ada.get("/get-session"),
        ada.get("/list-sessions"),
        ada.get("/ok"),
        site.browser().get("/get-session", headers=bearer),
        site.browser().post("/sign-in/email", {"email": "ada@example.com", "password": "wrong password"}),
        site.browser().get("/get-session", headers={"Authorization": "Bearer gone"}),
        site.browser().post("/sign-out", headers=bearer),
        site.sign_up("eve").post("/sign-out"),
        ada.get("/get-session"),
    ]
    for number, answer in enumerate(answers):
        assert TOKEN not in answer.headers, number
        assert EXPOSE not in answer.headers, number


class Later(Plugin):
    """Fails once everything is done."""

    id = "later"
    hooks = Hooks(after=Hook(lambda call: fail(), matcher="/sign-in/email"))


def fail() -> None:
    raise APIError(ErrorCode("No", 503))


def test_g16_a_failure_hands_out_no_session(make_auth: Callable[..., Site]) -> None:
    site = make_auth(plugins=[Bearer(), Later()])
    site.sign_up("ada")
    answer = site.browser().post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
    assert answer.status_code == 503
    assert TOKEN not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_auth_api_announces_it_too(site: Site) -> None:
    body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    headers, made = site.api.sign_up_email(body=body, return_headers=True)
    assert headers[TOKEN].rpartition(".")[0] == made["token"]
    assert site.api.get_session(headers={"Authorization": f"Bearer {headers[TOKEN]}"})["user"]["name"] == "Ada"
    assert site.api.get_session(headers={"Authorization": f"Bearer {made['token']}"})["user"]["name"] == "Ada"
    assert site.api.get_session(headers={"Authorization": "Bearer x"}) is None


def test_headers_that_a_hook_exposes_stay_exposed(make_auth: Callable[..., Site]) -> None:
    def expose(call: Call) -> Reply:
        assert isinstance(call.returned, Reply)
        call.headers.add(EXPOSE, "X-One")
        return Reply(call.returned.wire, headers={EXPOSE: "X-Two"})

    site = make_auth(plugins=[Bearer()], hooks=Hooks(after=Hook(expose, matcher="/sign-up/email")))
    body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    answer = site.browser().post("/sign-up/email", body)
    assert answer.headers[EXPOSE] == f"X-Two, X-One, {TOKEN}"


@pytest.mark.parametrize("first", ["cors", "auth"])
def test_exposed_headers_of_flask_cors_stay_exposed(first: str) -> None:
    app = Flask("host")
    app.testing = True
    app.config.update(
        BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_URL="https://api.example.com", BETTER_AUTH_DATABASE_URI="sqlite://"
    )
    steps = {
        "cors": lambda: CORS(app, origins=[ORIGIN], supports_credentials=True, expose_headers=["X-Own"]),
        "auth": lambda: BetterAuth(app, password_hash=FAST, trusted_origins=[ORIGIN], plugins=[Bearer()]),
    }
    for step in (first, *(name for name in steps if name != first)):
        steps[step]()
    body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    answer = app.test_client().post("/api/auth/sign-up/email", json=body, headers={"Origin": ORIGIN})
    exposed = {name.strip().lower() for line in answer.headers.getlist(EXPOSE) for name in line.split(",")}
    assert exposed == {"x-own", TOKEN}


# ---------------------------------------------------------------- origin checks


def test_b1_a_request_without_cookies_needs_no_origin(site: Site) -> None:
    bearer = {"Authorization": f"Bearer {plain(site.sign_up('ada'))}"}
    answer = site.browser().post("/update-user", {"name": "A"}, headers={**bearer, "Origin": None})
    assert answer.status_code == 200
    assert [user.name for user in site.rows("user")] == ["A"]


@pytest.mark.parametrize(
    ("origin", "code"), [(None, "MISSING_OR_NULL_ORIGIN"), ("null", "MISSING_OR_NULL_ORIGIN"), (EVIL, "INVALID_ORIGIN")]
)
@pytest.mark.parametrize("kind", ["right", "foreign", "nonsense", "basic", "empty"])
def test_b1_an_authorization_header_does_not_switch_the_check_of_cookies_off(
    site: Site, origin: str | None, code: str, kind: str
) -> None:
    ada, eve = site.sign_up("ada"), site.sign_up("eve")
    header = {
        "right": f"Bearer {plain(ada)}",
        "foreign": f"Bearer {plain(eve)}",
        "nonsense": "Bearer x.y",
        "basic": "Basic eDp5",
        "empty": "",
    }[kind]
    before = site.snapshot()
    for path, body in (("/update-user", {"name": "Hacked"}), ("/sign-out", ...)):
        answer = ada.post(path, body, headers={"Authorization": header, "Origin": origin})
        assert (answer.status_code, answer.json["code"]) == (403, code)
    assert site.snapshot() == before
    answer = ada.post("/update-user", {"name": "Own"}, headers={"Authorization": header})
    assert answer.status_code == 200


def test_b3_an_authorization_header_does_not_let_another_site_sign_a_browser_in(site: Site) -> None:
    ada = site.sign_up("ada")
    headers = {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    body = {"email": "ada@example.com", "password": PASSWORD}
    answer = site.browser().post("/sign-in/email", body, headers={**headers, "Authorization": f"Bearer {plain(ada)}"})
    assert (answer.status_code, answer.json["code"]) == (403, "INVALID_ORIGIN")
    assert TOKEN not in answer.headers


# ---------------------------------------------------------------- the end of a session


def test_g16_a_revoked_session_is_refused_at_once(site: Site) -> None:
    ada = site.sign_up("ada")
    tokens = plain(ada), signed(ada)
    assert ask(site, f"Bearer {tokens[0]}", "~/me").status_code == 200
    assert ada.post("/sign-out").status_code == 200
    for token in tokens:
        assert who(ask(site, f"Bearer {token}")) is None
        assert ask(site, f"Bearer {token}", "/list-sessions").status_code == 401
        assert ask(site, f"Bearer {token}", "~/me").status_code == 401


def test_a_bearer_signs_out_their_own_session_alone(site: Site) -> None:
    ada = site.sign_up("ada")
    other = site.browser()
    other.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
    answer = site.browser().post("/sign-out", headers={"Authorization": f"Bearer {plain(other)}"})
    assert answer.json == {"success": True}
    assert [session.token for session in site.rows("session")] == [plain(ada)]


def test_g16_an_expired_session_is_refused_and_gone(site: Site) -> None:
    ada = site.sign_up("ada")
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(days=8)):
        assert ask(site, f"Bearer {signed(ada)}", "~/me").status_code == 401
        assert who(ask(site, f"Bearer {signed(ada)}")) is None
    assert site.rows("session") == []


def test_a_bearers_session_is_extended_when_it_is_due(site: Site) -> None:
    token = plain(site.sign_up("ada"))
    (before,) = site.rows("session")
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(days=2)):
        answer = ask(site, f"Bearer {token}")
    assert who(answer) == "Ada"
    assert answer.headers[TOKEN].startswith(token + ".")
    (after,) = site.rows("session")
    assert after.expires_at - before.expires_at >= timedelta(days=2)
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(days=4)):
        assert ask(site, f"Bearer {token}", "~/me").json == {"name": "Ada", "token": token}
    assert site.rows("session")[0].expires_at > after.expires_at


def test_a_session_that_was_not_to_be_remembered_is_not_extended(site: Site) -> None:
    ada = site.sign_up("ada", rememberMe=False)
    (before,) = site.rows("session")
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(hours=23)):
        assert who(ask(site, f"Bearer {plain(ada)}")) == "Ada"
    assert site.rows("session")[0].expires_at == before.expires_at


# ---------------------------------------------------------------- the application's own views


def test_current_user_and_auth_api_know_the_bearer(site: Site) -> None:
    token = plain(site.sign_up("ada"))
    assert ask(site, f"Bearer {token}", "~/me").json == {"name": "Ada", "token": token}
    assert ask(site, f"Bearer {token}", "~/through").json == "Ada"
    assert ask(site, "Bearer x", "~/me").status_code == 401


def test_a_page_that_looked_at_the_user_varies_by_both_headers(site: Site, make_auth: Callable[..., Site]) -> None:
    token = plain(site.sign_up("ada"))
    assert set(ask(site, f"Bearer {token}", "~/me").vary) == {"Cookie", "Authorization"}


def test_without_the_plugin_the_header_means_nothing(make_auth: Callable[..., Site]) -> None:
    site = make_auth()
    ada = site.sign_up("ada")
    assert who(ask(site, f"Bearer {signed(ada)}")) is None
    assert TOKEN not in ada.post("/update-user", {"name": "A"}).headers


# ---------------------------------------------------------------- logs


def test_no_token_reaches_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    ada = site.sign_up("ada")
    site.app.testing = False  # failures become answers
    tokens = plain(ada), signed(ada)
    for token in (*tokens, f"{tokens[1]}x", f"{tokens[0]}\xe4"):
        ask(site, f"Bearer {token}")
        ask(site, f"Bearer {token}", "~/me")
    with site.app.app_context():
        site.db.drop_all()
    for token in tokens:
        assert ask(site, f"Bearer {token}").status_code >= 500
        assert ask(site, f"Bearer {token}", "~/me").status_code >= 500
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) >= 4
    assert tokens[0] not in caplog.text
