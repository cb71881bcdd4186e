"""Usernames: what is one, where it is set, and that nobody has the name of somebody else."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from conftest import ORIGIN, PASSWORD, STUCK, Browser, Site, at_once, work
from flask import Response
from sqlalchemy import inspect

from flask_better_auth import APIError, ConfigError, Limit, signals
from flask_better_auth.plugins import Username
from flask_better_auth.plugins.username import UsernameErrors, UsernameOptions
from flask_better_auth.services import users

Make = Callable[..., Site]
POST = "post-normalization"


def anything(text: str) -> bool:
    """A validator that refuses nothing."""
    return True


@pytest.fixture
def named(make_auth: Make) -> Callable[..., Site]:
    """Builds applications with usernames: ``named(min_username_length=1)``."""

    def make(engine_options: Any = None, app: dict[str, Any] | None = None, **options: Any) -> Site:
        return make_auth(engine_options=engine_options, plugins=[Username(**options)], **(app or {}))

    return make


@pytest.fixture
def site(named: Callable[..., Site]) -> Site:
    """One with the plugin's defaults."""
    return named()


def sign_up(site: Site, who: str = "new", **more: Any) -> Response:
    """A sign-up, however it ends."""
    body = {"name": who.title(), "email": f"{who}@example.com", "password": PASSWORD, **more}
    return site.browser().post("/sign-up/email", body)


def sign_in(site: Site, username: Any, password: str = PASSWORD, **more: Any) -> Response:
    """A sign-in by username, however it ends."""
    return site.browser().post("/sign-in/username", {"username": username, "password": password, **more})


def is_available(site: Site, username: Any) -> Response:
    """The question whether a username is free."""
    return site.browser().post("/is-username-available", {"username": username})


def told(answer: Response) -> tuple[int, Any]:
    """Status and code of an answer."""
    return answer.status_code, (answer.json or {}).get("code")


def names(site: Site) -> set[tuple[str | None, str | None]]:
    """Username and display form of every user."""
    return {(user.username, user.display_username) for user in site.rows("user")}


# ---------------------------------------------------------------- the endpoints, by both doors


def test_sign_in_answers_as_by_address(site: Site, door: Any) -> None:
    user = site.sign_up("ada", username="Ada_L").session()["user"]
    by_name = door(site)("sign_in_username", {"username": "aDA_l", "password": PASSWORD})
    by_address = door(site)("sign_in_email", {"email": "ada@example.com", "password": PASSWORD})
    assert by_name.status_code == 200
    assert list(by_name.json) == list(by_address.json) == ["redirect", "token", "user"]
    assert by_name.json["user"] == by_address.json["user"] == user
    assert by_name.json["redirect"] is False
    cookies = {"better-auth.session_token": by_name.headers["Set-Cookie"].partition("=")[2].partition(";")[0]}
    assert door(site)("get_session", cookies=cookies).json["session"]["token"] == by_name.json["token"]


def test_sign_in_by_auth_api(site: Site) -> None:
    site.api.sign_up_email(name="Ada", email="ada@example.com", password=PASSWORD, username="Ada_L")
    result = site.api.sign_in_username(username="ADA_L", password=PASSWORD, remember_me=False)
    assert (result["user"]["username"], result["user"]["display_username"]) == ("ada_l", "Ada_L")
    assert result["token"] in {session.token for session in site.rows("session")}
    with pytest.raises(APIError) as caught:
        site.api.sign_in_username(username="ADA_L", password="wrong password")
    assert (caught.value.status_code, caught.value.code) == (401, "INVALID_USERNAME_OR_PASSWORD")


def test_sign_in_may_be_for_as_long_as_the_browser_is_open(site: Site) -> None:
    site.sign_up("ada", username="ada_l")
    browser = site.browser()
    browser.post("/sign-in/username", {"username": "ada_l", "password": PASSWORD, "rememberMe": False})
    assert "better-auth.dont_remember" in browser.cookies
    session = browser.session()["session"]
    assert session["expiresAt"][:10] > session["createdAt"][:10]


def test_sign_in_says_where_to_go_next(site: Site) -> None:
    site.sign_up("ada", username="ada_l")
    answer = sign_in(site, "ada_l", callbackURL="/home")
    assert (answer.json["redirect"], answer.json["url"], answer.headers["Location"]) == (True, "/home", "/home")
    answer = sign_in(site, "ada_l", callbackURL="https://evil.example/")
    assert told(answer) == (403, "INVALID_CALLBACK_URL")


def test_availability(site: Site, door: Any) -> None:
    site.sign_up("ada", username="Ada_L")
    invoke = door(site)
    assert invoke("is_username_available", {"username": "ADA_l"}).json == {"available": False}
    assert invoke("is_username_available", {"username": "ada_m"}).json == {"available": True}
    assert site.api.is_username_available(username="ada_l") == {"available": False}


