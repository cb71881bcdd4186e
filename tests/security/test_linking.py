"""SECURITY I: whose account an identity at a provider becomes, and what was planted there before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import PASSWORD, Browser, Site, at_once
from support.google import GINA, GoogleOnLoopback, error_of

from flask_better_auth import AccountLinking
from flask_better_auth.providers import Microsoft

Make = Callable[..., Site]
OPEN = AccountLinking(require_local_email_verified=False)


@pytest.fixture
def make(make_auth: Make, google: GoogleOnLoopback) -> Make:
    def build(linking: AccountLinking | None = None, **options: Any) -> Site:
        account = {"account_linking": linking or AccountLinking(), **options.pop("account", {})}
        return make_auth(social_providers=[google.option()], account=account, **options)

    return build


def prove(site: Site, browser: Browser) -> str:
    """Mark the address of the browser's user as proven; their identifier."""
    user_id: str = browser.session()["user"]["id"]
    site.api.update_user(user_id=user_id, data={"email_verified": True})
    return user_id


# ---------------------------------------------------------------- pre-hijacking


def test_i1_a_planted_password_keeps_nobody_elses_account_waiting(make: Make, google: GoogleOnLoopback) -> None:
    site = make()
    attacker = site.sign_up("gina")
    before = site.snapshot()
    victim = site.browser()
    assert error_of(google.sign_in(victim)) == "account_not_linked"
    assert victim.session() is None
    after = site.snapshot()
    assert (after["user"], after["account"], after["session"]) == (before["user"], before["account"], before["session"])
    assert attacker.session() is not None  # it is theirs, and nobody else's


def test_i1_the_first_proof_of_the_mailbox_takes_away_what_was_planted(make: Make, google: GoogleOnLoopback) -> None:
    links: list[Any] = []
    site = make(OPEN, email_and_password={"send_reset_password": lambda **message: links.append(message)})
    attacker, again = site.sign_up("gina"), site.browser()
    credentials = {"email": "gina@example.com", "password": PASSWORD}
    assert again.post("/sign-in/email", credentials).status_code == 200
    victim = site.browser()
    assert google.sign_in(victim).headers["Location"] == "/home"
    assert victim.session()["user"]["emailVerified"] is True
    assert attacker.session() is None
    assert again.session() is None
    assert site.browser().post("/sign-in/email", credentials).status_code == 401
    assert [(a.provider_id, a.password) for a in site.rows("account")] == [("google", None)]
    assert len(site.rows("session")) == 1


def test_i2_a_planted_account_of_a_provider_goes_too(make: Make, google: GoogleOnLoopback) -> None:
    site = make(OPEN)
    attacker = site.browser()
    google.sign_in(attacker, {**GINA, "sub": "attacker", "email_verified": False})
    victim = site.browser()
    assert google.sign_in(victim, GINA).headers["Location"] == "/home"
    assert attacker.session() is None
    assert [a.account_id for a in site.rows("account")] == ["g-1"]
    assert (
        error_of(google.sign_in(attacker, {**GINA, "sub": "attacker", "email_verified": False})) == "account_not_linked"
    )


def test_i2_who_has_proven_the_mailbox_keeps_everything(make: Make, google: GoogleOnLoopback) -> None:
    site = make(OPEN)
    owner = site.sign_up("gina")
    prove(site, owner)
    assert google.sign_in(site.browser()).headers["Location"] == "/home"
    assert owner.session() is not None
    assert sorted(a.provider_id for a in site.rows("account")) == ["credential", "google"]


# ---------------------------------------------------------------- what counts as proven


@pytest.mark.parametrize("verified", [False, "false", 0, None, 1, "1", "yes", "TRUE", [], {}, [True]], ids=repr)
@pytest.mark.parametrize("way", ["redirect", "id token"])
def test_i4_only_true_counts_as_proven(make: Make, google: GoogleOnLoopback, verified: Any, way: str) -> None:
    site = make()
    owner = site.sign_up("gina")
    prove(site, owner)
    profile = {**GINA, "email_verified": verified}
    browser = site.browser()
    if way == "redirect":
        assert error_of(google.sign_in(browser, profile)) == "account_not_linked"
    else:
        body = {"provider": "google", "idToken": {"token": google.id_token(profile)}}
        assert browser.post("/sign-in/social", body).json == {
            "code": "OAUTH_LINK_ERROR",
            "message": "account not linked",
        }
    google.sign_in(browser, {**profile, "sub": "new", "email": "new@example.com"})
    assert browser.session()["user"]["emailVerified"] is False


