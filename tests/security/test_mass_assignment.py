"""SECURITY O: a client sets what it is offered and nothing else; the rows prove it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import pytest
from conftest import PASSWORD, Browser, Site, build_site, tear_down
from flask import Response
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Boolean, String
from sqlalchemy.orm import mapped_column

from flask_better_auth import AdditionalField, APIError, UserMixin, signals

FORGED_TIME = "2001-01-01T00:00:00.000Z"
#: What somebody would like to set, with the value they would like.
WISHES: dict[str, Any] = {
    "id": "my-own-id",
    "userId": "my-own-id",
    "user_id": "my-own-id",
    "emailVerified": True,
    "email_verified": True,
    "createdAt": FORGED_TIME,
    "created_at": FORGED_TIME,
    "updatedAt": FORGED_TIME,
    "updated_at": FORGED_TIME,
    "role": "admin",
    "banned": False,
    "banExpires": None,
    "twoFactorEnabled": False,
    "isAnonymous": True,
    "stripeCustomerId": "cus_1",
    "phoneNumber": "+491",
    "phoneNumberVerified": True,
    "password_hash": "x",
    "providerId": "google",
    "accountId": "1",
    "token": "my-own-token",
    "expiresAt": "2999-01-01T00:00:00.000Z",
    "expires_at": "2999-01-01T00:00:00.000Z",
    "ipAddress": "198.51.100.1",
    "userAgent": "forged",
    "accounts": [{"providerId": "google", "accountId": "1"}],
    "sessions": [{"token": "my-own-token"}],
    "data": {"role": "admin", "emailVerified": True, "id": "my-own-id"},
    "user": {"role": "admin", "emailVerified": True},
    "user.role": "admin",
    "user[role]": "admin",
    "account.password": "x",
    "session.expiresAt": FORGED_TIME,
    "$set": {"role": "admin"},
    "__class__": "Admin",
    "__dict__": {"role": "admin"},
    "__init__": 1,
    "__proto__": {"role": "admin"},
    "constructor": {"prototype": {"role": "admin"}},
    "_sa_instance_state": {},
    "metadata": {},
    "registry": {},
    "query": {},
    "is_authenticated": True,
    "": "x",
    "é": "x",
    "x" * 10_000: "x",
    "nothing special": {"a": [1, {"b": None}]},
}
PLAN = AdditionalField(type="string", required=False, default="free", input=False)
RANK = AdditionalField(type="number", required=False, input=False)
STAFF = AdditionalField(type="boolean", required=True, default=False, input=False)
THEME = AdditionalField(type="string", required=False, default="light")
USER_FIELDS = {
    "plan": PLAN,
    "rank": RANK,
    "is_staff": STAFF,
    "nick_name": AdditionalField(type="string", required=False),
}
SESSION_FIELDS = {"theme": THEME, "device_trust": AdditionalField(type="number", required=False, input=False)}


def own_user(db: SQLAlchemy) -> type[Any]:
    """A user class with columns that are the application's alone."""

    class User(UserMixin, db.Model):
        __tablename__ = "o_own_user"
        role = mapped_column(String(20), default="user", nullable=False)
        banned = mapped_column(Boolean, default=True, nullable=False)

    return User


@pytest.fixture(scope="module")
def factory(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Site]]:
    """Builds applications for many tests; a table prefix of its own keeps each apart from those of single tests."""
    made: list[Site] = []

    def make(prefix: str, **options: Any) -> Site:
        url = server_url or f"sqlite:///{tmp_path_factory.mktemp('shared')}/test.db"
        made.append(build_site(url, options={"table_prefix": prefix, **options}))
        return made[-1]

    yield make
    for site in made:
        tear_down(site)


@pytest.fixture(scope="module")
def shared_own(factory: Callable[..., Site]) -> Site:
    """An application with a user class of its own."""
    db = SQLAlchemy()
    return factory("o1_", db=db, user_model=own_user(db))


