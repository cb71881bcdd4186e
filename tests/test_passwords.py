"""Passwords: the forms that are stored and read, their renewal, how length counts, and the bound on hashing."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher, Type
from argon2.profiles import CHEAPEST
from conftest import FAST, PASSWORD, SECRET, Site
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_better_auth import APIError, BetterAuth, ConfigError, passwords
from flask_better_auth.config import build
from flask_better_auth.passwords import Passwords

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors" / "passwords.json").read_text(encoding="utf-8"))
SCRYPT: list[dict[str, str]] = VECTORS["scrypt"]
#: What Django, Werkzeug, passlib and bcrypt made, by cheap figures.
OTHERS: list[dict[str, str]] = VECTORS["others"]
FLASK_SECURITY: dict[str, Any] = VECTORS["flask_security"]
DEFAULT = "$argon2id$v=19$m=19456,t=2,p=1$"
#: Each pair is typed as the same password on some keyboard or another.
SAME = [
    ("\u212bngstrom-1", "\u00c5ngstrom-1"),
    ("A\u030angstrom-1", "\u00c5ngstrom-1"),
    ("\uff50assword-1", "password-1"),
    ("o\ufb03ce-hours", "office-hours"),
    ("password \u2460", "password 1"),
]


def made(*, relaxed: bool = True, **options: Any) -> Passwords:
    """Passwords as an application with these settings has them."""
    return Passwords(build({"secret": SECRET, **options}, {}), relaxed=relaxed)


# ---------------------------------------------------------------- what is stored, what is read


@pytest.mark.parametrize("vector", SCRYPT, ids=["ascii", "unicode", "spaces"])
def test_hash_of_the_reference_verifies(vector: dict[str, str]) -> None:
    mine = made(password_hash=FAST)
    assert mine.verify(vector["hash"], vector["password"])
    assert not mine.verify(vector["hash"], vector["password"] + "x")


def test_scrypt_stores_the_form_of_the_reference() -> None:
    mine = made(password_hash="scrypt")
    stored = mine.hash("pass word")
    salt, _, key = stored.partition(":")
    assert (len(bytes.fromhex(salt)), len(bytes.fromhex(key))) == (16, 64)
    assert stored == stored.lower()
    assert mine.verify(stored, "pass word")
    assert not mine.verify(stored[:-1] + "x", "pass word")
    assert mine.hash("pass word") != stored


@pytest.mark.parametrize("choice", [None, "argon2id"], ids=["default", "by name"])
def test_stored_hash_is_argon2id_with_the_owasp_figures(make_auth: Callable[..., Site], choice: str | None) -> None:
    site = make_auth(password_hash=choice)
    site.sign_up("ada")
    (account,) = site.rows("account")
    assert account.password.startswith(DEFAULT)


@pytest.mark.parametrize("stored", [None, "", "x", "plain text", ":", "$argon2id$v=19$m=8,t=1,p=1$bad$bad"])
def test_illegible_hash_verifies_nothing(stored: str | None) -> None:
    mine = made(password_hash=FAST)
    for password in ("", stored or "password", "password"):
        assert not mine.verify(stored, password)
    assert mine.verify(mine.hash("password"), "password")


@pytest.mark.parametrize("vector", OTHERS, ids=lambda vector: vector["by"])
def test_hash_of_another_library_verifies(vector: dict[str, str]) -> None:
    mine, stored = made(password_hash=FAST), vector["hash"]
    assert mine.verify(stored, vector["password"])
    assert not mine.verify(stored, vector["password"] + "x")
    assert not mine.verify(stored, "")
    assert not mine.is_current(stored)


@pytest.mark.parametrize("vector", FLASK_SECURITY["hashes"], ids=lambda vector: vector["by"])
def test_hash_of_flask_security_verifies_with_its_salt(vector: dict[str, str]) -> None:
    mine = made(password_hash=FAST, flask_security_salt=FLASK_SECURITY["salt"])
    assert mine.verify(vector["hash"], vector["password"])
    assert not mine.verify(vector["hash"], vector["password"] + "x")
    for other in ("", "another salt"):
        assert not made(password_hash=FAST, flask_security_salt=other).verify(vector["hash"], vector["password"])
    ours = mine.hash(vector["password"])
    assert mine.verify(ours, vector["password"])


@pytest.mark.parametrize("vector", OTHERS, ids=lambda vector: vector["by"])
def test_a_damaged_hash_of_another_library_verifies_nothing(vector: dict[str, str]) -> None:
    mine, stored, password = made(password_hash=FAST), vector["hash"], vector["password"]
    before, dollar, key = stored.rpartition("$")
    for damaged in (stored[:-4], stored + "x", before, before + dollar, before + "$!!", key, stored.replace("1", "x")):
        assert damaged == stored or not mine.verify(damaged, password), damaged


@pytest.mark.parametrize(
    "stored",
    [
        "pbkdf2_sha256$0$salt$c2FsdA==",
        "pbkdf2_sha256$9999999999$salt$c2FsdA==",
        "scrypt$0$salt$8$1$c2FsdA==",
        "scrypt$3$salt$8$1$c2FsdA==",
        "scrypt$9999999999$salt$9999999999$9999999999$c2FsdA==",
        "$scrypt$ln=99,r=8,p=1$c2FsdA$c2FsdA",
        "$pbkdf2-sha256$1$a$a",
        "pbkdf2:sha0:1$salt$00",
        "scrypt:a:b:c$salt$00",
        "$2b$99$" + "." * 53,
        "argon2$argon2id$v=19$m=1,t=1,p=1$c2FsdA$c2FsdA",
        "$bcrypt-sha256$v=2,t=2b,r=99$" + "." * 22 + "$" + "." * 31,
    ],
)
def test_impossible_figures_in_a_hash_verify_nothing(stored: str) -> None:
    assert not made(password_hash=FAST).verify(stored, "password")


def test_a_sign_in_by_another_librarys_hash_stores_ours(site: Site) -> None:
    site.sign_up("ada")
    vector = OTHERS[0]
    with site.app.app_context():
        site.db.session.execute(site.db.update(site.auth.Account).values(password=vector["hash"]))
        site.db.session.commit()
    body = {"email": "ada@example.com", "password": vector["password"]}
    for form in (r"\$argon2id\$.*", r"\$argon2id\$.*"):
        assert site.browser().post("/sign-in/email", body).status_code == 200
        (account,) = site.rows("account")
        assert re.fullmatch(form, account.password)


def test_bcrypt_without_its_package_verifies_nothing_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    vector = next(vector for vector in OTHERS if vector["by"] == "bcrypt")
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    assert not made(password_hash=FAST).verify(vector["hash"], vector["password"])
    assert "flask-better-auth[bcrypt]" in caplog.text
    assert vector["hash"] not in caplog.text


# ---------------------------------------------------------------- functions of the application


class Reversed:
    """No hash at all, and what an application may do of its own."""

    def hash(self, password: str) -> str:
        return "reversed:" + password[::-1]

    def verify(self, stored: str, password: str) -> bool:
        if not stored.startswith("reversed:"):
            raise ValueError(stored)
        return stored == self.hash(password)


@pytest.mark.parametrize("choice", [Reversed(), {"hash": Reversed().hash, "verify": Reversed().verify}])
def test_functions_of_the_application_hash_and_verify(make_auth: Callable[..., Site], choice: Any) -> None:
    site = make_auth(password_hash=choice)
    ada = site.sign_up("ada")
    (account,) = site.rows("account")
    assert account.password == "reversed:" + PASSWORD[::-1]
    assert ada.post("/verify-password", {"password": PASSWORD}).status_code == 200
    assert ada.post("/verify-password", {"password": PASSWORD + "x"}).status_code == 400
    assert site.browser().post("/sign-in/email", {"email": "no@example.com", "password": PASSWORD}).status_code == 401
    mine = made(password_hash=choice, naming="camelCase")
    assert not mine.verify(FAST.hash(PASSWORD), PASSWORD)
    assert mine.is_current("reversed:x")


@pytest.mark.parametrize("choice", [{"hash": print}, {"hash": 1, "verify": 2}, {}, type("H", (), {"hash": len})()])
def test_half_of_the_functions_is_no_choice(choice: Any) -> None:
    with pytest.raises(ConfigError, match="password_hash must have the functions hash and verify"):
        made(password_hash=choice)


# ---------------------------------------------------------------- renewal


STORED = {
    "scrypt": SCRYPT[0]["hash"],
    "argon2id": made(password_hash="argon2id").hash("password"),
    "weaker": FAST.hash("password"),
    "argon2i": PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1, type=Type.I).hash("password"),
    "illegible": "x",
}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize(
    ("choice", "current"),
    [("scrypt", {"scrypt"}), ("argon2id", {"argon2id"}), (None, {"argon2id"}), (FAST, {"weaker"})],
    ids=["scrypt", "argon2id", "default", "own hasher"],
)
def test_hash_of_another_form_or_strength_is_not_current(choice: Any, current: set[str], stored: str) -> None:
    assert made(password_hash=choice).is_current(STORED[stored]) is (stored in current)


@pytest.mark.parametrize(
    ("choice", "before", "after"),
    [("scrypt", "weaker", ""), ("argon2id", "scrypt", DEFAULT), ("argon2id", "weaker", DEFAULT)],
    ids=["argon2id to scrypt", "scrypt to argon2id", "stronger parameters"],
)
def test_sign_in_renews_the_hash(make_auth: Callable[..., Site], choice: str, before: str, after: str) -> None:
    site = make_auth(password_hash=choice)
    site.sign_up("ada")
    password = SCRYPT[0]["password"] if before == "scrypt" else "password"
    with site.app.app_context():
        site.db.session.execute(site.db.update(site.auth.Account).values(password=STORED[before]))
        site.db.session.commit()
    for attempt, renewed in (("wrong password", False), (password, True)):
        site.browser().post("/sign-in/email", {"email": "ada@example.com", "password": attempt})
        stored = site.rows("account")[0].password
        assert (stored != STORED[before]) is renewed
    mine = site.app.extensions["better_auth"].passwords
    assert stored.startswith(after)
    assert mine.is_current(stored)
    assert mine.verify(stored, password)
    site.browser().post("/sign-in/email", {"email": "ada@example.com", "password": password})
    assert site.rows("account")[0].password == stored


# ---------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("one", "other", "choice"),
    [*((*pair, FAST) for pair in SAME), (*SAME[0], "scrypt")],
    ids=lambda value: ascii(value)[:16],
)
def test_compatible_forms_are_one_password_at_setting_and_at_verifying(one: str, other: str, choice: Any) -> None:
    mine = made(password_hash=choice)
    assert one != other
    assert mine.verify(mine.hash(one), other)
    assert mine.verify(mine.hash(other), one)
    assert not mine.verify(mine.hash(one), other.swapcase())


@pytest.mark.parametrize(
    ("password", "refused"),
    [
        ("x" * 7, "PASSWORD_TOO_SHORT"),
        ("x" * 8, None),
        ("x" * 128, None),
        ("x" * 129, "PASSWORD_TOO_LONG"),
        ("é" * 7, "PASSWORD_TOO_SHORT"),
        ("é" * 128, None),
        ("\U0001f600" * 3 + "x", "PASSWORD_TOO_SHORT"),
        ("\U0001f600" * 4, None),
        ("\U0001f600" * 64, None),
        ("\U0001f600" * 64 + "x", "PASSWORD_TOO_LONG"),
        ("\ufdfa" * 128, None),  # NFKC makes eighteen characters of each; they are counted as they were typed
    ],
    ids=lambda value: ascii(value)[:12],
)
def test_length_is_counted_in_utf_16(password: str, refused: str | None) -> None:
    mine = made(password_hash=FAST)
    if refused is None:
        mine.check_length(password)
        assert mine.verify(mine.hash(password), password)
    else:
        with pytest.raises(APIError) as caught:
            mine.check_length(password)
        assert caught.value.code == refused


def test_bounds_are_configurable() -> None:
    mine = made(password_hash=FAST, email_and_password={"min_password_length": 10, "max_password_length": 20})
    for password, refused in (("x" * 9, True), ("x" * 10, False), ("x" * 20, False), ("x" * 21, True)):
        if refused:
            with pytest.raises(APIError):
                mine.check_length(password)
        else:
            mine.check_length(password)


# ---------------------------------------------------------------- configuration


WEAK = {
    "cheapest": PasswordHasher.from_parameters(CHEAPEST),
    "one pass": PasswordHasher(memory_cost=19456, time_cost=1, parallelism=1),
    "less memory": PasswordHasher(memory_cost=19455, time_cost=2, parallelism=1),
    "argon2i": PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1, type=Type.I),
    "argon2d": PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1, type=Type.D),
    "short salt": PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1, salt_len=8),
    "short hash": PasswordHasher(memory_cost=19456, time_cost=2, parallelism=1, hash_len=8),
}


@pytest.mark.parametrize("hasher", WEAK.values(), ids=WEAK.keys())
def test_weak_hasher_is_refused_in_production(hasher: PasswordHasher) -> None:
    with pytest.raises(ConfigError, match="password_hash"):
        made(password_hash=hasher, relaxed=False)
    made(password_hash=hasher, relaxed=True)


@pytest.mark.parametrize(("memory", "passes"), [(19456, 2), (47104, 1), (12288, 3), (65536, 3)])
def test_strong_hasher_is_accepted_in_production(memory: int, passes: int) -> None:
    made(password_hash=PasswordHasher(memory_cost=memory, time_cost=passes, parallelism=1), relaxed=False)


@pytest.mark.parametrize(
    ("switch", "accepted"), [(None, False), ("debug", True), ("testing", True)], ids=["production", "debug", "testing"]
)
def test_application_may_hash_cheaply_only_in_debug_or_testing(switch: str | None, accepted: bool) -> None:
    app = Flask("host")
    if switch:
        setattr(app, switch, True)
    app.config.update(BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_URL="http://localhost")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = SQLAlchemy(app)
    if accepted:
        BetterAuth(app, db=db, password_hash=FAST)
    else:
        with pytest.raises(ConfigError, match="password_hash"):
            BetterAuth(app, db=db, password_hash=FAST)


@pytest.mark.parametrize("choice", ["bcrypt", "argon2", 1, object()], ids=["bcrypt", "argon2", "number", "object"])
def test_unknown_scheme_is_refused(choice: Any) -> None:
    with pytest.raises(ConfigError, match="password_hash"):
        made(password_hash=choice)


def test_database_of_a_typescript_server_needs_a_choice_of_scheme() -> None:
    with pytest.raises(ConfigError, match="password_hash"):
        made(naming="camelCase")
    for choice in ("scrypt", "argon2id", FAST):
        made(naming="camelCase", password_hash=choice)


# ---------------------------------------------------------------- the bound on parallel hashes


class _Turns:
    """The semaphore of a ``Passwords``, telling when somebody asks for a turn."""

    def __init__(self, turns: Any) -> None:
        self.turns, self.asked = turns, threading.Semaphore(0)

    def acquire(self, **options: Any) -> bool:
        self.asked.release()
        return bool(self.turns.acquire(**options))

    def release(self) -> None:
        self.turns.release()


class _Held:
    """A hash that goes on until it is let go, and the order in which hashes begin and end."""

    def __init__(self, mine: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self.turns = _Turns(mine._turns)
        monkeypatch.setattr(mine, "_turns", self.turns)
        original = PasswordHasher.hash

        def slow(hasher: PasswordHasher, password: bytes) -> str:
            self.order.append(f"begin {password.decode()}")
            if password == b"first":
                self.begun.set()
                assert self.go.wait(60)
            self.order.append(f"end {password.decode()}")
            return original(hasher, password)

        monkeypatch.setattr(PasswordHasher, "hash", slow)
        self.thread = threading.Thread(target=mine.hash, args=("first",))
        self.thread.start()
        assert self.begun.wait(60)
        assert self.turns.asked.acquire(timeout=60)

    def finish(self) -> None:
        """Let the hash go."""
        self.go.set()
        self.thread.join(60)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Passwords], _Held]]:
    """Starts a hash that takes a turn and keeps it; it ends with the test at the latest."""
    started: list[_Held] = []

    def start(mine: Passwords) -> _Held:
        started.append(_Held(mine, monkeypatch))
        return started[-1]

    yield start
    for one in started:
        one.finish()


def test_second_hash_waits_for_its_turn(held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_PATIENCE", 60)
    mine = made(password_hash=FAST, max_hashes=1)
    first = held(mine)
    stored: list[str] = []
    second = threading.Thread(target=lambda: stored.append(mine.hash("second")))
    second.start()
    assert first.turns.asked.acquire(timeout=60)
    first.finish()
    second.join(60)
    assert first.order == ["begin first", "end first", "begin second", "end second"]
    assert FAST.verify(stored[0], "second")


@pytest.mark.parametrize(
    "work",
    [lambda mine: mine.hash("second"), lambda mine: mine.verify(STORED["weaker"], "password")],
    ids=["hash", "verify"],
)
def test_hash_that_waits_too_long_gives_up(held: Any, monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    monkeypatch.setattr(passwords, "_PATIENCE", 0.01)
    mine = made(password_hash=FAST, max_hashes=1)
    first = held(mine)
    with pytest.raises(APIError) as caught:
        work(mine)
    assert (caught.value.code, caught.value.status_code) == ("SERVICE_UNAVAILABLE", 503)
    assert int(caught.value.headers["Retry-After"]) > 0
    first.finish()
    assert work(mine)


def test_bound_is_per_application_and_twice_the_processors_by_default(held: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(passwords, "_PATIENCE", 0.01)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert made(password_hash=FAST)._turns._initial_value == 6
    first = held(made(password_hash=FAST, max_hashes=1))
    assert made(password_hash=FAST, max_hashes=1).hash("second")
    assert first.order == ["begin first", "begin second", "end second"]


def test_request_that_waits_too_long_is_told_to_come_back(make_auth: Any, held: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(passwords, "_PATIENCE", 0.01)
    site = make_auth(max_hashes=1)
    browser = site.sign_up("ada")
    body = {"email": "ada@example.com", "password": PASSWORD}
    before = site.snapshot()
    first = held(site.app.extensions["better_auth"].passwords)
    refused = site.browser().post("/sign-in/email", body)
    assert (refused.status_code, refused.json["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert int(refused.headers["Retry-After"]) > 0
    assert "Set-Cookie" not in refused.headers
    assert browser.session() is not None  # what needs no hash goes on
    assert site.snapshot() == before
    first.finish()
    assert site.browser().post("/sign-in/email", body).status_code == 200
