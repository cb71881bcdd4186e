"""SECURITY F6: a password that attackers know is refused wherever one can be set, once that is asked for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from conftest import PASSWORD, Browser, Site

from flask_better_auth import BetterAuth, ConfigError, clock, signals
from flask_better_auth.plugins import Username

KNOWN = "a well known password"
LINK = "of-a-link"
REFUSED = (
    400,
    "PASSWORD_COMPROMISED",
    "The password you entered has been compromised. Please choose a different password.",
)
ADA = {"name": "Ada", "email": "new@example.com"}


def store_link(site: Site) -> None:
    """Store what a link to set a new password holds."""
    user_id, soon = site.rows("user")[0].id, clock.now() + timedelta(hours=1)
    with site.app.app_context():
        row = site.auth.Verification(identifier=f"reset-password:{LINK}", value=user_id, expires_at=soon)
        site.db.session.add(row)
        site.db.session.commit()


def headers(ada: Browser) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in ada.cookies.items())}


#: Each way to set a password, by the endpoint.
SETTING: dict[str, Callable[[Browser, str], Any]] = {
    "sign_up_email": lambda ada, word: ada.site.browser().post("/sign-up/email", {**ADA, "password": word}),
    "change_password": lambda ada, word: ada.post(
        "/change-password", {"currentPassword": PASSWORD, "newPassword": word}
    ),
    "set_password": lambda ada, word: ada.site.api.set_password(
        new_password=word, headers=headers(ada), as_response=True
    ),
    "reset_password": lambda ada, word: ada.post("/reset-password", {"newPassword": word, "token": LINK}),
    "create_user": lambda ada, word: ada.site.api.create_user(**ADA, password=word, as_response=True),
}


def test_f6_every_endpoint_that_sets_a_password_is_in_the_table(make_auth: Any) -> None:
    site = make_auth(plugins=[Username()], email_and_password={"send_reset_password": print})
    fields = ("new_password", "password")
    taking = {
        bound.endpoint.name
        for bound in site.app.extensions["better_auth"].registry
        if bound.endpoint.body is not None and any(name in bound.endpoint.body.fields for name in fields)
    }
    only_verifying = {"sign_in_email", "sign_in_username", "verify_password", "delete_user"}
    assert taking - only_verifying == set(SETTING)


@pytest.mark.parametrize("name", SETTING)
def test_f6_a_known_password_is_refused(make_auth: Any, name: str) -> None:
    site = make_auth(email_and_password={"is_compromised": lambda password: password == KNOWN})
    ada = site.sign_up("ada")
    if name == "set_password":
        with site.app.app_context():
            site.db.session.execute(site.db.update(site.auth.Account).values(password=None))
            site.db.session.commit()
    store_link(site)
    before = site.snapshot()
    answer = SETTING[name](ada, KNOWN)
    assert (answer.status_code, answer.json["code"], answer.json["message"]) == REFUSED
    assert site.snapshot() == before
    assert SETTING[name](ada, KNOWN + "!").status_code == 200


@pytest.mark.parametrize("name", SETTING)
def test_f6_the_most_common_passwords_are_refused(make_auth: Any, name: str) -> None:
    site = make_auth(email_and_password={"refuse_common_passwords": True})
    ada = site.sign_up("ada")
    store_link(site)
    before = site.snapshot()
    for common in ("password", "12345678", "Password", "PASSWORD1", "\uff50assword"):
        assert SETTING[name](ada, common).json["code"] == "PASSWORD_COMPROMISED", common
    assert site.snapshot() == before


def test_f6_neither_is_asked_unless_enabled(site: Site) -> None:
    assert site.sign_up("ada", password="password").session()["user"]["email"] == "ada@example.com"


def test_f6_a_known_password_still_signs_in(make_auth: Any) -> None:
    """It is the one that is set, and to refuse it would lock its owner out."""
    known: list[str] = []
    site = make_auth(email_and_password={"is_compromised": known.__contains__})
    site.sign_up("ada")
    known.append(PASSWORD)
    body = {"email": "ada@example.com", "password": PASSWORD}
    assert site.browser().post("/sign-in/email", body).status_code == 200


def test_f6_while_the_service_is_away_passwords_are_taken_and_that_is_told(
    make_auth: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def look_up(password: str) -> bool:
        raise OSError("the service is away")

    options = {"is_compromised": look_up, "refuse_common_passwords": True}
    site = make_auth(email_and_password=options)
    told: list[Any] = []

    def receive(sender: Any, error: Exception) -> None:
        told.append((sender, error))
        raise RuntimeError("a receiver fails too")

    with signals.password_check_failed.connected_to(receive), caplog.at_level(logging.ERROR):
        site.sign_up("ada")
        refused = SETTING["sign_up_email"](site.browser(), "password1")
    assert refused.json["code"] == "PASSWORD_COMPROMISED"
    assert [(sender, str(error)) for sender, error in told] == [(site.app, "the service is away")]
    assert "is_compromised failed" in caplog.text
    assert PASSWORD not in caplog.text


def test_f6_the_length_is_checked_before_anybody_is_asked(make_auth: Any) -> None:
    asked: list[str] = []
    site = make_auth(email_and_password={"is_compromised": asked.append})
    for word, code in (("short", "PASSWORD_TOO_SHORT"), ("x" * 129, "PASSWORD_TOO_LONG")):
        assert SETTING["sign_up_email"](site.browser(), word).json["code"] == code
    assert asked == []


def test_f6_the_list_needs_its_package(monkeypatch: pytest.MonkeyPatch, make_auth: Any) -> None:
    monkeypatch.setitem(sys.modules, "zxcvbn.frequency_lists", None)
    with pytest.raises(ConfigError, match=r"flask-better-auth\[common-passwords\]"):
        make_auth(email_and_password={"refuse_common_passwords": True})
    assert BetterAuth()
