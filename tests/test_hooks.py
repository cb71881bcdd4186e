"""Hooks around endpoints and rows, and the signals: what they see, what they may change, and when they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from conftest import ORIGIN, PASSWORD, Browser, Site

from flask_better_auth import (
    APIError,
    Around,
    Call,
    ConfigError,
    DatabaseHooks,
    ErrorCode,
    Hook,
    Hooks,
    Reply,
    TableHooks,
    signals,
)
from flask_better_auth.services import records, users

ADA = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
SIGN_IN = {"email": "ada@example.com", "password": PASSWORD}
WRONG = {"email": "ada@example.com", "password": "wrong password"}
TEAPOT = ErrorCode("No tea", 418, "NO_TEA")
LATER = timedelta(days=2)

Make = Callable[..., Site]


def named(*names: str) -> Callable[[Call], bool]:
    return lambda call: call.endpoint is not None and call.endpoint.name in names


def refuse(call: Call) -> None:
    raise APIError(TEAPOT)


def later() -> Any:
    """Two days on: every session is due to be extended."""
    return time_machine.travel(datetime.now(timezone.utc) + LATER)


# ---------------------------------------------------------------- before hooks


def test_before_hook_sees_known_fields_under_python_names(make_auth: Make, door: Any) -> None:
    seen: list[dict[str, Any]] = []
    site = make_auth(hooks=Hooks(before=Hook(lambda call: seen.append(dict(call.body)), "/sign-in/email")))
    site.sign_up("ada")
    body = {**SIGN_IN, "callbackURL": "/there", "rememberMe": False, "someKey": 1, "meta": {"someKey": 2}}
    assert door(site)("sign_in_email", body).status_code == 200
    expected = {**SIGN_IN, "callback_url": "/there", "remember_me": False, "someKey": 1, "meta": {"someKey": 2}}
    assert seen == [expected]


def test_before_hook_sees_the_query_under_python_names(make_auth: Make, door: Any) -> None:
    seen: list[dict[str, Any]] = []
    site = make_auth(hooks=Hooks(before=lambda call: seen.append(dict(call.query))))
    door(site)("get_session", query={"disableRefresh": "1", "someKey": "2"})
    assert seen == [{"disable_refresh": "1", "someKey": "2"}]


def test_before_hook_sees_what_was_sent_before_it_is_validated(make_auth: Make, door: Any) -> None:
    seen: list[Any] = []
    site = make_auth(hooks=Hooks(before=lambda call: seen.append(call.body)))
    invoke = door(site)
    assert invoke("sign_in_email", {"email": 5}).json["code"] == "VALIDATION_ERROR"
    assert invoke("sign_in_email").json["code"] == "VALIDATION_ERROR"
    assert seen == [{"email": 5}, {}]


def test_before_hook_may_change_the_body(make_auth: Make, door: Any) -> None:
    def rename(call: Call) -> None:
        call.body["name"] = call.body["name"].upper()

    def replace(call: Call) -> None:
        call.body = {**call.body, "email": "changed@example.com"}

    site = make_auth(hooks=Hooks(before=[rename, replace]))
    answer = door(site)("sign_up_email", ADA)
    assert (answer.json["user"]["name"], answer.json["user"]["email"]) == ("ADA", "changed@example.com")
    (user,) = site.rows("user")
    assert (user.name, user.email) == ("ADA", "changed@example.com")


def test_body_that_a_before_hook_changed_is_validated(make_auth: Make, door: Any) -> None:
    site = make_auth(hooks=Hooks(before=lambda call: call.body.update(name=5)))
    answer = door(site)("sign_up_email", ADA)
    assert answer.json["message"] == "[body.name] Invalid input: expected string, received number"
    assert site.rows("user") == []


def test_before_hook_may_give_a_body_where_there_is_none(make_auth: Make, door: Any) -> None:
    site = make_auth(hooks=Hooks(before=lambda call: call.body.update(ADA)))
    assert door(site)("sign_up_email").status_code == 200


def test_before_hook_may_change_the_query(make_auth: Make, door: Any) -> None:
    site = make_auth(hooks=Hooks(before=lambda call: call.query.update(error="from_the_hook")))
    assert b"from_the_hook" in door(site)("error", query={"error": "from_outside"}).data


@pytest.mark.parametrize(
    ("answer", "status"), [({"own": 1}, 200), (Reply({"own": 1}, status=202), 202), (Reply({"own": 1}, 403), 403)]
)
def test_before_hook_may_answer(make_auth: Make, door: Any, answer: Any, status: int) -> None:
    ran: list[str] = []
    site = make_auth(
        hooks=Hooks(
            before=[lambda call: ran.append("first"), lambda call: answer, lambda call: ran.append("never")],
            after=lambda call: ran.append("after"),
        )
    )
    got = door(site)("sign_up_email", ADA)
    assert (got.status_code, got.json) == (status, {"own": 1})
    assert ran == ["first"], "neither later hooks nor after hooks run"
    assert site.rows("user") == []


def test_before_hook_may_send_elsewhere(make_auth: Make, door: Any) -> None:
    site = make_auth(hooks=Hooks(before=lambda call: Reply(location="/elsewhere")))
    answer = door(site)("ok")
    assert (answer.status_code, answer.headers["Location"], answer.data) == (302, "/elsewhere", b"")


def test_before_hook_may_refuse(make_auth: Make, door: Any) -> None:
    ran: list[str] = []
    site = make_auth(
        hooks=Hooks(before=[refuse, lambda call: ran.append("never")], after=lambda call: ran.append("after"))
    )
    answer = door(site)("sign_up_email", ADA)
    assert (answer.status_code, answer.json) == (418, {"message": "No tea", "code": "NO_TEA"})
    assert ran == []
    assert site.rows("user") == []


def test_refusal_of_a_hook_is_raised_to_the_server(make_auth: Make) -> None:
    site = make_auth(hooks=Hooks(before=refuse))
    with pytest.raises(APIError) as caught:
        site.api.ok()
    assert (caught.value.code, caught.value.status_code) == ("NO_TEA", 418)


def test_answer_of_a_before_hook_reaches_the_server(make_auth: Make) -> None:
    site = make_auth(hooks=Hooks(before=lambda call: {"own_key": 1}))
    assert site.api.ok() == {"own_key": 1}


# ---------------------------------------------------------------- matchers


@pytest.mark.parametrize(
    ("matcher", "expected"),
    [
        (None, ["ok", "sign_up_email", "sign_in_email", "get_session", "create_user"]),
        ("/sign-up/email", ["sign_up_email"]),
        ("/sign-*/*", ["sign_up_email", "sign_in_email"]),
        ("/sign-in*", []),
        ("/SIGN-IN/EMAIL", []),
        ("/sign-in", []),
        ("/**", ["ok", "sign_up_email", "sign_in_email", "get_session"]),
        (named("get_session", "create_user"), ["get_session", "create_user"]),
        (lambda call: call.internal, ["create_user"]),
    ],
)
def test_hook_is_for_the_calls_that_its_matcher_names(make_auth: Make, matcher: Any, expected: list[str]) -> None:
    ran: dict[str, list[str]] = {"before": [], "after": []}
    hooks = {
        when: Hook(lambda call, names=names: names.append(call.endpoint.name), matcher) for when, names in ran.items()
    }
    site = make_auth(hooks=Hooks(**hooks))
    browser = site.browser()
    browser.get("/ok")
    browser.post("/sign-up/email", ADA)
    browser.post("/sign-in/email", SIGN_IN)
    browser.get("/get-session")
    site.api.create_user(email="bob@example.com", name="Bob")
    assert ran == {"before": expected, "after": expected}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("part", ["matcher", "handler"])
def test_t4_failing_hook_is_an_empty_500(
    make_auth: Make, caplog: pytest.LogCaptureFixture, when: str, part: str
) -> None:
    def fail(call: Call) -> bool:
        raise RuntimeError("of the hook")

    hook = Hook(fail) if part == "handler" else Hook(lambda call: None, fail)
    site = make_auth(hooks=Hooks(**{when: hook}), settings={"DEBUG": True})
    answer = site.browser().post("/sign-up/email", ADA)
    assert (answer.status_code, answer.data, answer.content_type) == (500, b"", None)
    assert "Set-Cookie" not in answer.headers
    assert len(site.rows("user")) == (when == "after"), "what is committed stays"
    assert "of the hook" in caplog.text
    assert PASSWORD not in caplog.text
    with pytest.raises(RuntimeError, match="of the hook"):
        site.api.ok()


# ---------------------------------------------------------------- after hooks


def returned(site: Site, door: Any, name: str, *arguments: Any) -> Any:
    """What an after hook sees of a call."""
    seen: list[Any] = []
    state = site.app.extensions["better_auth"]
    state.hooks = Hooks(after=lambda call: seen.append(call.returned))
    door(site)(name, *arguments)
    (result,) = seen
    return result


def test_after_hook_sees_the_reply_under_python_names(site: Site, door: Any) -> None:
    reply = returned(site, door, "sign_up_email", ADA)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.python["user"]["email_verified"]) == (200, False)


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("sign_in_email", {}, "VALIDATION_ERROR"),
        ("sign_in_email", WRONG, "INVALID_EMAIL_OR_PASSWORD"),
        ("update_user", {"name": "X"}, "UNAUTHORIZED"),
    ],
)
def test_after_hook_sees_the_error_of_schema_view_and_guard(
    site: Site, door: Any, name: str, body: Any, code: str
) -> None:
    error = returned(site, door, name, body)
    assert isinstance(error, APIError)
    assert error.code == code


def test_after_hook_does_not_see_what_never_reached_the_endpoint(make_auth: Make) -> None:
    seen: list[Any] = []
    site = make_auth(hooks=Hooks(after=lambda call: seen.append(call.endpoint.name)))
    browser = site.browser()
    assert browser.post("/update-user", data=b"{}", content_type="text/plain").status_code == 415
    assert browser.post("/update-user", data=b"{", content_type="application/json").status_code == 400
    evil = {"Origin": "https://evil.test", "Cookie": "a=b"}
    assert browser.post("/update-user", {"name": "X"}, headers=evil).status_code == 403
    assert browser.get("/nope").status_code == 404
    assert seen == []
    browser.get("/ok")
    assert seen == ["ok"]


def test_after_hook_knows_caller_and_new_session(make_auth: Make, door: Any) -> None:
    seen: dict[str, Any] = {}

    def look(call: Call) -> None:
        seen[call.endpoint.name] = (call.new_session and call.new_session.token, call.session and call.session.token)

    site = make_auth(hooks=Hooks(after=look))
    browser = site.sign_up("ada")
    token = door(site)("sign_in_email", SIGN_IN).json["token"]
    door(site)("get_session", cookies=browser.cookies)
    door(site)("ok")
    own = site.rows("session")
    assert seen["sign_in_email"][0] == token
    assert seen["get_session"] == (None, next(session.token for session in own if session.token != token))
    assert seen["ok"] == (None, None)


def test_after_hook_may_replace_the_answer(make_auth: Make, door: Any) -> None:
    seen: list[Any] = []
    site = make_auth(
        hooks=Hooks(
            after=[
                Hook(lambda call: {"first": 1}, "/ok"),
                Hook(lambda call: seen.append(call.returned.body), "/ok"),
                Hook(lambda call: Reply({**call.returned.body, "second": 2}, status=202), "/ok"),
            ]
        )
    )
    answer = door(site)("ok")
    assert (answer.status_code, answer.json) == (202, {"first": 1, "second": 2})
    assert seen == [{"first": 1}], "a later hook sees what the earlier one made of it"


def test_after_hook_may_turn_an_error_into_an_answer(make_auth: Make, door: Any) -> None:
    site = make_auth(hooks=Hooks(after=lambda call: Reply({"fine": True})))
    answer = door(site)("sign_in_email", {})
    assert (answer.status_code, answer.json) == (200, {"fine": True})


def test_after_hook_may_refuse_and_later_ones_still_run(make_auth: Make, door: Any) -> None:
    seen: list[Any] = []

    def look(call: Call) -> None:
        seen.append(call.returned)

    site = make_auth(hooks=Hooks(after=[look, refuse, look]))
    answer = door(site)("ok")
    assert (answer.status_code, answer.json["code"]) == (418, "NO_TEA")
    assert isinstance(seen[0], Reply)
    assert isinstance(seen[1], APIError)
    assert seen[1].code == "NO_TEA"


def test_after_hook_that_returns_nothing_changes_nothing(make_auth: Make, door: Any) -> None:
    site = make_auth(hooks=Hooks(after=lambda call: None))
    assert door(site)("ok").json == {"ok": True}
    assert door(site)("sign_in_email", {}).json["code"] == "VALIDATION_ERROR"


# ---------------------------------------------------------------- cookies and headers

#: Calls that end in every way there is, and hooks that go with them.
ENDINGS: dict[str, tuple[str, Any, dict[str, Any], int]] = {
    "answer": ("ok", ..., {}, 200),
    "validation": ("sign_in_email", {}, {}, 400),
    "guard": ("update_user", {"name": "X"}, {}, 401),
    "view": ("sign_in_email", WRONG, {}, 401),
    "after hook refuses": ("ok", ..., {"after": refuse}, 418),
    "after hook answers": ("ok", ..., {"after": lambda call: {"own": 1}}, 200),
    "before hook refuses": ("ok", ..., {"before": refuse}, 418),
    "before hook answers": ("ok", ..., {"before": lambda call: {"own": 1}}, 200),
}


def put(mark: str) -> Callable[[Call], None]:
    def hook(call: Call) -> None:
        cookie = call.state.cookies.cookie(mark, max_age=timedelta(seconds=60))
        call.cookies.set(cookie, mark, max_age=timedelta(seconds=60))
        call.headers["X-Mark"] = mark
        call.headers.add("Access-Control-Expose-Headers", f"x-{mark}")

    return hook


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_hooks_set_leaves_with_answer_and_error_alike(make_auth: Make, door: Any, ending: str) -> None:
    name, body, more, status = ENDINGS[ending]
    hooks = {"before": [put("before")], "after": [put("after")]}
    for when, hook in more.items():
        hooks[when].append(hook)
    ran = ["before", "after"] if "before" not in more else ["before"]
    site = make_auth(hooks=Hooks(**hooks))
    answer = door(site)(name, body)
    assert answer.status_code == status
    cookies = answer.headers.getlist("Set-Cookie")
    assert [line.partition(";")[0] for line in cookies] == [f"better-auth.{mark}={mark}" for mark in ran]
    assert answer.headers.getlist("X-Mark") == ran[-1:]
    exposed = ", ".join(answer.headers.getlist("Access-Control-Expose-Headers"))
    assert exposed == ", ".join(f"x-{mark}" for mark in ran)


def test_what_hooks_set_reaches_the_server(make_auth: Make) -> None:
    site = make_auth(hooks=Hooks(before=put("mark")))
    headers, result = site.api.ok(return_headers=True)
    assert (headers["X-Mark"], result) == ("mark", {"ok": True})
    with pytest.raises(APIError) as caught:
        site.api.sign_in_email(body={})
    assert caught.value.headers["X-Mark"] == "mark"
    assert caught.value.headers["Set-Cookie"].startswith("better-auth.mark=mark;")


@pytest.mark.parametrize("when", ["before", "after"])
def test_header_of_a_hook_replaces_the_answers_own(make_auth: Make, door: Any, when: str) -> None:
    def private(call: Call) -> None:
        call.headers["Cache-Control"] = "private"

    site = make_auth(hooks=Hooks(**{when: private}))
    answer = door(site)("get_session")
    assert answer.headers.getlist("Cache-Control") == ["private"]
    assert answer.headers.getlist("Pragma") == ["no-cache"]


def test_cookie_of_a_hook_stands_beside_the_answers_own(make_auth: Make, door: Any) -> None:
    site = make_auth(hooks=Hooks(after=put("mark")))
    names = [line.partition("=")[0] for line in door(site)("sign_up_email", ADA).headers.getlist("Set-Cookie")]
    assert names == ["better-auth.session_token", "better-auth.mark"]


# ---------------------------------------------------------------- rows: before


def operating(table: str, operation: str, **around: Any) -> DatabaseHooks:
    return DatabaseHooks(**{table: {operation: around}})


def test_hook_of_a_row_gets_its_data_and_the_call(make_auth: Make, door: Any) -> None:
    seen: list[Any] = []
    site = make_auth(
        database_hooks=operating("user", "create", before=lambda data, call: seen.append((data, call.endpoint.name)))
    )
    door(site)("sign_up_email", ADA)
    ((data, name),) = seen
    assert name == "sign_up_email"
    assert (data["email"], data["email_verified"]) == ("ada@example.com", False)
    assert "emailVerified" not in data
    assert PASSWORD not in str(data)


def test_rows_are_created_with_what_a_hook_adds(make_auth: Make, door: Any) -> None:
    hooks = DatabaseHooks(
        user=TableHooks(create=Around(before=lambda data, call: {"name": "Changed", "email_verified": True})),
        session={"create": {"before": lambda data, call: {"user_agent": "hook"}}},
    )
    site = make_auth(database_hooks=hooks)
    answer = door(site)("sign_up_email", ADA)
    assert (answer.json["user"]["name"], answer.json["user"]["emailVerified"]) == ("Changed", True)
    assert (site.rows("user")[0].name, site.rows("session")[0].user_agent) == ("Changed", "hook")


def test_rows_are_changed_with_what_a_hook_adds(make_auth: Make, door: Any) -> None:
    hooks = DatabaseHooks(
        user={"update": {"before": lambda data, call: {"image": f"of {data['name']}"}}},
        session={"update": {"before": lambda data, call: {"user_agent": "hook"}}},
    )
    site = make_auth(database_hooks=hooks)
    browser = site.sign_up("ada")
    assert door(site)("update_user", {"name": "X"}, cookies=browser.cookies).status_code == 200
    (user,) = site.rows("user")
    assert (user.name, user.image) == ("X", "of X")
    with later():
        assert door(site)("get_session", cookies=browser.cookies).json["session"]["userAgent"] == "hook"
    assert site.rows("session")[0].user_agent == "hook"


def cancel(data: dict[str, Any], call: Call) -> bool:
    return False


def test_cancelled_user_is_not_created(make_auth: Make, door: Any) -> None:
    site = make_auth(database_hooks=operating("user", "create", before=cancel))
    answer = door(site)("sign_up_email", ADA)
    assert (answer.status_code, answer.json["code"]) == (400, "FAILED_TO_CREATE_USER")
    assert "Set-Cookie" not in answer.headers
    assert not any(site.snapshot().values())
    with pytest.raises(APIError, match="Failed to create user"):
        site.api.create_user(email="ada@example.com", name="Ada")


def test_cancelled_session_signs_nobody_in(make_auth: Make, door: Any) -> None:
    site = make_auth(database_hooks=operating("session", "create", before=cancel))
    site.api.create_user(**ADA)
    before = site.snapshot()
    answer = door(site)("sign_in_email", SIGN_IN)
    assert (answer.status_code, answer.json["code"]) == (401, "FAILED_TO_CREATE_SESSION")
    assert "Set-Cookie" not in answer.headers
    assert site.snapshot() == before


def test_cancelled_session_takes_the_sign_up_with_it(make_auth: Make, door: Any) -> None:
    site = make_auth(database_hooks=operating("session", "create", before=cancel))
    answer = door(site)("sign_up_email", ADA)
    assert (answer.status_code, answer.json["code"]) == (400, "FAILED_TO_CREATE_SESSION")
    assert not any(site.snapshot().values())


def test_cancelled_change_of_a_user_changes_nothing(make_auth: Make, door: Any) -> None:
    site = make_auth(database_hooks=operating("user", "update", before=cancel))
    browser = site.sign_up("ada")
    before = site.snapshot()
    answer = door(site)("update_user", {"name": "X"}, cookies=browser.cookies)
    assert (answer.status_code, answer.json) == (200, {"status": True})
    assert site.snapshot() == before


def test_cancelled_extension_of_a_session_ends_the_visit(make_auth: Make, door: Any) -> None:
    site = make_auth(database_hooks=operating("session", "update", before=cancel))
    browser = site.sign_up("ada")
    before = site.snapshot()
    assert door(site)("get_session", cookies=browser.cookies).json["user"]["name"] == "Ada"
    with later():
        answer = door(site)("get_session", cookies=browser.cookies)
    assert (answer.status_code, answer.json) == (200, None)
    assert "better-auth.session_token=; Max-Age=0" in answer.headers["Set-Cookie"]
    assert site.snapshot() == before


def test_cancelled_end_of_a_session_leaves_it(make_auth: Make, door: Any) -> None:
    site = make_auth(database_hooks=operating("session", "delete", before=cancel))
    browser = site.sign_up("ada")
    before = site.snapshot()
    answer = door(site)("sign_out", cookies=browser.cookies)
    assert (answer.status_code, answer.json) == (200, {"success": True})
    assert site.snapshot() == before


@contextmanager
def calling(site: Site) -> Iterator[Call]:
    """A call of no endpoint, for what no endpoint does yet."""
    with site.app.test_request_context() as context:
        call = Call(site.app.extensions["better_auth"], None, context.request)
        yield call
        call.finish()


def delete_user(site: Site) -> bool:
    """Delete the only user."""
    (user,) = site.rows("user")
    with calling(site) as call, records.unit(call):
        table = call.state.tables["user"]
        return records.delete(call, "user", table.record(getattr(user, name) for name in table.columns))


def test_cancelled_end_of_a_user_leaves_them(make_auth: Make) -> None:
    verdicts: list[Any] = [False, None]
    seen: list[dict[str, Any]] = []

    def decide(row: dict[str, Any], call: Call) -> Any:
        seen.append(row)
        return verdicts.pop(0)

    site = make_auth(database_hooks=operating("user", "delete", before=decide))
    site.api.create_user(email="ada@example.com", name="Ada")
    before = site.snapshot()
    assert delete_user(site) is False
    assert site.snapshot() == before
    assert delete_user(site) is True
    assert site.rows("user") == []
    assert [row["email"] for row in seen] == ["ada@example.com"] * 2


@pytest.mark.parametrize("table", ["user", "account", "session"])
def test_refusal_of_a_rows_hook_is_the_answer(make_auth: Make, door: Any, table: str) -> None:
    site = make_auth(database_hooks=operating(table, "create", before=lambda data, call: refuse(call)))
    answer = door(site)("sign_up_email", ADA)
    assert (answer.status_code, answer.json) == (418, {"message": "No tea", "code": "NO_TEA"})
    assert "Set-Cookie" not in answer.headers
    assert not any(site.snapshot().values())


def test_t4_failing_hook_of_a_row_leaves_no_row(make_auth: Make, caplog: pytest.LogCaptureFixture) -> None:
    def fail(data: dict[str, Any], call: Call) -> None:
        raise RuntimeError("of the hook")

    site = make_auth(database_hooks=operating("session", "create", before=fail), settings={"DEBUG": True})
    answer = site.browser().post("/sign-up/email", ADA)
    assert answer.status_code >= 400
    assert b"Traceback" not in answer.data
    assert b"of the hook" not in answer.data
    assert "Set-Cookie" not in answer.headers
    assert not any(site.snapshot().values())
    assert "of the hook" in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize(
    "tables",
    [
        {"users": {"create": {}}},
        {"user": {"created": {}}},
        {"user": {"create": {"befor": print}}},
    ],
)
def test_misspelt_hooks_are_refused(tables: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        DatabaseHooks(**tables)


# ---------------------------------------------------------------- rows: after


def extend(site: Site, browser: Browser) -> None:
    with later():
        browser.get("/get-session")


def expire(site: Site, browser: Browser) -> None:
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(days=30)):
        browser.get("/get-session")


#: What makes a hook of a table run, and how many rows there are afterwards.
OPERATIONS: dict[str, tuple[str, str, Callable[[Site, Browser], Any], int]] = {
    "user created": ("user", "create", lambda site, browser: site.sign_up("bob"), 2),
    "account created": ("account", "create", lambda site, browser: site.sign_up("bob"), 2),
    "session created": ("session", "create", lambda site, browser: browser.post("/sign-in/email", SIGN_IN), 2),
    "verification created": (
        "verification",
        "create",
        lambda site, browser: browser.post("/request-password-reset", {"email": "ada@example.com"}),
        1,
    ),
    "user changed": ("user", "update", lambda site, browser: browser.post("/update-user", {"name": "X"}), 1),
    "session extended": ("session", "update", extend, 1),
    "session ended": ("session", "delete", lambda site, browser: browser.post("/sign-out"), 0),
    "session expired": ("session", "delete", expire, 0),
    "user deleted": ("user", "delete", lambda site, browser: delete_user(site), 0),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_after_hook_of_a_row_runs_once_it_is_committed(make_auth: Make, operation: str) -> None:
    table, kind, act, count = OPERATIONS[operation]
    seen: list[tuple[dict[str, Any], bool, dict[str, Any]]] = []
    armed: list[bool] = []

    def look(row: dict[str, Any], call: Call) -> None:
        if armed:  # by another connection: only what is committed is there
            seen.append((row, call.unit is None, {found.id: found for found in site.rows(table)}))

    site = make_auth(
        database_hooks=operating(table, kind, after=look),
        email_and_password={"send_reset_password": lambda **message: None},
    )
    browser = site.sign_up("ada")
    armed.append(True)
    act(site, browser)
    ((row, is_over, found),) = seen
    assert is_over
    assert len(found) == count
    if kind == "delete":
        assert row["id"] not in found
    else:
        assert {name: getattr(found[row["id"]], name) for name in row} == row


@pytest.mark.parametrize("operation", OPERATIONS)
def test_t4_failing_after_hook_of_a_row_changes_nothing(
    make_auth: Make, caplog: pytest.LogCaptureFixture, operation: str
) -> None:
    table, kind, act, count = OPERATIONS[operation]

    def fail(row: dict[str, Any], call: Call) -> None:
        raise RuntimeError("of the hook")

    site = make_auth(
        database_hooks=operating(table, kind, after=fail),
        email_and_password={"send_reset_password": lambda **message: None},
    )
    result = act(site, site.sign_up("ada"))
    assert getattr(result, "status_code", 200) == 200
    assert len(site.rows(table)) == count
    assert "of the hook" in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("last", ["account", "session"])
def test_after_hooks_never_run_for_what_is_rolled_back(make_auth: Make, door: Any, last: str) -> None:
    ran: list[str] = []
    tables: dict[str, Any] = {
        name: {"create": {"after": lambda row, call, name=name: ran.append(name)}}
        for name in ("user", "account", "session")
    }
    verdicts: list[Any] = [refuse, lambda call: None]
    tables[last]["create"]["before"] = lambda data, call: verdicts.pop(0)(call)
    site = make_auth(database_hooks=DatabaseHooks(**tables))
    with listening(site) as sent:
        assert door(site)("sign_up_email", ADA).status_code == 418
        assert (ran, sent) == ([], [])
        assert door(site)("sign_up_email", ADA).status_code == 200
    assert ran == ["user", "account", "session"]
    assert [name for name, _ in sent] == ["user-signed-up", "user-signed-in"]


def test_work_that_was_rolled_back_does_not_ride_on_a_later_unit(make_auth: Make) -> None:
    ran: list[str] = []
    site = make_auth(database_hooks=operating("user", "create", after=lambda row, call: ran.append(row["name"])))
    with calling(site) as call:
        with suppress(LookupError), records.unit(call):
            users.create(call, {"name": "First", "email": "ada@example.com"}, None)
            raise LookupError
        with records.unit(call):
            users.create(call, {"name": "Second", "email": "ada@example.com"}, None)
    assert ran == ["Second"]
    assert [user.name for user in site.rows("user")] == ["Second"]


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_after_hooks_wait_for_the_transaction_they_joined(make_auth: Make, end: str) -> None:
    ran: list[str] = []
    site = make_auth(database_hooks=operating("user", "create", after=lambda row, call: ran.append(row["email"])))
    with listening(site) as sent, site.app.app_context():
        site.api.sign_up_email(body=ADA, session=site.db.session)
        assert (ran, sent) == ([], [])
        getattr(site.db.session, end)()
        assert ran == (["ada@example.com"] if end == "commit" else [])
        assert [name for name, _ in sent] == (["user-signed-up", "user-signed-in"] if end == "commit" else [])
    assert len(site.rows("user")) == (end == "commit")


# ---------------------------------------------------------------- signals

SIGNALS = (signals.user_signed_up, signals.user_signed_in, signals.sign_in_failed, signals.session_revoked)


class listening:
    """Records the signals of an application: the name and the keywords of each."""

    def __init__(self, site: Site, then: Callable[[], object] = lambda: None) -> None:
        self.site, self.then, self.sent = site, then, list[tuple[str, dict[str, Any]]]()
        self.stack = ExitStack()

    def __enter__(self) -> list[tuple[str, dict[str, Any]]]:
        self.receivers = [self._receiver(signal.name) for signal in SIGNALS]
        for signal, receiver in zip(SIGNALS, self.receivers, strict=True):
            self.stack.enter_context(signal.connected_to(receiver, sender=self.site.app))
        return self.sent

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def _receiver(self, name: str) -> Callable[..., None]:
        def receive(sender: Any, **keywords: Any) -> None:
            assert sender is self.site.app
            self.sent.append((name, keywords))
            self.then()

        return receive


def texts(value: Any) -> Iterator[str]:
    """Every text inside of a value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)
    else:
        yield str(value)


