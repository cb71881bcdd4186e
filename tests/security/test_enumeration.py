"""SECURITY E: no answer tells which accounts exist, neither by what it says nor by the work that went into it."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from argon2 import PasswordHasher
from conftest import FAST, ORIGIN, PASSWORD, Browser, Site, build_site, tear_down, work
from flask import Response

from flask_better_auth import AdditionalField, signals

BASE = "/api/auth"
#: ``PASSWORD`` as the reference stores it.
LEGACY = "0" * 32 + ":" + hashlib.scrypt(PASSWORD.encode(), salt=b"0" * 32, n=16384, r=16, p=1, maxmem=2**26).hex()


class Post:
    """A sender of messages that remembers what it sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def __call__(self, **message: Any) -> None:
        self.sent.append(message)


TOLD, RESETS = Post(), Post()
PLAN = AdditionalField(type="string", required=False, default="free", input=False)
NICK = AdditionalField(type="string", required=False)
SECRET_NOTE = AdditionalField(type="string", required=False, default="hush", returned=False)
HANDLE = AdditionalField(type="string", required=False, unique=True)
FIELDS = {"plan": PLAN, "nick": NICK, "secret_note": SECRET_NOTE, "handle": HANDLE}


@contextmanager
def built(url: str, **options: Any) -> Iterator[Site]:
    """An application for many tests; a table prefix of its own keeps it apart from those of single tests."""
    site = build_site(url, options=options)
    yield site
    tear_down(site)