def test_e6_availability_can_be_switched_off(make_auth: Make) -> None:
    site = make_auth(plugins=[Username()], disabled_paths=["/is-username-available"])
    site.sign_up("ada", username="ada_l")
    assert is_available(site, "ada_l").status_code == 404
    assert site.api.is_username_available(username="ada_l") == {"available": False}


def test_users_made_by_the_server_have_usernames(site: Site) -> None:
    made = site.api.create_user(name="Ada", email="ada@example.com", password=PASSWORD, username="Ada_L")["user"]
    assert (made["username"], made["display_username"]) == ("ada_l", "Ada_L")
    data = {"username": "Bob_B", "display_username": "Bob!"}
    made = site.api.create_user(name="Bob", email="bob@example.com", data=data)["user"]
    assert (made["username"], made["display_username"]) == ("bob_b", "Bob!")
    assert sign_in(site, "ada_l").status_code == 200


@pytest.mark.parametrize(
    ("username", "code"),
    [("ADA_L", "USERNAME_IS_ALREADY_TAKEN"), ("a", "USERNAME_TOO_SHORT"), ("a b c", "INVALID_USERNAME")],
)
@pytest.mark.parametrize("inside", [False, True], ids=["beside", "in data"])
def test_the_server_is_refused_what_clients_are(site: Site, username: str, code: str, inside: bool) -> None:
    site.sign_up("ada", username="ada_l")
    given = {"data": {"username": username}} if inside else {"username": username}
    with pytest.raises(APIError) as caught:
        site.api.create_user(name="Bob", email="bob@example.com", **given)
    assert (caught.value.status_code, caught.value.code) == (400, code)
    assert len(site.rows("user")) == 1


def test_the_server_renames_anybody(named: Callable[..., Site]) -> None:
    site = named(immutable_username=True)
    user = site.sign_up("ada", username="ada_l").session()["user"]
    site.sign_up("bob", username="bob_b")
    assert site.api.update_user(user_id=user["id"], data={"username": "Ada_M"}) == {"status": True}
    for username, code in (("bob_b", "USERNAME_IS_ALREADY_TAKEN"), ("x", "USERNAME_TOO_SHORT")):
        with pytest.raises(APIError) as caught:
            site.api.update_user(user_id=user["id"], data={"username": username})
        assert (caught.value.status_code, caught.value.code) == (400, code)
    assert {name for name, _ in names(site)} == {"ada_m", "bob_b"}


# ---------------------------------------------------------------- every error, with its status


def test_every_error_code_of_the_reference_is_there(site: Site) -> None:
    codes = {name for name in vars(UsernameErrors) if name.isupper()}
    assert codes == {
        "INVALID_DISPLAY_USERNAME",
        "INVALID_USERNAME",
        "INVALID_USERNAME_OR_PASSWORD",
        "USERNAME_IS_ALREADY_TAKEN",
        "USERNAME_IS_IMMUTABLE",
        "USERNAME_TOO_LONG",
        "USERNAME_TOO_SHORT",
    }
    for code in codes:
        assert site.auth.error_codes[code].message == getattr(UsernameErrors, code).message


BAD = [
    ("ab", "USERNAME_TOO_SHORT"),
    ("x" * 31, "USERNAME_TOO_LONG"),
    ("with space", "INVALID_USERNAME"),
    ("a-b-c", "INVALID_USERNAME"),
    ("abc\n", "INVALID_USERNAME"),
    ("abc\t", "INVALID_USERNAME"),
    (" abc", "INVALID_USERNAME"),
    ("abc\0", "INVALID_USERNAME"),
    ("ada@example.com", "INVALID_USERNAME"),
    ("\uff21\uff24\uff21", "INVALID_USERNAME"),  # full-width
    ("\u0131brahim", "INVALID_USERNAME"),  # dotless i
    ("\u0130brahim", "INVALID_USERNAME"),  # one character whose lower case is two
    ("\u212aelvin", "INVALID_USERNAME"),  # the sign of Kelvin, whose lower case is k
    ("ada\u0301", "INVALID_USERNAME"),  # combining
    ("\u0430da", "INVALID_USERNAME"),  # Cyrillic
    ("\u0661\u0662\u0663", "INVALID_USERNAME"),  # Arabic digits
    ("ada\u200b", "INVALID_USERNAME"),  # zero width
    ("\U0001f600\U0001f600", "INVALID_USERNAME"),  # four, as JavaScript counts
    ("\U0001f600" * 16, "USERNAME_TOO_LONG"),
]


