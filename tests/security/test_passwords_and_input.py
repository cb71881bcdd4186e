"""SECURITY F: passwords of every length and form, odd addresses and bodies, and where a password may not show."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from argon2 import PasswordHasher
from conftest import FAST, PASSWORD, SECRET, Browser, Site, build_site, tear_down
from flask import Response
from sqlalchemy import event

from flask_better_auth import AdditionalField, APIError, Call, ConfigError, Hooks, passwords, signals
from flask_better_auth.config import build
from flask_better_auth.services import users

#: ``PASSWORD`` as the reference stores it.
LEGACY = "0" * 32 + ":" + hashlib.scrypt(PASSWORD.encode(), salt=b"0" * 32, n=16384, r=16, p=1, maxmem=2**26).hex()
PROFILE = {
    "blob": AdditionalField(type="json", required=False),
    "born": AdditionalField(type="date", required=False),
    "size": AdditionalField(type="number", required=False),
    "sizes": AdditionalField(type="number[]", required=False),
    "motto": AdditionalField(type="string", required=False),
    "handle": AdditionalField(type="string", required=False, index=True),
}


@pytest.fixture(scope="module")
def factory(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """Builds applications for many tests; a table prefix of its own keeps each apart from those of single tests."""
    made: list[Site] = []

    def make(prefix: str) -> Site:
        url = server_url or f"sqlite:///{tmp_path_factory.mktemp('shared')}/test.db"
        options = {
            "table_prefix": prefix,
            "max_body": 12_000_000,
            "email_and_password": {"send_reset_password": lambda **message: None},
            "user": {"additional_fields": PROFILE},
        }
        made.append(build_site(url, options=options))
        return made[-1]

    yield make
    for site in made:
        tear_down(site)


@pytest.fixture(scope="module")
def shared(factory: Callable[[str], Site]) -> Site:
    """An application for tests that leave rows behind."""
    return factory("f_")


@pytest.fixture
def site(shared: Site) -> Site:
    """That application as nobody has used it."""
    with shared.app.app_context():
        for model in (shared.auth.Session, shared.auth.Account, shared.auth.Verification, shared.auth.User):
            shared.db.session.execute(shared.db.delete(model))
        shared.db.session.commit()
    return shared


@pytest.fixture(scope="module")
def ada(factory: Callable[[str], Site]) -> Browser:
    """The browser of a user, in an application for tests that change nothing."""
    return factory("f5_").sign_up("ada")


@contextmanager
def work(site: Site) -> Iterator[Counter[str]]:
    """Counts hashes and SQL statements."""
    counts: Counter[str] = Counter()
    with site.app.app_context():
        engine = site.db.engine

    def count_statement(*arguments: Any) -> None:
        counts["statements"] += 1

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(*arguments: Any) -> Any:
            counts["hashes"] += 1
            return original(*arguments)

        return method

    mine = site.app.extensions["better_auth"].passwords
    with pytest.MonkeyPatch.context() as patch:
        for name in ("hash", "verify"):
            patch.setattr(mine, name, counted(getattr(mine, name)))
        event.listen(engine, "before_cursor_execute", count_statement)
        try:
            yield counts
        finally:
            event.remove(engine, "before_cursor_execute", count_statement)


def sign_up(site: Site, email: str = "ada@example.com", password: str = PASSWORD, **more: Any) -> Response:
    """Sign up."""
    return site.browser().post("/sign-up/email", {"name": "A", "email": email, "password": password, **more})


def sign_in(site: Site, email: str = "ada@example.com", password: str = PASSWORD) -> Response:
    """Sign in."""
    return site.browser().post("/sign-in/email", {"email": email, "password": password})


def store_hash(site: Site, stored: str | None) -> None:
    """Put a hash into every account."""
    with site.app.app_context():
        site.db.session.execute(site.db.update(site.auth.Account).values(password=stored))
        site.db.session.commit()


def code_of(answer: Response) -> str | None:
    """The error code of an answer that is JSON; none on success."""
    return answer.json.get("code") if answer.status_code != 200 else None


# ---------------------------------------------------------------- F1


@pytest.mark.parametrize(
    ("length", "refused"),
    [(7, "SHORT"), (8, None), (72, None), (128, None), (129, "LONG"), (10_000, "LONG"), (10_000_000, "LONG")],
)
@pytest.mark.parametrize("endpoint", ["sign_up_email", "sign_in_email", "create_user"])
def test_f1_password_is_bounded_before_anything_is_hashed_or_read(
    site: Site, endpoint: str, length: int, refused: str | None
) -> None:
    creates = endpoint != "sign_in_email"
    body = {"email": "ada@example.com", "password": "x" * length, **({"name": "A"} if creates else {})}
    with work(site) as cost:
        if endpoint == "create_user":
            try:
                code = site.api.create_user(**body) and None
            except APIError as error:
                code = error.code
        else:
            code = code_of(site.browser().post(f"/{endpoint.replace('_', '-', 1).replace('_', '/')}", body))
    if refused and (creates or refused == "LONG"):
        assert (code, cost) == (f"PASSWORD_TOO_{refused}", {})
        assert site.rows("user") == []
    else:
        assert code == (None if creates else "INVALID_EMAIL_OR_PASSWORD")
        assert cost["hashes"] == 1
        assert cost["statements"] >= 1


def test_f1_bound_holds_for_users_that_exist_and_in_both_doors(site: Site, door: Any) -> None:
    sign_up(site)
    for name in ("sign_in_email", "sign_up_email"):
        with work(site) as cost:
            answer = door(site)(name, {"name": "A", "email": "ada@example.com", "password": "x" * 129})
        assert (answer.status_code, answer.json["code"], cost) == (400, "PASSWORD_TOO_LONG", {})


def test_f1_default_bound_on_the_body_comes_before_the_bound_on_the_password(make_auth: Callable[..., Site]) -> None:
    site = make_auth()
    with work(site) as cost:
        assert sign_up(site, password="x" * 10_000_000).status_code == 413
        assert sign_in(site, password="x" * 10_000_000).status_code == 413
        assert sign_in(site, password="x" * 60_000).json["code"] == "PASSWORD_TOO_LONG"
    assert cost == {}


# ---------------------------------------------------------------- F2


UNLIKE = [
    ("x" * 72 + "one", "x" * 72 + "two"),
    ("password\0one", "password\0two"),
    ("password\0one", "password"),
    ("x" * 72, "x" * 72 + "y"),
    ("x" * 128, "x" * 127 + "y"),
    ("password ", "password"),
    ("passWord", "password"),
]


@pytest.mark.parametrize(
    ("scheme", "one", "other"),
    [*(("argon2id", *pair) for pair in UNLIKE), *(("scrypt", *pair) for pair in UNLIKE[:3])],
    ids=lambda value: repr(value)[-14:],
)
def test_f2_every_character_of_a_password_counts(scheme: str, one: str, other: str) -> None:
    choice = FAST if scheme == "argon2id" else scheme
    mine = passwords.Passwords(build({"secret": SECRET, "password_hash": choice}, {}), relaxed=True)
    stored = mine.hash(one)
    assert mine.verify(stored, one)
    assert not mine.verify(stored, other)


def test_f2_password_with_a_nul_byte_signs_in_and_its_beginning_does_not(site: Site) -> None:
    assert sign_up(site, password="password\0one").status_code == 200
    assert sign_in(site, password="password\0one").status_code == 200
    for other in ("password", "password\0", "password\0two", "password\0one\0"):
        assert sign_in(site, password=other).status_code == 401


# ---------------------------------------------------------------- F3


@pytest.mark.parametrize(
    ("one", "other"),
    [("\u212bngstrom1", "A\u030angstrom1"), ("\uff50assword1", "password1"), ("o\ufb03ce-hours", "office-hours")],
    ids=ascii,
)
def test_f3_compatible_forms_are_the_same_password_at_both_ends(site: Site, one: str, other: str) -> None:
    for email, chosen, typed in (("a@example.com", one, other), ("b@example.com", other, one)):
        assert sign_up(site, email, chosen).status_code == 200
        assert sign_in(site, email, typed).status_code == 200
        assert sign_in(site, email, typed + "x").status_code == 401


LOOKALIKES = {
    "full-width at": "ada\uff20example.com",
    "small at": "ada\ufe6bexample.com",
    "full-width letter": "\uff41da@example.com",
    "full-width dot": "ada@example\uff0ecom",
    "ideographic dot": "ada@example\u3002com",
    "cyrillic letter": "\u0430da@example.com",
    "long s": "ada@example.com".replace("x", "\u017f"),
    "kelvin sign": "\u212ada@example.com",
    "dotted capital i": "\u0130ada@example.com",
    "combining mark": "a\u0301da@example.com",
    "zero-width space": "ada\u200b@example.com",
    "no-break space": "ada@example.com\u00a0",
    "right-to-left mark": "\u202eada@example.com",
}


@pytest.mark.parametrize("email", LOOKALIKES.values(), ids=LOOKALIKES.keys())
def test_f3_address_that_looks_like_another_is_refused_before_any_look_up(site: Site, email: str) -> None:
    sign_up(site)
    before = site.snapshot()
    with work(site) as cost:
        assert sign_up(site, email).json["code"] == "VALIDATION_ERROR"
        assert sign_in(site, email).json["code"] == "INVALID_EMAIL"
        assert site.browser().post("/request-password-reset", {"email": email}).json["code"] == "VALIDATION_ERROR"
        with pytest.raises(APIError):
            site.api.create_user(name="A", email=email)
    assert cost == {}
    assert site.snapshot() == before
    assert sign_in(site).status_code == 200


# ---------------------------------------------------------------- F4


ODD_ADDRESSES = {
    "header injection": "ada@example.com\r\nBcc: eve@evil.test",
    "line feed": "ada@example.com\n",
    "leading line feed": "\nada@example.com",
    "carriage return": "ada@example.com\r",
    "line separator": "ada@example.com\u2028",
    "tab": "ada\t@example.com",
    "NUL": "ada@example.com\0",
    "comma": "ada@example.com,eve@evil.test",
    "semicolon": "ada@example.com;eve@evil.test",
    "space": "ada@example.com eve@evil.test",
    "angle brackets": "<ada@example.com>",
    "display name": "Ada <ada@example.com>",
    "two at signs": "ada@example.com@evil.test",
    "percent hack": "ada%evil.test@example.com",
    "bang path": "evil.test!ada@example.com",
    "quoted local part": '"ada"@example.com',
    "quoted recipient": '"ada@example.com,eve"@evil.test',
    "escaped": "ada\\@example.com",
    "comment": "ada(comment)@example.com",
    "domain comment": "ada@example.com(comment)",
    "IP literal": "ada@[127.0.0.1]",
    "IPv6 literal": "ada@[IPv6:::1]",
    "IP address": "ada@127.0.0.1",
    "unicode domain": "ada@b\u00fccher.example",
    "unicode local part": "\u00e4da@example.com",
    "no domain": "ada@",
    "no dot": "ada@localhost",
    "no local part": "@example.com",
    "dot before at": "ada.@example.com",
    "leading dot": ".ada@example.com",
    "trailing dot": "ada@example.com.",
    "two dots": "ada@example..com",
    "leading hyphen": "ada@-example.com",
    "mailto": "mailto:ada@example.com",
    "query": "ada@example.com?cc=eve@evil.test",
    "empty": "",
    "long": "a" * 250 + "@example.com",
}


@pytest.mark.parametrize("email", ODD_ADDRESSES.values(), ids=ODD_ADDRESSES.keys())
def test_f4_odd_address_is_refused(site: Site, email: str) -> None:
    with work(site) as cost:
        assert sign_up(site, email).json["code"] == "VALIDATION_ERROR"
        assert sign_in(site, email).json["code"] in ("INVALID_EMAIL", "VALIDATION_ERROR")
        assert site.browser().post("/request-password-reset", {"email": email}).json["code"] == "VALIDATION_ERROR"
        with pytest.raises(APIError) as caught:
            site.api.create_user(name="A", email=email)
    assert caught.value.code == "VALIDATION_ERROR"
    assert cost == {}
    assert site.rows("user") == []


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("ada@example.com", "ada@example.com"),
        ("ADA@Example.COM", "ada@example.com"),
        ("a.d-a_1+tag@example.com", "a.d-a_1+tag@example.com"),
        ("o'hara@example.com", "o'hara@example.com"),
        ("Ada@XN--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("a" * 242 + "@example.com", "a" * 242 + "@example.com"),
    ],
    ids=lambda value: value[-40:],
)
def test_f4_address_is_stored_in_one_form(site: Site, sent: str, stored: str) -> None:
    assert sign_up(site, sent).json["user"]["email"] == stored
    assert [user.email for user in site.rows("user")] == [stored]
    assert sign_up(site, stored.upper()).json["code"] == "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL"
    assert sign_in(site, sent).json["user"]["email"] == sign_in(site, stored.upper()).json["user"]["email"] == stored


# ---------------------------------------------------------------- F5


def good_body(email: str = "ada@example.com") -> dict[str, Any]:
    """A body that every endpoint below understands."""
    return {"name": "A", "email": email, "password": PASSWORD}


GOOD = json.dumps(good_body()).encode()
NO_JSON = {
    "open brace": b"{",
    "open list": b"[1,2",
    "text": b"not json",
    "two values": GOOD + b"{}",
    "trailing comma": GOOD[:-1] + b",}",
    "single quotes": GOOD.replace(b'"', b"'"),
    "comment": b"/* */" + GOOD,
    "unquoted key": b"{name: 1}",
    "control character": GOOD.replace(b'"A"', b'"\n"'),
    "NaN": GOOD.replace(b'"A"', b"NaN"),
    "Infinity": GOOD.replace(b'"A"', b"Infinity"),
    "-Infinity": GOOD.replace(b'"A"', b"-Infinity"),
    "NaN in an unknown key": GOOD[:-1] + b',"x":[NaN]}',
    "huge number": GOOD[:-1] + b',"x":' + b"9" * 5000 + b"}",
    "BOM": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "UTF-16 without BOM": GOOD.decode().encode("utf-16-le"),
    "UTF-32": GOOD.decode().encode("utf-32"),
    "Latin-1": GOOD.replace(b'"A"', b'"\xe9"'),
    "overlong NUL": GOOD.replace(b'"A"', b'"\xc0\x80"'),
    "surrogate bytes": GOOD.replace(b'"A"', b'"\xed\xa0\x80"'),
    "lone high surrogate": GOOD.replace(b'"A"', b'"\\ud800"'),
    "lone low surrogate": GOOD.replace(b'"A"', b'"\\udc00 x"'),
    "swapped surrogates": GOOD.replace(b'"A"', b'"\\udc00\\ud800"'),
    "surrogate in a key": GOOD[:-1] + b',"\\ud800":1}',
    "surrogate deep inside": GOOD[:-1] + b',"x":[{"y":["\\ud800"]}]}',
    "bad escape": GOOD.replace(b'"A"', b'"\\u12"'),
    "deep list": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep list in an unknown key": GOOD[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "duplicate key": GOOD[:-1] + b',"email":"eve@example.com"}',
    "duplicate key deep inside": GOOD[:-1] + b',"x":{"a":1,"a":2}}',
}
READERS = {
    "/sign-up/email": 422,
    "/sign-in/email": 200,
    "/request-password-reset": 200,
    "/update-user": 400,  # it knows no e-mail address
    "/sign-out": 200,
}


def sent_raw(browser: Browser, path: str, raw: bytes, media_type: str = "application/json") -> Response:
    """POST a body as it is."""
    return browser.request("POST", path, data=raw, content_type=media_type)


@pytest.mark.parametrize("raw", NO_JSON.values(), ids=NO_JSON.keys())
def test_f5_body_that_is_no_strict_json_is_refused_by_every_endpoint(ada: Browser, raw: bytes) -> None:
    before = ada.site.snapshot()
    for path in READERS:
        with work(ada.site) as cost:
            answer = sent_raw(ada, path, raw)
        assert (path, answer.status_code, answer.json) == (
            path,
            400,
            {"message": "Invalid JSON in request body", "code": "BAD_REQUEST"},
        )
        assert cost == {}
    assert ada.site.snapshot() == before


def test_f5_same_bodies_in_strict_json_are_understood(site: Site) -> None:
    browser = site.sign_up("ada")
    for path, status in READERS.items():
        for raw in (GOOD, b" \r\n\t" + GOOD + b"\n"):
            assert (path, sent_raw(browser, path, raw).status_code) == (path, status)
    for name in ("\\u00e9", "\\ud83d\\ude00", "é😀"):
        raw = GOOD.replace(b'"A"', f'"{name}"'.encode()).replace(b"ada@", f"u{len(name)}@".encode())
        answer = sent_raw(site.browser(), "/sign-up/email", raw)
        assert answer.json["user"]["name"] == json.loads(f'"{name}"')


def test_f5_repeated_key_is_read_as_the_reference_reads_it_without_hardening(make_auth: Callable[..., Site]) -> None:
    site = make_auth(hardening=False)
    answer = sent_raw(site.browser(), "/sign-up/email", NO_JSON["duplicate key"])
    assert answer.json["user"]["email"] == "eve@example.com"


@pytest.mark.parametrize("charset", ["utf-16", "latin-1", "utf-7"])
def test_f5_charset_of_the_media_type_does_not_change_how_a_body_is_read(site: Site, charset: str) -> None:
    media_type = f"application/json; charset={charset}"
    assert sent_raw(site.browser(), "/sign-up/email", GOOD, media_type).status_code == 200
    other = good_body("é@example.com") | {"name": "é"}
    raw = json.dumps(other, ensure_ascii=False).encode("latin-1")
    assert sent_raw(site.browser(), "/sign-up/email", raw, media_type).status_code == 400


WRONG_TYPES: list[Any] = [{"$ne": 1}, {"$gt": ""}, {}, [], ["ada@example.com"], [["x"]], 1, 1.5, 0, True, False, None]


@pytest.mark.parametrize("value", WRONG_TYPES, ids=json.dumps)
@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/sign-up/email", "email"),
        ("/sign-up/email", "password"),
        ("/sign-up/email", "name"),
        ("/sign-up/email", "image"),
        ("/sign-in/email", "email"),
        ("/sign-in/email", "password"),
        ("/request-password-reset", "email"),
        ("/update-user", "name"),
    ],
)
def test_f5_value_of_another_type_is_refused(ada: Browser, path: str, field: str, value: Any) -> None:
    before = ada.site.snapshot()
    with work(ada.site) as cost:
        answer = ada.post(path, {**good_body("new@example.com"), field: value})
    assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")
    assert answer.json["message"].startswith(f"[body.{field}] Invalid input: expected string")
    assert cost["hashes"] == 0
    assert ada.site.snapshot() == before


@pytest.mark.parametrize("value", ["true", "false", "", 0, 1, {}, [], None], ids=json.dumps)
@pytest.mark.parametrize("path", ["/sign-up/email", "/sign-in/email"])
def test_f5_flag_is_true_or_false_and_nothing_else(ada: Browser, path: str, value: Any) -> None:
    answer = ada.post(path, {**good_body(), "rememberMe": value})
    assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")
    assert ada.post(path, {**good_body(), "password": "wrong password", "rememberMe": True}).status_code in (401, 422)


@pytest.mark.parametrize("raw", [b"null", b'"text"', b"5", b"true", b"[]", b"[{}]"], ids=bytes.decode)
@pytest.mark.parametrize("path", ["/sign-up/email", "/sign-in/email", "/request-password-reset", "/update-user"])
def test_f5_body_that_is_no_object_is_refused(ada: Browser, path: str, raw: bytes) -> None:
    before = ada.site.snapshot()
    answer = sent_raw(ada, path, raw)
    assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")
    assert ada.site.snapshot() == before


ODD_VALUES = {
    "infinite": '{"blob":1e400}',
    "infinite inside": '{"blob":{"a":[1,-1e400]}}',
    "infinite number": '{"size":1e400}',
    "infinite in a list": '{"sizes":[1e400]}',
    "number of 33 bits": '{"size":4294967296}',
    "number of 70 bits": '{"size":1180591620717411303424}',
    "number of 70 bits in a list": '{"sizes":[1180591620717411303424]}',
    "fraction": '{"size":0.5}',
    "before the first date": '{"born":"0001-01-01T00:00:00+14:00"}',
    "after the last date": '{"born":"9999-12-31T23:59:59-14:00"}',
    "no date": '{"born":"2026-02-30T00:00:00Z"}',
    "empty date": '{"born":""}',
    "NUL": '{"motto":"a\\u0000b"}',
    "longer than an indexed column": json.dumps({"handle": "x" * 256}),
    "deep": '{"blob":' + "[" * 500 + "]" * 500 + "}",
    "very deep": '{"blob":' + "[" * 970 + "]" * 970 + "}",
}


@pytest.mark.parametrize("path", ["/update-user", "/sign-up/email"])
@pytest.mark.parametrize("raw", ODD_VALUES.values(), ids=ODD_VALUES.keys())
def test_f5_value_that_no_column_can_hold_is_refused(ada: Browser, raw: str, path: str) -> None:
    before = ada.site.snapshot()
    new = json.dumps({"name": "A", "email": "new@example.com", "password": PASSWORD})
    body = raw if path == "/update-user" else f"{new[:-1]},{raw[1:]}"
    answer = sent_raw(ada, path, body.encode())
    assert answer.status_code == 400
    assert answer.json["code"] in ("VALIDATION_ERROR", "BAD_REQUEST")  # what is deep for JSON depends on Python
    assert ada.site.snapshot() == before


def test_f5_no_depth_of_nesting_fails_the_server(ada: Browser) -> None:
    def status(depth: int) -> int:
        # an escaped text is written again to check it, and Python reads a little deeper than it writes
        raw = b'{"name":"\\u0041","x":' + b"[" * depth + b"]" * depth + b"}"
        return sent_raw(ada, "/update-user", raw).status_code

    accepted, refused = 10, 1_000_000
    assert (status(accepted), status(refused)) == (200, 400)
    while refused - accepted > 1:
        middle = (accepted + refused) // 2
        if status(middle) == 200:
            accepted = middle
        else:
            refused = middle
    assert {status(depth) for depth in range(accepted - 20, accepted + 20)} == {200, 400}


def test_f5_values_that_columns_can_hold_are_kept(site: Site) -> None:
    browser = site.sign_up("ada")
    deep: list[Any] = []
    for _ in range(30):
        deep = [deep]
    values: dict[str, Any] = {
        "born": "1815-12-10T00:00:00.000Z",
        "size": -(2**31),
        "sizes": [0, 2**53 - 1],
        "motto": "'; drop table user; --",
        "handle": "é" * 255,
    }
    for blob in ({"a": [1.5, None, True, "é😀", {"b": []}]}, deep, "text", 0, False):
        assert browser.post("/update-user", {**values, "blob": blob}).status_code == 200
        user = browser.session()["user"]
        assert {name: user[name] for name in (*values, "blob")} == {**values, "blob": blob}


# ---------------------------------------------------------------- F7


BROKEN = {
    "NULL": None,
    "empty": "",
    "space": " ",
    "clear text": PASSWORD,
    "colon": ":",
    "short scrypt": "0" * 32 + ":" + "0" * 127,
    "no hexadecimal": "z" * 32 + ":" + "z" * 128,
    "upper-case scrypt": LEGACY.upper().replace("0" * 32, "A" * 32),
    "only the header": "$argon2id$",
    "cut argon2": "$argon2id$v=19$m=8,t=1,p=1$",
    "no base64": "$argon2id$v=19$m=8,t=1,p=1$!!!!$????",
    "unknown argon2": "$argon2x$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA",
    "zero parameters": "$argon2id$v=19$m=0,t=0,p=0$c29tZXNhbHQ$" + "A" * 43,
    "impossible memory": "$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$" + "A" * 43,
    "non-ASCII argon2": "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$é",
    "non-ASCII": "é" * 32 + ":" + "é" * 128,
    "bcrypt": "$2b$12$" + "a" * 53,
    "long": "x" * 60_000,
}


@pytest.mark.parametrize("stored", BROKEN.values(), ids=BROKEN.keys())
def test_f7_broken_hash_lets_nobody_in(ada: Browser, stored: str | None, caplog: pytest.LogCaptureFixture) -> None:
    store_hash(ada.site, FAST.hash(PASSWORD))
    assert sign_in(ada.site).status_code == 200
    store_hash(ada.site, stored)
    before = ada.site.snapshot()
    for password in (PASSWORD, "", stored or " "):
        answer = sign_in(ada.site, password=password[:128])
        assert (answer.status_code, code_of(answer)) == (401, "INVALID_EMAIL_OR_PASSWORD")
    assert ada.site.snapshot() == before
    assert caplog.records == []


@pytest.mark.parametrize("stored", BROKEN.values(), ids=BROKEN.keys())
def test_f7_broken_hash_costs_what_a_wrong_password_costs(ada: Browser, stored: str | None) -> None:
    for now in (FAST.hash(PASSWORD), stored):
        store_hash(ada.site, now)
        with primitives() as spent:
            assert sign_in(ada.site, password="wrong password").status_code == 401
        assert sum(spent.values()) == 1


@contextmanager
def primitives() -> Iterator[Counter[str]]:
    """Counts the hashes that were computed to the end, whatever came out."""
    counts: Counter[str] = Counter()
    derive, verify, make = hashlib.scrypt, PasswordHasher.verify, PasswordHasher.hash

    def scrypt(*arguments: Any, **options: Any) -> bytes:
        counts["scrypt"] += 1
        return derive(*arguments, **options)

    def hashed(hasher: PasswordHasher, password: bytes) -> str:
        counts["argon2id"] += 1
        return make(hasher, password)

    def verified(hasher: PasswordHasher, stored: str, password: bytes) -> bool:
        try:
            done = verify(hasher, stored, password)
        except Exception as error:
            counts["argon2id"] += "does not match" in str(error)
            raise
        counts["argon2id"] += 1
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "scrypt", scrypt)
        patch.setattr(PasswordHasher, "hash", hashed)
        patch.setattr(PasswordHasher, "verify", verified)
        yield counts


# ---------------------------------------------------------------- F8


def test_f8_two_hundred_sign_ins_never_hash_more_than_two_at_once(
    make_auth: Callable[..., Site], dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, bound = 200, 2
    patient = {"connect_args": {"timeout": 120}} if dialect == "sqlite" else {}
    monkeypatch.setattr(passwords, "_PATIENCE", 120)
    site = make_auth(max_hashes=bound, engine_options={"pool_timeout": 120, **patient})
    site.sign_up("ada")
    mine = site.app.extensions["better_auth"].passwords
    guard, everybody_is_here = threading.Lock(), threading.Event()
    waiting, running, peak, hashed = 0, 0, 0, 0
    verify, primitive = mine.verify, PasswordHasher.verify

    def arrive(stored: str, password: str) -> bool:
        nonlocal waiting
        with guard:
            waiting += 1
            if waiting == many:
                everybody_is_here.set()
        return bool(verify(stored, password))

    def hash_slowly(hasher: PasswordHasher, stored: str, password: bytes) -> bool:
        nonlocal running, peak, hashed
        with guard:
            running += 1
            hashed += 1
            peak = max(peak, running)
        assert everybody_is_here.wait(120)
        try:
            return bool(primitive(hasher, stored, password))
        finally:
            with guard:
                running -= 1

    monkeypatch.setattr(mine, "verify", arrive)
    monkeypatch.setattr(PasswordHasher, "verify", hash_slowly)
    answers: list[Response] = []

    def request(number: int) -> None:
        answers.append(sign_in(site, password=PASSWORD if number % 2 else "wrong password"))

    threads = [threading.Thread(target=request, args=(number,)) for number in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert Counter(answer.status_code for answer in answers) == {200: many // 2, 401: many // 2}
    assert (peak, hashed) == (bound, many)
    tokens = {answer.json["token"] for answer in answers if answer.status_code == 200}
    assert len(tokens) == many // 2
    assert tokens < {session.token for session in site.rows("session")}


# ---------------------------------------------------------------- F9


@pytest.mark.parametrize("changed", [True, False])
def test_f9_password_that_is_changed_during_the_rehash_wins(
    site: Site, monkeypatch: pytest.MonkeyPatch, changed: bool
) -> None:
    sign_up(site)
    store_hash(site, LEGACY)
    mine = site.app.extensions["better_auth"].passwords
    original, replacement = mine.hash, FAST.hash("chosen meanwhile")

    def hash_slowly(password: str) -> str:
        if changed:
            store_hash(site, replacement)
        return original(password)

    monkeypatch.setattr(mine, "hash", hash_slowly)
    assert sign_in(site).status_code == 200
    monkeypatch.undo()
    (account,) = site.rows("account")
    assert account.password != LEGACY
    assert (account.password == replacement) is changed
    for password, right in (("chosen meanwhile", changed), (PASSWORD, not changed)):
        assert (sign_in(site, password=password).status_code == 200) is right


@pytest.mark.parametrize("now", [None, "", "deleted"])
def test_f9_rehash_does_not_bring_back_a_password_that_was_taken_away(
    site: Site, monkeypatch: pytest.MonkeyPatch, now: str | None
) -> None:
    sign_up(site)
    store_hash(site, LEGACY)
    mine = site.app.extensions["better_auth"].passwords
    original = mine.hash

    def hash_slowly(password: str) -> str:
        if now == "deleted":
            with site.app.app_context():
                site.db.session.execute(site.db.delete(site.auth.Account))
                site.db.session.commit()
        else:
            store_hash(site, now)
        return original(password)

    monkeypatch.setattr(mine, "hash", hash_slowly)
    assert sign_in(site).status_code == 200
    assert [account.password for account in site.rows("account")] == ([] if now == "deleted" else [now])


# ---------------------------------------------------------------- F12


SPOKEN = "Open-Sesame-9431"
EVENTS = ("user_signed_up", "user_signed_in", "sign_in_failed", "session_revoked")


def every_way(site: Site) -> list[str]:
    """Use a password in every way there is; returns what the application was told or shown of each call."""
    shown: list[str] = []
    ada = good_body() | {"password": SPOKEN}
    browser = site.browser()
    requests: list[tuple[str, Any]] = [
        ("/sign-up/email", ada),
        ("/sign-up/email", ada),
        ("/sign-up/email", ada | {"email": "nobody"}),
        ("/sign-up/email", ada | {"password": [SPOKEN]}),
        ("/sign-up/email", ada | {"password": SPOKEN * 20}),
        ("/sign-in/email", ada),
        ("/sign-in/email", ada | {"password": SPOKEN + "x"}),
        ("/sign-in/email", ada | {"email": "bob@example.com"}),
        ("/sign-in/email", ada | {"rememberMe": SPOKEN}),
        ("/sign-in/email", ada | {"callbackURL": "https://evil.test"}),
        ("/update-user", {"name": "B", "password": SPOKEN}),
        ("/request-password-reset", ada),
        ("/sign-out", ada),
    ]
    for path, body in requests:
        answer = browser.post(path, body)
        shown.append(answer.get_data(as_text=True) + str(answer.headers))
    broken = json.dumps(ada)[:-1].encode()
    shown.append(sent_raw(browser, "/sign-in/email", broken).get_data(as_text=True))
    shown.append(sent_raw(browser, "/sign-in/email", json.dumps(ada).encode(), SPOKEN).get_data(as_text=True)[:0])
    for name, fields in (
        ("create_user", {"name": "C", "email": "c@example.com", "password": SPOKEN}),
        ("create_user", {"name": "C", "email": "c@example.com", "password": SPOKEN}),
        ("create_user", {"name": "C", "email": "d@example.com", "password": [SPOKEN]}),
        ("create_user", {"name": "C", "email": "d@example.com", "pasword": SPOKEN}),
        ("sign_in_email", {"email": "c@example.com", "password": SPOKEN + "x"}),
        ("sign_in_email", {"email": "c@example.com", "password": SPOKEN, "body": {"password": SPOKEN}}),
    ):
        try:
            shown.append(repr(getattr(site.api, name)(**fields)))
        except (APIError, TypeError) as error:
            shown.append(f"{error} {error!r} {vars(error)}")
    return shown


def test_f12_password_is_neither_logged_nor_told_nor_answered(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "sqlalchemy")  # engines look at it when they are made
    site = make_auth(email_and_password={"send_reset_password": lambda **message: None})
    told: list[str] = []

    def receive(sender: object, **what: Any) -> None:
        told.append(f"{what} {what!r}")

    for name in EVENTS:
        getattr(signals, name).connect(receive, sender=site.app)
    shown = every_way(site)
    assert "ada@example.com" in caplog.text  # the statements were logged
    assert SPOKEN not in caplog.text
    assert len(told) >= len(EVENTS)
    for text in (*shown, *told):
        assert SPOKEN not in text
        assert "$argon2" not in text


def test_f12_failing_code_of_the_application_does_not_log_the_password(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def fail(*arguments: Any, **what: Any) -> None:
        raise RuntimeError("told too much")

    site = make_auth(hooks=Hooks(after=fail), email_and_password={"send_reset_password": fail})
    for name in EVENTS:
        getattr(signals, name).connect(fail, sender=site.app, weak=False)
    try:
        answer = sign_up(site, password=SPOKEN)
        assert (answer.status_code, answer.data) == (500, b"")
        assert sign_in(site, password=SPOKEN + "x").status_code == 500
    finally:
        for name in EVENTS:
            getattr(signals, name).disconnect(fail, sender=site.app)
    assert caplog.text.count("told too much") >= 3
    assert SPOKEN not in caplog.text


def test_f12_failing_database_logs_neither_password_nor_hash_nor_token(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    site = make_auth()
    browser = site.sign_up("ada", password=SPOKEN)
    (stored,), (token,) = [row.password for row in site.rows("account")], [row.token for row in site.rows("session")]
    with site.app.app_context():
        site.auth.Session.__table__.drop(site.db.engine)
    answers = [
        sign_in(site, password=SPOKEN),
        sign_up(site, "new@example.com", SPOKEN),
        browser.get("/get-session"),
        browser.get("/list-sessions"),
        browser.post("/sign-out"),
    ]
    assert {answer.status_code for answer in answers} & {500, 503}
    assert "FROM session" in caplog.text
    for secret in (SPOKEN, stored, token, "$argon2"):
        assert secret not in caplog.text


def test_f12_failing_renewal_does_not_log_the_hash(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    sign_up(site)
    store_hash(site, LEGACY)
    with site.app.app_context():
        engine = site.db.engine

    def refuse(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> tuple[str, Any]:
        return (
            statement.replace("f_account", "f_nowhere") if statement.startswith("UPDATE") else statement
        ), parameters

    event.listen(engine, "before_cursor_execute", refuse, retval=True)
    try:
        assert sign_in(site).status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", refuse)
    assert "f_nowhere" in caplog.text
    assert [account.password for account in site.rows("account")] == [LEGACY]
    for secret in (PASSWORD, LEGACY, "$argon2"):
        assert secret not in caplog.text


def test_f12_text_form_of_every_object_hides_password_and_hash(
    make_auth: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    look_up = users.find

    def look(call: Call) -> None:
        seen.extend((call, call.session, call.user, call.new_session, call.state, call.config, call.request))
        seen.append(call.returned)

    def find(call: Call, column: str, value: str) -> Any:
        found = look_up(call, column, value)
        seen.extend(found or ())
        return found

    monkeypatch.setattr(users, "find", find)
    site = make_auth(hooks=Hooks(before=look, after=look))
    assert sign_up(site, password=SPOKEN).status_code == 200
    assert sign_in(site, password=SPOKEN + "x").status_code == 401
    assert sign_in(site, password=SPOKEN).status_code == 200
    assert any(item.get("password", "").startswith("$argon2id$") for item in seen if isinstance(item, dict))
    rows = [row for table in ("user", "session", "account") for row in site.rows(table)]
    with site.app.app_context():
        new = repr(site.auth.Account(password=SPOKEN, user_id="1", account_id="1", provider_id="credential"))
    seen += [*rows, *(row.to_dict() for row in rows), new, site.app.extensions["better_auth"].passwords]
    for text in (form(item) for item in seen for form in (str, repr)):
        assert SPOKEN not in text
        assert "$argon2" not in text
        assert SECRET not in text


@pytest.mark.parametrize("value", [5, ["x"], {"a": 1}], ids=json.dumps)
def test_f12_wrong_setting_does_not_show_the_secret(value: Any) -> None:
    with pytest.raises(ConfigError, match="secret") as caught:
        build({"secret": value}, {})
    assert repr(value) not in str(caught.value)
    assert SECRET not in repr(build({"secret": SECRET}, {}))
