"""SECURITY C5, E10, F1, F3, G1, G3, G14: at every endpoint that takes a password or hands out a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from conftest import ORIGIN, PASSWORD, Browser, Site, build_site, every_plugin, tear_down
from flask import Response

from flask_better_auth import APIError
from flask_better_auth.endpoint import Endpoint

TOKEN = "better-auth.session_token"
NEW = "another good password"
PASSWORDS = ("password", "current_password", "new_password")
#: What opens a session for Ada, by path; the change of a password ends the others.
OPENING: dict[str, dict[str, Any]] = {
    "/sign-in/email": {"email": "ada@example.com", "password": PASSWORD},
    "/sign-in/username": {"username": "ada", "password": PASSWORD},
    "/sign-up/email": {"name": "New", "email": "new@example.com", "password": PASSWORD, "username": "new"},
    "/change-password": {"currentPassword": PASSWORD, "newPassword": NEW, "revokeOtherSessions": True},
}


@pytest.fixture(scope="module")
def shared(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    url = server_url or f"sqlite:///{tmp_path_factory.mktemp('every')}/test.db"
    options = {
        "table_prefix": "every_",
        "plugins": every_plugin(),
        "email_and_password": {"send_reset_password": lambda **message: None},
        "user": {"delete_user": {"enabled": True}},
    }
    site = build_site(url, options=options)
    yield site
    tear_down(site)


@pytest.fixture
def site(shared: Site) -> Site:
    """That application as nobody has used it."""
    return shared.emptied()


@pytest.fixture
def ada(site: Site) -> Browser:
    return site.sign_up("ada", username="ada")


def endpoints(site: Site) -> list[Endpoint]:
    return [bound.endpoint for bound in site.app.extensions["better_auth"].registry]


def taking_passwords(site: Site) -> Iterator[tuple[Endpoint, str]]:
    """Each endpoint, of the server too, with each of its fields that holds a password."""
    for endpoint in endpoints(site):
        for name in PASSWORDS:
            if endpoint.body is not None and name in endpoint.body.fields:
                yield endpoint, name


def size(answer: Response) -> tuple[int, int]:
    """How long an answer is: its body, and its headers."""
    return len(answer.data), sum(len(name) + len(value) for name, value in answer.headers.items())


def store_hash(site: Site, user: str, stored: str | None) -> None:
    with site.app.app_context():
        wanted = site.db.select(site.auth.User.id).where(site.auth.User.email == f"{user}@example.com")
        user_id = site.db.session.scalars(wanted).one()
        account = site.auth.Account
        site.db.session.execute(site.db.update(account).where(account.user_id == user_id).values(password=stored))
        site.db.session.commit()


# ---------------------------------------------------------------- F1, F3


def ask(browser: Browser, endpoint: Endpoint, field: str, password: str) -> str | None:
    """The code that a password gets in a field, the others being right; nothing for success."""
    known = {
        **dict.fromkeys(PASSWORDS, PASSWORD),
        "email": "ada@example.com",
        "name": "Ada",
        "username": "ada",
        "token": "of-no-link",
        field: password,
    }
    assert endpoint.body is not None
    body = {name: known[name] for name in endpoint.body.fields if name in known}
    headers = {"Cookie": f"{TOKEN}={browser.cookies[TOKEN]}", "Origin": ORIGIN}
    try:
        getattr(browser.site.api, endpoint.name)(body=body, headers=headers)
    except APIError as error:
        return error.code
    return None


def test_f1_no_endpoint_hashes_a_password_that_is_too_long(ada: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, spent = ada.site.app.extensions["better_auth"].passwords, []
    for name in ("hash", "verify"):
        original = getattr(passwords, name)
        monkeypatch.setattr(passwords, name, lambda *a, original=original: spent.append(a) or original(*a))
    cases = list(taking_passwords(ada.site))
    assert {endpoint.name for endpoint, _ in cases} >= {
        "sign_up_email",
        "sign_in_email",
        "sign_in_username",
        "create_user",
        "change_password",
        "verify_password",
        "set_password",
    }
    for endpoint, field in cases:
        for length in (129, 10_000):
            spent.clear()
            code = ask(ada, endpoint, field, "x" * length)
            hashed = [argument for arguments in spent for argument in arguments if str(argument)[:2] == "xx"]
            assert (code, hashed) == ("PASSWORD_TOO_LONG", []), (endpoint, field)
        spent.clear()
        assert ask(ada, endpoint, field, "x" * 128) != "PASSWORD_TOO_LONG", (endpoint, field)
    assert any("x" * 128 in arguments for arguments in spent), "hashes are seen"


@pytest.mark.parametrize(
    ("one", "other"),
    [("\u212bngstrom1", "A\u030angstrom1"), ("\uff50assword1", "password1"), ("o\ufb03ce-hours", "office-hours")],
    ids=ascii,
)
def test_f3_compatible_forms_are_one_password_when_it_is_changed_and_checked(
    ada: Browser, one: str, other: str
) -> None:
    assert ada.post("/change-password", {"currentPassword": PASSWORD, "newPassword": one}).status_code == 200
    for typed in (one, other):
        assert ada.post("/verify-password", {"password": typed}).json == {"status": True}
        assert ada.post("/verify-password", {"password": typed + "x"}).json["code"] == "INVALID_PASSWORD"
        assert ada.post("/sign-in/username", {"username": "ada", "password": typed}).status_code == 200
    assert ada.post("/change-password", {"currentPassword": other, "newPassword": PASSWORD}).status_code == 200


# ---------------------------------------------------------------- G1, G3, G14, C5


@pytest.mark.parametrize("path", OPENING)
def test_g1_every_session_that_is_opened_has_a_token_nobody_knew(ada: Browser, path: str) -> None:
    eve = ada.site.sign_up("eve")
    known = {session.token for session in ada.site.rows("session")}
    before = ada.cookies[TOKEN]
    planted = {"Authorization": f"Bearer {eve.session()['session']['token']}"}
    # whoever changes a password is the bearer
    answer = ada.post(path, OPENING[path], headers={} if path == "/change-password" else planted)
    assert answer.status_code == 200, answer.data
    token = answer.json["token"]
    assert token not in known
    assert unquote(ada.cookies[TOKEN]).rpartition(".")[0] == token
    assert ada.session()["user"]["name"] in ("Ada", "New")
    assert eve.session()["user"]["name"] == "Eve"
    if path == "/change-password":
        old = ada.site.browser()
        old.cookies = {TOKEN: before}
        assert old.session() is None


def test_g1_bearer_of_another_changes_their_password_and_not_that_of_the_cookie(ada: Browser) -> None:
    eve = ada.site.sign_up("eve")
    headers = {"Authorization": f"Bearer {eve.session()['session']['token']}"}
    answer = ada.post("/change-password", OPENING["/change-password"], headers=headers)
    assert answer.json["user"]["email"] == "eve@example.com"
    for who, password in (("eve", NEW), ("ada", PASSWORD)):
        body = {"email": f"{who}@example.com", "password": password}
        assert ada.site.browser().post("/sign-in/email", body).status_code == 200


def test_g3_of_two_cookies_the_secure_one_counts(make_auth: Callable[..., Site]) -> None:
    site = make_auth(url="https://app.example.com")
    origin = {"Origin": "https://app.example.com"}
    tokens = {}
    for who in ("ada", "eve"):
        browser = site.browser()
        body = {"name": who, "email": f"{who}@example.com", "password": PASSWORD}
        assert browser.post("/sign-up/email", body, headers=origin).status_code == 200
        tokens[who] = browser.cookies[f"__Secure-{TOKEN}"]
    secure, plain = f"__Secure-{TOKEN}={tokens['ada']}", f"{TOKEN}={tokens['eve']}"
    for header in (f"{secure}; {plain}", f"{plain}; {secure}"):
        assert site.browser().get("/get-session", headers={"Cookie": header}).json["user"]["name"] == "ada"
    assert site.browser().get("/get-session", headers={"Cookie": plain}).json is None
    twice = f"__Secure-{TOKEN}={tokens['eve']}; {secure}"  # as browsers order them: the longest path first
    assert site.browser().get("/get-session", headers={"Cookie": twice}).json["user"]["name"] == "eve"


@pytest.mark.parametrize("path", [*OPENING, "/update-user", "/revoke-sessions"])
@pytest.mark.parametrize("place", ["headers", "environ_overrides"])
def test_c5_g14_no_request_changes_the_attributes_of_a_cookie(ada: Browser, path: str, place: str) -> None:
    names = ("X-Forwarded-Prefix", "Script-Name", "X-Forwarded-Path", "X-Forwarded-Host")
    spoof = {"environ_overrides": {"SCRIPT_NAME": "/evil"}} if place != "headers" else {}
    headers = {"Origin": ORIGIN, **(dict.fromkeys(names, "/evil") if place == "headers" else {})}
    answer = ada.post(path, OPENING.get(path, {"name": "Changed"}), headers=headers, **spoof)
    assert answer.status_code == 200, answer.data
    lines = answer.headers.getlist("Set-Cookie")
    assert lines
    for line in lines:
        attributes = line.split("; ")[1:]
        assert attributes in (
            ["Max-Age=604800", "Path=/", "HttpOnly", "SameSite=Lax"],
            ["Max-Age=0", "Path=/", "HttpOnly", "SameSite=Lax"],
        )
        assert len(line) <= 4096


# ---------------------------------------------------------------- E10

STATES: dict[str, Callable[[Site], Any]] = {
    "unknown": lambda site: None,
    "wrong password": lambda site: site.sign_up("zoe", username="zoe"),
    "verified": lambda site: site.api.create_user(
        email="zoe@example.com", name="Zoe", password=PASSWORD, email_verified=True, username="zoe"
    ),
    "no password": lambda site: site.api.create_user(email="zoe@example.com", name="Zoe", username="zoe"),
    "many sessions": lambda site: [site.sign_up("zoe", username="zoe"), *_sign_ins(site, 3)],
    "garbage hash": lambda site: [site.sign_up("zoe", username="zoe"), store_hash(site, "zoe", "garbage")],
    "long name": lambda site: site.sign_up("zoe", username="zoe", name="Z" * 1000, image="i" * 1000),
}


def _sign_ins(site: Site, count: int) -> list[Response]:
    body = {"email": "zoe@example.com", "password": PASSWORD}
    return [site.browser().post("/sign-in/email", body) for _ in range(count)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sign-in/email", {"email": "zoe@example.com", "password": "wrong password"}),
        ("/sign-in/username", {"username": "zoe", "password": "wrong password"}),
        ("/request-password-reset", {"email": "zoe@example.com"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_e10_length_of_an_answer_does_not_tell_the_state_of_the_account(
    site: Site, path: str, body: dict[str, str]
) -> None:
    sizes = {}
    for name, make in STATES.items():
        site.emptied()
        make(site)
        sizes[name] = size(site.browser().post(path, body))
    assert len(set(sizes.values())) == 1, sizes


def test_e10_length_of_cookies_does_not_tell_the_state_of_the_account(site: Site) -> None:
    lengths = {}
    for name in ("wrong password", "verified", "many sessions", "long name"):
        site.emptied()
        STATES[name](site)
        answer = site.browser().post("/sign-in/email", {"email": "zoe@example.com", "password": PASSWORD})
        assert answer.status_code == 200
        # a token is one of letters and digits, its signature of what is percent-encoded
        lengths[name] = [len(unquote(line)) for line in answer.headers.getlist("Set-Cookie")]
    assert len(lengths["verified"]) == 1
    assert len({tuple(each) for each in lengths.values()}) == 1, lengths


def test_e10_answers_of_another_length_would_be_seen(site: Site) -> None:
    site.sign_up("zoe")
    body = {"email": "zoe@example.com", "password": PASSWORD}
    assert size(site.browser().post("/sign-in/email", body)) != size(
        site.browser().post("/sign-in/email", {**body, "password": "wrong password"})
    )