@pytest.mark.parametrize(("username", "code"), BAD, ids=[ascii(name)[:24] for name, _ in BAD])
def test_what_is_no_username_is_refused_everywhere(site: Site, door: Any, username: str, code: str) -> None:
    browser, invoke = site.sign_up("ada", username="ada_l"), door(site)
    before = site.snapshot()
    body = {"name": "Bob", "email": "bob@example.com", "password": PASSWORD, "username": username}
    answers = {
        "sign_in_username": invoke("sign_in_username", {"username": username, "password": PASSWORD}),
        "is_username_available": invoke("is_username_available", {"username": username}),
        "sign_up_email": invoke("sign_up_email", body),
        "update_user": invoke("update_user", {"username": username}, cookies=browser.cookies),
    }
    assert {name: told(answer) for name, answer in answers.items()} == {
        "sign_in_username": (422, code),
        "is_username_available": (422, code),
        "sign_up_email": (400, code),
        "update_user": (400, code),
    }
    assert site.snapshot() == before


@pytest.mark.parametrize("username", ["abc", "x" * 30, "a.b", "___", "...", "123", "__proto__", "ABC"])
def test_what_is_a_username_is_accepted_everywhere(site: Site, username: str) -> None:
    assert is_available(site, username).json == {"available": True}
    assert sign_up(site, username=username).json["user"]["username"] == username.lower()
    assert sign_in(site, username).status_code == 200
    assert site.sign_up("eve").post("/update-user", {"username": username[:-1] + "z"}).status_code == 200


@pytest.mark.parametrize("body", [{"username": "", "password": "p"}, {"username": "ada_l", "password": ""}])
def test_an_empty_field_is_a_wrong_sign_in(site: Site, door: Any, body: dict[str, str]) -> None:
    assert told(door(site)("sign_in_username", body)) == (401, "INVALID_USERNAME_OR_PASSWORD")


def test_an_empty_username_is_never_free(site: Site, door: Any) -> None:
    assert told(door(site)("is_username_available", {"username": ""})) == (422, "INVALID_USERNAME")


@pytest.mark.parametrize("endpoint", ["sign_in_username", "is_username_available"])
@pytest.mark.parametrize("username", [None, 5, True, ["ada_l"], {"a": 1}, ...])
def test_a_username_that_is_no_text_is_refused(site: Site, door: Any, endpoint: str, username: Any) -> None:
    body = {"password": PASSWORD} if username is ... else {"username": username, "password": PASSWORD}
    assert told(door(site)(endpoint, body)) == (400, "VALIDATION_ERROR")


def test_a_password_that_is_too_long_is_not_hashed(site: Site) -> None:
    site.sign_up("ada", username="ada_l")
    with work(site) as cost:
        assert told(sign_in(site, "ada_l", "x" * 129)) == (400, "PASSWORD_TOO_LONG")
    assert cost == {}


@pytest.mark.parametrize("username", [5, True, ["ada_m"], {"a": 1}])
@pytest.mark.parametrize("field", ["username", "displayUsername"])
def test_values_of_another_type_are_not_stored(site: Site, field: str, username: Any) -> None:
    browser = site.sign_up("ada", username="ada_l")
    before = site.snapshot()
    assert told(browser.post("/update-user", {field: username})) == (400, "VALIDATION_ERROR")
    assert told(sign_up(site, **{field: username})) == (400, "VALIDATION_ERROR")
    assert site.snapshot() == before


def test_a_taken_username_is_refused(site: Site, door: Any) -> None:
    site.sign_up("ada", username="ada_l")
    cookies = site.sign_up("bob", username="bob_b").cookies
    before = site.snapshot()
    body = {"name": "Eve", "email": "eve@example.com", "password": PASSWORD, "username": "ADA_l"}
    taken = (400, "USERNAME_IS_ALREADY_TAKEN")
    assert told(door(site)("sign_up_email", body)) == taken
    assert told(door(site)("update_user", {"username": "ADA_l"}, cookies=cookies)) == taken
    assert site.snapshot() == before


def test_ones_own_username_is_not_taken(site: Site) -> None:
    browser = site.sign_up("ada", username="ada_l")
    assert browser.post("/update-user", {"username": "ADA_L"}).status_code == 200
    assert browser.session()["user"]["username"] == "ada_l"


def test_null_takes_the_username_off(site: Site) -> None:
    browser = site.sign_up("ada", username="ada_l")
    assert browser.post("/update-user", {"username": None, "displayUsername": None}).status_code == 200
    assert names(site) == {(None, None)}
    assert told(sign_in(site, "ada_l")) == (401, "INVALID_USERNAME_OR_PASSWORD")
    assert is_available(site, "ada_l").json == {"available": True}


def test_an_update_does_not_change_how_a_user_is_shown(site: Site) -> None:
    browser = site.sign_up("ada", username="Ada_L")
    assert browser.post("/update-user", {"username": "Ada_M"}).status_code == 200
    assert names(site) == {("ada_m", "Ada_L")}


def test_an_update_with_a_username_needs_a_session_and_tells_nobody_who_has_it(site: Site) -> None:
    site.sign_up("ada", username="ada_l")
    taken, free = (site.browser().post("/update-user", {"username": name}) for name in ("ada_l", "ada_m"))
    assert told(taken) == told(free) == (401, "UNAUTHORIZED")
    assert taken.data == free.data