@pytest.fixture
def site(shared_own: Site) -> Site:
    """That application as nobody has used it."""
    return shared_own.emptied()


@pytest.fixture(scope="module")
def shared_fields(factory: Callable[..., Site]) -> Site:
    """An application with fields that clients may not set."""
    return factory("o2_", user={"additional_fields": USER_FIELDS}, session={"additional_fields": SESSION_FIELDS})


@pytest.fixture
def guarded(shared_fields: Site) -> Site:
    """That application as nobody has used it."""
    return shared_fields.emptied()


def sign_up(site: Site, who: str = "ada", **more: Any) -> Response:
    """Sign up with more fields than there are."""
    body = {"name": who.title(), "email": f"{who}@example.com", "password": PASSWORD, **more}
    return site.browser().post("/sign-up/email", body)


def stored(site: Site, table: str = "user") -> dict[str, Any]:
    """The only row of a table, the application's own columns included."""
    (row,) = site.snapshot()[table]
    return row


def chosen(row: dict[str, Any]) -> dict[str, Any]:
    """A user's row without what the server makes up."""
    return {name: value for name, value in row.items() if name not in ("id", "created_at", "updated_at")}


#: What an ordinary sign-up leaves of a user.
ADA = {
    "name": "Ada",
    "email": "ada@example.com",
    "email_verified": False,
    "image": None,
    "role": "user",
    "banned": True,
}


# ---------------------------------------------------------------- O1


@pytest.mark.parametrize("name", WISHES, ids=lambda name: name[:24] or "empty")
def test_o1_sign_up_sets_nothing_but_its_fields(site: Site, name: str) -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    answer = sign_up(site, **{name: WISHES[name]})
    assert answer.status_code == 200
    user, session, account = stored(site), stored(site, "session"), stored(site, "account")
    assert chosen(user) == ADA
    assert len(user["id"]) == len(session["token"]) == 32
    for row in (user, session, account):
        assert row["created_at"] == row["updated_at"] >= before
    assert (account["provider_id"], account["account_id"], account["user_id"]) == ("credential", *[user["id"]] * 2)
    assert account["password"].startswith("$argon2id$")
    assert (session["user_id"], session["ip_address"]) == (user["id"], "127.0.0.1")
    assert session["user_agent"].startswith("Werkzeug/")
    assert session["expires_at"] - session["created_at"] == timedelta(days=7)
    assert set(answer.json["user"]) == {"id", "name", "email", "emailVerified", "image", "createdAt", "updatedAt"}


def test_o1_sign_up_with_every_wish_at_once_sets_nothing_but_its_fields(site: Site) -> None:
    assert sign_up(site, **WISHES).status_code == 200
    assert chosen(stored(site)) == ADA
    site.emptied()
    assert sign_up(site, image="https://example.com/a.png").status_code == 200
    assert chosen(stored(site)) == {**ADA, "image": "https://example.com/a.png"}


def test_o1_form_sets_nothing_but_its_fields(site: Site) -> None:
    fields = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD, "role": "admin", "emailVerified": "true"}
    answer = site.browser().request(
        "POST",
        "/sign-up/email?role=admin&emailVerified=true",
        data=urlencode([*fields.items(), ("data[role]", "admin"), ("email_verified", "1")]),
        content_type="application/x-www-form-urlencoded",
    )
    assert answer.status_code == 200
    user = stored(site)
    assert (user["name"], user["role"], user["email_verified"]) == ("Ada", "user", False)


@pytest.mark.parametrize("name", WISHES, ids=lambda name: name[:24] or "empty")
def test_o1_update_user_sets_nothing_but_its_fields(site: Site, name: str) -> None:
    browser = site.sign_up("ada")
    before = site.snapshot()
    refused = browser.post("/update-user", {name: WISHES[name]})
    assert (refused.status_code, refused.json) == (400, {"message": "No fields to update"})
    assert site.snapshot() == before
    assert browser.post("/update-user", {name: WISHES[name], "name": "Countess"}).status_code == 200
    after = site.snapshot()
    (old,), (new,) = before.pop("user"), after.pop("user")
    assert after == before
    assert new == {**old, "name": "Countess", "updated_at": new["updated_at"]}
    assert new["updated_at"] >= old["updated_at"]


