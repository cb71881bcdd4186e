"""SECURITY G: sessions and their cookies, from the first sign-in to the last millisecond."""

from __future__ import annotations

import hmac
import random
import secrets
import string
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, unquote

import pytest
import time_machine
from conftest import ORIGIN, PASSWORD, SECRET, Browser, Site, build_site, tear_down
from flask import Response
from sqlalchemy import event, exc

from flask_better_auth import DatabaseHooks, Hooks
from flask_better_auth.config import build
from flask_better_auth.cookies import CookieJar

TOKEN, DATA, MARK = "better-auth.session_token", "better-auth.session_data", "better-auth.dont_remember"
ADA = {"email": "ada@example.com", "password": PASSWORD}
START = datetime(2026, 3, 29, 0, 30, tzinfo=timezone.utc)  # half an hour before clocks in Europe change
MS, DAY, WEEK = timedelta(milliseconds=1), timedelta(days=1), timedelta(days=7)


@pytest.fixture(scope="module")
def shared(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An application for many tests; a table prefix of its own keeps it apart from those of single tests."""
    url = server_url or f"sqlite:///{tmp_path_factory.mktemp('shared')}/test.db"
    site = build_site(url, options={"table_prefix": "g_"})
    yield site
    tear_down(site)


@pytest.fixture
def site(shared: Site) -> Site:
    """The shared application as nobody has used it."""
    return shared.emptied()


@pytest.fixture
def clock() -> Iterator[time_machine.Coordinates]:
    """A clock that stands still until it is moved."""
    with time_machine.travel(START, tick=False) as coordinates:
        yield coordinates


def jar(secret: str = SECRET) -> CookieJar:
    """The cookies of an application with this secret."""
    return CookieJar(build({"secret": secret, "url": ORIGIN}, {}), production=False)


def asking(site: Site, **cookies: str) -> Browser:
    """A browser with these cookies: ``token``, ``data`` and ``mark``."""
    browser = site.browser()
    names = {"token": TOKEN, "data": DATA, "mark": MARK}
    browser.cookies = {names[name]: value for name, value in cookies.items()}
    return browser


def the_session(site: Site) -> Any:
    """The only session there is."""
    (session,) = site.rows("session")
    return session


def lines(answer: Response) -> dict[str, str]:
    """The last ``Set-Cookie`` line of each name, without the name."""
    return dict(line.split("=", 1) for line in answer.headers.getlist("Set-Cookie"))


def moment(text: str) -> datetime:
    """A time of the wire."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


# ---------------------------------------------------------------- G1


PLANTED: dict[str, Callable[[str], str]] = {
    "nothing": lambda own: "",
    "unsigned": lambda own: "attacker-knows-this-token-0123456",
    "signed by another secret": lambda own: jar(SECRET[::-1]).signed("attacker-knows-this-token-0123456"),
    "own session of the attacker": lambda own: own,
    "token of the attacker, unsigned": lambda own: unquote(own).rpartition(".")[0],
    "signed, unknown": lambda own: jar().signed("A" * 32),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED.keys())
@pytest.mark.parametrize("path", ["/sign-in/email", "/sign-up/email"])
def test_g1_token_that_was_planted_before_the_sign_in_is_not_used(
    site: Site, path: str, plant: Callable[[str], str]
) -> None:
    if path == "/sign-in/email":
        site.sign_up("ada")
    attacker = site.sign_up("eve")
    before = {session.token for session in site.rows("session")}
    planted = plant(attacker.cookies[TOKEN])
    victim = asking(site, token=planted)
    answer = victim.post(path, {**ADA, "name": "Ada"})
    assert answer.status_code == 200
    assert victim.cookies[TOKEN] != planted
    assert victim.session()["user"]["email"] == "ada@example.com"
    assert answer.json["token"] not in before
    assert answer.json["token"] not in unquote(planted)
    assert before < {session.token for session in site.rows("session")}
    assert attacker.session()["user"]["email"] == "eve@example.com"
    left = asking(site, token=planted).session()
    assert left is None or left["user"]["email"] == "eve@example.com"


def test_g1_each_sign_in_has_a_token_of_its_own(site: Site) -> None:
    browser = site.sign_up("ada")
    tokens = {unquote(browser.cookies[TOKEN])}
    for _ in range(3):
        assert browser.post("/sign-in/email", ADA).status_code == 200
        tokens.add(unquote(browser.cookies[TOKEN]))
    assert len(tokens) == len(site.rows("session")) == 4


# ---------------------------------------------------------------- G2


FORGED: dict[str, Callable[[str], str]] = {
    "unsigned": lambda token: token,
    "unsigned, with a dot": lambda token: f"{token}.",
    "truncated": lambda token: jar().signed(token)[:-1],
    "truncated to the middle": lambda token: jar().signed(token)[:50],
    "signed by another secret": lambda token: jar(SECRET[::-1]).signed(token),
    "signed twice": lambda token: jar().signed(unquote(jar().signed(token))),
    "signed with a prefix": lambda token: jar().signed(f" {token}"),
    "signature of the mark": lambda token: f"{token}.{jar().signed('true').partition('.')[2]}",
    "value of the mark": lambda token: jar().signed("true"),
    "value of two-factor": lambda token: jar().signed("2fa-Zx9_kQ3-pLmN8vBt2RwY"),
    "value of an impersonation": lambda token: jar().signed(f"{token}:"),
    "identifier of the session": lambda token: jar().signed("0" * 32),
    "empty": lambda token: jar().signed(""),
    "SQL": lambda token: jar().signed("' or '1'='1"),
    "wildcard": lambda token: jar().signed("%"),
    "non-ASCII": lambda token: quote(f"{token}é.{'é' * 44}"),
    "no UTF-8": lambda token: f"%ff{token}.%ff",
    "NUL": lambda token: jar().signed(token).replace(".", "%00."),
    "long": lambda token: "x" * 60_000,
    "long and signed": lambda token: jar().signed("x" * 60_000),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_g2_forged_cookie_is_nobody(site: Site, forge: Callable[[str], str]) -> None:
    honest = site.sign_up("ada")
    before = site.snapshot()
    browser = asking(site, token=forge(the_session(site).token))
    for answer, status in (
        (browser.get("/get-session"), 200),
        (browser.get("/list-sessions"), 401),
        (browser.post("/update-user", {"name": "Eve"}), 401),
        (browser.post("/sign-out"), 200),
    ):
        assert answer.status_code == status
        assert answer.json in (None, {"success": True}) or answer.json["code"] == "UNAUTHORIZED"
    assert site.snapshot() == before
    assert honest.session()["user"]["name"] == "Ada"


def test_g2_cookie_of_another_purpose_is_no_mark(site: Site) -> None:
    site.sign_up("ada")
    token = the_session(site).token
    for mark, remembered in ((jar().signed("true"), False), (jar().signed(token), True), ("true", True)):
        browser = asking(site, token=jar().signed(token), mark=mark)
        answer = browser.post("/update-user", {"name": "Ada"})
        assert ("Max-Age=604800" in lines(answer)[TOKEN]) is remembered


def test_g2_signatures_are_compared_in_constant_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or original(a, b))
    value = jar().signed("A" * 32)
    browser = asking(site, token=value)
    assert browser.session() is None
    signature = unquote(value).rpartition(".")[2].encode()
    assert (signature, signature) in compared
    compared.clear()
    browser.cookies = {TOKEN: value.replace("A", "B", 1)}
    assert browser.session() is None
    assert [b for _, b in compared] == [signature]


@pytest.mark.parametrize(
    "change",
    [str.swapcase, str.lower, str.upper, lambda token: token + " ", lambda token: token.replace("a", "á")],
    ids=["swapped", "lower", "upper", "trailing space", "accent"],
)
def test_g2_token_is_compared_exactly_on_every_database(
    site: Site, monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str]
) -> None:
    # the hardest case for a database that folds: nothing but case, accents or trailing spaces differ
    monkeypatch.setattr("flask_better_auth.services.sessions.random_string", lambda: "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeF")
    honest = site.sign_up("ada")
    token = the_session(site).token
    assert change(token) != token
    browser = asking(site, token=jar().signed(change(token)))
    assert browser.session() is None
    assert browser.get("/list-sessions").status_code == 401
    asking(site, token=jar().signed(change(token))).post("/sign-out")
    assert honest.session() is not None
    assert asking(site, token=jar().signed(token)).session() is not None