def test_an_unknown_key_is_no_way_round_the_checks(site: Site) -> None:
    browser = site.sign_up("ada", username="ada_l")
    before = site.snapshot()
    for username, code in (("!", "USERNAME_TOO_SHORT"), ("<b>x</b>", "INVALID_USERNAME")):
        body = {"username": username, "data": {"username": "good_name"}}
        assert told(sign_up(site, **body)) == (400, code)
        assert told(browser.post("/update-user", body)) == (400, code)
    assert site.snapshot() == before


# ---------------------------------------------------------------- display forms


def test_a_username_is_shown_as_it_was_typed(site: Site) -> None:
    assert sign_up(site, username="Ada_L").json["user"]["displayUsername"] == "Ada_L"
    assert sign_up(site, "eve", username="Eve_L", displayUsername="").status_code == 200
    assert sign_up(site, "bob", username="Bob_B", displayUsername="Bob & Co").status_code == 200
    assert names(site) == {("ada_l", "Ada_L"), ("eve_l", "Eve_L"), ("bob_b", "Bob & Co")}


@pytest.mark.parametrize(
    ("display", "username"),
    [("Some_Body", "some_body"), ("Some Body", None), ("x", None), ("x" * 31, None), ("\u00dcmit", None)],
)
def test_a_display_form_that_may_be_a_username_is_one(site: Site, display: str, username: str | None) -> None:
    assert sign_up(site, displayUsername=display).status_code == 200
    assert names(site) == {(username, display)}


def test_a_display_form_beside_null_is_no_username(site: Site) -> None:
    assert sign_up(site, username=None, displayUsername="Some_Body").status_code == 200
    assert names(site) == {(None, "Some_Body")}


def test_nobody_signs_up_under_a_display_form_that_is_somebodys_username(site: Site) -> None:
    site.sign_up("ada", username="ada_l")
    assert told(sign_up(site, displayUsername="ADA_L")) == (400, "USERNAME_IS_ALREADY_TAKEN")
    assert len(site.rows("user")) == 1


# ---------------------------------------------------------------- options


def test_options_are_those_of_the_reference() -> None:
    assert {f.name for f in fields(UsernameOptions)} == {
        "min_username_length",
        "max_username_length",
        "username_validator",
        "username_normalization",
        "display_username",
        "display_username_validator",
        "display_username_normalization",
        "immutable_username",
        "validation_order",
    }


@pytest.mark.parametrize(
    "options",
    [
        {"min_length": 3},
        {"max_username_length": "many"},
        {"max_username_length": 256},
        {"username_validator": "letters"},
        {"validation_order": {"username": "before"}},
        {"immutable_username": "yes"},
        {"min_username_length": 31},
        {"min_username_length": 0},
    ],
    ids=str,
)
def test_a_wrong_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Username(**options)


def test_lengths(named: Callable[..., Site]) -> None:
    site = named(min_username_length=2, max_username_length=4)
    found = {name: told(is_available(site, name)) for name in ("a", "ab", "abcd", "abcde")}
    assert found == {
        "a": (422, "USERNAME_TOO_SHORT"),
        "ab": (200, None),
        "abcd": (200, None),
        "abcde": (422, "USERNAME_TOO_LONG"),
    }


def test_a_validator_of_ones_own(named: Callable[..., Site]) -> None:
    site = named(username_validator=lambda name: name.startswith("u-"))
    assert sign_up(site, username="U-ada").json["code"] == "INVALID_USERNAME"  # judged as typed
    assert sign_up(site, username="u-ADA").json["user"]["username"] == "u-ada"
    assert told(is_available(site, "ada")) == (422, "INVALID_USERNAME")
    assert sign_in(site, "u-Ada").status_code == 200


def test_without_normalization_case_counts(named: Callable[..., Site]) -> None:
    site = named(username_normalization=False)
    site.sign_up("ada", username="Ada_L")
    site.sign_up("eve", username="ada_l")
    assert sign_in(site, "Ada_L").json["user"]["email"] == "ada@example.com"
    assert sign_in(site, "ada_l").json["user"]["email"] == "eve@example.com"
    assert told(sign_in(site, "ADA_L")) == (401, "INVALID_USERNAME_OR_PASSWORD")
    assert is_available(site, "ADA_L").json == {"available": True}


def test_a_normalization_of_ones_own(named: Callable[..., Site]) -> None:
    site = named(username_normalization=lambda name: name.lower().replace(".", ""))
    assert sign_up(site, username="A.d.a.L").json["user"]["username"] == "adal"
    assert sign_in(site, "AD.AL").status_code == 200
    assert told(sign_up(site, "eve", username="ada.l")) == (400, "USERNAME_IS_ALREADY_TAKEN")