@pytest.mark.parametrize("email", ["eve@example.com", "ADA@example.com", ["eve@example.com"], {"a": 1}, 1, True])
def test_o1_update_user_does_not_change_the_address(site: Site, email: Any) -> None:
    browser = site.sign_up("ada")
    before = site.snapshot()
    answer = browser.post("/update-user", {"email": email, "name": "Eve"})
    assert (answer.status_code, answer.json["code"]) == (400, "EMAIL_CAN_NOT_BE_UPDATED")
    assert site.snapshot() == before


@pytest.mark.parametrize("password", ["another password", None])
def test_o1_update_user_does_not_change_the_password(site: Site, password: Any) -> None:
    browser = site.sign_up("ada")
    before = site.snapshot()["account"]
    assert browser.post("/update-user", {"name": "B", "password": password}).status_code == 200
    assert site.snapshot()["account"] == before


@pytest.mark.parametrize("path", ["/sign-up/email", "/sign-in/email"])
def test_o1_python_names_are_unknown_keys_over_http(site: Site, path: str) -> None:
    if path == "/sign-in/email":
        site.sign_up("ada")
    body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    browser = site.browser()
    # neither understood nor checked: a known field of that type would be refused
    python = {"remember_me": "false", "callback_url": "https://evil.test", "email_verified": 5}
    answer = browser.post(path, {**body, **python})
    assert answer.status_code == 200
    assert "Location" not in answer.headers
    assert answer.json.get("url") is None
    assert "better-auth.dont_remember" not in browser.cookies
    assert stored(site)["email_verified"] is False
    for wire in ({"rememberMe": "false"}, {"callbackURL": "https://evil.test"}):
        assert site.browser().post(path, {**body, **wire}).status_code in (400, 403)


def test_o1_wire_name_beside_its_python_name_wins(site: Site) -> None:
    for order in (("rememberMe", "remember_me"), ("remember_me", "rememberMe")):
        site.emptied()
        browser = site.browser()
        values = {"rememberMe": False, "remember_me": True}
        body = {name: values[name] for name in order}
        sent = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD, **body}
        assert browser.post("/sign-up/email", sent).status_code == 200
        assert "better-auth.dont_remember" in browser.cookies


def test_o1_server_may_set_what_clients_may_not(site: Site) -> None:
    site.api.create_user(name="Ada", email="ada@example.com", email_verified=True)
    assert stored(site)["email_verified"] is True
    site.browser().post("/create-user", {"name": "Eve", "email": "eve@example.com"})
    assert len(site.rows("user")) == 1


# ---------------------------------------------------------------- O2


TRUTHY: dict[str, Any] = {"plan": "pro", "rank": 7, "isStaff": True}
FALSY: dict[str, list[Any]] = {"plan": ["", None], "rank": [0, None], "isStaff": [False, None]}


def plain_user(site: Site) -> dict[str, Any]:
    """What an ordinary sign-up stores of the guarded fields."""
    return {name: stored(site)[name] for name in ("plan", "rank", "is_staff")}


@pytest.mark.parametrize("name", TRUTHY)
def test_o2_sign_up_does_not_set_a_field_without_input(guarded: Site, name: str) -> None:
    answer = sign_up(guarded, **{name: TRUTHY[name]})
    if name == "rank":  # there is no default to take in its place
        assert (answer.status_code, answer.json["code"]) == (400, "FIELD_NOT_ALLOWED")
        assert guarded.rows("user") == []
        assert sign_up(guarded).status_code == 200
    assert plain_user(guarded) == {"plan": "free", "rank": None, "is_staff": False}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FALSY.items() for value in values])