@pytest.fixture(scope="module")
def shared_url(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The database of the applications that many tests share."""
    return server_url or f"sqlite:///{tmp_path_factory.mktemp('shared')}/test.db"


@pytest.fixture(scope="module")
def plain(shared_url: str) -> Iterator[Site]:
    """An application that sends reset links."""
    with built(shared_url, table_prefix="e_", email_and_password={"send_reset_password": RESETS}) as site:
        yield site


@pytest.fixture(scope="module")
def hiding(shared_url: str) -> Iterator[Site]:
    """An application whose sign-up does not tell whether an address is taken."""
    hides = {"auto_sign_in": False, "on_existing_user_sign_up": TOLD}
    with built(shared_url, table_prefix="e2_", email_and_password=hides, user={"additional_fields": FIELDS}) as site:
        yield site


def emptied(site: Site) -> Site:
    """The application as nobody has used it."""
    TOLD.sent.clear()
    RESETS.sent.clear()
    return site.emptied()


@pytest.fixture
def site(plain: Site) -> Site:
    """The plain application, where Ada has signed up."""
    emptied(plain).sign_up("ada")
    return plain


@pytest.fixture
def discreet(hiding: Site) -> Site:
    """The application that hides who is there, where Ada has signed up."""
    emptied(hiding).sign_up("ada", nick="countess")
    return hiding


@contextmanager
def schemes() -> Iterator[Counter[str]]:
    """Counts hashes by the scheme that is really computed."""
    counts: Counter[str] = Counter()

    def counted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def primitive(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return original(*arguments, **options)

        return primitive

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "scrypt", counted("scrypt", hashlib.scrypt))
        patch.setattr(PasswordHasher, "hash", counted("argon2id", PasswordHasher.hash))
        patch.setattr(PasswordHasher, "verify", counted("argon2id", PasswordHasher.verify))
        yield counts


def shown(answer: Response) -> tuple[Any, ...]:
    """All that a client sees of an answer, but for the clock's part."""
    headers = sorted((name.lower(), value) for name, value in answer.headers if name.lower() != "date")
    return answer.status_code, answer.data, headers


def sign_in(site: Site, who: str, password: str = PASSWORD) -> Response:
    """Try to sign in as ``<who>@example.com``."""
    return site.browser().post("/sign-in/email", {"email": f"{who}@example.com", "password": password})


def send(site: Site, path: str, body: dict[str, Any]) -> Response:
    """POST without closing the answer, as a server that is still writing it to the client."""
    return site.app.test_client().post(BASE + path, json=body, headers={"Origin": ORIGIN})


def store_hash(site: Site, stored: str | None, *where: Any) -> None:
    """Put a hash into every account, or into some."""
    with site.app.app_context():
        site.db.session.execute(site.db.update(site.auth.Account).where(*where).values(password=stored))
        site.db.session.commit()


# ---------------------------------------------------------------- E1


@pytest.fixture
def town(site: Site) -> Site:
    """Ada has a password, Otto has signed in by other means only, Eve's account has lost its hash."""
    site.api.create_user(email="otto@example.com", name="Otto")
    site.sign_up("eve")
    eve = next(user.id for user in site.rows("user") if user.name == "Eve")
    store_hash(site, None, site.auth.Account.user_id == eve)
    return site


@pytest.mark.parametrize("password", ["wrong password", "", "x", PASSWORD + "x"], ids=["wrong", "empty", "x", "longer"])
@pytest.mark.parametrize("who", ["ada", "otto", "eve"], ids=["wrong password", "no password account", "no hash"])
def test_e1_refused_sign_in_does_not_tell_whether_the_account_exists(town: Site, who: str, password: str) -> None:
    with work(town) as unknown_cost:
        unknown = sign_in(town, "nobody", password)
    with work(town) as cost:
        answer = sign_in(town, who, password)
    assert (answer.status_code, answer.json["code"]) == (401, "INVALID_EMAIL_OR_PASSWORD")
    assert shown(answer) == shown(unknown)
    assert cost == unknown_cost == {"verify": 1, "statement SELECT": 1}
    with work(town) as right:
        assert sign_in(town, "ada").status_code == 200
    assert right["verify"] == 1
    assert right["statement INSERT"] == 1


def test_e1_refused_sign_in_computes_the_same_hash_whatever_is_stored(town: Site) -> None:
    spent = {}
    for who in ("nobody", "otto", "eve", "ada"):
        with schemes() as spent[who]:
            assert sign_in(town, who, "wrong password").status_code == 401
    assert [dict(counts) for counts in spent.values()] == [{"argon2id": 1}] * 4


def test_e1_application_hears_the_same_of_every_refused_sign_in(town: Site) -> None:
    heard: list[dict[str, Any]] = []

    def receive(sender: object, **what: Any) -> None:
        heard.append(what)

    with signals.sign_in_failed.connected_to(receive, sender=town.app):
        for who in ("nobody", "otto", "ada"):
            sign_in(town, who, "wrong password")
    assert heard == [{"method": "credential", "reason": "INVALID_EMAIL_OR_PASSWORD"}] * 3


def test_e1_refusals_look_alike_through_auth_api_too(town: Site, door: Any) -> None:
    answers = [
        door(town)("sign_in_email", {"email": f"{who}@example.com", "password": "wrong password"})
        for who in ("nobody", "otto", "eve", "ada")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({str(shown(answer)) for answer in answers}) == 1


# ---------------------------------------------------------------- E2


def body_of(who: str, **more: Any) -> dict[str, Any]:
    """What a sign-up form sends."""
    return {"name": "New", "email": f"{who}@example.com", "password": "another password", **more}


def test_e2_taken_address_gets_the_answer_of_a_free_one(discreet: Site) -> None:
    before = discreet.snapshot()
    answers = {}
    for who in ("ada", "free"):
        answers[who] = discreet.browser().post("/sign-up/email", body_of(who, nick="n", plan="gold"))
        if who == "ada":
            assert discreet.snapshot() == before
    taken, free = answers["ada"], answers["free"]
    assert taken.status_code == free.status_code == 200
    assert taken.json["token"] is free.json["token"] is None
    fake, made = taken.json["user"], free.json["user"]
    assert list(fake) == list(made)
    assert {key: type(value) for key, value in fake.items()} == {key: type(value) for key, value in made.items()}
    assert (fake["name"], fake["email"], fake["nick"], fake["plan"]) == ("New", "ada@example.com", "n", "free")
    (row,) = [row for row in discreet.rows("user") if row.email == "ada@example.com"]
    assert fake["id"] not in {row.id for row in discreet.rows("user")}
    assert row.name == "Ada"
    assert len(fake["id"]) == len(made["id"]) == 32
    assert fake["id"].isalnum()
    assert fake["createdAt"] == fake["updatedAt"]
    assert made["createdAt"] == made["updatedAt"]
    assert "secretNote" not in fake
    assert [name for name, _ in taken.headers] == [name for name, _ in free.headers]
    assert "Set-Cookie" not in taken.headers


def test_e2_answers_for_two_addresses_have_the_same_length(discreet: Site) -> None:
    lengths = {who: len(discreet.browser().post("/sign-up/email", body_of(who)).data) for who in ("ada", "eve")}
    assert lengths["ada"] == lengths["eve"]


def test_e2_each_attempt_on_a_taken_address_shows_another_identifier(discreet: Site) -> None:
    seen = {discreet.browser().post("/sign-up/email", body_of("ada")).json["user"]["id"] for _ in range(3)}
    assert len(seen) == 3


@pytest.mark.parametrize("who", ["ada", "ADA", "free"])
def test_e2_sign_up_hashes_the_password_whoever_has_the_address(discreet: Site, who: str) -> None:
    with work(discreet) as cost, schemes() as spent:
        assert discreet.browser().post("/sign-up/email", body_of(who)).status_code == 200
    assert (cost["hash"], cost["verify"], spent) == (1, 0, {"argon2id": 1})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"password": "short"}, "PASSWORD_TOO_SHORT"),
        ({"password": "x" * 129}, "PASSWORD_TOO_LONG"),
        ({"nick": 5}, "VALIDATION_ERROR"),
    ],
    ids=["short", "long", "field"],
)
def test_e2_bad_sign_up_is_refused_whoever_has_the_address(discreet: Site, body: dict[str, Any], code: str) -> None:
    taken, free = (discreet.browser().post("/sign-up/email", body_of(who, **body)) for who in ("ada", "free"))
    assert taken.json["code"] == code
    assert shown(taken) == shown(free)
    assert TOLD.sent == []