@pytest.mark.parametrize(("order", "status"), [("pre-normalization", 400), (POST, 200)], ids=["as typed", "as stored"])
def test_a_username_is_judged_as_typed_or_as_stored(named: Callable[..., Site], order: Any, status: int) -> None:
    site = named(username_normalization=str.strip, validation_order={"username": order})
    answer = sign_up(site, username="  ada  ")
    assert answer.status_code == status
    assert names(site) == ({("ada", "  ada  ")} if status == 200 else set())


def test_without_display_forms_there_is_no_column_for_them(named: Callable[..., Site]) -> None:
    site = named(display_username=False)
    user = sign_up(site, username="Ada_L", displayUsername="x").json["user"]
    assert user["username"] == "ada_l"
    assert "displayUsername" not in user
    assert not hasattr(site.auth.User, "display_username")
    assert sign_in(site, "ADA_L").json["user"] == user


def test_a_display_form_is_judged_and_normalized(named: Callable[..., Site]) -> None:
    site = named(
        display_username_validator=lambda text: len(text) <= 5, display_username_normalization=lambda t: t.strip()
    )
    assert told(sign_up(site, username="ada_l", displayUsername=" ada  ")) == (400, "INVALID_DISPLAY_USERNAME")
    browser = site.sign_up("ada", username="ada_l", displayUsername=" Ada ")
    assert browser.session()["user"]["displayUsername"] == "Ada"
    assert told(browser.post("/update-user", {"displayUsername": "Ada L."})) == (400, "INVALID_DISPLAY_USERNAME")
    assert browser.post("/update-user", {"displayUsername": "Ad "}).status_code == 200
    assert browser.session()["user"]["displayUsername"] == "Ad"


def test_a_display_form_may_be_judged_as_stored(named: Callable[..., Site]) -> None:
    site = named(
        display_username_validator=lambda text: len(text) <= 5,
        display_username_normalization=lambda text: text.strip(),
        validation_order={"display_username": POST},
    )
    assert sign_up(site, username="ada_l", displayUsername="   Ada  ").json["user"]["displayUsername"] == "Ada"


def test_display_forms_can_be_put_into_lower_case(named: Callable[..., Site]) -> None:
    site = named(display_username_normalization=True)
    assert sign_up(site, username="Ada_L").json["user"]["displayUsername"] == "ada_l"


@pytest.mark.parametrize("change", ["ada_m", None], ids=["another", "null"])
def test_an_immutable_username_stays(named: Callable[..., Site], change: str | None) -> None:
    site = named(immutable_username=True)
    ada, eve = site.sign_up("ada", username="ada_l"), site.sign_up("eve")
    assert told(ada.post("/update-user", {"username": change})) == (400, "USERNAME_IS_IMMUTABLE")
    assert ada.post("/update-user", {"username": "ADA_L", "name": "A"}).status_code == 200
    assert ada.post("/update-user", {"name": "B", "displayUsername": "b"}).status_code == 200
    assert eve.post("/update-user", {"username": "Eve_E"}).status_code == 200  # the first one
    assert told(eve.post("/update-user", {"username": "eve_f"})) == (400, "USERNAME_IS_IMMUTABLE")
    assert {name for name, _ in names(site)} == {"ada_l", "eve_e"}


def test_columns_under_camel_case(make_auth: Make) -> None:
    site = make_auth(naming="camelCase", password_hash="scrypt", plugins=[Username()])
    site.sign_up("ada", username="Ada_L")
    columns = inspect(site.auth.User).columns
    assert {columns["username"].name, columns["display_username"].name} == {"username", "displayUsername"}
    assert sign_in(site, "ada_l").json["user"]["displayUsername"] == "Ada_L"
    assert told(sign_up(site, "eve", username="ada_l")) == (400, "USERNAME_IS_ALREADY_TAKEN")


def test_columns_are_unique_and_may_be_empty(site: Site) -> None:
    with site.app.app_context():
        columns = {c["name"]: c for c in inspect(site.db.engine).get_columns("user")}
    assert columns["username"]["nullable"]
    assert columns["display_username"]["nullable"]
    site.sign_up("ada")
    site.sign_up("eve")  # two users without a username do not collide
    assert names(site) == {(None, None)}


# ---------------------------------------------------------------- sign-ups that tell nobody who is there


def test_e2_taken_address_gets_the_username_of_a_free_one(named: Callable[..., Site]) -> None:
    site = named(app={"email_and_password": {"auto_sign_in": False}})
    free = sign_up(site, "ada", username="Ada_L").json
    taken = sign_up(site, "ada", username="Ada_M").json
    assert free["token"] is taken["token"] is None
    assert list(free["user"]) == list(taken["user"])
    assert (free["user"]["username"], free["user"]["displayUsername"]) == ("ada_l", "Ada_L")
    assert (taken["user"]["username"], taken["user"]["displayUsername"]) == ("ada_m", "Ada_M")
    assert names(site) == {("ada_l", "Ada_L")}