def test_o2_empty_value_does_not_set_a_field_without_input_either(guarded: Site, name: str, value: Any) -> None:
    assert sign_up(guarded, **{name: value}).status_code == 200
    assert plain_user(guarded) == {"plan": "free", "rank": None, "is_staff": False}
    _set(guarded, plan="gold", rank=3, is_staff=True)
    browser = guarded.browser()
    browser.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
    assert browser.post("/update-user", {name: value, "name": "B"}).status_code == 200
    assert plain_user(guarded) == {"plan": "gold", "rank": 3, "is_staff": True}
    assert stored(guarded)["name"] == "B"


def _set(site: Site, **values: Any) -> None:
    with site.app.app_context():
        site.db.session.execute(site.db.update(site.auth.User).values(**values))
        site.db.session.commit()


@pytest.mark.parametrize("name", TRUTHY)
@pytest.mark.parametrize("beside", [{}, {"name": "B"}, {"nickName": "b"}], ids=["alone", "name", "field"])
def test_o2_update_user_refuses_a_field_without_input(guarded: Site, name: str, beside: dict[str, Any]) -> None:
    browser = guarded.sign_up("ada")
    before = guarded.snapshot()
    answer = browser.post("/update-user", {**beside, name: TRUTHY[name]})
    assert answer.json == {"code": "FIELD_NOT_ALLOWED", "message": f"{name} is not allowed to be set"}
    assert answer.status_code == 400
    assert guarded.snapshot() == before
    assert browser.post("/update-user", {"name": "B", "nickName": "b"}).status_code == 200
    assert (stored(guarded)["name"], stored(guarded)["nick_name"]) == ("B", "b")


@pytest.mark.parametrize(
    "name", ["is_staff", "nick_name", "IsStaff", "isstaff", "isStaff ", "is-staff", "user.isStaff"]
)
def test_o2_other_spelling_of_a_field_is_an_unknown_key(guarded: Site, name: str) -> None:
    assert sign_up(guarded, **{name: True}).status_code == 200
    row = stored(guarded)
    assert (row["is_staff"], row["nick_name"]) == (False, None)
    browser = guarded.browser()
    browser.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
    answer = browser.post("/update-user", {name: True})
    assert (answer.status_code, answer.json) == (400, {"message": "No fields to update"})
    assert stored(guarded) == row


@pytest.mark.parametrize("name", ["theme", "deviceTrust", "device_trust"])
def test_o2_fields_of_the_session_are_not_set_by_signing_up_or_in(guarded: Site, name: str) -> None:
    guarded.sign_up("ada", **{name: "7"})
    browser = guarded.browser()
    browser.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD, name: "7"})
    assert browser.post("/update-user", {"name": "B", name: "7"}).status_code == 200
    assert [(row["theme"], row["device_trust"]) for row in guarded.snapshot()["session"]] == [("light", None)] * 2


def test_o2_server_sets_fields_without_input(guarded: Site) -> None:
    guarded.api.create_user(name="Ada", email="ada@example.com", plan="gold", data={"rank": 3, "is_staff": True})
    assert plain_user(guarded) == {"plan": "gold", "rank": 3, "is_staff": True}
    with pytest.raises(APIError):
        guarded.api.sign_up_email(name="B", email="b@example.com", password=PASSWORD, body={"rank": 3})
    assert len(guarded.rows("user")) == 1


# ---------------------------------------------------------------- the rules of additional fields


def shout(value: str) -> None:
    """Accepts capitals alone."""
    if value != value.upper():
        raise ValueError("must be loud")


COUNTER = iter(range(10**6))
RULES = {
    "nickname": AdditionalField(type="string"),
    "age": AdditionalField(type="number", required=False),
    "big": AdditionalField(type="number", required=False, bigint=True),
    "newsletter": AdditionalField(type="boolean", required=False, default=False),
    "birthday": AdditionalField(type="date", required=False),
    "tags": AdditionalField(type="string[]", required=False),
    "scores": AdditionalField(type="number[]", required=False),
    "settings": AdditionalField(type="json", required=False),
    "needed": AdditionalField(type="json", default=dict),
    "tone": AdditionalField(type=("loud", "quiet"), required=False),
    "motto": AdditionalField(type="string", required=False, validator=shout),
    "number": AdditionalField(type="number", default=lambda: next(COUNTER)),
    "secret_note": AdditionalField(type="string", required=False, returned=False),
    "handle": AdditionalField(type="string", required=False, unique=True),
}
SESSION_RULES = {"fingerprint": AdditionalField(type="string", required=False, default="9f86d081884c", returned=False)}
HUSH = "hush-7f3a"


