"""SECURITY A5, E2 to E4, H, K2: links in mails prove an address or let a password be set, and nothing else."""

from __future__ import annotations

import base64
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from conftest import DISGUISED, ORIGIN, PASSWORD, SECRET, Browser, Site, build_site, email_token, tear_down, work
from flask import Response
from sqlalchemy import delete, select, update

from flask_better_auth import APIError, Call, DatabaseHooks, Plugin, Reply, clock, signals
from flask_better_auth.config import EmailVerification
from flask_better_auth.services import email_links, users, verifications

#: The sites are fetched by their names.
pytestmark = pytest.mark.usefixtures("url")

VECTORS = Path(__file__).parents[1] / "vectors" / "email_tokens.json"
NEW = "another good password"
HOUR = timedelta(hours=1)


class Post:
    """Every message that was sent: the option that sent it, and what it was called with."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, option: str) -> Callable[..., None]:
        return lambda **message: self.sent.append((option, message))

    def of(self, option: str) -> list[dict[str, Any]]:
        return [message for name, message in self.sent if name == option]

    @property
    def last(self) -> dict[str, Any]:
        return self.sent[-1][1]


POST = Post()


class Gate(Plugin):
    """Wants a second factor after a sign-in, when it is told to."""

    id = "gate"
    closed = False

    def sign_in_gate(self, call: Call, user: Any, method: str) -> Reply | None:
        return Reply({"factor": method}) if Gate.closed else None


def options(**more: Any) -> dict[str, Any]:
    """Everything that sends mails, with ``more`` put into the sections."""
    made: dict[str, Any] = {
        "email_and_password": {
            name: POST(name) for name in ("send_reset_password", "on_password_reset", "on_existing_user_sign_up")
        },
        "email_verification": {
            name: POST(name)
            for name in ("send_verification_email", "before_email_verification", "after_email_verification")
        },
        "user": {"change_email": {"enabled": True, "send_change_email_notice": POST("send_change_email_notice")}},
        "trusted_origins": ("https://app.example.com",),
    }
    for name, section in more.items():
        made[name] = {**made[name], **section} if isinstance(section, dict) and name in made else section
    return made


@pytest.fixture(scope="module")
def url(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> str:
    return server_url or f"sqlite:///{tmp_path_factory.mktemp('links')}/test.db"


def shared(name: str, **more: Any) -> Any:
    """A fixture of an application that many tests use, each as nobody has used it."""

    @pytest.fixture(scope="module", name=f"{name}_of_all")
    def whole(url: str) -> Iterator[Site]:
        site = build_site(url, options=options(table_prefix=f"{name}_", **more))
        yield site
        tear_down(site)

    @pytest.fixture(name=name)
    def fresh(request: pytest.FixtureRequest) -> Site:
        POST.sent.clear()
        Gate.closed = False
        site: Site = request.getfixturevalue(f"{name}_of_all")
        return site.emptied()

    return whole, fresh


site_of_all, site = shared("site", email_verification={"auto_sign_in_after_verification": True}, plugins=[Gate()])
strict_of_all, strict = shared(
    "strict",
    email_and_password={"require_email_verification": True},
    email_verification={"send_on_sign_in": True},
)
asking_of_all, asking = shared(
    "asking",
    user={"change_email": {"enabled": True, "send_change_email_confirmation": POST("send_change_email_confirmation")}},
)


@pytest.fixture
def time() -> Iterator[time_machine.Coordinates]:
    """Time that stands still until it is moved."""
    with time_machine.travel(clock.now().replace(microsecond=0), tick=False) as coordinates:
        yield coordinates


def user_of(site: Site, email: str) -> Any:
    return next(user for user in site.rows("user") if user.email == email)


def make_verified(site: Site, email: str = "ada@example.com") -> None:
    with site.app.app_context():
        statement = update(site.auth.User).where(site.auth.User.email == email).values(email_verified=True)
        site.db.session.execute(statement)
        site.db.session.commit()


def reset_token(site: Site, who: str = "ada") -> str:
    """The secret of a reset link that was just sent."""
    answer = site.browser().post("/request-password-reset", {"email": f"{who}@example.com"})
    assert answer.status_code == 200
    token: str = POST.last["token"]
    return token


def reset(site: Site, token: str, password: str = NEW) -> Response:
    return site.browser().post("/reset-password", {"newPassword": password, "token": token})


def sign_in(site: Site, password: str, email: str = "ada@example.com") -> Response:
    return site.browser().post("/sign-in/email", {"email": email, "password": password})


def follow(browser: Browser, token: str, **query: str) -> Response:
    return browser.get("/verify-email", query_string={"token": token, **query})


def token_of(site: Site, who: str = "ada", *, now: str | None = None, **claims: Any) -> str:
    """A token for a user, who is ``who`` to whoever made it and perhaps somebody else by ``now``."""
    email = f"{who}@example.com"
    return email_token(site, user_of(site, now or email).id, email, **claims)


def shown(answer: Response) -> tuple[Any, ...]:
    return answer.status_code, answer.data, sorted((k, v) for k, v in answer.headers if k != "Date")


def assert_refused(answer: Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert "Set-Cookie" not in answer.headers


def forged(claims: Any, *, secret: str = SECRET, header: Any = None, algorithm: str = "sha256") -> str:
    """A token made by hand, of any claims."""

    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    head = part(json.dumps(header or {"alg": "HS256"}).encode())
    signed = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.digest(secret.encode(), signed.encode(), algorithm))}"


# ---------------------------------------------------------------- A5


@pytest.mark.parametrize("target", ["https://evil.test", "javascript:alert(1)", *DISGUISED])
def test_a5_links_lead_to_no_foreign_place_and_are_not_used_up(site: Site, target: str) -> None:
    ada = site.sign_up("ada")
    token, before = reset_token(site), site.snapshot()
    for path, query in (("/verify-email", {"token": token_of(site)}), (f"/reset-password/{token}", {})):
        answer = site.browser().get(path, query_string={**query, "callbackURL": target})
        assert_refused(answer, 403, "INVALID_CALLBACK_URL")
        assert "Location" not in answer.headers
    sent = len(POST.sent)
    for path, body in (
        ("/send-verification-email", {"email": "ada@example.com", "callbackURL": target}),
        ("/change-email", {"newEmail": "new@example.com", "callbackURL": target}),
        ("/request-password-reset", {"email": "ada@example.com", "redirectTo": target}),
        ("/forgot-password", {"email": "ada@example.com", "redirectTo": target}),
    ):
        assert ada.post(path, body).status_code == 403, path
    assert (site.snapshot(), len(POST.sent)) == (before, sent)
    assert reset(site, token).status_code == 200
    assert follow(site.browser(), token_of(site)).json == {"status": True, "user": None}


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/there", "/there?error=INVALID_TOKEN"),
        ("/there?a=1#end", "/there?a=1&error=INVALID_TOKEN#end"),
        ("https://app.example.com/in", "https://app.example.com/in?error=INVALID_TOKEN"),
    ],
)
def test_a5_a_failure_goes_to_the_trusted_place_with_its_code(site: Site, target: str, location: str) -> None:
    answer = follow(site.browser(), "garbage", callbackURL=target)
    assert (answer.status_code, answer.headers["Location"], answer.data) == (302, location, b"")
    absolute = location if location.startswith("https:") else ORIGIN + location
    answer = site.browser().get("/reset-password/garbage", query_string={"callbackURL": target})
    assert (answer.status_code, answer.headers["Location"]) == (302, absolute)


# ---------------------------------------------------------------- E2, E3, E4


def test_e2_where_addresses_must_be_verified_a_sign_up_does_not_tell_who_is_there(strict: Site) -> None:
    body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    with work(strict) as first:
        new = strict.browser().post("/sign-up/email", body)
    with work(strict) as second:
        taken = strict.browser().post("/sign-up/email", {**body, "password": NEW})
    assert new.status_code == taken.status_code == 200
    assert new.json["token"] is taken.json["token"] is None
    assert {k: len(str(v)) for k, v in new.json["user"].items()} == {
        k: len(str(v)) for k, v in taken.json["user"].items()
    }
    assert "Set-Cookie" not in new.headers
    assert "Set-Cookie" not in taken.headers
    assert first["hash"] == second["hash"] == 1
    assert [name for name, _ in POST.sent] == ["send_verification_email", "on_existing_user_sign_up"]
    assert [len(strict.rows(table)) for table in ("user", "account", "session")] == [1, 1, 0]
    assert_refused(sign_in(strict, NEW), 401, "INVALID_EMAIL_OR_PASSWORD")


def test_e2_only_the_right_password_tells_that_an_address_is_not_verified(strict: Site) -> None:
    strict.sign_up("ada")
    POST.sent.clear()
    assert shown(sign_in(strict, "wrong password")) == shown(sign_in(strict, "wrong password", "nobody@example.com"))
    assert POST.sent == []
    assert_refused(sign_in(strict, PASSWORD), 403, "EMAIL_NOT_VERIFIED")
    assert strict.rows("session") == []
    (message,) = POST.of("send_verification_email")
    assert follow(strict.browser(), message["token"]).status_code == 200
    assert sign_in(strict, PASSWORD).status_code == 200


def test_e2_mails_that_a_sign_in_sends_are_limited_per_recipient(make_auth: Callable[..., Site]) -> None:
    POST.sent.clear()
    more = {"enabled": True, "custom_rules": {"/**": False}, "mails_per_recipient": {"max": 3, "per": 3600}}
    verified = {"require_email_verification": True}
    site = make_auth(
        **options(email_and_password=verified, email_verification={"send_on_sign_in": True}, rate_limit=more)
    )
    site.sign_up("ada")
    for _ in range(5):
        assert_refused(sign_in(site, PASSWORD), 403, "EMAIL_NOT_VERIFIED")
    assert len(POST.of("send_verification_email")) == 3


@pytest.mark.parametrize(
    ("path", "option"),
    [
        ("/request-password-reset", "send_reset_password"),
        ("/forgot-password", "send_reset_password"),
        ("/forget-password", "send_reset_password"),
        ("/send-verification-email", "send_verification_email"),
    ],
)
def test_e3_a_mail_is_asked_for_at_the_same_cost_whether_the_address_is_known(
    site: Site, path: str, option: str
) -> None:
    site.sign_up("ada")
    costs, answers = [], []
    for who in ("ada", "nobody"):
        client = site.app.test_client(use_cookies=False)
        with work(site) as cost:
            answer = client.post(f"/api/auth{path}", json={"email": f"{who}@example.com"}, headers={"Origin": ORIGIN})
            costs.append(dict(cost))
        assert POST.of(option) == []  # nobody waits for it
        answers.append(shown(answer))
        answer.close()
        assert [m["user"]["email"] for m in POST.of(option)] == (["ada@example.com"] if who == "ada" else [])
        POST.sent.clear()
    assert costs == [{"statement SELECT": 1}] * 2
    assert answers[0] == answers[1]


def test_without_additions_the_other_names_are_unknown(make_auth: Callable[..., Site]) -> None:
    site = make_auth(**options(additions=False))
    statuses = [
        site.browser().post(path, {"email": "ada@example.com"}).status_code
        for path in ("/request-password-reset", "/forgot-password", "/forget-password")
    ]
    assert statuses == [200, 404, 404]


def test_d5_the_other_names_share_the_limit(make_auth: Callable[..., Site]) -> None:
    site = make_auth(**options(rate_limit={"enabled": True}))
    statuses = [
        site.browser().post(path, {"email": f"{path[1:]}@example.com"}).status_code
        for path in ("/request-password-reset", "/forgot-password", "/forget-password", "/forgot-password")
    ]
    assert statuses == [200, 200, 200, 429]


def test_e3_verified_and_unverified_addresses_are_answered_alike(site: Site) -> None:
    site.sign_up("ada")
    site.sign_up("bob")
    make_verified(site, "bob@example.com")
    answers = {
        shown(site.browser().post("/send-verification-email", {"email": f"{who}@example.com"}))[:2]
        for who in ("ada", "bob", "nobody")
    }
    assert answers == {(200, b'{"status":true}')}
    assert [message["user"]["email"] for message in POST.of("send_verification_email")] == ["ada@example.com"]


@pytest.mark.parametrize("verified", [False, True])
@pytest.mark.parametrize("which", ["site", "asking"])
def test_e4_change_to_an_address_in_use_is_answered_as_one_to_a_free_one(
    request: pytest.FixtureRequest, which: str, verified: bool
) -> None:
    site: Site = request.getfixturevalue(which)
    ada = site.sign_up("ada")
    site.sign_up("bob")
    if verified:
        make_verified(site)
    before, answers, costs = site.snapshot(), [], []
    for address in ("free@example.com", "bob@example.com", "BOB@example.com"):
        with work(site) as cost:
            answers.append(shown(ada.post("/change-email", {"newEmail": address})))
        costs.append(dict(cost))
    assert answers[0] == answers[1] == answers[2]
    assert costs[0] == costs[1] == costs[2]
    assert answers[0][:2] == (200, b'{"status":true}')
    assert len(POST.sent) == 1
    assert site.snapshot() == before


def test_e4_of_two_who_prove_one_address_the_second_learns_nothing_but_that_the_link_is_void(site: Site) -> None:
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    tokens = []
    for browser in (ada, bob):
        browser.post("/change-email", {"newEmail": "new@example.com"})
        tokens.append(POST.last["token"])
    assert follow(ada, tokens[0]).status_code == 200
    before = site.snapshot()
    assert_refused(follow(bob, tokens[1]), 401, "INVALID_TOKEN")
    assert site.snapshot() == before


# ---------------------------------------------------------------- H1: reset tokens


def test_h1_a_reset_token_works_once(site: Site) -> None:
    site.sign_up("ada")
    token = reset_token(site)
    assert reset(site, token).json == {"status": True}
    assert_refused(reset(site, token, PASSWORD), 400, "INVALID_TOKEN")
    assert [sign_in(site, password).status_code for password in (PASSWORD, NEW)] == [401, 200]
    assert POST.of("on_password_reset")[0]["user"]["email"] == "ada@example.com"
    assert len(POST.of("on_password_reset")) == 1


@pytest.mark.parametrize(("bad", "code"), [("short", "PASSWORD_TOO_SHORT"), ("x" * 129, "PASSWORD_TOO_LONG")])
def test_h1_a_bad_password_does_not_use_the_token_up(site: Site, bad: str, code: str) -> None:
    site.sign_up("ada")
    token, before = reset_token(site), site.snapshot()
    with work(site) as cost:
        assert_refused(reset(site, token, bad), 400, code)
    assert cost == {}
    assert site.snapshot() == before
    assert reset(site, token).status_code == 200


def test_h1_a_reset_token_is_over_at_the_second(site: Site, time: time_machine.Coordinates) -> None:
    site.sign_up("ada")
    token, second = reset_token(site), timedelta(seconds=1)
    time.shift(HOUR - second)
    found = site.browser().get(f"/reset-password/{token}?callbackURL=/new")
    assert found.headers["Location"] == f"{ORIGIN}/new?token={token}"
    time.shift(second)
    assert_refused(reset(site, token), 400, "INVALID_TOKEN")
    over = site.browser().get(f"/reset-password/{token}?callbackURL=/new")
    assert over.headers["Location"] == f"{ORIGIN}/new?error=INVALID_TOKEN"
    time.shift(-second)
    assert reset(site, token).status_code == 200


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1],
        lambda token: token + "x",
        lambda token: token.swapcase(),
        lambda token: token + " ",
        lambda token: f"reset-password:{token}",
        lambda token: "%",
        lambda token: "a\0b",
        lambda token: "x" * 5000,
        lambda token: "",
    ],
    ids=["truncated", "longer", "other case", "space", "prefix", "percent", "nul", "long", "empty"],
)
def test_h1_another_spelling_of_a_reset_token_is_none(site: Site, spoil: Callable[[str], str]) -> None:
    site.sign_up("ada")
    token, before = reset_token(site), site.snapshot()
    assert_refused(reset(site, spoil(token)), 400, "INVALID_TOKEN")
    answer = site.browser().post("/reset-password", {"newPassword": NEW}, query_string={"token": spoil(token)})
    assert_refused(answer, 400, "INVALID_TOKEN")
    assert site.snapshot() == before


def test_h1_a_reset_token_is_the_users_it_was_made_for(site: Site) -> None:
    site.sign_up("ada")
    site.sign_up("bob")
    assert reset(site, reset_token(site, "bob")).status_code == 200
    assert sign_in(site, PASSWORD).status_code == 200
    assert [sign_in(site, word, "bob@example.com").status_code for word in (PASSWORD, NEW)] == [401, 200]


def test_h1_hashed_at_rest_the_row_holds_no_link_and_the_link_works_once(make_auth: Callable[..., Site]) -> None:
    site = make_auth(**options(verification={"store_identifier": "hashed"}))
    site.sign_up("ada")
    token, other = reset_token(site), reset_token(site)
    rows = site.rows("verification")
    assert not any(token in row.identifier or "reset" in row.identifier for row in rows)
    for row in rows:
        assert_refused(reset(site, row.identifier), 400, "INVALID_TOKEN")
    assert reset(site, token).status_code == 200
    for used in (token, other):
        assert_refused(reset(site, used), 400, "INVALID_TOKEN")


def test_h1_a_user_who_is_gone_gets_no_password(site: Site) -> None:
    site.sign_up("ada")
    token = reset_token(site)
    with site.app.app_context():
        for model in (site.auth.Session, site.auth.Account, site.auth.User):
            site.db.session.execute(delete(model))
        site.db.session.commit()
    for _ in range(2):
        assert_refused(reset(site, token), 400, "USER_NOT_FOUND")
    assert site.rows("account") == []


@pytest.mark.parametrize("had", ["a password", "none"])
def test_h1_a_user_who_is_deleted_meanwhile_gets_no_password(
    site: Site, had: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = {"password": PASSWORD} if had == "a password" else {}
    site.api.create_user(email="ada@example.com", name="Ada", **password)
    token = reset_token(site)
    passwords = site.app.extensions["better_auth"].passwords
    original = passwords.hash

    def overtaken(new: str) -> str:
        with site.app.app_context():
            for model in (site.auth.Account, site.auth.User):
                site.db.session.execute(delete(model))
            site.db.session.commit()
        hashed: str = original(new)
        return hashed

    monkeypatch.setattr(passwords, "hash", overtaken)
    assert_refused(reset(site, token), 400, "USER_NOT_FOUND")
    assert [site.rows(table) for table in ("user", "account")] == [[], []]


def test_h1_a_reset_that_fails_halfway_changes_nothing_and_the_link_stays_good(make_auth: Callable[..., Site]) -> None:
    broken = [True]

    def fail(data: dict[str, Any], call: Call) -> None:
        if broken and "password" in data:
            raise RuntimeError("no disk today")

    site = make_auth(**options(), database_hooks=DatabaseHooks(account={"update": {"before": fail}}))
    site.sign_up("ada")
    token, before = reset_token(site), site.snapshot()
    assert reset(site, token).status_code == 500
    assert site.snapshot() == before
    broken.clear()
    assert reset(site, token).status_code == 200


# ---------------------------------------------------------------- H2, H3, H4


def store(site: Site, kind: verifications.Kind[str], secret: str) -> None:
    """Store a secret that proves Ada."""
    value, soon = kind.write(user_of(site, "ada@example.com").id), clock.now() + HOUR
    with site.app.app_context():
        row = site.auth.Verification(identifier=kind.prefix + secret, value=value, expires_at=soon)
        site.db.session.add(row)
        site.db.session.commit()


def change_password(ada: Browser) -> Any:
    return ada.post("/change-password", {"currentPassword": PASSWORD, "newPassword": NEW})


def change_address(ada: Browser) -> Any:
    ada.post("/change-email", {"newEmail": "new@example.com"})
    return follow(ada, POST.last["token"])


def change_by_server(ada: Browser) -> Any:
    site = ada.site
    given = {"user_id": user_of(site, "ada@example.com").id, "data": {"email": "new@example.com"}}
    return site.api.update_user(**given, as_response=True)


def reset_by_another_link(ada: Browser) -> Any:
    return reset(ada.site, reset_token(ada.site))


@pytest.mark.parametrize(
    "change", [change_password, change_address, change_by_server, reset_by_another_link], ids=lambda c: c.__name__
)
def test_h2_reset_links_die_with_what_they_were_for(site: Site, change: Callable[[Browser], Any]) -> None:
    ada = site.sign_up("ada")
    site.sign_up("bob")
    old, bobs = [reset_token(site) for _ in range(2)], reset_token(site, "bob")
    store(site, verifications.DELETE_ACCOUNT, "another-purpose")
    assert change(ada).status_code == 200
    before = site.snapshot()
    left = {row["identifier"] for row in before["verification"]}
    assert left == {"delete-account-another-purpose", f"reset-password:{bobs}"}
    for token in old:
        assert_refused(reset(site, token, "a third good password"), 400, "INVALID_TOKEN")
    assert site.snapshot() == before
    assert reset(site, bobs).status_code == 200  # nobody else's


def test_h2_two_reset_links_are_both_good_until_one_is_used(site: Site) -> None:
    site.sign_up("ada")
    first, second = reset_token(site), reset_token(site)
    for token in (first, second):
        assert f"token={token}" in site.browser().get(f"/reset-password/{token}?callbackURL=/x").headers["Location"]
    assert reset(site, first).status_code == 200
    assert_refused(reset(site, second), 400, "INVALID_TOKEN")


def test_h2_an_address_that_changes_while_a_link_is_asked_for_gets_none(site: Site) -> None:
    site.sign_up("ada")
    client = site.app.test_client(use_cookies=False)
    body = {"email": "ada@example.com"}
    answer = client.post("/api/auth/request-password-reset", json=body, headers={"Origin": ORIGIN})
    site.api.update_user(user_id=user_of(site, "ada@example.com").id, data={"email": "new@example.com"})
    answer.close()
    assert (POST.sent, site.rows("verification")) == ([], [])


def test_s12_a_sign_in_that_a_reset_overtakes_opens_no_session(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = site.sign_up("ada")
    make_verified(site)
    token, overtaken = reset_token(site), []
    passwords = site.app.extensions["better_auth"].passwords
    original = passwords.verify

    def verify(stored: str | None, password: str) -> bool:
        right: bool = original(stored, password)
        if not overtaken:
            overtaken.append(right)
            assert reset(site, token).status_code == 200
        return right

    monkeypatch.setattr(passwords, "verify", verify)
    assert_refused(sign_in(site, PASSWORD), 401, "INVALID_EMAIL_OR_PASSWORD")
    assert overtaken == [True]
    assert [session.token for session in site.rows("session")] == [ada.session()["session"]["token"]]


@pytest.mark.parametrize("revoking", [False, True])
def test_h3_a_reset_ends_the_sessions_where_it_is_told_to(make_auth: Callable[..., Site], revoking: bool) -> None:
    site = make_auth(**options(email_and_password={"revoke_sessions_on_password_reset": revoking}))
    ada, bob = site.sign_up("ada"), site.sign_up("bob")
    make_verified(site)
    assert reset(site, reset_token(site)).status_code == 200
    assert (ada.session() is None) is revoking
    assert bob.session() is not None


def test_h3_a_reset_opens_no_session_and_skips_no_second_factor(site: Site) -> None:
    site.sign_up("ada")
    token = reset_token(site)
    answer = reset(site, token)
    assert (answer.json, answer.headers.getlist("Set-Cookie")) == ({"status": True}, [])
    Gate.closed = True
    assert sign_in(site, NEW).json == {"factor": "credential"}
    assert site.rows("session") == []


def test_h4_whoever_planted_a_password_and_a_session_loses_both_to_the_owner_of_the_mailbox(site: Site) -> None:
    thief = site.sign_up("ada")
    assert reset(site, reset_token(site)).status_code == 200
    assert thief.session() is None
    assert_refused(sign_in(site, PASSWORD), 401, "INVALID_EMAIL_OR_PASSWORD")


def by_provider(site: Site, *, verified: bool) -> str:
    """A user who signed up at a provider and has no password."""
    made = site.api.create_user(email="ada@example.com", name="Ada", email_verified=verified)
    with site.app.app_context():
        account = site.auth.Account(user_id=made["user"]["id"], provider_id="github", account_id="42")
        site.db.session.add(account)
        site.db.session.commit()
    user_id: str = made["user"]["id"]
    return user_id


def test_h4_a_user_of_a_provider_with_a_proven_address_gets_a_password(site: Site) -> None:
    user_id = by_provider(site, verified=True)
    assert reset(site, reset_token(site)).status_code == 200
    accounts = {(row.provider_id, row.account_id, row.user_id) for row in site.rows("account")}
    assert accounts == {("github", "42", user_id), ("credential", user_id, user_id)}
    assert sign_in(site, NEW).status_code == 200


def test_h4_a_user_of_a_provider_with_an_unproven_address_gets_none(site: Site) -> None:
    by_provider(site, verified=True)
    token = reset_token(site)
    with site.app.app_context():
        site.db.session.execute(update(site.auth.User).values(email_verified=False))
        site.db.session.commit()
    before = site.snapshot()
    POST.sent.clear()
    known, unknown = (
        site.browser().post("/request-password-reset", {"email": f"{who}@example.com"}) for who in ("ada", "nobody")
    )
    assert shown(known) == shown(unknown)
    assert POST.sent == []
    assert_refused(reset(site, token), 400, "INVALID_TOKEN")
    assert site.snapshot() == before
    site.browser().post("/send-verification-email", {"email": "ada@example.com"})  # the way out
    assert follow(site.browser(), POST.last["token"]).status_code == 200
    assert reset(site, reset_token(site)).status_code == 200


def test_h4_a_user_whom_the_server_made_sets_the_first_password_by_a_link(site: Site) -> None:
    site.api.create_user(email="ada@example.com", name="Ada")
    assert reset(site, reset_token(site)).status_code == 200
    assert sign_in(site, NEW).status_code == 200


# ---------------------------------------------------------------- H5, H12: verifying


def test_h5_the_link_verifies_the_address_and_signs_in_where_it_is_told_to(site: Site) -> None:
    site.sign_up("ada")
    told: list[Any] = []

    def note(sender: Any, **what: Any) -> None:
        told.append(what["user"]["email_verified"])

    signals.email_verified.connect(note)
    browser = site.browser()
    browser.post("/send-verification-email", {"email": "ada@example.com", "callbackURL": "/in?x=1"})
    link = urlsplit(POST.last["url"])
    answer = browser.get(f"{link.path.removeprefix('/api/auth')}?{link.query}")
    signals.email_verified.disconnect(note)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/in?x=1")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert browser.session()["user"]["emailVerified"] is True
    assert told == [True]
    callbacks = [(name, message["user"]["email_verified"]) for name, message in POST.sent[1:]]
    assert callbacks == [("before_email_verification", False), ("after_email_verification", True)]


def test_h5_used_again_the_link_changes_nothing_and_signs_nobody_in(site: Site) -> None:
    site.sign_up("ada")
    token = token_of(site)
    assert follow(site.browser(), token).json == {"status": True, "user": None}
    before = site.snapshot()
    again = follow(site.browser(), token)
    assert (again.json, again.headers.getlist("Set-Cookie")) == ({"status": True, "user": None}, [])
    assert site.snapshot() == before


@pytest.mark.parametrize("to_whom", ["nobody", "bob"])
def test_h5_the_link_of_an_old_address_is_void_after_a_change(site: Site, to_whom: str) -> None:
    ada = site.sign_up("ada")
    plain, change = token_of(site), token_of(site, update_to="x@example.com", request_type=email_links.VERIFY_CHANGE)
    assert change_address(ada).status_code == 200
    if to_whom == "bob":  # the address is somebody else's by now
        bob = site.sign_up("bob")
        bob.post("/change-email", {"newEmail": "ada@example.com"})
        assert follow(bob, POST.last["token"]).status_code == 200
    before = site.snapshot()
    assert_refused(follow(site.browser(), plain), 401, "USER_NOT_FOUND" if to_whom == "nobody" else "INVALID_TOKEN")
    assert_refused(follow(site.browser(), change), 401, "INVALID_TOKEN")
    assert site.snapshot() == before


@pytest.mark.parametrize("kind", [None, email_links.CONFIRM_CHANGE, email_links.VERIFY_CHANGE])
def test_h5_whoever_is_signed_in_follows_nobody_elses_link(site: Site, kind: str | None) -> None:
    site.sign_up("ada")
    victim = site.sign_up("bob")
    claims = {"update_to": "new@example.com", "request_type": kind} if kind else {}
    token, before, cookies = token_of(site, **claims), site.snapshot(), dict(victim.cookies)
    assert_refused(follow(victim, token), 401, "INVALID_USER")
    answer = follow(victim, token, callbackURL="/in")
    assert answer.headers["Location"] == "/in?error=INVALID_USER"
    assert (site.snapshot(), victim.cookies, POST.sent) == (before, cookies, [])


def test_h12_the_link_signs_nobody_in_without_the_second_factor(site: Site) -> None:
    site.sign_up("ada")
    Gate.closed = True
    token, sessions = token_of(site), len(site.rows("session"))
    for query in ({}, {"callbackURL": "/in"}):
        with site.app.app_context():
            site.db.session.execute(update(site.auth.User).values(email_verified=False))
            site.db.session.commit()
        browser = site.browser()
        answer = follow(browser, token, **query)
        assert answer.json == {"factor": "email-verification"} if not query else answer.headers["Location"] == "/in"
        assert (browser.cookies, len(site.rows("session"))) == ({}, sessions)
        assert user_of(site, "ada@example.com").email_verified is True


@pytest.mark.parametrize("when", ["before_email_verification", "after_email_verification"])
def test_h5_an_address_that_changes_meanwhile_is_not_verified_and_signs_nobody_in(
    make_auth: Callable[..., Site], when: str
) -> None:
    def overtake(user: dict[str, Any]) -> None:
        site.api.update_user(user_id=user["id"], data={"email": "new@example.com"})

    site = make_auth(**options(email_verification={when: overtake, "auto_sign_in_after_verification": True}))
    site.sign_up("ada")
    browser = site.browser()
    answer = follow(browser, token_of(site))
    assert answer.status_code == (401 if when.startswith("before") else 200)
    assert browser.cookies == {}
    (user,) = site.rows("user")
    assert (user.email, user.email_verified, len(site.rows("session"))) == ("new@example.com", False, 1)


def test_h5_a_callback_of_the_application_can_refuse(make_auth: Callable[..., Site]) -> None:
    from flask_better_auth import ErrorCode

    def refuse(user: dict[str, Any]) -> None:
        raise APIError(ErrorCode("Not this one", 403, "NOT_THIS_ONE"))

    site = make_auth(**options(email_verification={"before_email_verification": refuse}))
    site.sign_up("ada")
    token, before = token_of(site), site.snapshot()
    assert_refused(follow(site.browser(), token), 403, "NOT_THIS_ONE")
    assert follow(site.browser(), token, callbackURL="/x").headers["Location"] == "/x?error=NOT_THIS_ONE"
    assert site.snapshot() == before


# ---------------------------------------------------------------- H6, H7, H8: changing


def test_h6_an_address_is_proven_before_it_becomes_the_login_and_the_old_one_is_told(site: Site) -> None:
    ada = site.sign_up("ada")
    make_verified(site)
    assert ada.post("/change-email", {"newEmail": "Typo@Example.com"}).json == {"status": True}
    assert_refused(sign_in(site, PASSWORD, "typo@example.com"), 401, "INVALID_EMAIL_OR_PASSWORD")
    assert sign_in(site, PASSWORD).status_code == 200
    (message,) = POST.of("send_verification_email")
    assert message["user"]["email"] == "typo@example.com"
    changed: list[tuple[str, str]] = []

    def note(sender: Any, user: dict[str, Any], previous: str) -> None:
        changed.append((previous, user["email"]))

    signals.email_changed.connect(note)
    assert follow(ada, message["token"]).json["user"]["email"] == "typo@example.com"
    signals.email_changed.disconnect(note)
    assert sign_in(site, PASSWORD, "typo@example.com").status_code == 200
    (notice,) = POST.of("send_change_email_notice")
    assert (notice["user"]["email"], notice["new_email"]) == ("ada@example.com", "typo@example.com")
    assert changed == [("ada@example.com", "typo@example.com")]


def test_h6_a_verified_user_is_asked_at_the_old_address_first(asking: Site) -> None:
    ada = asking.sign_up("ada")
    make_verified(asking)
    assert ada.post("/change-email", {"newEmail": "new@example.com", "callbackURL": "/done"}).status_code == 200
    ((option, question),) = POST.sent
    assert (option, question["user"]["email"], question["new_email"]) == (
        "send_change_email_confirmation",
        "ada@example.com",
        "new@example.com",
    )
    assert follow(ada, question["token"], callbackURL="/done").headers["Location"] == "/done"
    assert user_of(asking, "ada@example.com")
    proof = POST.last
    assert proof["user"]["email"] == "new@example.com"
    assert parse_qs(urlsplit(proof["url"]).query)["callbackURL"] == ["/done"]
    assert follow(ada, proof["token"]).json["user"]["email"] == "new@example.com"
    for used in (question, proof):
        assert_refused(follow(ada, used["token"]), 401, "INVALID_TOKEN")


def test_h6_an_unproven_address_can_count_at_once_where_the_old_one_is_unproven_too(
    make_auth: Callable[..., Site],
) -> None:
    POST.sent.clear()
    change = {"enabled": True, "update_email_without_verification": True}
    site = make_auth(**options(user={"change_email": change}))
    ada = site.sign_up("ada")
    assert ada.post("/change-email", {"newEmail": "new@example.com"}).status_code == 200
    assert ada.session()["user"]["email"] == "new@example.com"
    assert follow(site.browser(), POST.last["token"]).status_code == 200
    POST.sent.clear()
    assert ada.post("/change-email", {"newEmail": "third@example.com"}).status_code == 200
    assert ada.session()["user"]["email"] == "new@example.com"  # a proven one is given up for another proven one
    assert [name for name, _ in POST.sent] == ["send_verification_email"]


def test_h7_of_two_changes_the_one_that_is_confirmed_counts(site: Site) -> None:
    """CVE-2026-32700: one's own mailbox and a victim's asked for at once, and the own one confirmed."""
    ada = site.sign_up("ada")
    make_verified(site)
    for address in ("own@example.com", "victim@example.com"):
        ada.post("/change-email", {"newEmail": address})
    own, victims = (message["token"] for message in POST.of("send_verification_email"))
    assert follow(ada, own).json["user"]["email"] == "own@example.com"
    before = site.snapshot()
    assert_refused(follow(ada, victims), 401, "INVALID_TOKEN")
    assert site.snapshot() == before
    (user,) = site.rows("user")
    assert (user.email, user.email_verified) == ("own@example.com", True)


def test_h7_a_link_that_was_checked_before_the_other_counted_writes_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = site.sign_up("ada")
    tokens = []
    for address in ("one@example.com", "two@example.com"):
        ada.post("/change-email", {"newEmail": address})
        tokens.append(POST.last["token"])
    original, first = users.find_by_id, []

    def overtaken(call: Call, user_id: str) -> Any:
        found = original(call, user_id)
        if not first:
            first.append(True)
            assert follow(site.browser(), tokens[0]).status_code == 200
        return found

    monkeypatch.setattr(users, "find_by_id", overtaken)
    assert_refused(follow(site.browser(), tokens[1]), 401, "INVALID_TOKEN")
    assert [user.email for user in site.rows("user")] == ["one@example.com"]


def test_h8_the_question_to_the_old_address_does_not_change_it_and_the_order_is_fixed(asking: Site) -> None:
    ada = asking.sign_up("ada")
    make_verified(asking)
    ada.post("/change-email", {"newEmail": "new@example.com"})
    question = POST.last["token"]
    before = asking.snapshot()
    assert follow(asking.browser(), question).json == {"status": True}
    assert asking.snapshot() == before
    # taken apart and put together anew it is no token any more
    head, claims, signature = question.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    for changes in (
        {"requestType": email_links.VERIFY_CHANGE},
        {"updateTo": "other@example.com"},
        {"requestType": "change-email"},
    ):
        swapped = base64.urlsafe_b64encode(json.dumps({**said, **changes}).encode()).decode().rstrip("=")
        assert_refused(follow(ada, f"{head}.{swapped}.{signature}"), 401, "INVALID_TOKEN")
    assert asking.snapshot() == before


def test_h8_a_link_changes_to_the_one_address_it_was_signed_for(site: Site) -> None:
    ada = site.sign_up("ada")
    for claims in (
        {"update_to": "new@example.com"},
        {"request_type": email_links.VERIFY_CHANGE},
        {"update_to": "new@example.com", "request_type": "change-email"},
    ):
        assert_refused(follow(ada, token_of(site, **claims)), 401, "INVALID_TOKEN")
    assert [user.email for user in site.rows("user")] == ["ada@example.com"]


def test_h8_a_session_that_ends_meanwhile_changes_nothing(
    make_auth: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    change = {"enabled": True, "update_email_without_verification": True}
    site = make_auth(**options(user={"change_email": change}))
    ada = site.sign_up("ada")
    original = users.find

    def revoked(call: Call, *args: Any) -> Any:
        found = original(call, *args)
        site.api.revoke_sessions(user_id=user_of(site, "ada@example.com").id)
        return found

    monkeypatch.setattr(users, "find", revoked)
    answer = ada.post("/change-email", {"newEmail": "new@example.com"})
    assert (answer.status_code, answer.json["code"]) == (401, "UNAUTHORIZED")
    assert [user.email for user in site.rows("user")] == ["ada@example.com"]


# ---------------------------------------------------------------- H9, H13, H14, K2: the tokens themselves


def claims_of(site: Site, **more: Any) -> dict[str, Any]:
    now = int(clock.now().timestamp())
    made = {"email": "ada@example.com", "userId": user_of(site, "ada@example.com").id, "iat": now, "exp": now + 60}
    return {key: value for key, value in {**made, **more}.items() if value is not ...}


FORGERIES: dict[str, Callable[[Site], str]] = {
    "another secret": lambda s: forged(claims_of(s), secret="another-secret-of-the-test-suite-01"),
    "no secret": lambda s: forged(claims_of(s), secret=""),
    "none": lambda s: forged(claims_of(s), header={"alg": "none"}),
    "none and no signature": lambda s: forged(claims_of(s), header={"alg": "none"}).rpartition(".")[0] + ".",
    "HS512": lambda s: forged(claims_of(s), header={"alg": "HS512"}, algorithm="sha512"),
    "HS384": lambda s: forged(claims_of(s), header={"alg": "HS384"}, algorithm="sha384"),
    "RS256": lambda s: forged(claims_of(s), header={"alg": "RS256"}),
    "ES256": lambda s: forged(claims_of(s), header={"alg": "ES256"}),
    "a key of its own": lambda s: forged(claims_of(s), header={"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}),
    "a critical header": lambda s: forged(claims_of(s), header={"alg": "HS256", "crit": ["x"], "x": 1}),
    "unencoded": lambda s: forged(claims_of(s), header={"alg": "HS256", "b64": False, "crit": ["b64"]}),
    "another type": lambda s: forged(claims_of(s), header={"alg": "HS256", "typ": "at+jwt"}),
    "a further claim": lambda s: forged(claims_of(s, role="admin")),
    "no user": lambda s: forged(claims_of(s, userId=...)),
    "no address": lambda s: forged(claims_of(s, email=...)),
    "an address that is no text": lambda s: forged(claims_of(s, email=["ada@example.com"])),
    "a user that is no text": lambda s: forged(claims_of(s, userId=7)),
    "a type alone": lambda s: forged(claims_of(s, requestType=email_links.VERIFY_CHANGE)),
    "no end": lambda s: forged(claims_of(s, exp=...)),
    "no beginning": lambda s: forged(claims_of(s, iat=...)),
    "an end that is no number": lambda s: forged(claims_of(s, exp="9999999999")),
    "an end that is true": lambda s: forged(claims_of(s, exp=True)),
    "endless": lambda s: forged(claims_of(s, exp=float("inf"))),
    "a list": lambda s: forged([claims_of(s)]),
    "a text": lambda s: forged("ada@example.com"),
    "truncated": lambda s: token_of(s)[:-3],
    "without its signature": lambda s: token_of(s).rpartition(".")[0],
    "signed twice": lambda s: token_of(s) + "." + token_of(s).rpartition(".")[2],
    "five parts": lambda s: token_of(s) + ".a.b",
    "percent": lambda s: "%%%.%%%.%%%",
    "letters beyond": lambda s: "ä.ö.ü",
    "nul": lambda s: "\0.\0.\0",
    "a header that is no object": lambda s: forged(claims_of(s), header=["HS256"]),
    "long": lambda s: "x" * 20_000 + "." + "y" * 20_000 + ".z",
    "empty": lambda s: "",
}


@pytest.mark.parametrize("how", FORGERIES)
def test_h9_a_forged_token_is_refused(site: Site, how: str, caplog: pytest.LogCaptureFixture) -> None:
    site.sign_up("ada")
    token, before = FORGERIES[how](site), site.snapshot()
    answer = follow(site.browser(), token)
    assert_refused(answer, 401, "INVALID_TOKEN")
    assert site.snapshot() == before
    assert token[:20] not in caplog.text or not token


def test_h9_the_forgeries_are_refused_for_what_was_forged(site: Site) -> None:
    site.sign_up("ada")
    assert follow(site.browser(), forged(claims_of(site))).json == {"status": True, "user": None}


def test_h9_a_token_is_over_at_the_second(site: Site, time: time_machine.Coordinates) -> None:
    site.sign_up("ada")
    token, lifetime = token_of(site), EmailVerification().expires_in
    time.shift(lifetime)
    before = site.snapshot()
    assert_refused(follow(site.browser(), token), 401, "TOKEN_EXPIRED")
    assert follow(site.browser(), token, callbackURL="/x").headers["Location"] == "/x?error=TOKEN_EXPIRED"
    assert site.snapshot() == before
    time.shift(timedelta(seconds=-1))
    assert follow(site.browser(), token).status_code == 200


def test_h9_no_token_is_logged_and_none_goes_on_to_the_next_site(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    site.sign_up("ada")
    token, secret = token_of(site), reset_token(site)
    browser = site.browser()
    answers = [
        follow(browser, token),
        follow(browser, token, callbackURL="/x"),
        follow(browser, token[:-1], callbackURL="/x"),
        browser.get(f"/reset-password/{secret}?callbackURL=/x"),
    ]
    assert {answer.headers["Referrer-Policy"] for answer in answers} == {"no-referrer"}
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}
    reset(site, secret)
    assert token not in caplog.text
    assert secret not in caplog.text


def test_h13_what_a_client_sent_neither_ends_nor_extends_a_link(site: Site) -> None:
    target = "/a?b=\"><img src=x onerror='alert(1)'>&token=mine#x"
    body = {"name": "<b>Ada</b>\r\nBcc: eve@example.com", "email": "ada@example.com", "password": PASSWORD}
    ada = site.browser()
    assert ada.post("/sign-up/email", body).status_code == 200
    agent = {"User-Agent": "<script>alert(1)</script>"}
    ada.post("/send-verification-email", {"email": "ada@example.com", "callbackURL": target}, headers=agent)
    ada.post("/change-email", {"newEmail": "new@example.com", "callbackURL": target}, headers=agent)
    ada.post("/request-password-reset", {"email": "ada@example.com", "redirectTo": target}, headers=agent)
    assert len(POST.sent) == 3
    for _, message in POST.sent:
        assert not set(message["url"]) & set("<>\"' \r\n\\#"), message["url"]
        query = parse_qs(urlsplit(message["url"]).query)
        assert query["callbackURL"] == [target]
        assert query.get("token", [message["token"]]) == [message["token"]]


@pytest.mark.parametrize("twice", ["token=a&token={}", "token={}&token=a", "token={}&callbackURL=/a&callbackURL=/b"])
def test_h14_a_parameter_that_stands_twice_is_refused(site: Site, twice: str) -> None:
    site.sign_up("ada")
    token, secret = token_of(site), reset_token(site)
    before = site.snapshot()
    assert_refused(site.browser().get(f"/verify-email?{twice.format(token)}"), 400, "VALIDATION_ERROR")
    if "callback" not in twice:
        answer = site.browser().post(f"/reset-password?{twice.format(secret)}", {"newPassword": NEW})
        assert_refused(answer, 400, "VALIDATION_ERROR")
    answer = site.browser().get(f"/reset-password/{secret}?callbackURL=/a&callbackURL=/b")
    assert_refused(answer, 400, "VALIDATION_ERROR")
    assert site.snapshot() == before


@pytest.mark.parametrize("kind", verifications.KINDS, ids=lambda kind: kind.prefix)
def test_k2_a_secret_of_one_kind_is_none_of_another(site: Site, kind: verifications.Kind[str]) -> None:
    site.sign_up("ada")
    secret = "the-same-secret-for-every-kind"
    store(site, kind, secret)
    before, is_reset = site.snapshot(), kind is verifications.RESET_PASSWORD
    assert_refused(follow(site.browser(), secret), 401, "INVALID_TOKEN")
    for token in (secret, kind.prefix + secret):
        right = is_reset and token == secret
        answer = site.browser().get("/reset-password/" + token, query_string={"callbackURL": "/x"})
        assert ("token=" in answer.headers["Location"]) is right
        if not right:
            assert_refused(reset(site, token), 400, "INVALID_TOKEN")
    assert site.snapshot() == before
    assert reset(site, secret).status_code == (200 if is_reset else 400)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        *(
            {"update_to": "n@example.com", "request_type": t}
            for t in (email_links.CONFIRM_CHANGE, email_links.VERIFY_CHANGE)
        ),
    ],
)
def test_k2_a_signed_token_is_no_secret_and_no_session(site: Site, claims: dict[str, str]) -> None:
    ada = site.sign_up("ada")
    token, before = token_of(site, **claims), site.snapshot()
    assert_refused(reset(site, token), 400, "INVALID_TOKEN")
    ada.cookies = {"better-auth.session_token": token}
    assert ada.session() is None
    assert site.snapshot() == before


def test_k2_a_session_cookie_is_no_token(site: Site) -> None:
    ada = site.sign_up("ada")
    for value in ada.cookies.values():
        assert_refused(follow(site.browser(), value), 401, "INVALID_TOKEN")
        assert_refused(reset(site, value), 400, "INVALID_TOKEN")


# ---------------------------------------------------------------- the reference's format


def test_tokens_are_the_references_to_the_byte(make_auth: Callable[..., Site]) -> None:
    vectors = json.loads(VECTORS.read_text())
    for vector in vectors:
        claims = vector["claims"]
        lifetime = claims["exp"] - claims["iat"]
        site = make_auth(settings={"BETTER_AUTH_SECRET": vector["secret"]}, email_verification={"expires_in": lifetime})
        with time_machine.travel(claims["iat"], tick=False):
            assert email_token(site, claims["userId"], claims["email"]) == vector["token"]


def test_the_order_of_the_claims_is_the_references(site: Site) -> None:
    site.sign_up("ada")
    token = token_of(site, update_to="n@example.com", request_type=email_links.VERIFY_CHANGE)
    said = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert list(said) == ["email", "updateTo", "requestType", "userId", "iat", "exp"]
    with site.app.app_context():
        assert said["userId"] == site.db.session.scalars(select(site.auth.User.id)).one()