# ---------------------------------------------------------------- E1


@pytest.fixture
def town(site: Site) -> Site:
    """Ada has a password, Otto has signed in by other means only, Eve's account has lost its hash, Kurt's has that of
    another server."""
    for who in ("ada", "eve", "kurt"):
        site.sign_up(who, username=who)
    site.api.create_user(email="otto@example.com", name="Otto", username="otto")
    legacy = "0" * 32 + ":" + hashlib.scrypt(b"other", salt=b"0" * 32, n=16384, r=16, p=1, maxmem=2**26).hex()
    ids = {user.username: user.id for user in site.rows("user")}
    with site.app.app_context():
        account = site.auth.Account
        for who, stored in (("eve", None), ("kurt", legacy)):
            site.db.session.execute(site.db.update(account).where(account.user_id == ids[who]).values(password=stored))
        site.db.session.commit()
    return site


@pytest.mark.parametrize("password", ["wrong password", "x", PASSWORD + "x"], ids=["wrong", "x", "longer"])
@pytest.mark.parametrize("who", ["ada", "otto", "eve", "kurt"], ids=["wrong", "no account", "no hash", "other hash"])
def test_e1_refused_sign_in_does_not_tell_whether_the_username_exists(town: Site, who: str, password: str) -> None:
    with work(town) as unknown_cost:
        unknown = sign_in(town, "nobody", password)
    with work(town) as cost:
        answer = sign_in(town, who, password)
    assert told(answer) == (401, "INVALID_USERNAME_OR_PASSWORD")
    assert (answer.data, answer.headers.to_wsgi_list()) == (unknown.data, unknown.headers.to_wsgi_list())
    assert cost == unknown_cost == {"verify": 1, "statement SELECT": 1}
    with work(town) as right:
        assert sign_in(town, "ada").status_code == 200
    assert right["verify"] == right["statement INSERT"] == 1


def test_e1_application_hears_the_same_of_every_refused_sign_in(town: Site) -> None:
    heard: list[dict[str, Any]] = []

    def receive(sender: object, **what: Any) -> None:
        heard.append(what)

    with signals.sign_in_failed.connected_to(receive, sender=town.app):
        for who in ("nobody", "otto", "ada"):
            sign_in(town, who, "wrong password")
    assert heard == [{"method": "credential", "reason": "INVALID_USERNAME_OR_PASSWORD"}] * 3


def test_sign_in_by_username_needs_a_trusted_origin(site: Site) -> None:
    browser = site.sign_up("ada", username="ada_l")
    body = {"username": "ada_l", "password": PASSWORD}
    answer = browser.post("/sign-in/username", body, headers={"Origin": "https://evil.example"})
    assert told(answer) == (403, "INVALID_ORIGIN")
    assert browser.post("/sign-in/username", body).status_code == 200


# ---------------------------------------------------------------- races