@pytest.fixture(scope="module")
def shared_rules(factory: Callable[..., Site]) -> Site:
    """An application with a field of every kind."""
    reset = {"send_reset_password": lambda **message: None}
    return factory(
        "o3_",
        email_and_password=reset,
        user={"additional_fields": RULES},
        session={"additional_fields": SESSION_RULES},
    )


@pytest.fixture
def ruled(shared_rules: Site) -> Site:
    """That application as nobody has used it."""
    return shared_rules.emptied()


@pytest.fixture
def ada(ruled: Site) -> Browser:
    """A user of it, with the one field that must be there."""
    return ruled.sign_up("ada", nickname="addy")


GOOD: list[tuple[str, Any, Any]] = [
    ("nickname", "", ""),
    ("nickname", "é😀'\"", "é😀'\""),
    ("age", 0, 0),
    ("age", -1, -1),
    ("age", 36.0, 36),
    ("age", None, None),
    ("big", 2**53 - 1, 2**53 - 1),
    ("newsletter", True, True),
    ("newsletter", False, False),
    ("birthday", "1815-12-10T00:00:00.000Z", "1815-12-10T00:00:00.000Z"),
    ("birthday", "1815-12-10T02:00:00+02:00", "1815-12-10T00:00:00.000Z"),
    ("birthday", "0999-01-01T00:00:00.000Z", "0999-01-01T00:00:00.000Z"),
    ("tags", [], []),
    ("tags", ["x", "y"], ["x", "y"]),
    ("scores", [1, 2], [1, 2]),
    ("settings", {"a": [1.5, None, {"camelCase": True, "snake_case": 1}]}, ...),
    ("settings", "text", "text"),
    ("settings", False, False),
    ("settings", None, None),
    ("needed", [1], [1]),
    ("tone", "loud", "loud"),
    ("motto", "LOUD", "LOUD"),
]
BAD: list[tuple[str, Any]] = [
    *(("nickname", value) for value in (None, 1, True, [], {}, "a\0b")),
    *(("age", value) for value in ("36", "", True, [], {}, 1.5, 2**31, -(2**31) - 1)),
    ("big", 2**53),
    *(("newsletter", value) for value in ("true", 1, 0, [], "")),
    *(("birthday", value) for value in ("", "soon", 1, 1.5, True, [], {}, "2026-13-01T00:00:00Z")),
    *(("tags", value) for value in ("x", ["x", 1], [None], [["x"]], {}, 1)),
    *(("scores", value) for value in ([True], ["1"], [1.5], 1, {})),
    ("needed", None),
    *(("tone", value) for value in ("LOUD", "", 0, ["loud"], {}, True)),
    *(("motto", value) for value in ("quiet", 1, [])),
]


def label(value: Any) -> str:
    """A value as the name of a case."""
    return "as sent" if value is ... else json.dumps(value)[:24]


@pytest.mark.parametrize(("name", "sent", "shown"), GOOD, ids=label)
def test_field_takes_a_value_of_its_type(ruled: Site, name: str, sent: Any, shown: Any) -> None:
    answer = sign_up(ruled, **{"nickname": "addy", name: sent})
    assert answer.status_code == 200
    shown = sent if shown is ... else shown
    assert answer.json["user"][name] == shown
    browser = ruled.browser()
    browser.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
    assert browser.session()["user"][name] == shown
    _set(ruled, tags=["before"])
    assert browser.post("/update-user", {name: sent}).status_code == 200
    assert browser.session()["user"][name] == shown