@pytest.mark.parametrize("verified", [True, "true"])
def test_i4_true_counts(make: Make, google: GoogleOnLoopback, verified: Any) -> None:
    site = make()
    prove(site, site.sign_up("gina"))
    assert google.sign_in(site.browser(), {**GINA, "email_verified": verified}).headers["Location"] == "/home"


@pytest.mark.parametrize(("hardening", "joins"), [(True, False), (False, True)])
def test_i5_trust_in_a_provider_is_none_in_addresses_that_anybody_can_choose(
    make: Make, google: GoogleOnLoopback, monkeypatch: pytest.MonkeyPatch, hardening: bool, joins: bool
) -> None:
    site = make(AccountLinking(trusted_providers=("google",)), hardening=hardening)
    prove(site, site.sign_up("gina"))
    monkeypatch.setattr(site.app.extensions["better_auth"].providers["google"], "email_is_anybodys", True)
    answer = google.sign_in(site.browser(), {**GINA, "email_verified": False})
    assert (answer.headers["Location"] == "/home") is joins


def test_i5_microsofts_addresses_are_anybodys() -> None:
    assert Microsoft(client_id="x", client_secret="y").email_is_anybodys


# ---------------------------------------------------------------- identities


@pytest.mark.parametrize("subject", ["", " ", None, "undefined", "null", "None", "x" * 256, "a\0b"])
def test_i6_what_identifies_nobody(make: Make, google: GoogleOnLoopback, subject: Any) -> None:
    site = make()
    assert error_of(google.sign_in(site.browser(), {**GINA, "sub": subject})) == "unable_to_get_user_info"
    assert site.rows("user") == []


@pytest.mark.parametrize("other", ["g-2", "G-1", "g-1 ", "0"])
def test_i6_another_subject_is_another_identity(make: Make, google: GoogleOnLoopback, other: str) -> None:
    site = make()
    google.sign_in(site.browser())
    browser = site.browser()
    google.sign_in(browser, {**GINA, "sub": other, "email": "other@example.com"})
    session = browser.session()
    # MariaDB takes what differs in trailing spaces for the same key: nobody is let in then
    assert session is None or session["user"]["email"] == "other@example.com"


# ---------------------------------------------------------------- adding accounts


def test_i7_a_session_that_was_ended_adds_nothing(make: Make, google: GoogleOnLoopback) -> None:
    site = make()
    browser = site.sign_up("gina")
    back = google.consent(google.start(browser, "/link-social"))
    kept = dict(browser.cookies)
    browser.post("/sign-out")
    browser.cookies = kept
    assert error_of(browser.get(back)) == "unable_to_link_account"
    assert len(site.rows("account")) == 1


def test_i7_the_account_goes_to_who_asked_whoever_is_signed_in_now(make: Make, google: GoogleOnLoopback) -> None:
    site = make()
    browser, other = site.sign_up("gina"), site.sign_up("bob")
    asked = browser.session()["user"]["id"]
    back = google.consent(google.start(browser, "/link-social"))
    other.cookies["better-auth.state"] = browser.cookies["better-auth.state"]
    assert other.get(back).headers["Location"] == "/home"
    assert {a.user_id for a in site.rows("account") if a.provider_id == "google"} == {asked}


def test_i7_a_session_of_another_user_in_the_state_adds_nothing(make: Make, google: GoogleOnLoopback) -> None:
    site = make()
    browser, other = site.sign_up("gina"), site.sign_up("bob")
    other_id = other.session()["user"]["id"]
    back = google.consent(google.start(browser, "/link-social"))
    with site.app.app_context():
        row = site.db.session.scalars(site.db.select(site.auth.Verification)).one()
        row.value = row.value.replace(browser.session()["user"]["id"], other_id)
        site.db.session.commit()
    assert error_of(browser.get(back)) == "unable_to_link_account"


def test_i7_nobody_without_a_session_adds_anything(make: Make, google: GoogleOnLoopback) -> None:
    site = make()
    answer = site.browser().post("/link-social", {"provider": "google"})
    assert (answer.status_code, answer.json["code"]) == (401, "UNAUTHORIZED")


