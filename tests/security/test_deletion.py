"""SECURITY A5, D8, F1, H10, H11 and K2, where users delete themselves: what does not, and by which link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import DISGUISED, ORIGIN, PASSWORD, Browser, Site
from sqlalchemy import delete

from flask_better_auth import Limit
from flask_better_auth.passwords import Passwords
from flask_better_auth.services import verifications

CALLBACK = "/delete-user/callback"
ROWS = ("user", "session", "account", "verification")


@pytest.fixture
def tokens() -> list[str]:
    """What was mailed: tokens to delete oneself, and to reset the password."""
    return []


@pytest.fixture
def make_site(make_auth: Callable[..., Site], tokens: list[str]) -> Callable[..., Site]:
    """Builds applications that mail links."""

    def send(user: Any, url: str, token: str) -> None:
        tokens.append(token)

    def make(**options: Any) -> Site:
        sender = {"enabled": True, "send_delete_account_verification": send}
        return make_auth(user={"delete_user": sender}, email_and_password={"send_reset_password": send}, **options)

    return make


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def ada(site: Site) -> Browser:
    """A user who has asked for a mail."""
    browser = site.sign_up("ada")
    assert browser.post("/delete-user", {}).json["message"] == "Verification email sent"
    return browser


def follow(browser: Browser, token: str, method: str = "GET", **options: Any) -> Any:
    return browser.request(method, CALLBACK, query_string={"token": token, **options.pop("query", {})}, **options)


def assert_it_still_works(site: Site, browser: Browser, token: str, before: Any) -> None:
    """Nothing has changed, and the link deletes its user even now."""
    assert site.snapshot() == before
    assert follow(browser, token).json == {"success": True, "message": "User deleted"}
    assert [site.rows(table) for table in ROWS] == [[]] * 4


# ---------------------------------------------------------------- A5


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.test",
        *DISGUISED,
        "javascript:alert(1)",
        "/ok\r\nSet-Cookie: a=b",
        "/".ljust(10_240, "a"),
    ],
)
def test_a5_foreign_target_of_the_link_is_refused_and_the_token_stays(
    site: Site, ada: Browser, tokens: list[str], target: str
) -> None:
    before = site.snapshot()
    answer = follow(ada, tokens[0], query={"callbackURL": target})
    assert (answer.status_code, answer.json["code"]) == (403, "INVALID_CALLBACK_URL")
    assert ("Location" in answer.headers, "Set-Cookie" in answer.headers) == (False, False)
    asked = ada.post("/delete-user", {"callbackURL": target})
    assert (asked.status_code, asked.json["code"], len(tokens)) == (403, "INVALID_CALLBACK_URL", 1)
    assert_it_still_works(site, ada, tokens[0], before)


# ---------------------------------------------------------------- H10


@pytest.mark.parametrize("headers", [{}, {"Cookie": "better-auth.session_token=x.y"}, {"Cookie": "other=1"}], ids=str)
def test_h10_whoever_follows_the_link_without_the_session_deletes_nobody(
    site: Site, ada: Browser, tokens: list[str], headers: dict[str, str]
) -> None:
    before = site.snapshot()
    answer = follow(site.browser(), tokens[0], headers=headers)
    assert (answer.status_code, answer.json["code"]) == (404, "FAILED_TO_GET_USER_INFO")
    assert_it_still_works(site, ada, tokens[0], before)


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "PUT", "DELETE"])
def test_h10_another_method_than_get_deletes_nobody(site: Site, ada: Browser, tokens: list[str], method: str) -> None:
    before = site.snapshot()
    answer = follow(ada, tokens[0], method, headers={"Origin": ORIGIN})
    assert (answer.status_code, answer.data) == (404, b"")
    assert_it_still_works(site, ada, tokens[0], before)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Sec-Purpose", "prefetch;anonymous-client-ip"),
        ("Purpose", "prefetch"),
        ("Purpose", "Preview"),
        ("X-Purpose", "preview"),
        ("X-Moz", "prefetch"),
    ],
)
def test_h10_a_browser_that_fetches_ahead_deletes_nobody(
    site: Site, ada: Browser, tokens: list[str], header: str, value: str
) -> None:
    before = site.snapshot()
    answer = follow(ada, tokens[0], headers={header: value}, query={"callbackURL": "/bye"})
    assert (answer.status_code, answer.json["code"]) == (403, "PREFETCH_NOT_ALLOWED")
    assert "Set-Cookie" not in answer.headers
    assert_it_still_works(site, ada, tokens[0], before)


def test_h10_without_hardening_the_wire_is_the_references(make_site: Callable[..., Site], tokens: list[str]) -> None:
    site = make_site(hardening=False)
    ada = site.sign_up("ada")
    ada.post("/delete-user", {})
    assert follow(ada, tokens[0], headers={"Sec-Purpose": "prefetch"}).status_code == 200


# ---------------------------------------------------------------- H11


@pytest.mark.parametrize("end", ["/sign-out", "/revoke-sessions", "row"])
@pytest.mark.parametrize("cache", [False, True], ids=["", "cookie cache"])
def test_h11_a_session_that_has_ended_deletes_nobody(
    make_site: Callable[..., Site], tokens: list[str], end: str, cache: bool
) -> None:
    site = make_site(session={"cookie_cache": {"enabled": cache}})
    ada = site.sign_up("ada")
    assert ada.post("/delete-user", {}).status_code == 200
    cookies = dict(ada.cookies)
    assert ("better-auth.session_data" in cookies) is cache
    if end == "row":
        with site.app.app_context():
            site.db.session.execute(delete(site.auth.Session))
            site.db.session.commit()
    else:
        assert ada.post(end).status_code == 200
    before = site.snapshot()
    ada.cookies = dict(cookies)
    answer = follow(ada, tokens[0])
    assert (answer.status_code, answer.json["code"]) == (404, "FAILED_TO_GET_USER_INFO")
    ada.cookies = dict(cookies)
    answer = ada.post("/delete-user", {"token": tokens[0]})
    assert (answer.status_code, answer.json["code"]) == (401, "UNAUTHORIZED")
    assert site.snapshot() == before
    assert ada.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD}).status_code == 200
    assert follow(ada, tokens[0]).status_code == 200


@pytest.mark.parametrize("way", ["callback", "token", "password", "fresh"])
def test_h11_a_session_that_ends_before_the_deletion_is_written_deletes_nobody(
    make_auth: Callable[..., Site], tokens: list[str], way: str
) -> None:
    def end_sessions(user: dict[str, Any]) -> None:
        with site.db.engine.begin() as connection:
            connection.execute(delete(site.auth.Session))

    mailing = {"send_delete_account_verification": lambda user, url, token: tokens.append(token)}
    options = {"enabled": True, "before_delete": end_sessions, **(mailing if way in ("callback", "token") else {})}
    site = make_auth(user={"delete_user": options})
    ada = site.sign_up("ada")
    if way in ("callback", "token"):
        ada.post("/delete-user", {})
    answer = {
        "callback": lambda: follow(ada, tokens[0]),
        "token": lambda: ada.post("/delete-user", {"token": tokens[0]}),
        "password": lambda: ada.post("/delete-user", {"password": PASSWORD}),
        "fresh": lambda: ada.post("/delete-user", {}),
    }[way]()
    assert (answer.status_code, answer.json["code"], ada.cookies) == (401, "UNAUTHORIZED", {})
    assert [len(site.rows(table)) for table in ("user", "account")] == [1, 1]
    assert len(site.rows("verification")) == len(tokens)


def test_h11_a_link_deletes_once(site: Site, ada: Browser, tokens: list[str]) -> None:
    cookies = dict(ada.cookies)
    assert follow(ada, tokens[0]).status_code == 200
    ada.cookies = cookies
    assert follow(ada, tokens[0]).json["code"] == "FAILED_TO_GET_USER_INFO"
    again = site.sign_up("ada")
    assert follow(again, tokens[0]).json["code"] == "INVALID_TOKEN"
    assert len(site.rows("user")) == 1


# ---------------------------------------------------------------- passwords


def test_f9_a_password_that_changes_after_it_was_verified_deletes_nobody(
    make_auth: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_auth(user={"delete_user": {"enabled": True}})
    ada, phone = site.sign_up("ada"), site.browser()
    phone.post("/sign-in/email", {"email": "ada@example.com", "password": PASSWORD})
    verify, verdicts = Passwords.verify, []

    def verify_then_change(self: Passwords, stored: str | None, password: str) -> bool:
        verdict = verify(self, stored, password)
        verdicts.append(verdict)
        if len(verdicts) == 1:
            change = {"currentPassword": PASSWORD, "newPassword": "another good password"}
            assert phone.post("/change-password", change).status_code == 200
        return verdict

    monkeypatch.setattr(Passwords, "verify", verify_then_change)
    answer = ada.post("/delete-user", {"password": PASSWORD})
    assert verdicts == [True, True, False]  # its own, that of the change, and its own again
    assert (answer.status_code, answer.json["code"]) == (400, "INVALID_PASSWORD")
    assert [len(site.rows(table)) for table in ("user", "account", "session")] == [1, 1, 2]


def test_f1_the_length_of_a_password_is_bounded_before_it_is_hashed(
    site: Site, ada: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Passwords, "verify", lambda *args: pytest.fail("it was hashed"))
    for length in (129, 10_000):
        answer = ada.post("/delete-user", {"password": "x" * length})
        assert (answer.status_code, answer.json["code"]) == (400, "PASSWORD_TOO_LONG")


def test_d8_wrong_passwords_are_counted(make_auth: Callable[..., Site]) -> None:
    limits = {"enabled": True, "max": 1000, "failures_per_account": Limit(3, per=3600)}
    site = make_auth(user={"delete_user": {"enabled": True}}, rate_limit=limits)
    ada = site.sign_up("ada")
    wrong = {"password": "wrong password"}
    codes = [ada.post("/delete-user", wrong).json["code"] for _ in range(7)]
    # the budget of the account, and that of the address from which it is signed in
    assert codes == ["INVALID_PASSWORD"] * 6 + ["RATE_LIMIT_EXCEEDED"]
    assert ada.post("/delete-user", {"password": PASSWORD}).status_code == 429
    assert len(site.rows("user")) == 1


# ---------------------------------------------------------------- K2


def test_k2_a_proof_made_for_one_kind_is_none_for_any_other(site: Site, ada: Browser, tokens: list[str]) -> None:
    assert site.browser().post("/request-password-reset", {"email": "ada@example.com"}).status_code == 200
    made = dict(zip((verifications.DELETE_ACCOUNT, verifications.RESET_PASSWORD), tokens, strict=True))
    before = site.snapshot()
    for answer in (
        follow(ada, made[verifications.RESET_PASSWORD]),
        ada.post("/delete-user", {"token": made[verifications.RESET_PASSWORD]}),
        ada.post("/delete-user", {"token": f"reset-password:{made[verifications.RESET_PASSWORD]}"}),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "INVALID_TOKEN")
    for query in ({}, {"token": made[verifications.DELETE_ACCOUNT]}):
        body = {"newPassword": "another good password", "token": made[verifications.DELETE_ACCOUNT]}
        assert ada.post("/reset-password", body, query_string=query).status_code in (400, 404)
    assert site.snapshot() == before
    assert ada.post("/delete-user", {"token": made[verifications.DELETE_ACCOUNT]}).status_code == 200


def test_k2_what_was_mailed_to_a_user_who_is_gone_proves_nothing(site: Site, ada: Browser, tokens: list[str]) -> None:
    ada.post("/delete-user", {})
    assert follow(ada, tokens[0]).status_code == 200
    again = site.sign_up("ada")
    answer = follow(again, tokens[1])
    assert (answer.status_code, answer.json["code"]) == (404, "INVALID_TOKEN")
    assert len(site.rows("user")) == 1