@pytest.mark.parametrize(("name", "value"), BAD, ids=label)
def test_field_refuses_a_value_of_another_type(ada: Browser, name: str, value: Any) -> None:
    before = ada.site.snapshot()
    answer = ada.post("/update-user", {"name": "Changed", name: value})
    assert (answer.status_code, (answer.json or {}).get("code")) == (400, "VALIDATION_ERROR")
    assert ada.site.snapshot() == before
    answer = sign_up(ada.site, "bob", **{"nickname": "b", name: value})
    if value is None:  # null on create is nothing at all
        expected = (400, "MISSING_FIELD") if name == "nickname" else (200, None)
        assert (answer.status_code, answer.json.get("code")) == expected
    else:
        assert (answer.status_code, (answer.json or {}).get("code")) == (400, "VALIDATION_ERROR")
        assert ada.site.snapshot() == before


def test_validator_refuses_with_its_own_text(ada: Browser) -> None:
    answer = ada.post("/update-user", {"motto": "quiet"})
    assert answer.json == {"code": "VALIDATION_ERROR", "message": "must be loud"}
    assert answer.status_code == 400


@pytest.mark.parametrize("more", [{}, {"nickname": None}], ids=["absent", "null"])
def test_required_field_without_default_must_be_there_on_create(ruled: Site, more: dict[str, Any]) -> None:
    answer = sign_up(ruled, **more)
    assert answer.json == {"code": "MISSING_FIELD", "message": "nickname is required"}
    assert answer.status_code == 400
    with pytest.raises(APIError) as caught:
        ruled.api.create_user(name="Ada", email="ada@example.com", **more)
    assert caught.value.code == "MISSING_FIELD"
    assert ruled.rows("user") == []
    assert sign_up(ruled, nickname="addy").status_code == 200


def test_required_field_need_not_be_there_on_update(ada: Browser) -> None:
    assert ada.post("/update-user", {"age": 36}).status_code == 200
    assert (stored(ada.site)["nickname"], stored(ada.site)["age"]) == ("addy", 36)


def test_defaults_are_for_create_alone(ada: Browser) -> None:
    row = stored(ada.site)
    assert (row["newsletter"], row["needed"], row["age"]) == (False, {}, None)
    assert isinstance(row["number"], int)
    _set(ada.site, newsletter=None, needed={"kept": 1})
    assert ada.post("/update-user", {"name": "B", "settings": None}).status_code == 200
    after = stored(ada.site)
    assert (after["newsletter"], after["needed"], after["number"]) == (None, {"kept": 1}, row["number"])
    sign_up(ada.site, "bob", nickname="b")
    assert {user["number"] for user in ada.site.snapshot()["user"]} > {row["number"]}


def test_value_that_is_sent_stands_instead_of_the_default(ruled: Site) -> None:
    sign_up(ruled, nickname="a", newsletter=True, number=-5, needed=[])
    row = stored(ruled)
    assert (row["newsletter"], row["number"], row["needed"]) == (True, -5, [])


@pytest.mark.parametrize("path", ["/update-user", "/sign-up/email"])
def test_value_that_somebody_else_has_is_refused_where_it_must_be_unique(ada: Browser, path: str) -> None:
    assert ada.post("/update-user", {"handle": "countess"}).status_code == 200
    bob = ada.site.sign_up("bob", nickname="b")
    before = ada.site.snapshot()
    new = {"name": "C", "email": "c@example.com", "password": PASSWORD, "nickname": "c"}
    answer = bob.post(path, {**(new if path == "/sign-up/email" else {}), "handle": "countess"})
    assert 400 <= answer.status_code < 500
    assert "email" not in answer.json["message"]  # the address was free
    assert ada.site.snapshot() == before
    assert bob.post(path, {**(new if path == "/sign-up/email" else {}), "handle": "baron"}).status_code == 200