def test_e2_password_of_a_taken_address_stays_what_it_was(discreet: Site) -> None:
    assert discreet.browser().post("/sign-up/email", body_of("ada")).status_code == 200
    assert sign_in(discreet, "ada", "another password").status_code == 401
    assert sign_in(discreet, "ada").status_code == 200


def test_e2_owner_is_told_after_the_answer(discreet: Site) -> None:
    assert TOLD.sent == []
    answer = send(discreet, "/sign-up/email", body_of("ada"))
    assert answer.status_code == 200
    assert TOLD.sent == []
    answer.close()
    (message,) = TOLD.sent
    assert list(message) == ["user"]
    assert (message["user"]["email"], message["user"]["name"]) == ("ada@example.com", "Ada")
    assert "secret_note" not in message["user"]
    send(discreet, "/sign-up/email", body_of("free")).close()
    assert len(TOLD.sent) == 1


def test_e2_loser_of_two_sign_ups_at_once_is_not_told_either(discreet: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    passwords = discreet.app.extensions["better_auth"].passwords
    original = passwords.hash

    def outrun(password: str) -> str:
        monkeypatch.setattr(passwords, "hash", original)
        assert discreet.browser().post("/sign-up/email", body_of("bob", name="Faster")).status_code == 200
        return original(password)

    monkeypatch.setattr(passwords, "hash", outrun)
    answer = discreet.browser().post("/sign-up/email", body_of("bob", name="Slower"))
    assert (answer.status_code, answer.json["token"], answer.json["user"]["name"]) == (200, None, "Slower")
    assert {user.name for user in discreet.rows("user")} == {"Ada", "Faster"}
    assert len(discreet.rows("account")) == 2


def test_e2_nobody_is_welcomed_whose_row_was_refused_for_another_reason(discreet: Site) -> None:
    assert discreet.browser().post("/sign-up/email", body_of("bob", handle="one")).status_code == 200
    before = discreet.snapshot()
    answer = discreet.browser().post("/sign-up/email", body_of("free", handle="one"))
    assert (answer.status_code // 100, discreet.snapshot()) == (4, before)
    assert discreet.browser().post("/sign-up/email", body_of("free", handle="two")).status_code == 200
    assert len(discreet.rows("user")) == 3


def test_e2_failing_notice_changes_no_answer_and_is_logged(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**message: Any) -> None:
        raise RuntimeError("no mail today")

    site = make_auth(email_and_password={"auto_sign_in": False, "on_existing_user_sign_up": fail})
    site.sign_up("ada")
    taken, free = (site.browser().post("/sign-up/email", body_of(who)) for who in ("ada", "eve"))
    assert taken.status_code == free.status_code == 200
    assert list(taken.json["user"]) == list(free.json["user"])
    assert "no mail today" in caplog.text


def test_e2_sign_up_that_signs_in_tells_that_an_address_is_taken(site: Site) -> None:
    answer = site.browser().post("/sign-up/email", body_of("ada"))
    assert (answer.status_code, answer.json["code"]) == (422, "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL")


# ---------------------------------------------------------------- E3


RESET = "/request-password-reset"


@pytest.mark.parametrize("who", ["ada", "otto"], ids=["password", "no password account"])
def test_e3_reset_is_answered_alike_for_known_and_unknown_addresses(site: Site, who: str) -> None:
    site.api.create_user(email="otto@example.com", name="Otto")
    for body in ({}, {"redirectTo": "/reset"}):
        known, unknown = (
            site.browser().post(RESET, {"email": f"{name}@example.com", **body}) for name in (who, "nobody")
        )
        assert known.status_code == 200
        assert shown(known) == shown(unknown)
    assert [message["user"]["email"] for message in RESETS.sent] == [f"{who}@example.com"] * 2
    assert len(site.rows("verification")) == 2


def test_e3_mail_is_sent_when_the_answer_is_gone(site: Site) -> None:
    answer = send(site, RESET, {"email": "ada@example.com"})
    assert answer.json["status"] is True
    assert RESETS.sent == []
    assert site.rows("verification") == []  # nor is there a row that an unknown address would lack
    answer.close()
    (message,) = RESETS.sent
    assert message["url"].startswith(f"{ORIGIN}{BASE}/reset-password/{message['token']}?")
    assert message["token"] in site.rows("verification")[0].identifier
    send(site, RESET, {"email": "nobody@example.com"}).close()
    assert len(RESETS.sent) == 1


def test_e3_failing_sender_changes_nothing_and_is_logged(
    make_auth: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**message: Any) -> None:
        raise RuntimeError("no mail today")

    site = make_auth(email_and_password={"send_reset_password": fail})
    site.sign_up("ada")
    unknown = site.browser().post(RESET, {"email": "nobody@example.com"})
    assert caplog.records == []
    known = site.browser().post(RESET, {"email": "ada@example.com"})
    assert shown(known) == shown(unknown)
    assert known.status_code == 200
    (record,) = caplog.records
    assert (record.levelno, "no mail today" in caplog.text) == (logging.ERROR, True)
    (verification,) = site.rows("verification")
    assert verification.identifier.rpartition(":")[2] not in caplog.text  # it would be a way into the account


def test_e3_reset_without_a_sender_is_refused_for_every_address(discreet: Site) -> None:
    known, unknown = (discreet.browser().post(RESET, {"email": f"{who}@example.com"}) for who in ("ada", "nobody"))
    assert (known.status_code, known.json["code"]) == (400, "RESET_PASSWORD_DISABLED")
    assert shown(known) == shown(unknown)


# ---------------------------------------------------------------- E8


@pytest.mark.parametrize(("choice", "scheme"), [("scrypt", "scrypt"), (FAST, "argon2id")], ids=["scrypt", "argon2id"])
def test_e8_unknown_user_costs_the_configured_scheme(make_auth: Callable[..., Site], choice: Any, scheme: str) -> None:
    site = make_auth(password_hash=choice)
    site.sign_up("ada")
    for who, status in (("nobody", 401), ("ada", 200)):
        with schemes() as spent:
            assert sign_in(site, who).status_code == status
        assert spent == {scheme: 1}


def test_e8_legacy_hash_is_renewed_after_the_answer(site: Site) -> None:
    store_hash(site, LEGACY)
    with schemes() as spent:
        answer = send(site, "/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
        assert answer.status_code == 200
        assert spent == {"scrypt": 1}
        assert site.rows("account")[0].password == LEGACY
        answer.close()
        assert spent == {"scrypt": 1, "argon2id": 1}
    assert site.rows("account")[0].password.startswith("$argon2id$")
    assert sign_in(site, "ada").status_code == 200


def test_e8_wrong_password_renews_nothing(site: Site) -> None:
    store_hash(site, LEGACY)
    with work(site) as cost:
        assert sign_in(site, "ada", "wrong password").status_code == 401
    assert cost == {"verify": 1, "statement SELECT": 1}
    assert site.rows("account")[0].password == LEGACY


def test_e8_renewal_is_a_compare_and_swap(site: Site) -> None:
    for now, renewed in ((LEGACY, True), (FAST.hash("changed meanwhile"), False)):
        store_hash(site, LEGACY)
        answer = send(site, "/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
        assert answer.status_code == 200
        store_hash(site, now)
        answer.close()
        assert (site.rows("account")[0].password != now) is renewed
    assert sign_in(site, "ada", "changed meanwhile").status_code == 200


def test_e8_failing_renewal_leaves_the_sign_in_as_it_is(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store_hash(site, LEGACY)

    def fail(password: str) -> str:
        raise RuntimeError("no memory today")

    monkeypatch.setattr(site.app.extensions["better_auth"].passwords, "hash", fail)
    browser: Browser = site.browser()
    answer = browser.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
    assert answer.status_code == 200
    assert browser.session()["user"]["email"] == "ada@example.com"
    assert site.rows("account")[0].password == LEGACY
    assert "no memory today" in caplog.text