def test_i7_an_account_of_somebody_else_stays_theirs(make: Make, google: GoogleOnLoopback) -> None:
    site = make(AccountLinking(allow_different_emails=True))
    google.sign_in(site.browser())
    bob = site.sign_up("bob")
    assert error_of(google.link(bob)) == "account_already_linked_to_different_user"
    assert len([a for a in site.rows("account") if a.provider_id == "google"]) == 1


def test_i9_accounts_of_others_are_not_there(make: Make, google: GoogleOnLoopback) -> None:
    site = make()
    victim = site.browser()
    google.sign_in(victim)
    account_id = victim.get("/list-accounts").json[0]["id"]
    attacker = site.sign_up("ada")
    for path in ("/get-access-token", "/refresh-token"):
        answer = attacker.post(path, {"accountId": account_id})
        assert (answer.status_code, answer.json["code"]) == (400, "ACCOUNT_NOT_FOUND")
        # over HTTP nobody says for whom they ask
        answer = attacker.post(path, {"accountId": account_id, "userId": victim.session()["user"]["id"]})
        assert (answer.status_code, answer.json["code"]) == (400, "ACCOUNT_NOT_FOUND")
        assert site.browser().post(path, {"accountId": account_id}).status_code == 401
    answer = attacker.get(f"/account-info?accountId={account_id}")
    assert (answer.status_code, answer.json["code"]) == (400, "ACCOUNT_NOT_FOUND")


def test_i9_the_account_cookie_of_another_user_does_not_count(make: Make, google: GoogleOnLoopback) -> None:
    site = make(account={"store_account_cookie": True})
    victim, attacker = site.browser(), site.browser()
    google.sign_in(victim)
    google.sign_in(attacker, {**GINA, "sub": "g-2", "email": "mallory@example.com"})
    stolen = {name: value for name, value in victim.cookies.items() if "account_data" in name}
    attacker.cookies |= stolen
    answer = attacker.post("/get-access-token", {"useAccountCookie": True})
    assert (answer.status_code, answer.json["code"]) == (400, "ACCOUNT_NOT_FOUND")


@pytest.mark.parametrize("value", ["", "x", "a.b.c.d.e", "e30.e30.e30.e30.e30"])
def test_i9_an_account_cookie_that_we_did_not_make(make: Make, google: GoogleOnLoopback, value: str) -> None:
    site = make(account={"store_account_cookie": True})
    browser = site.browser()
    google.sign_in(browser)
    browser.cookies = {n: v for n, v in browser.cookies.items() if "account_data" not in n}
    browser.cookies["better-auth.account_data"] = value
    answer = browser.post("/get-access-token", {"useAccountCookie": True})
    assert (answer.status_code, answer.json["code"]) == (400, "ACCOUNT_NOT_FOUND")


def test_i9_the_session_cookies_key_opens_no_account(make: Make, google: GoogleOnLoopback) -> None:
    site = make(account={"store_account_cookie": True}, session={"cookie_cache": {"enabled": True, "strategy": "jwe"}})
    browser = site.browser()
    google.sign_in(browser)
    session = next(value for name, value in browser.cookies.items() if "session_data" in name)
    browser.cookies = {n: v for n, v in browser.cookies.items() if "account_data" not in n}
    browser.cookies["better-auth.account_data"] = session
    answer = browser.post("/get-access-token", {"useAccountCookie": True})
    assert (answer.status_code, answer.json["code"]) == (400, "ACCOUNT_NOT_FOUND")


def test_i8_of_two_unlinkings_at_once_one_account_stays(make: Make, google: GoogleOnLoopback) -> None:
    site = make()
    browser = site.sign_up("gina")
    google.link(browser)
    accounts = [account["id"] for account in browser.get("/list-accounts").json]

    def unlink(n: int) -> int:
        one = site.browser()
        one.cookies = dict(browser.cookies)
        return one.post("/unlink-account", {"accountId": accounts[n]}).status_code

    assert sorted(at_once(2, unlink))[0] == 200
    assert len(site.rows("account")) == 1


def test_g1_a_sign_in_makes_a_token_that_nobody_knew(make: Make, google: GoogleOnLoopback) -> None:
    site = make()
    browser = site.sign_up("bob")
    before = browser.session()["session"]["token"]
    google.sign_in(browser)
    session = browser.session()
    assert session["session"]["token"] != before
    assert session["user"]["email"] == "gina@example.com"