def test_unique_field_whose_name_holds_another_is_not_taken_for_it(make_auth: Callable[..., Site]) -> None:
    """A constraint on contact_email says nothing about the address that users sign in with."""
    fields = {"contact_email": AdditionalField("string", required=False, unique=True)}
    site = make_auth(user={"additional_fields": fields})
    site.sign_up("ada", contactEmail="post@example.com")
    body = {"name": "Bob", "email": "bob@example.com", "password": PASSWORD, "contactEmail": "post@example.com"}
    answer = site.browser().post("/sign-up/email", body)
    assert (answer.status_code, answer.json["code"]) == (422, "VALUE_ALREADY_TAKEN")
    body = {**body, "email": "ada@example.com", "contactEmail": "other@example.com"}
    answer = site.browser().post("/sign-up/email", body)
    assert answer.json["code"] == "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"


def test_field_that_is_not_returned_is_in_no_answer(ruled: Site) -> None:
    told: list[str] = []
    texts: list[str] = []

    def receive(sender: object, **what: Any) -> None:
        told.append(repr({name: dict(value) if isinstance(value, dict) else value for name, value in what.items()}))

    names = ("user_signed_up", "user_signed_in", "session_revoked")
    for name in names:
        getattr(signals, name).connect(receive, sender=ruled.app)
    browser = ruled.browser()
    requests: list[tuple[str, str, Any]] = [
        ("POST", "/sign-up/email", _new("ada", nickname="a", secretNote=HUSH)),
        ("POST", "/sign-up/email", _new("ada", nickname="a", secretNote=HUSH)),
        ("POST", "/sign-in/email", _new("ada")),
        ("GET", "/get-session", None),
        ("GET", "/list-sessions", None),
        ("POST", "/update-user", {"secretNote": HUSH, "name": "B"}),
        ("POST", "/update-user", {"secretNote": 5}),
        ("POST", "/request-password-reset", {"email": "ada@example.com"}),
        ("GET", "/get-session", None),
        ("POST", "/sign-out", None),
    ]
    for method, path, body in requests:
        answer = browser.request(method, path, **({} if body is None else {"json": body}))
        texts.append(answer.get_data(as_text=True) + str(answer.headers))
    assert stored(ruled)["secret_note"] == HUSH
    headers: dict[str, str] = {}
    sent, result = ruled.api.sign_in_email(email="ada@example.com", password=PASSWORD, return_headers=True)
    headers["Cookie"] = sent["Set-Cookie"].partition(";")[0]
    texts += [
        repr(result),
        repr(ruled.api.get_session(headers=headers)),
        repr(ruled.api.list_sessions(headers=headers)),
    ]
    texts.append(repr(ruled.api.create_user(name="C", email="c@example.com", nickname="c", secret_note=HUSH)))
    texts += [repr(row.to_dict()) for table in ("user", "session") for row in ruled.rows(table)]
    assert {row["fingerprint"] for row in ruled.snapshot()["session"]} == {"9f86d081884c"}
    assert len(told) >= len(names)
    assert any("'nickname': 'a'" in text for text in told)
    assert "nickname" in texts[0]
    for text in (*texts, *told):
        for secret in (HUSH, "secretNote", "secret_note", "9f86d081884c", "fingerprint"):
            assert secret not in text or (secret == "secretNote" and "[body.secretNote]" in text)


def _new(who: str, **more: Any) -> dict[str, Any]:
    return {"name": who.title(), "email": f"{who}@example.com", "password": PASSWORD, **more}


def test_times_of_fields_are_aware_and_in_utc_for_the_server(ruled: Site) -> None:
    born = datetime(1815, 12, 10, tzinfo=timezone.utc)
    made = ruled.api.create_user(name="Ada", email="ada@example.com", nickname="addy", birthday=born)
    assert made["user"]["birthday"] == born
    assert ruled.rows("user")[0].birthday == born
    with pytest.raises(APIError) as caught:
        ruled.api.create_user(name="B", email="b@example.com", nickname="b", birthday=born.replace(tzinfo=None))
    assert caught.value.code == "VALIDATION_ERROR"