@pytest.fixture
def arena(named: Callable[..., Site], dialect: str) -> Site:
    """An application that many threads may use."""
    engine_options: dict[str, Any] = {"pool_size": 16, "max_overflow": 0, "pool_timeout": STUCK}
    if dialect == "sqlite":
        engine_options["connect_args"] = {"timeout": STUCK}
    site = named(engine_options)
    if dialect == "sqlite":
        with site.app.app_context(), site.db.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    return site


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees in the look-up that a username is taken, as if everybody had looked before anybody wrote."""
    found = users.find

    def find(call: Any, column: str, value: str) -> Any:
        return None if column == "username" else found(call, column, value)

    monkeypatch.setattr(users, "find", find)


def verdicts(answers: list[Response]) -> Counter[tuple[int, Any]]:
    """How often each answer was given."""
    return Counter(map(told, answers))


def test_s1_one_of_many_sign_ups_with_one_username_wins(arena: Site) -> None:
    answers = at_once(64, lambda i: sign_up(arena, f"racer{i}", username="Racer" if i % 2 else "racer"))
    assert verdicts(answers) == {(200, None): 1, (400, "USERNAME_IS_ALREADY_TAKEN"): 63}
    (winner,) = (answer.json for answer in answers if answer.status_code == 200)
    (user,), (account,), (session,) = (arena.rows(table) for table in ("user", "account", "session"))
    assert (user.id, user.username, session.token) == (winner["user"]["id"], "racer", winner["token"])
    assert account.user_id == session.user_id == user.id


def test_s1_one_of_many_who_take_one_username_gets_it(arena: Site) -> None:
    browsers: list[Browser] = [arena.sign_up(f"racer{i}", username=f"own_{i}") for i in range(64)]
    answers = at_once(64, lambda i: browsers[i].post("/update-user", {"username": "racer", "name": "Winner"}))
    assert verdicts(answers) == {(200, None): 1, (400, "USERNAME_IS_ALREADY_TAKEN"): 63}
    (winner,) = (user for user in arena.rows("user") if user.username == "racer")
    assert [user.id for user in arena.rows("user") if user.name == "Winner"] == [winner.id]


@pytest.mark.usefixtures("unseen")
def test_s1_the_database_refuses_what_the_look_up_did_not_see(site: Site, door: Any) -> None:
    site.sign_up("ada", username="ada_l")
    cookies = site.sign_up("bob", username="bob_b").cookies
    before, taken = site.snapshot(), (400, "USERNAME_IS_ALREADY_TAKEN")
    body = {"name": "Eve", "email": "eve@example.com", "password": PASSWORD, "username": "ada_l"}
    assert told(door(site)("sign_up_email", body)) == taken
    assert told(door(site)("update_user", {"username": "ada_l"}, cookies=cookies)) == taken
    with pytest.raises(APIError) as caught:
        site.api.create_user(name="Eve", email="eve@example.com", username="ada_l")
    assert (caught.value.status_code, caught.value.code) == taken
    assert site.snapshot() == before


@pytest.mark.usefixtures("unseen")
def test_s1_the_database_refuses_a_username_where_sign_up_hides_addresses(named: Callable[..., Site]) -> None:
    site = named(app={"email_and_password": {"auto_sign_in": False}})
    site.sign_up("ada", username="ada_l")
    assert told(sign_up(site, "eve", username="ada_l")) == (400, "USERNAME_IS_ALREADY_TAKEN")
    assert len(site.rows("user")) == 1


# ---------------------------------------------------------------- odd texts, where the validator lets them through


ODD = {
    "turkish": "\u0130\u0131I",
    "long_s": "\u017f\u212a\u00df",
    "spaces": "   ada   ",
    "newline": "ada\nbob",
    "emoji": "\U0001f600\U0001f601",
    "combining": "a\u0301b\u0301c\u0301",
    "right_to_left": "\u202eada",
    "percent": "a%b_c\\d",
    "quote": "'; drop table user; --",
}


@pytest.mark.parametrize("username", ODD.values(), ids=ODD.keys())
def test_odd_usernames_are_stored_and_found_as_they_are(named: Callable[..., Site], username: str) -> None:
    site = named(username_validator=anything)
    answer = sign_up(site, "ada", username=username)
    assert answer.json["user"]["username"] == username.lower()
    assert answer.json["user"]["displayUsername"] == username
    assert sign_in(site, username).json["user"]["email"] == "ada@example.com"
    assert is_available(site, username).json == {"available": False}
    assert told(sign_up(site, "eve", username=username)) == (400, "USERNAME_IS_ALREADY_TAKEN")


@pytest.mark.parametrize(
    ("mine", "other"),
    [("jose\u0301", "jose"), ("stra\u00dfe", "strasse"), ("ada", "ada "), ("ad\u0131", "adi"), ("\uff41da", "ada")],
    ids=["accent", "sharp s", "trailing space", "dotless i", "full width"],
)
def test_databases_that_compare_loosely_make_nobody_somebody_else(
    named: Callable[..., Site], mine: str, other: str
) -> None:
    site = named(username_validator=anything)
    site.sign_up("ada", username=mine)
    assert told(sign_in(site, other)) == (401, "INVALID_USERNAME_OR_PASSWORD")
    answer = sign_up(site, "eve", username=other)
    assert told(answer) in ((200, None), (400, "USERNAME_IS_ALREADY_TAKEN"))
    assert sign_in(site, mine).json["user"]["email"] == "ada@example.com"
    if answer.status_code == 200:
        assert sign_in(site, other).json["user"]["email"] == "eve@example.com"


@pytest.mark.parametrize("username", ["ada\0bob", "ada\ud800"], ids=["nul", "surrogate"])
def test_no_database_sees_what_it_cannot_store(named: Callable[..., Site], username: str) -> None:
    site = named(username_validator=anything)
    cookies = site.sign_up("ada").cookies
    header = {"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())}
    before = site.snapshot()
    body = {"name": "Eve", "email": "eve@example.com", "password": PASSWORD}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("sign_in_username", {"username": username, "password": PASSWORD}),
        ("is_username_available", {"username": username}),
        ("sign_up_email", {**body, "username": username}),
        ("sign_up_email", {**body, "username": "fine", "display_username": username}),
        ("create_user", {**body, "username": username}),
        ("update_user", {"username": username}),
        ("update_user", {"display_username": username}),
    ]
    for name, given in asked:
        answer = getattr(site.api, name)(body=given, headers={**header, "Origin": ORIGIN}, as_response=True)
        assert answer.status_code in (400, 422), name
        assert answer.json["code"] in ("INVALID_USERNAME", "VALIDATION_ERROR"), name
    assert site.snapshot() == before


def test_a_username_that_grows_by_normalization_fits_its_column_or_is_refused(named: Callable[..., Site]) -> None:
    site = named(username_validator=anything, max_username_length=255)
    assert told(sign_up(site, username="\u0130" * 255)) == (400, "VALIDATION_ERROR")
    assert sign_up(site, username="\u0130" * 127).json["user"]["username"] == "i\u0307" * 127
    assert sign_in(site, "\u0130" * 255).status_code == 401


def test_t6_long_texts_take_no_time(site: Site) -> None:
    browser = site.sign_up("ada", username="ada_l")
    for text in ("a" * 10**6, "a." * 500_000, "\u0130" * 10**6, "_" * 10**6 + "!"):
        with pytest.raises(APIError) as caught:
            site.api.is_username_available(username=text)
        assert caught.value.code == "USERNAME_TOO_LONG"
        assert site.api.sign_in_username(body={"username": text, "password": "x"}, as_response=True).status_code == 422
    for text in ("a" * 60_000, "a." * 30_000):
        for path in ("/update-user", "/is-username-available", "/sign-in/username"):
            answer = browser.post(path, {"username": text, "password": "x"})
            assert told(answer) == (400 if path == "/update-user" else 422, "USERNAME_TOO_LONG")


def test_t6_no_validator_and_no_look_up_sees_a_text_that_is_too_long(named: Callable[..., Site]) -> None:
    judged: list[str] = []

    def judge(name: str) -> bool:
        judged.append(name)
        return True

    site = named(username_validator=judge)
    with work(site) as cost:
        assert told(is_available(site, "a" * 60_000)) == (422, "USERNAME_TOO_LONG")
    assert (judged, cost) == ([], {})
    assert is_available(site, "ada").status_code == 200
    assert judged == ["ada"]


# ---------------------------------------------------------------- limits


def limited(named: Callable[..., Site], **rules: Any) -> Site:
    """An application with rate limits, where Ada has signed up."""
    site = named(app={"rate_limit": {"enabled": True, **rules}})
    site.api.create_user(name="Ada", email="ada@example.com", password=PASSWORD, username="ada_l")
    return site


def test_d1_an_address_signs_in_by_username_as_seldom_as_by_e_mail_address(named: Callable[..., Site]) -> None:
    site = limited(named)
    assert [sign_in(site, f"user_{i}").status_code for i in range(4)] == [401, 401, 401, 429]
    with pytest.raises(APIError) as caught:
        site.api.sign_in_username(username="ada_l", password="wrong password")
    assert caught.value.status_code == 401  # the server itself is not limited (D13)


@pytest.mark.parametrize("username", ["ada_l", "nobody"], ids=["known", "unknown"])
def test_d8_wrong_passwords_of_one_username_are_limited_whatever_the_case(
    named: Callable[..., Site], username: str
) -> None:
    site = limited(named, custom_rules={"/sign-in/*": False}, failures_per_account=Limit(3, per=600))
    tried = [sign_in(site, name, "wrong password").status_code for name in (username, username.upper()) * 2]
    assert tried == [401, 401, 401, 429]
    with work(site) as cost:
        assert sign_in(site, username).status_code == 429
    assert cost["verify"] == 0
    assert sign_in(site, "somebody_else").status_code == 401


def test_d6_an_account_has_one_budget_under_both_of_its_names(named: Callable[..., Site]) -> None:
    site = limited(named, custom_rules={"/sign-in/*": False}, failures_per_account=Limit(3, per=600))
    wrong = {"email": "ada@example.com", "password": "wrong password"}
    tried = [site.browser().post("/sign-in/email", wrong).status_code for _ in range(2)]
    tried += [sign_in(site, "ada_l", "wrong password").status_code for _ in range(2)]
    assert tried == [401, 401, 401, 429]
    assert site.browser().post("/sign-in/email", {**wrong, "password": PASSWORD}).status_code == 429


def test_e9_only_the_right_password_tells_that_the_address_is_not_verified(make_auth: Callable[..., Site]) -> None:
    sent: list[dict[str, Any]] = []
    site = make_auth(
        plugins=[Username()],
        email_and_password={"require_email_verification": True},
        email_verification={"send_verification_email": lambda **message: sent.append(message), "send_on_sign_in": True},
    )
    site.sign_up("ada", username="ada")
    sent.clear()
    wrong, right = (
        site.browser().post("/sign-in/username", {"username": "ada", "password": word}) for word in ("wrong", PASSWORD)
    )
    assert (wrong.status_code, wrong.json["code"]) == (401, "INVALID_USERNAME_OR_PASSWORD")
    assert (right.status_code, right.json["code"]) == (403, "EMAIL_NOT_VERIFIED")
    assert site.rows("session") == []
    (message,) = sent
    site.browser().get("/verify-email", query_string={"token": message["token"]})
    answer = site.browser().post("/sign-in/username", {"username": "ada", "password": PASSWORD})
    assert answer.status_code == 200