# ---------------------------------------------------------------- G4


def test_g4_token_holds_more_than_128_random_bits(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    original = secrets.randbelow

    def draw(bound: int) -> int:
        drawn.append(bound)
        return original(bound)

    monkeypatch.setattr(secrets, "randbelow", draw)
    site.sign_up("ada")
    token = the_session(site).token
    assert len(token) == 32
    assert set(token) <= set(string.ascii_letters + string.digits)
    assert drawn.count(62**32) >= 4  # token, and the ids of three rows


def test_g4_token_does_not_follow_from_the_seed_of_random(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.sign_up("ada")
    tokens = []
    state = random.getstate()
    try:
        for _ in range(3):
            random.seed(1)
            tokens.append(site.browser().post("/sign-in/email", ADA).json["token"])
    finally:
        random.setstate(state)
    assert len({token[:8] for token in tokens}) == len({token[-8:] for token in tokens}) == 3


# ---------------------------------------------------------------- G8


BODIES: dict[str, Any] = {
    "/sign-up/email": {**ADA, "name": "Ada"},
    "/sign-in/email": ADA,
    "/update-user": {"name": "Ada"},
    "/request-password-reset": {"email": "ada@example.com"},
}


def every_answer(site: Site) -> Iterator[tuple[str, Response]]:
    """An answer of each endpoint to each kind of request."""
    ada, nobody = site.sign_up("ada"), site.browser()
    evil: dict[str, str | None] = {"Origin": "https://evil.test"}
    for bound in site.app.extensions["better_auth"].registry:
        path = bound.endpoint.path
        for method in bound.endpoint.methods if path else ():
            sent = {} if method == "GET" else {"json": BODIES.get(path, {})}
            kinds: list[tuple[str, Browser, dict[str, Any]]] = [("anonymous", nobody, sent), ("signed in", ada, sent)]
            if method == "POST":
                kinds += [
                    ("bad JSON", ada, {"data": b"{", "content_type": "application/json"}),
                    ("wrong type", ada, {"data": b"[]", "content_type": "application/json"}),
                    ("media type", ada, {"data": b"x", "content_type": "text/plain"}),
                    ("large", ada, {"data": b"x" * 70_000, "content_type": "application/json"}),
                    ("foreign origin", ada, {**sent, "headers": evil}),
                ]
            for kind, browser, options in kinds:
                keep = dict(browser.cookies)
                yield f"{method} {path} {kind}", browser.request(method, path, **options)
                browser.cookies = keep
                if path == "/sign-out" and browser is ada:
                    browser.post("/sign-in/email", ADA)


def assert_not_kept(name: str, answer: Response) -> None:
    """No cache may keep the answer, and none may take it for everybody's."""
    assert answer.headers.getlist("Cache-Control") == ["no-store"], name
    assert [value.strip().lower() for value in answer.headers["Vary"].split(",")].count("cookie") == 1, name


def test_g8_no_answer_of_any_endpoint_may_be_kept(site: Site) -> None:
    statuses = set()
    for name, answer in every_answer(site):
        assert_not_kept(name, answer)
        statuses.add(answer.status_code)
    assert statuses >= {200, 400, 401, 403, 405, 413, 415, 422}


def test_g8_without_hardening_only_get_session_is_marked_as_in_the_reference(make_auth: Callable[..., Site]) -> None:
    marked = set()
    for name, answer in every_answer(make_auth(hardening=False)):
        assert "Vary" not in answer.headers, name
        if "Cache-Control" in answer.headers:
            assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache"), name
            marked.add(name.split()[1])
        else:
            assert not name.split()[1].startswith("/get-session"), name
    assert marked == {"/get-session"}


def _fail(call: Any) -> None:
    raise RuntimeError("not today")


def _cut(*arguments: Any) -> None:
    raise exc.OperationalError("", {}, Exception("the database is away"))


@pytest.mark.parametrize(
    ("status", "path", "options"),
    [
        (500, "/get-session", {"hooks": Hooks(before=_fail)}),
        (503, "/get-session", {}),
        (421, "/get-session", {"settings": {"BETTER_AUTH_URL": None}, "allowed_hosts": ("app.example.com",)}),
        (404, "/get-session", {"disabled_paths": ("/get-session",)}),
        (404, "/nothing", {}),
        (404, "/sign-out", {}),
        (200, "/error", {}),
        (302, "/error", {"on_api_error": {"error_url": "/oops"}}),
    ],
    ids=["failure", "no database", "host", "disabled", "unknown path", "other method", "page", "redirect"],
)
def test_g8_failures_pages_and_redirects_may_not_be_kept_either(
    make_auth: Callable[..., Site], status: int, path: str, options: dict[str, Any]
) -> None:
    site = make_auth(**options)
    with site.app.app_context():
        engine = site.db.engine
    if status == 503:
        event.listen(engine, "before_cursor_execute", _cut)
    answer = asking(site, token=jar().signed("A" * 32)).get(path)
    if status == 503:
        event.remove(engine, "before_cursor_execute", _cut)
    assert answer.status_code == status
    assert_not_kept(path, answer)


@pytest.mark.parametrize(
    ("query", "refreshed"),
    [
        ("", True),
        ("?disableRefresh=", True),
        ("?disablerefresh=true", True),
        ("?disable_refresh=true", True),
        ("?disableRefresh=true", False),
        ("?disableRefresh=1", False),
        ("?disableRefresh=maybe", False),
        ("?disableRefresh=true&disableRefresh=", False),
        ("?disableRefresh=true&disableCookieCache=true", False),
    ],
)
def test_g8_refresh_is_disabled_by_any_text_under_its_own_name(
    site: Site, clock: time_machine.Coordinates, query: str, refreshed: bool
) -> None:
    browser = site.sign_up("ada")
    clock.shift(2 * DAY)
    answer = browser.get(f"/get-session{query}")
    assert answer.json["user"]["email"] == "ada@example.com"
    assert moment(answer.json["session"]["expiresAt"]) == the_session(site).expires_at
    assert the_session(site).expires_at == START + WEEK + (2 * DAY if refreshed else timedelta(0))
    assert (TOKEN in lines(answer)) is refreshed


# ---------------------------------------------------------------- G13


def test_g13_session_that_is_not_remembered_lives_a_day_and_its_cookies_as_long_as_the_browser(
    site: Site, clock: time_machine.Coordinates
) -> None:
    site.sign_up("ada")
    browser = site.browser()
    for path, body in (("/sign-in/email", ADA), ("/sign-up/email", {**ADA, "name": "B", "email": "b@example.com"})):
        answer = browser.post(path, {**body, "rememberMe": False})
        token = answer.json["token"]
        assert lines(answer) == {
            TOKEN: f"{jar().signed(token)}; Path=/; HttpOnly; SameSite=Lax",
            MARK: f"{jar().signed('true')}; Path=/; HttpOnly; SameSite=Lax",
        }
        (session,) = [session for session in site.rows("session") if session.token == token]
        assert session.expires_at == START + DAY


@pytest.mark.parametrize("passed", [DAY / 2, DAY - MS])
def test_g13_nothing_extends_a_session_that_is_not_remembered(
    site: Site, clock: time_machine.Coordinates, passed: timedelta
) -> None:
    browser = site.sign_up("ada", rememberMe=False)
    clock.shift(passed)
    for answer in (
        browser.get("/get-session"),
        browser.get("/list-sessions"),
        browser.post("/update-user", {"name": "Ada"}),
    ):
        assert answer.status_code == 200
        assert "Max-Age" not in str(answer.headers)
    assert the_session(site).expires_at == START + DAY
    clock.move_to(START + DAY)
    assert browser.session() is None
    assert browser.cookies == {}


def test_g13_losing_the_mark_does_not_extend_the_session(site: Site, clock: time_machine.Coordinates) -> None:
    browser = site.sign_up("ada", rememberMe=False)
    del browser.cookies[MARK]
    clock.shift(DAY - MS)
    assert browser.session()["user"]["name"] == "Ada"
    assert the_session(site).expires_at == START + DAY


def test_g13_signing_in_to_be_remembered_takes_the_mark_away(site: Site, clock: time_machine.Coordinates) -> None:
    browser = site.sign_up("ada", rememberMe=False)
    assert MARK in browser.cookies
    answer = browser.post("/sign-in/email", {**ADA, "rememberMe": True})
    assert "Max-Age=604800" in lines(answer)[TOKEN]
    assert "Max-Age=0" in lines(answer)[MARK]
    clock.shift(2 * DAY)
    assert moment(browser.session()["session"]["expiresAt"]) == START + 2 * DAY + WEEK


# ---------------------------------------------------------------- G14


@pytest.mark.parametrize(
    ("url", "name", "attributes"),
    [
        ("http://localhost", TOKEN, "Max-Age=604800; Path=/; HttpOnly; SameSite=Lax"),
        ("https://app.example.com", f"__Secure-{TOKEN}", "Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax"),
        ("https://app.example.com/x", f"__Secure-{TOKEN}", "Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax"),
    ],
)
def test_g14_cookie_is_out_of_reach_of_scripts_other_sites_and_plain_connections(
    make_auth: Callable[..., Site], url: str, name: str, attributes: str
) -> None:
    site = make_auth(url=url)
    origin = "/".join(url.split("/")[:3])
    # what a request says of its own scheme and host does not count
    claims: dict[str, str | None] = {"Origin": origin, "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil.test"}
    browser = site.browser()
    answers = [
        browser.post("/sign-up/email", {**ADA, "name": "Ada"}, headers=claims),
        browser.post("/sign-in/email", ADA, headers=claims),
        browser.post("/update-user", {"name": "B"}, headers=claims),
    ]
    for answer in answers:
        (line,) = answer.headers.getlist("Set-Cookie")
        assert line.startswith(f"{name}=")
        assert line.partition("; ")[2] == attributes
        assert len(line) <= 4096
    cleared = browser.post("/sign-out", headers=claims)
    assert len(lines(cleared)) == 3
    for cookie, line in lines(cleared).items():
        assert cookie.startswith("__Secure-") is url.startswith("https")
        assert line == "; " + attributes.replace("604800", "0")


def test_g14_life_of_the_cookie_is_that_of_the_session(make_auth: Callable[..., Site]) -> None:
    site = make_auth(session={"expires_in": 600, "update_age": 60})
    answer = site.browser().post("/sign-up/email", {**ADA, "name": "Ada"})
    assert "; Max-Age=600; " in lines(answer)[TOKEN]
    session = the_session(site)
    assert session.expires_at - session.created_at == timedelta(seconds=600)


# ---------------------------------------------------------------- expiry and refresh, to the millisecond


EVERY_LOOK: dict[str, Callable[[Browser], Response]] = {
    "get-session": lambda browser: browser.get("/get-session"),
    "list-sessions": lambda browser: browser.get("/list-sessions"),
    "update-user": lambda browser: browser.post("/update-user", {"name": "Ada"}),
}


@pytest.mark.parametrize("look", EVERY_LOOK.values(), ids=EVERY_LOOK.keys())
@pytest.mark.parametrize("left", [MS, timedelta(0), -MS, -WEEK], ids=["before", "at", "after", "long after"])
def test_session_expires_exactly_at_its_time_and_its_row_is_deleted(
    site: Site, clock: time_machine.Coordinates, left: timedelta, look: Callable[[Browser], Response]
) -> None:
    browser = site.sign_up("ada", rememberMe=False)
    site.sign_up("bob")
    clock.move_to(START + DAY - left)
    answer = look(browser)
    live = left > timedelta(0)
    assert (answer.status_code == 200 and answer.json is not None) is live
    assert len(site.rows("session")) == 1 + live
    if not live:
        assert {line.partition(";")[0] for line in lines(answer).values()} == {""}
        assert set(lines(answer)) == {TOKEN, DATA, MARK}
        assert browser.cookies == {}
        clock.move_to(START)
        assert browser.session() is None


@pytest.mark.parametrize("look", EVERY_LOOK.values(), ids=EVERY_LOOK.keys())
@pytest.mark.parametrize(("passed", "due"), [(DAY - MS, False), (DAY, True), (WEEK - MS, True)])
def test_session_is_refreshed_exactly_from_its_update_age_on(
    make_auth: Callable[..., Site],
    clock: time_machine.Coordinates,
    passed: timedelta,
    due: bool,
    look: Callable[[Browser], Response],
) -> None:
    site = make_auth(session={"fresh_age": 0})
    browser = site.sign_up("ada")
    before = the_session(site)
    clock.shift(passed)
    answer = look(browser)
    assert answer.status_code == 200
    after = the_session(site)
    assert after.expires_at == (START + passed + WEEK if due else START + WEEK)
    assert after.updated_at == (START + passed if due else START)
    assert (after.token, after.created_at) == (before.token, before.created_at)
    if due:
        assert lines(answer)[TOKEN].endswith("; Max-Age=604800; Path=/; HttpOnly; SameSite=Lax")
        again = look(browser)
        assert the_session(site).expires_at == after.expires_at
        assert again.status_code == 200


def test_refreshed_session_lives_on_and_expires_at_its_new_time(site: Site, clock: time_machine.Coordinates) -> None:
    browser = site.sign_up("ada")
    for _ in range(3):
        clock.shift(WEEK - MS)
        shown = browser.session()["session"]
        assert moment(shown["expiresAt"]) == the_session(site).expires_at
    clock.shift(WEEK)
    assert browser.session() is None


ENDINGS: dict[str, Callable[[Site], Any]] = {
    "revoked": lambda site: site.db.delete(site.auth.Session),
    "token replaced": lambda site: site.db.update(site.auth.Session).values(token="another"),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_refresh_does_not_bring_back_a_session_that_ended_meanwhile(
    make_auth: Callable[..., Site], clock: time_machine.Coordinates, ending: Callable[[Site], Any]
) -> None:
    revoking = False

    def revoke(data: dict[str, Any], call: Any) -> None:
        if revoking:
            with site.app.app_context(), site.db.engine.begin() as connection:
                connection.execute(ending(site))

    site = make_auth(database_hooks=DatabaseHooks(session={"update": {"before": revoke}}))
    browser = site.sign_up("ada")
    for revoking in (False, True):
        clock.shift(2 * DAY)
        answer = browser.get("/get-session")
        assert answer.status_code == 200
        assert (answer.json is None) is revoking
        assert (lines(answer)[TOKEN].startswith(";")) is revoking
    assert [(session.token, session.expires_at) for session in site.rows("session")] in (
        [],
        [("another", START + 2 * DAY + WEEK)],
    )
    assert browser.cookies == {}


def test_deleting_an_expired_row_spares_one_that_was_extended_meanwhile(
    make_auth: Callable[..., Site], clock: time_machine.Coordinates
) -> None:
    def extend(data: dict[str, Any], call: Any) -> None:
        with site.app.app_context(), site.db.engine.begin() as connection:
            connection.execute(site.db.update(site.auth.Session).values(expires_at=START + 2 * WEEK))

    site = make_auth(database_hooks=DatabaseHooks(session={"delete": {"before": extend}}))
    browser = site.sign_up("ada")
    clock.shift(WEEK)
    assert browser.session() is None
    assert the_session(site).expires_at == START + 2 * WEEK


@pytest.mark.parametrize("passed", [2 * DAY, WEEK - MS, WEEK])
def test_sessions_are_never_extended_where_that_is_switched_off(
    make_auth: Callable[..., Site], clock: time_machine.Coordinates, passed: timedelta
) -> None:
    site = make_auth(session={"disable_session_refresh": True, "fresh_age": 0})
    browser = site.sign_up("ada")
    before = site.snapshot()["session"]
    clock.shift(passed)
    for path in ("/get-session", "/list-sessions"):
        answer = browser.get(path)
        assert (answer.status_code == 200 and bool(answer.json)) is (passed < WEEK)
        if passed < WEEK:
            assert "Set-Cookie" not in answer.headers
            assert site.snapshot()["session"] == before


# ---------------------------------------------------------------- deferred refresh


@pytest.fixture
def deferred(make_auth: Callable[..., Site], clock: time_machine.Coordinates) -> Site:
    """An application that leaves writing to ``POST /get-session``."""
    return make_auth(session={"defer_session_refresh": True, "fresh_age": 0})


@pytest.mark.parametrize(("passed", "due"), [(timedelta(0), False), (DAY - MS, False), (DAY, True), (WEEK - MS, True)])
def test_deferred_get_tells_what_is_due_and_writes_nothing(
    deferred: Site, clock: time_machine.Coordinates, passed: timedelta, due: bool
) -> None:
    browser = deferred.sign_up("ada")
    before = deferred.snapshot()
    clock.shift(passed)
    answer = browser.get("/get-session")
    assert (answer.json["needsRefresh"], moment(answer.json["session"]["expiresAt"])) == (due, START + WEEK)
    assert "Set-Cookie" not in answer.headers
    assert browser.get("/list-sessions").status_code == 200
    assert deferred.snapshot() == before


@pytest.mark.parametrize(("passed", "due"), [(DAY - MS, False), (DAY, True)])
def test_deferred_post_refreshes_what_is_due(
    deferred: Site, clock: time_machine.Coordinates, passed: timedelta, due: bool
) -> None:
    browser = deferred.sign_up("ada")
    clock.shift(passed)
    answer = browser.post("/get-session")
    assert "needsRefresh" not in answer.json
    assert the_session(deferred).expires_at == (START + passed + WEEK if due else START + WEEK)
    assert moment(answer.json["session"]["expiresAt"]) == the_session(deferred).expires_at
    assert (TOKEN in lines(answer)) is due
    assert browser.session()["needsRefresh"] is False


def test_deferred_get_leaves_the_row_of_an_expired_session_and_post_deletes_it(
    deferred: Site, clock: time_machine.Coordinates
) -> None:
    browser = deferred.sign_up("ada")
    clock.shift(WEEK)
    cookies = dict(browser.cookies)
    assert browser.get("/get-session").json is None
    assert browser.cookies == {}
    assert len(deferred.rows("session")) == 1
    browser.cookies = cookies
    assert browser.post("/get-session").json is None
    assert deferred.rows("session") == []


@pytest.mark.parametrize("forgotten", ["mark", "query"])
def test_deferred_post_does_not_extend_what_may_not_be_extended(
    deferred: Site, clock: time_machine.Coordinates, forgotten: str
) -> None:
    browser = deferred.sign_up("ada", rememberMe=forgotten != "mark")
    before = deferred.snapshot()
    clock.shift(DAY - MS)
    if forgotten == "query":
        clock.shift(DAY)
    answer = browser.post("/get-session" + ("?disableRefresh=true" if forgotten == "query" else ""))
    assert answer.json["user"]["name"] == "Ada"
    assert deferred.snapshot() == before


def test_post_is_refused_where_refresh_is_not_deferred(site: Site) -> None:
    browser = site.sign_up("ada")
    answer = browser.post("/get-session")
    assert (answer.status_code, answer.json["code"]) == (405, "METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED")
    assert browser.session() is not None


# ---------------------------------------------------------------- the client's address


ADDRESSES = [
    ("203.0.113.7", "203.0.113.7"),
    ("2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0000"),
    ("2001:DB8:1:2:3:4:5:6", "2001:0db8:0001:0002:0000:0000:0000:0000"),
    ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:0db8:0001:0002:0000:0000:0000:0000"),
    ("fe80::1%eth0", "fe80:0000:0000:0000:0000:0000:0000:0000"),
    ("::ffff:192.0.2.9", "192.0.2.9"),
    ("::ffff:c000:209", "192.0.2.9"),
    ("::1", "0000:0000:0000:0000:0000:0000:0000:0000"),
    ("", ""),
    ("unix:", ""),
    ("203.0.113.7:1234", ""),
    ("nonsense", ""),
]


def signed_in_from(site: Site, address: str, headers: dict[str, str | None] | None = None) -> str:
    """The address that is stored, and shown, of a sign-in from ``address``."""
    browser = site.browser()
    answer = browser.post("/sign-in/email", ADA, environ_overrides={"REMOTE_ADDR": address}, headers=headers)
    assert answer.status_code == 200
    (session,) = [session for session in site.rows("session") if session.token == answer.json["token"]]
    assert browser.session()["session"]["ipAddress"] == session.ip_address
    return str(session.ip_address)


@pytest.mark.parametrize(("address", "stored"), ADDRESSES)
def test_address_is_stored_in_one_form_and_ipv6_by_its_network(site: Site, address: str, stored: str) -> None:
    site.sign_up("ada")
    assert signed_in_from(site, address) == stored


def test_width_of_the_network_is_configurable_and_addresses_can_be_left_out(make_auth: Callable[..., Site]) -> None:
    for options, stored in (
        ({"ipv6_subnet": 48}, "2001:0db8:0001:0000:0000:0000:0000:0000"),
        ({"ipv6_subnet": 128}, "2001:0db8:0001:0002:0003:0004:0005:0006"),
        ({"disable_ip_tracking": True}, ""),
    ):
        site = make_auth(advanced={"ip_address": options})
        site.sign_up("ada")
        assert signed_in_from(site, "2001:db8:1:2:3:4:5:6") == stored


FORWARDED = {
    "X-Forwarded-For": "198.51.100.1",
    "X-Real-IP": "198.51.100.1",
    "X-Client-IP": "198.51.100.1",
    "CF-Connecting-IP": "198.51.100.1",
    "True-Client-IP": "198.51.100.1",
    "Forwarded": "for=198.51.100.1",
}


@pytest.mark.parametrize("header", FORWARDED)
def test_forwarded_headers_do_not_change_the_address(site: Site, header: str) -> None:
    site.sign_up("ada")
    assert signed_in_from(site, "203.0.113.7", {header: FORWARDED[header]}) == "203.0.113.7"
    assert signed_in_from(site, FORWARDED[header].rpartition("=")[2]) == "198.51.100.1"
