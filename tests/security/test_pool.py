"""One connection for everything: nothing waits for itself, and nothing of the application's is committed for it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from functools import partial, reduce
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from conftest import ORIGIN, PASSWORD, Browser, Site, email_token
from flask import Response, request
from sqlalchemy import select, update
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool, StaticPool
from support.google import GoogleOnLoopback

from flask_better_auth import APIError, DatabaseHooks, TransactionConflict, clock, current_session, current_user, views
from flask_better_auth.context import Call
from flask_better_auth.oauth.outbound import Outbound
from flask_better_auth.passwords import Passwords
from flask_better_auth.wire import wire_name

DIALECT = make_url(os.environ.get("TEST_DATABASE_URL") or "sqlite://").get_backend_name()
#: A wait for a second connection would end in another error than ours.
ONE = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, "pool_timeout": 2}
OPTIONS: dict[str, Any] = {
    "email_and_password": {"send_reset_password": lambda **message: None},
    "email_verification": {"send_verification_email": lambda **message: None},
    "session": {"additional_fields": {"theme": {"required": False}}},
    "user": {
        "change_email": {"enabled": True},
        "delete_user": {"enabled": True, "send_delete_account_verification": lambda **message: None},
    },
    "social_providers": [GoogleOnLoopback.option()],
}
#: The token of a second session of Ada's.
OTHER = "another-session-of-the-same-user"
#: An account of hers beside the password, and the secret of a link to delete herself.
LINKED, DELETION = "linked", "the-secret-of-another-link"
#: The secret of a link to set a new password, and what stands for the token that proves Ada's address.
RESET, VERIFY = "the-secret-of-a-link", "$verify"
#: What stands for the parameters with which Google sends her back.
CODE, STATE = "$code", "$state"
CREDENTIALS = {"email": "ada@example.com", "password": PASSWORD}
#: Who she is at Google.
PROFILE = {"sub": "1", "email": "ada@example.com", "email_verified": True, "name": "Ada"}


class Case(NamedTuple):
    """One endpoint: what it is called with by a signed-in user, what it answers, and whether it writes."""

    body: Any = None
    query: Any = None
    status: int = 200
    writes: bool = False
    #: Over HTTP it writes when the answer is gone, and waits for nobody.
    later: bool = False
    params: Any = {}  # noqa: RUF012  # never changed


CASES = {
    "ok": Case(),
    "error": Case(query={"error": "state_mismatch"}),
    "sign_up_email": Case({"name": "Bob", "email": "bob@example.com", "password": PASSWORD}, writes=True),
    "create_user": Case({"name": "Eve", "email": "eve@example.com", "password": PASSWORD}, writes=True),
    "sign_in_email": Case(CREDENTIALS, writes=True),
    "get_session": Case(),
    "list_sessions": Case(),
    "update_user": Case({"name": "Ada L."}, writes=True),
    "update_session": Case({"theme": "dark"}, writes=True),
    "verify_password": Case({"password": PASSWORD}),
    "set_password": Case({"new_password": PASSWORD}, status=400),
    "change_password": Case({"current_password": PASSWORD, "new_password": PASSWORD}, writes=True),
    "revoke_session": Case({"token": OTHER}, writes=True),
    "revoke_other_sessions": Case(writes=True),
    "revoke_sessions": Case(writes=True),
    "request_password_reset": Case({"email": "ada@example.com"}, writes=True, later=True),
    "request_password_reset_callback": Case(query={"callback_url": "/new"}, params={"token": RESET}, status=302),
    "reset_password": Case({"token": RESET, "new_password": PASSWORD}, writes=True),
    "send_verification_email": Case({"email": "ada@example.com"}),
    "verify_email": Case(query={"token": VERIFY}, writes=True),
    "change_email": Case({"new_email": "new@example.com"}),
    "sign_in_social": Case({"provider": "google"}, writes=True),
    "link_social_account": Case({"provider": "google"}, writes=True),
    "callback_oauth": Case(query={"code": CODE, "state": STATE}, params={"id": "google"}, status=302, writes=True),
    "get_access_token": Case({"account_id": LINKED}),
    "refresh_token": Case({"account_id": LINKED}, writes=True),
    "account_info": Case(query={"account_id": LINKED}),
    "list_user_accounts": Case(),
    "unlink_account": Case({"account_id": LINKED}, writes=True),
    "delete_user": Case({"password": PASSWORD}, writes=True),
    "cleanup": Case(),
    "sign_out": Case(writes=True),
    "delete_user_callback": Case(query={"token": DELETION}, writes=True),
}
#: The same endpoints where there is nothing to write.
IDLE = {
    "sign_up_email": Case({**CREDENTIALS, "name": "Ada"}, status=422),
    "create_user": Case({"name": "Eve", "email": "eve@example.com", "password": "short"}, status=400),
    "sign_in_email": Case({**CREDENTIALS, "password": "wrong password"}, status=401),
    "update_user": Case({}, status=400),
    "update_session": Case({}, status=400),
    "verify_password": Case({"password": "wrong password"}, status=400),
    "set_password": Case({"new_password": "short"}, status=400),
    "change_password": Case({"current_password": "wrong password", "new_password": PASSWORD}, status=400),
    "request_password_reset": Case({"email": "nobody@example.com"}),
    "reset_password": Case({"token": "unknown", "new_password": PASSWORD}, status=400),
    "verify_email": Case(query={"token": "unknown"}, status=401),
    "change_email": Case({"new_email": "ada@example.com"}, status=400),
    "sign_in_social": Case({"provider": "unknown"}, status=404),
    "link_social_account": Case({"provider": "unknown"}, status=404),
    "callback_oauth": Case(query={"code": "x", "state": "unknown"}, params={"id": "google"}, status=302),
    "refresh_token": Case({"account_id": "unknown"}, status=400),
    "unlink_account": Case({"account_id": "unknown"}, status=400),
    "delete_user": Case({"password": "wrong password"}, status=400),
    "delete_user_callback": Case(query={"token": "unknown"}, status=404),
}
#: Those that have no route.
SERVER_ONLY = {endpoint.name for routes in views.CORE for endpoint in routes if endpoint.path is None}
#: Every case, with what it is called in a failure.
EITHER = [(name, case, f"{name} of {case}") for cases in (IDLE, CASES) for name, case in cases.items()]


def prepared(site: Site, google: GoogleOnLoopback) -> Site:
    """The site with a route that runs whatever a test wants to run in a view, and a hook that can hold a connection."""
    site.app.config["GOOGLE"] = google

    def act() -> str:
        config = site.app.config
        config["RESULT"] = config["ACT"]()
        return "done"

    def hold() -> None:
        if site.app.config.get("HOLD"):
            site.db.session.execute(select(site.auth.User.id)).all()

    site.app.add_url_rule("/act", view_func=act)
    site.app.before_request(hold)
    return site


@pytest.fixture
def make_narrow(make_auth: Callable[..., Site], google: GoogleOnLoopback) -> Callable[..., Site]:
    """Builds applications with one connection, which a view or a hook may hold."""

    def make(**options: Any) -> Site:
        return prepared(make_auth(engine_options=ONE, **OPTIONS, **options), google)

    return make


@pytest.fixture
def narrow(make_narrow: Callable[..., Site]) -> Site:
    """One with default options."""
    return make_narrow()


def held(site: Site) -> int:
    """How many connections are out of the pool."""
    with site.app.app_context():
        return site.db.engine.pool.checkedout()  # type: ignore[attr-defined]  # a QueuePool counts


def ready(browser: Browser) -> None:
    """Give Ada back what the last case may have taken: herself, her session, a second one, an account at Google,
    a way back from there, and links to follow."""
    site = browser.site
    if browser.session() is None and browser.post("/sign-in/email", CREDENTIALS).status_code != 200:
        assert browser.post("/sign-up/email", {**CREDENTIALS, "name": "Ada"}).status_code == 200
    expires_at = clock.now() + timedelta(days=1)
    auth, db, google = site.auth, site.db, site.app.config["GOOGLE"]
    if not [account for account in site.rows("account") if account.id == LINKED]:
        assert google.link(browser, PROFILE).headers["Location"] == "/home"
    back = parse_qs(urlsplit(google.consent(google.start(browser), PROFILE)).query)
    site.app.config |= {CODE: back["code"][0], STATE: back["state"][0]}
    with site.app.app_context():
        user = db.session.scalars(select(auth.User).filter_by(email="ada@example.com")).one()
        user.email_verified = False
        site.app.config[VERIFY] = email_token(site, user.id, "ada@example.com")
        if not db.session.scalars(select(auth.Session).filter_by(token=OTHER)).all():
            db.session.add(auth.Session(user_id=user.id, token=OTHER, expires_at=expires_at))
        db.session.execute(update(auth.Account).filter_by(provider_id="google").values(id=LINKED))
        for link in (f"reset-password:{RESET}", f"delete-account-{DELETION}"):
            if not db.session.scalars(select(auth.Verification).filter_by(identifier=link)).all():
                db.session.add(auth.Verification(identifier=link, value=user.id, expires_at=expires_at))
        db.session.commit()


def query_of(browser: Browser, case: Case) -> dict[str, Any]:
    return {name: browser.site.app.config.get(value, value) for name, value in (case.query or {}).items()}


def over_http(browser: Browser, name: str, case: Case) -> Response:
    """Send the case to its route."""
    endpoint = browser.site.app.extensions["better_auth"].registry.by_name[name].endpoint
    options: dict[str, Any] = {"query_string": {wire_name(k): v for k, v in query_of(browser, case).items()}}
    if case.body is not None:
        body = {wire_name(key): value for key, value in case.body.items()}
        options |= {"data": json.dumps(body), "content_type": "application/json"}
    path = reduce(lambda text, item: text.replace(f"<{item[0]}>", item[1]), case.params.items(), endpoint.path)
    return browser.request(endpoint.methods[0], path, **options)


def by_api(browser: Browser, name: str, case: Case, **more: Any) -> Response:
    """Call the case on the server with the browser's cookies."""
    headers = {"Origin": ORIGIN, "Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
    function = getattr(browser.site.api, name)
    query = query_of(browser, case) or None
    answer: Response = function(body=case.body, query=query, headers=headers, as_response=True, **case.params, **more)
    return answer


def in_a_view(browser: Browser, act: Callable[[], Any]) -> Any:
    """What ``act`` returns in a view that the browser visits."""
    browser.site.app.config["ACT"] = act
    assert browser.get("~/act").text == "done"
    return browser.site.app.config["RESULT"]


def holding(browser: Browser, act: Callable[[], Any]) -> Any:
    """What ``act`` returns in a view that holds the only connection by a read, and still holds it afterwards."""
    site = browser.site

    def view() -> Any:
        emails = site.db.session.scalars(select(site.auth.User.email)).all()
        assert held(site) == 1
        result = act()
        assert held(site) == 1
        assert "ada@example.com" in emails
        return result

    result = in_a_view(browser, view)
    assert held(site) == 0
    return result


def test_r7_every_endpoint_has_its_case() -> None:
    assert set(CASES) == {endpoint.name for routes in views.CORE for endpoint in routes}


@pytest.mark.parametrize("send", [over_http, by_api])
def test_r7_every_endpoint_needs_one_connection(narrow: Site, send: Callable[..., Response]) -> None:
    browser = narrow.sign_up("ada")
    for name, case in CASES.items():
        if send is by_api or name not in SERVER_ONLY:
            ready(browser)
            answer = send(browser, name, case)
            assert answer.status_code == case.status, name
            assert "error=" not in answer.headers.get("Location", ""), name
            assert held(narrow) == 0, name


def test_r7_no_connection_is_held_while_a_password_is_hashed(narrow: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def watch(name: str) -> None:
        original = getattr(Passwords, name)

        def watched(self: Passwords, *args: Any) -> Any:
            seen.append(f"{name} {held(narrow)}")
            return original(self, *args)

        monkeypatch.setattr(Passwords, name, watched)

    watch("hash")
    watch("verify")
    browser = narrow.sign_up("ada")
    for name in ("create_user", "sign_in_email", "verify_password", "change_password"):
        assert by_api(browser, name, CASES[name]).status_code == 200
    assert seen == ["hash 0", "hash 0", "verify 0", "verify 0", "verify 0", "hash 0"]


def test_r7_no_connection_is_held_while_a_provider_is_asked(narrow: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    browser, request = narrow.sign_up("ada"), Outbound.request

    def watched(session: Outbound, method: str, url: str, *args: Any, **options: Any) -> Any:
        seen.append(f"{method} {url} {held(narrow)}")
        return request(session, method, url, *args, **options)

    ready(browser)
    monkeypatch.setattr(Outbound, "request", watched)
    for name in ("callback_oauth", "refresh_token"):
        assert by_api(browser, name, CASES[name]).status_code == CASES[name].status
    assert seen == ["POST https://oauth2.googleapis.com/token 0"] * 2


def test_r7_in_a_view_that_holds_the_connection_reads_work_and_writes_are_refused(narrow: Site) -> None:
    browser = narrow.sign_up("ada")
    ready(browser)
    before = narrow.snapshot()

    def status(name: str, case: Case) -> Any:
        try:
            return by_api(browser, name, case).status_code
        except TransactionConflict:
            return "refused"

    for name, case, what in EITHER:
        found = holding(browser, partial(status, name, case))
        assert found == ("refused" if case.writes else case.status), what
        assert narrow.snapshot() == before, what
    for name, case, what in EITHER:  # with the connection free again
        ready(browser)
        assert status(name, case) == case.status, what


def test_r7_in_a_view_that_holds_the_connection_a_call_can_join_it(narrow: Site) -> None:
    browser = narrow.sign_up("ada")
    joined = narrow.db.session

    def status(name: str, case: Case) -> int:
        answer = by_api(browser, name, case, session=joined)
        joined.commit()
        joined.execute(select(narrow.auth.User.id)).all()
        return answer.status_code

    for name, case, what in EITHER:
        ready(browser)
        before = narrow.snapshot()
        assert holding(browser, partial(status, name, case)) == case.status, what
        assert (narrow.snapshot() != before) == case.writes, what


def test_r7_behind_a_hook_that_holds_the_connection_a_request_does_not_wait(
    narrow: Site, caplog: pytest.LogCaptureFixture
) -> None:
    browser = narrow.sign_up("ada")
    ready(browser)
    before, cookies = narrow.snapshot(), dict(browser.cookies)
    routed = [entry for entry in EITHER if entry[0] not in SERVER_ONLY]
    for name, case, what in routed:
        caplog.clear()
        narrow.app.config["HOLD"] = True
        answer = over_http(browser, name, case)
        narrow.app.config["HOLD"] = False
        failures = [r.exc_info[0] for r in caplog.records if r.exc_info]
        refused = case.writes and not case.later
        expected = (500, [TransactionConflict]) if refused else (case.status, [])
        assert (answer.status_code, failures) == expected, what
        assert (held(narrow), browser.cookies) == (0, cookies), what
        assert (narrow.snapshot() != before) == case.later, what
        before = narrow.snapshot()
    for name, case, what in routed:
        ready(browser)
        assert over_http(browser, name, case).status_code == case.status, what


def test_r7_current_user_needs_no_second_connection(narrow: Site) -> None:
    browser = narrow.sign_up("ada")
    (session,) = narrow.rows("session")

    def look() -> Any:
        return current_user.email, current_session.token, [account.provider_id for account in current_user.accounts]

    assert holding(browser, look) == ("ada@example.com", session.token, ["credential"])


def test_r7_current_user_leaves_no_connection_behind(narrow: Site) -> None:
    browser = narrow.sign_up("ada")
    assert in_a_view(browser, lambda: (current_user.email, held(narrow))) == ("ada@example.com", 0)


def test_r7_call_from_inside_a_unit_that_holds_the_connection_does_not_wait(make_narrow: Callable[..., Site]) -> None:
    seen: list[Any] = []

    def nested(data: dict[str, Any], call: Call) -> None:
        if "Cookie" in request.headers:  # the second sign-up, whose user is written and not committed
            seen.append((held(narrow), narrow.auth.api.get_session(headers=request.headers)["user"]["name"]))
            with pytest.raises(TransactionConflict):
                narrow.auth.api.create_user(**CASES["create_user"].body)
            seen.append("refused")

    narrow = make_narrow(database_hooks=DatabaseHooks(account={"create": {"before": nested}}))
    browser = narrow.sign_up("ada")
    assert over_http(browser, "sign_up_email", CASES["sign_up_email"]).status_code == 200
    assert seen == [(1, "Ada"), "refused"]
    assert sorted(user.name for user in narrow.rows("user")) == ["Ada", "Bob"]
    assert held(narrow) == 0


class TestTheConnectionOfAllInMemory:
    """SQLite in memory has one connection, and with it one transaction."""

    __test__ = DIALECT == "sqlite"

    @pytest.fixture
    def browser(self, make_auth: Callable[..., Site], google: GoogleOnLoopback) -> Browser:
        """The browser of ``ada`` at an application whose every session is on the same connection."""
        one = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        settings = {"SQLALCHEMY_DATABASE_URI": "sqlite://"}
        browser = prepared(make_auth(settings=settings, engine_options=one, **OPTIONS), google).sign_up("ada")
        ready(browser)
        return browser

    @staticmethod
    def writing(browser: Browser, act: Callable[[], Any], end: str) -> list[str]:
        """Run ``act`` in a view that has written a user, end the transaction, and tell who is there afterwards."""
        site = browser.site
        session = site.db.session

        def is_writing() -> bool:
            return bool(session.connection().connection.driver_connection.in_transaction)

        def view() -> None:
            session.add(site.auth.User(name="Zoe", email="zoe@example.com"))
            session.flush()
            assert is_writing()
            act()
            assert is_writing()
            getattr(session, end)()

        in_a_view(browser, view)
        return sorted(user.name for user in site.rows("user"))

    @pytest.mark.parametrize(("end", "left"), [("rollback", ["Ada"]), ("commit", ["Ada", "Zoe"])])
    def test_r7_reads_neither_commit_nor_roll_back_what_the_application_wrote(
        self, browser: Browser, end: str, left: list[str]
    ) -> None:
        def read() -> None:
            api = browser.site.auth.api
            assert current_user.email == "ada@example.com"
            assert current_session.user_id == current_user.id
            assert api.get_session(headers=request.headers)["user"]["email"] == "ada@example.com"
            assert len(api.list_sessions(headers=request.headers)) == 2
            with pytest.raises(APIError):
                api.sign_in_email(body=IDLE["sign_in_email"].body)

        assert self.writing(browser, read, end) == left

    @pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.writes])
    def test_r7_writes_are_refused_while_the_application_is_writing(self, browser: Browser, name: str) -> None:
        def write() -> None:
            with pytest.raises(TransactionConflict):
                by_api(browser, name, CASES[name])

        assert self.writing(browser, write, "rollback") == ["Ada"]
        assert by_api(browser, name, CASES[name]).status_code == CASES[name].status

    def test_r7_a_provider_is_not_asked_for_tokens_that_could_not_be_stored(
        self, browser: Browser, google: GoogleOnLoopback
    ) -> None:
        later = clock.now() + timedelta(hours=1)
        asked = len(google.provider.log)

        def write() -> None:
            with time_machine.travel(later), pytest.raises(TransactionConflict):
                by_api(browser, "get_access_token", CASES["get_access_token"])

        assert self.writing(browser, write, "rollback") == ["Ada"]
        assert len(google.provider.log) == asked
        with time_machine.travel(later):
            token = by_api(browser, "get_access_token", CASES["get_access_token"]).json["accessToken"]
        assert token in google.provider.access_tokens
        assert len(google.provider.exchanges("token")) == 2