def test_signals_tell_what_happened(site: Site, door: Any) -> None:
    invoke = door(site)
    with listening(site) as sent:
        invoke("sign_up_email", ADA)
        invoke("sign_in_email", WRONG)
        invoke("sign_in_email", {**WRONG, "email": "nobody@example.com"})
        cookies = {}
        for line in invoke("sign_in_email", SIGN_IN).headers.getlist("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            cookies[name] = value
        invoke("sign_out", cookies=cookies)
        invoke("sign_out", cookies=cookies)
        invoke("get_session", cookies=cookies)
    assert [name for name, _ in sent] == [
        "user-signed-up",
        "user-signed-in",
        "sign-in-failed",
        "sign-in-failed",
        "user-signed-in",
        "session-revoked",
    ]
    (up, first, failed, unknown, second, revoked) = (keywords for _, keywords in sent)
    assert up["user"]["email"] == first["user"]["email"] == second["user"]["email"] == "ada@example.com"
    assert first["method"] == second["method"] == "credential"
    assert first["session"]["user_id"] == up["user"]["id"]
    assert failed == unknown == {"method": "credential", "reason": "INVALID_EMAIL_OR_PASSWORD"}
    assert revoked["session"]["id"] == second["session"]["id"]


def test_signals_carry_no_secret(site: Site) -> None:
    with listening(site) as sent:
        browser = site.sign_up("ada")
        (session,), (account,) = site.rows("session"), site.rows("account")
        browser.post("/sign-in/email", WRONG)
        browser.post("/sign-out")
    assert {name for name, _ in sent} == {signal.name for signal in SIGNALS}
    told = set(texts([keywords for _, keywords in sent]))
    assert session.id in told
    assert not told & {PASSWORD, WRONG["password"], account.password}
    assert session.token not in told, "whoever logs the signal logs a live session"
    failed = next(keywords for name, keywords in sent if name == "sign-in-failed")
    assert "ada@example.com" not in set(texts(failed))


def test_signals_are_sent_after_the_commit(site: Site) -> None:
    counts: list[tuple[int, int]] = []
    with listening(site, lambda: counts.append((len(site.rows("user")), len(site.rows("session"))))):
        site.sign_up("ada").post("/sign-out")
    assert counts == [(1, 1), (1, 1), (1, 0)]


def test_signals_reach_the_listeners_of_their_application_alone(make_auth: Make, site: Site) -> None:
    class Other:
        app = object()

    with listening(Other()) as sent, listening(site) as own:
        site.sign_up("ada")
    assert sent == []
    assert len(own) == 2


def test_t4_failing_receiver_changes_nothing(site: Site, door: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError("of the receiver")

    invoke = door(site)
    with listening(site, fail) as sent:
        answer = invoke("sign_up_email", ADA)
        assert answer.status_code == 200
        cookie = answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
        assert invoke("sign_in_email", WRONG).json["code"] == "INVALID_EMAIL_OR_PASSWORD"
        cookies = {"better-auth.session_token": cookie}
        assert invoke("get_session", cookies=cookies).json["user"]["name"] == "Ada"
        assert invoke("sign_out", cookies=cookies).json == {"success": True}
    assert [name for name, _ in sent] == ["user-signed-up", "user-signed-in", "sign-in-failed", "session-revoked"]
    assert (len(site.rows("user")), site.rows("session")) == (1, [])
    assert caplog.text.count("RuntimeError: of the receiver") == 4
    assert PASSWORD not in caplog.text


def test_cancelled_end_of_a_session_is_no_signal(make_auth: Make) -> None:
    site = make_auth(database_hooks=operating("session", "delete", before=cancel))
    browser = site.sign_up("ada")
    with listening(site) as sent:
        browser.post("/sign-out", headers={"Origin": ORIGIN})
    assert sent == []
