"""The surface of plugins: every part of it, in the order and with the meaning that the reference gives it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest
from conftest import FAST, ORIGIN, PASSWORD, SECRET, Site
from flask import Flask, Request, Response
from flask_sqlalchemy import SQLAlchemy
from notes_plugin import NoteMixin, Notes, NotesErrors, NotesOptions
from sqlalchemy import String, inspect
from sqlalchemy.orm import Mapped, mapped_column

from flask_better_auth import (
    AdditionalField,
    APIError,
    BetterAuth,
    Call,
    Column,
    ConfigError,
    DatabaseHooks,
    EmailAndPassword,
    ErrorCode,
    Hook,
    Hooks,
    Plugin,
    Reply,
    Routes,
    TableMixin,
    UserMixin,
    WireSchema,
)
from flask_better_auth.models import KEY, attribute
from flask_better_auth.services import records
from flask_better_auth.wire import Str

Make = Callable[..., Site]
ADA = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
SIGN_IN = {"email": "ada@example.com", "password": PASSWORD}
TEAPOT = ErrorCode("No tea", 418, "NO_TEA")


def made(id: str = "made", **attributes: Any) -> Plugin:
    """A plugin that has these attributes and methods."""
    return type("Made", (Plugin,), {"id": id, **attributes})()


def answering(name: str, path: str | None = None, replaces: str | None = None) -> Routes:
    """One endpoint, which answers its own name."""
    routes = Routes()

    def view(call: Call) -> Reply:
        return Reply({"by": name})

    view.__name__ = name
    routes.route(path or f"/{name}", methods=("GET",), replaces=replaces)(view)
    return routes


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def site(make_auth: Make, notes: Notes) -> Site:
    """An application with the plugin of a third party."""
    return make_auth(plugins=[notes])


# ---------------------------------------------------------------- the order of things
#
# The traces were recorded by the same two plugins, written in JavaScript, in better-auth 1.7.25.

ENTER = ["p1.on_request", "p2.on_request"]
MIDDLE = ["p1.middleware", "p2.middleware"]
BEFORE = ["app.before", "p1.before", "p2.before"]
VIEW = ["guard", "view"]
AFTER = ["app.after", "p1.after", "p2.after"]
LEAVE = ["p1.on_response", "p2.on_response"]
ALL = [*ENTER, *MIDDLE, *BEFORE, *VIEW, *AFTER, *LEAVE]
HERE = {"by": "plugin"}
NO_TEA = {"message": "No tea", "code": "NO_TEA"}


class EchoBody(WireSchema):
    text = Str(required=True)


class Tracing:
    """Two plugins and an application that note when they are asked, and then do what the test wants."""

    def __init__(self, make: Make, acts: dict[str, Any], **options: Any) -> None:
        self.trace: list[str] = []
        self.seen: list[str] = []
        self.acts = acts
        self.site = make(
            plugins=[self.plugin("p1", routes=self.routes()), self.plugin("p2")],
            hooks=self.hooks("app"),
            database_hooks=self.database_hooks("app"),
            disabled_paths=["/error"],
            **options,
        )
        self.trace.clear()

    def act(self, where: str, subject: Any = None, answer: Any = HERE) -> Any:
        self.trace.append(where)
        what = self.acts.get(where)
        if what == "refuse":
            raise APIError(TEAPOT)
        if what == "fail":
            raise RuntimeError("of the plugin")
        return answer if what == "answer" else what(subject) if what else None

    def hooks(self, id: str) -> Hooks:
        def after(call: Call) -> Any:
            error = call.returned.code if isinstance(call.returned, APIError) else None
            self.seen.append(f"{id}: {error or call.returned.body}")
            return self.act(f"{id}.after", call)

        def matches(call: Call) -> bool:
            return self.acts.get(f"{id}.matcher") is None or self.act(f"{id}.matcher")

        return Hooks(before=Hook(lambda call: self.act(f"{id}.before", call), matches), after=after)

    def database_hooks(self, id: str) -> DatabaseHooks:
        def around(table: str, operation: str) -> dict[str, Any]:
            name = f"{id}.{table}.{operation}"
            return {
                "before": lambda row, call: self.act(name, row),
                "after": lambda row, call: self.trace.append(f"{name}d"),
            }

        tables = {"user": ("create", "update"), "session": ("create", "delete")}
        return DatabaseHooks(**{table: {op: around(table, op) for op in ops} for table, ops in tables.items()})

    def plugin(self, id: str, **more: Any) -> Plugin:
        response = Response('{"by": "plugin"}', content_type="application/json")
        return made(
            id,
            init=lambda plugin, state: self.act(f"{id}.init", state),
            on_request=lambda plugin, call: self.act(f"{id}.on_request", call, response),
            on_response=lambda plugin, call, given: self.act(f"{id}.on_response", given, response),
            middlewares=[Hook(lambda call: self.act(f"{id}.middleware", call))],
            hooks=self.hooks(id),
            database_hooks=self.database_hooks(id),
            **more,
        )

    def routes(self) -> Routes:
        routes = Routes()

        @routes.post("/p/echo", body=EchoBody, guards=[lambda call: self.act("guard", call)])
        def echo(call: Call) -> Reply:
            self.act("view", call)
            return Reply({"text": call.body["text"]})

        return routes


def post(body: Any = None, path: str = "/p/echo", method: str = "POST", **headers: str) -> Callable[[Site], Response]:
    options = {} if method == "OPTIONS" else {"data": body or '{"text": "hi"}', "content_type": "application/json"}
    return lambda site: site.browser().request(method, path, headers=headers, **options)


EVIL = {"Origin": "https://evil.test", "Cookie": "a=b"}
#: What is asked, what a plugin does meanwhile, the status of the answer, its JSON, and who was asked.
TRACES: dict[str, tuple[Callable[[Site], Response], dict[str, Any], int, Any, list[str]]] = {
    "success": (post(), {}, 200, {"text": "hi"}, ALL),
    "validation": (post('{"text": 5}'), {}, 400, ..., [*ENTER, *MIDDLE, *BEFORE, *AFTER, *LEAVE]),
    "body not json": (post("{"), {}, 400, ..., [*ENTER, *LEAVE]),
    "guard": (post(), {"guard": "refuse"}, 418, NO_TEA, [*ENTER, *MIDDLE, *BEFORE, "guard", *AFTER, *LEAVE]),
    "handler throws": (post(), {"view": "refuse"}, 418, NO_TEA, ALL),
    "handler fails": (post(), {"view": "fail"}, 500, None, [*ENTER, *MIDDLE, *BEFORE, *VIEW, *LEAVE]),
    "origin": (post(**EVIL), {}, 403, ..., [*ENTER, *LEAVE]),
    "unknown": (post(path="/nope"), {}, 404, None, [*ENTER, *LEAVE]),
    "wrong method": (post(method="PUT"), {}, 404, None, [*ENTER, *LEAVE]),
    "OPTIONS": (post(method="OPTIONS"), {}, 404, None, [*ENTER, *LEAVE]),
    "disabled": (lambda site: site.browser().get("/error"), {}, 404, None, []),
    "app.before answer": (post(), {"app.before": "answer"}, 200, HERE, [*ENTER, *MIDDLE, *BEFORE[:1], *LEAVE]),
    "app.before throw": (post(), {"app.before": "refuse"}, 418, NO_TEA, [*ENTER, *MIDDLE, *BEFORE[:1], *LEAVE]),
    "p1.before answer": (post(), {"p1.before": "answer"}, 200, HERE, [*ENTER, *MIDDLE, *BEFORE[:2], *LEAVE]),
    "p1.before throw": (post(), {"p1.before": "refuse"}, 418, NO_TEA, [*ENTER, *MIDDLE, *BEFORE[:2], *LEAVE]),
    "p1.before fail": (post(), {"p1.before": "fail"}, 500, None, [*ENTER, *MIDDLE, *BEFORE[:2], *LEAVE]),
    "p2.before answer": (post(), {"p2.before": "answer"}, 200, HERE, [*ENTER, *MIDDLE, *BEFORE, *LEAVE]),
    "p1.matcher fail": (
        post(),
        {"p1.matcher": "fail"},
        500,
        None,
        [*ENTER, *MIDDLE, "app.before", "p1.matcher", *LEAVE],
    ),
    "p1.middleware answer": (post(), {"p1.middleware": "answer"}, 200, HERE, [*ENTER, *MIDDLE[:1], *LEAVE]),
    "p1.middleware throw": (post(), {"p1.middleware": "refuse"}, 418, NO_TEA, [*ENTER, *MIDDLE[:1], *LEAVE]),
    "p1.middleware fail": (post(), {"p1.middleware": "fail"}, 500, None, [*ENTER, *MIDDLE[:1], *LEAVE]),
    "p2.middleware answer": (post(), {"p2.middleware": "answer"}, 200, HERE, [*ENTER, *MIDDLE, *LEAVE]),
    "app.after answer": (post(), {"app.after": "answer"}, 200, HERE, ALL),
    "p1.after answer": (post(), {"p1.after": "answer"}, 200, HERE, ALL),
    "p1.after throw": (post(), {"p1.after": "refuse"}, 418, NO_TEA, ALL),
    "p1.after fail": (
        post(),
        {"p1.after": "fail"},
        500,
        None,
        [*ENTER, *MIDDLE, *BEFORE, *VIEW, *AFTER[:2], *LEAVE],
    ),
    "p1.after answers an error": (
        post("{}"),
        {"p1.after": "answer"},
        400,
        HERE,
        [*ENTER, *MIDDLE, *BEFORE, *AFTER, *LEAVE],
    ),
    "p1.on_request answer": (post(), {"p1.on_request": "answer"}, 200, HERE, ENTER[:1]),
    "p2.on_request answer": (post(), {"p2.on_request": "answer"}, 200, HERE, ENTER),
    "p1.on_request answer unknown": (post(path="/nope"), {"p1.on_request": "answer"}, 200, HERE, ENTER[:1]),
    "p1.on_request fail": (post(), {"p1.on_request": "fail"}, 500, None, ENTER[:1]),
    "p1.on_response answer": (post(), {"p1.on_response": "answer"}, 200, HERE, ALL[:-1]),
    "p2.on_response answer": (post(), {"p2.on_response": "answer"}, 200, HERE, ALL),
    "p1.on_response fail": (post(), {"p1.on_response": "fail"}, 500, None, ALL[:-1]),
    "p1.on_response answers unknown": (
        post(path="/nope"),
        {"p1.on_response": "answer"},
        200,
        HERE,
        [*ENTER, "p1.on_response"],
    ),
    "p1.on_response answers origin": (
        post(**EVIL),
        {"p1.on_response": "answer"},
        200,
        HERE,
        [*ENTER, "p1.on_response"],
    ),
}


@pytest.mark.parametrize("name", TRACES)
def test_who_is_asked_and_when(make_auth: Make, name: str) -> None:
    ask, acts, status, body, trace = TRACES[name]
    tracing = Tracing(make_auth, acts)
    answer = ask(tracing.site)
    assert tracing.trace == trace
    assert answer.status_code == status
    if body is not ...:
        assert answer.get_json(silent=True) == body


@pytest.mark.parametrize("where", ["p1.on_request", "p2.on_request", "p1.on_response"])
def test_error_that_a_plugin_raises_around_everything_is_the_answer(make_auth: Make, where: str) -> None:
    """The reference lets it pass to the server that it runs in."""
    tracing = Tracing(make_auth, {where: "refuse"})
    answer = post()(tracing.site)
    assert (answer.status_code, answer.json) == (418, NO_TEA)
    assert tracing.trace[-1] == where


#: What the server asks, what a plugin does, the outcome, and who was asked: no more than the pipeline both doors share.
DIRECT: dict[str, tuple[Any, dict[str, Any], Any, list[str]]] = {
    "api success": ({"text": "hi"}, {}, {"text": "hi"}, [*BEFORE, *VIEW, *AFTER]),
    "api validation": ({}, {}, "VALIDATION_ERROR", [*BEFORE, *AFTER]),
    "api before throws": ({"text": "hi"}, {"p1.before": "refuse"}, "NO_TEA", BEFORE[:2]),
    "api before answers": ({"text": "hi"}, {"p1.before": "answer"}, HERE, BEFORE[:2]),
    "api guard": ({"text": "hi"}, {"guard": "refuse"}, "NO_TEA", [*BEFORE, "guard", *AFTER]),
}


@pytest.mark.parametrize("name", DIRECT)
def test_who_is_asked_when_the_server_calls(make_auth: Make, name: str) -> None:
    body, acts, outcome, trace = DIRECT[name]
    tracing = Tracing(make_auth, acts)
    try:
        found = tracing.site.api.echo(body=body)
    except APIError as error:
        found = error.code
    assert (found, tracing.trace) == (outcome, trace)


def test_plugins_are_set_up_once_for_each_application_and_in_order(make_auth: Make) -> None:
    seen: list[Any] = []
    first = made("p1", init=lambda plugin, state: seen.append(("p1", [p.id for p in state.plugins])))
    second = made("p2", init=lambda plugin, state: seen.append(("p2", "echo" in state.registry.by_name)))
    third = made("p3", routes=answering("echo"))
    make_auth(plugins=[first, second, third])
    assert seen == [("p1", ["p1", "p2", "p3"]), ("p2", True)]


def test_after_hooks_see_what_earlier_ones_made_of_the_answer(make_auth: Make) -> None:
    tracing = Tracing(make_auth, {"p1.after": "answer"})
    post()(tracing.site)
    assert tracing.seen == ["app: {'text': 'hi'}", "p1: {'text': 'hi'}", f"p2: {HERE}"]


def rows_traced(operation: str) -> list[str]:
    return [f"{id}.{operation}" for id in ("p1", "p2", "app")]


def test_hooks_of_rows_run_for_plugins_first_and_after_the_commit(make_auth: Make) -> None:
    tracing = Tracing(make_auth, {})
    browser = tracing.site.sign_up("ada")
    both = [*rows_traced("user.create"), *rows_traced("session.create")]
    done = [*rows_traced("user.created"), *rows_traced("session.created")]
    assert tracing.trace == [*ENTER, *MIDDLE, *BEFORE, *both, *done, *AFTER, *LEAVE]
    tracing.trace.clear()
    browser.post("/sign-out")
    deleted = [*rows_traced("session.delete"), *rows_traced("session.deleted")]
    assert tracing.trace == [*ENTER, *MIDDLE, *BEFORE, *deleted, *AFTER, *LEAVE]


def test_hook_of_a_new_row_sees_what_earlier_ones_made_of_it(make_auth: Make) -> None:
    seen: list[str] = []

    def add(id: str) -> Callable[[dict[str, Any]], Any]:
        return lambda row: seen.append(row["name"]) or {"name": f"{row['name']}+{id}"}

    acts = {f"{id}.user.create": add(id) for id in ("p1", "p2", "app")}
    tracing = Tracing(make_auth, acts)
    assert tracing.site.sign_up("ada").session()["user"]["name"] == "Ada+p1+p2+app"
    assert seen == ["Ada", "Ada+p1", "Ada+p1+p2"]


def test_hook_of_a_change_sees_what_was_asked_for(make_auth: Make) -> None:
    seen: list[str] = []

    def add(id: str) -> Callable[[dict[str, Any]], Any]:
        more = {"image": id, **({"name": "of p1"} if id == "p1" else {})}
        return lambda row: seen.append(row["name"]) or more

    tracing = Tracing(make_auth, {f"{id}.user.update": add(id) for id in ("p1", "p2", "app")})
    browser = tracing.site.sign_up("ada")
    browser.post("/update-user", {"name": "X"})
    assert seen == ["X", "X", "X"]
    user = browser.session()["user"]
    assert (user["name"], user["image"]) == ("of p1", "app")


@pytest.mark.parametrize(("who", "asked"), [("p1", 1), ("p2", 2), ("app", 3)])
def test_hook_that_cancels_a_row_keeps_it_from_later_ones(make_auth: Make, who: str, asked: int) -> None:
    tracing = Tracing(make_auth, {f"{who}.user.create": lambda row: False})
    answer = tracing.site.browser().post("/sign-up/email", ADA)
    assert (answer.status_code, answer.json["code"]) == (400, "FAILED_TO_CREATE_USER")
    assert tracing.trace == [*ENTER, *MIDDLE, *BEFORE, *rows_traced("user.create")[:asked], *AFTER, *LEAVE]
    assert not any(tracing.site.snapshot().values())


# ---------------------------------------------------------------- around everything


def test_on_request_sees_paths_that_nobody_answers(make_auth: Make) -> None:
    seen: list[Any] = []
    site = make_auth(plugins=[made(on_request=lambda plugin, call: seen.append((call.request.path, call.endpoint)))])
    site.browser().get("/nope")
    site.browser().get("/ok")
    assert [(path, endpoint and endpoint.name) for path, endpoint in seen] == [
        ("/api/auth/nope", None),
        ("/api/auth/ok", "ok"),
    ]


def replacing(**environ: Any) -> Callable[[Any, Call], Request]:
    """An ``on_request`` that goes on with another request."""
    return lambda plugin, call: Request({**call.request.environ, **environ})


def test_on_request_may_replace_headers_for_all_that_follows(make_auth: Make) -> None:
    seen: list[str | None] = []
    later = made("later", on_request=lambda plugin, call: seen.append(call.request.headers.get("X-Mark")))
    hooks = Hooks(before=lambda call: seen.append(call.request.headers.get("X-Mark")))
    site = make_auth(plugins=[made(on_request=replacing(HTTP_X_MARK="1")), later], hooks=hooks)
    assert site.browser().get("/ok").status_code == 200
    assert seen == ["1", "1"]


def test_on_request_may_replace_the_body(make_auth: Make) -> None:
    body = json.dumps({**ADA, "name": "Replaced"}).encode()
    other = replacing(**{"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))})
    site = make_auth(plugins=[made(on_request=other)])
    assert site.browser().post("/sign-up/email", ADA).json["user"]["name"] == "Replaced"


@pytest.mark.parametrize("environ", [{"REQUEST_METHOD": "GET"}, {"PATH_INFO": "/api/auth/ok"}])
def test_b1_replaced_request_keeps_method_and_path(make_auth: Make, environ: dict[str, str]) -> None:
    """By another method a plugin could lead a request past the check of its origin."""
    site = make_auth(plugins=[made(on_request=replacing(**environ))])
    assert site.browser().post("/sign-up/email", ADA).status_code == 500
    assert site.browser().post("/sign-up/email", ADA, headers=EVIL).status_code == 500
    assert site.rows("user") == []


def test_b1_origin_of_a_replaced_request_is_checked(site: Site) -> None:
    """A native app cannot set ``Origin``; what its plugin puts there must be trusted like any other."""
    browser = site.sign_up("ada")
    sent = {"Origin": None, "X-Notes-Origin": "https://evil.test"}
    answer = browser.post("/update-user", {"name": "X"}, headers=sent)
    assert (answer.status_code, answer.json["code"]) == (403, "INVALID_ORIGIN")
    sent["X-Notes-Origin"] = "https://notes.test"
    assert browser.post("/update-user", {"name": "X"}, headers=sent).status_code == 200


def test_b1_middlewares_and_hooks_come_after_the_check_of_the_origin(make_auth: Make) -> None:
    def strip(call: Call) -> None:
        call.request = Request({**call.request.environ, "HTTP_ORIGIN": ORIGIN})

    seen: list[str] = []
    plugin = made(middlewares=[Hook(strip)], hooks=Hooks(before=[strip, lambda call: seen.append("hook")]))
    site = make_auth(plugins=[plugin])
    assert site.browser().post("/sign-out", headers=EVIL).json["code"] == "INVALID_ORIGIN"
    assert seen == []
    assert site.browser().post("/sign-out").status_code == 200
    assert seen == ["hook"]


def test_on_response_may_change_what_leaves(site: Site) -> None:
    browser = site.browser()
    assert browser.get("/ok").headers["X-Notes-Path"] == "/ok"
    assert browser.get("/nope").headers["X-Notes-Path"] == "unknown"
    assert browser.post("/sign-out", headers=EVIL).headers["X-Notes-Path"] == "/sign-out"
    assert "X-Notes-Path" not in browser.get("/ok", headers={"X-Notes": "teapot"}).headers


def test_answer_of_a_plugin_is_not_for_caches(make_auth: Make) -> None:
    site = make_auth(plugins=[made(on_request=lambda plugin, call: Response("own"))])
    answer = site.browser().get("/ok")
    assert (answer.data, answer.headers["Cache-Control"], answer.headers["Vary"]) == (
        b"own",
        "no-store",
        "Cookie, Origin",
    )


def broken(*args: Any) -> Any:
    raise RuntimeError("of the plugin")


FAILING: dict[str, dict[str, Any]] = {
    "on_request": {"on_request": broken},
    "on_response": {"on_response": broken},
    "middleware": {"middlewares": [Hook(broken)]},
    "matcher of a middleware": {"middlewares": [Hook(print, broken)]},
    "before hook": {"hooks": Hooks(before=broken)},
    "matcher": {"hooks": Hooks(before=Hook(print, broken))},
    "after hook": {"hooks": Hooks(after=broken)},
    "sign_in_gate": {"sign_in_gate": broken},
    "session_token": {"session_token": broken},
    "row": {"database_hooks": DatabaseHooks(session={"create": {"before": broken}})},
}


@pytest.mark.parametrize("part", FAILING)
def test_t4_failing_part_of_a_plugin_is_an_empty_500(
    make_auth: Make, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    site = make_auth(plugins=[made(**FAILING[part])], settings={"DEBUG": True})
    if part == "session_token":
        answer = site.browser().get("/get-session")
    else:
        answer = site.browser().post("/sign-up/email", ADA)
    assert (answer.status_code, answer.data) == (500, b"")
    assert "Set-Cookie" not in answer.headers
    assert "of the plugin" in caplog.text
    assert PASSWORD not in caplog.text
    if part not in ("after hook", "on_response"):  # what was committed before these stays
        assert not any(site.snapshot().values())


# ---------------------------------------------------------------- endpoints


def test_endpoints_of_a_plugin_answer_through_both_doors(site: Site, door: Any) -> None:
    browser = site.sign_up("ada")
    invoke = door(site)
    assert invoke("create_note", {"noteText": "hi"}).status_code == 401
    answer = invoke("create_note", {"noteText": "hi"}, cookies=browser.cookies)
    assert answer.status_code == 200
    note = answer.json["note"]
    assert (note["text"], note["stars"]) == ("HI", 3)
    assert note["userId"] == browser.session()["user"]["id"]
    assert "hiddenKey" not in note
    assert re.fullmatch(r"\d{4}-.*Z", note["writtenAt"])
    bad = invoke("create_note", {"noteText": "hi" * 100}, cookies=browser.cookies)
    assert (bad.status_code, bad.json) == (400, {"message": "Note too long", "code": "NOTE_TOO_LONG"})
    invoke("create_note", {"noteText": "there"}, cookies=browser.cookies)
    found = invoke("list_notes", cookies=browser.cookies).json
    assert ([each["text"] for each in found["notes"]], found["length"]) == (["HI", "THERE"], 2)
    found = invoke("list_notes", cookies=browser.cookies, query={"onlyText": "HI"}).json
    assert found["length"] == 1


def test_limits_of_a_plugin_count_over_http_alone(make_auth: Make) -> None:
    site = make_auth(plugins=[Notes()], rate_limit={"enabled": True})
    ada = site.sign_up("ada")
    answers = [ada.post("/notes/create", {"noteText": "one"}).status_code for _ in range(3)]
    assert answers == [200, 200, 429]
    assert ada.get("/notes/list").status_code == 200
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in ada.cookies.items())}
    assert site.api.create_note(note_text="by the server", headers=headers)["note"]["text"] == "BY THE SERVER"


def test_auth_api_takes_and_gives_python_names(site: Site) -> None:
    browser = site.sign_up("ada")
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    note = site.api.create_note(note_text="hi", headers=headers)["note"]
    assert (note["text"], note["written_at"].tzinfo is not None) == ("HI", True)
    assert site.api.list_notes(only_text="HI", headers=headers)["length"] == 1
    assert {"create_note", "list_notes", "count_notes"} <= set(dir(site.auth.api))


def test_endpoint_for_the_server_has_no_path(site: Site) -> None:
    site.sign_up("ada")
    (user,) = site.rows("user")
    assert site.api.count_notes(user_id=user.id) == {"count": 0}
    for path in ("/count-notes", "/count_notes", "/notes/count", "/None", ""):
        assert site.browser().post(path, {"userId": user.id}).status_code == 404


def test_plugin_may_replace_an_endpoint(site: Site, door: Any) -> None:
    assert door(site)("ok").json == {"ok": True, "withNotes": True}


def test_replacement_may_have_another_name_and_path(make_auth: Make) -> None:
    site = make_auth(plugins=[made(routes=answering("fine", "/fine", replaces="ok"))])
    assert site.browser().get("/fine").json == site.api.fine() == {"by": "fine"}
    assert site.browser().get("/ok").status_code == 404
    with pytest.raises(AttributeError):
        site.auth.api.ok  # noqa: B018  # the look-up is what is tested


def test_later_plugin_may_replace_what_an_earlier_one_brought(make_auth: Make) -> None:
    first = made("p1", routes=answering("one"))
    second = made("p2", routes=answering("two", "/one", replaces="one"))
    assert make_auth(plugins=[first, second]).browser().get("/one").json == {"by": "two"}
    with pytest.raises(ConfigError, match="one"):
        make_auth(plugins=[second, first])


# ---------------------------------------------------------------- hooks and middlewares


def test_middleware_sees_the_body_and_runs_by_http_alone(site: Site) -> None:
    browser = site.sign_up("ada")
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    refused = browser.post("/notes/create", {"noteText": "spam"})
    assert (refused.status_code, refused.json["code"]) == (403, "NO_NOTES_FOR_YOU")
    assert browser.post("/notes/create", {"noteText": "nothing"}).json == {"note": None}
    assert browser.get("/notes/list").json["length"] == 0
    assert site.api.create_note(note_text="spam", headers=headers)["note"]["text"] == "SPAM"


def test_hook_runs_for_the_paths_it_matches(make_auth: Make) -> None:
    seen: list[str] = []

    def note(name: str) -> Callable[[Call], None]:
        return lambda call: seen.append(name)

    hooks = [
        Hook(note("all")),
        Hook(note("path"), "/ok"),
        Hook(note("pattern"), "/sign-*"),
        Hook(note("call"), lambda call: call.request.method == "POST"),
    ]
    site = make_auth(plugins=[made(hooks=Hooks(before=hooks), middlewares=hooks)])
    site.browser().get("/ok")
    assert seen == ["all", "path"] * 2
    seen.clear()
    site.browser().post("/sign-out")
    assert seen == ["all", "pattern", "call"] * 2


def test_hidden_columns_do_not_leave_with_a_body_that_an_after_hook_passes_on(make_auth: Make, door: Any) -> None:
    plugin = made(
        extends={"user": {"pin": Column(default="s3cret-pin", returned=False)}},
        hooks=Hooks(after=Hook(lambda call: {**call.returned.body, "more": 1}, "/sign-up/email")),
    )
    answer = door(make_auth(plugins=[plugin]))("sign_up_email", ADA)
    assert answer.json["more"] == 1
    assert "s3cret-pin" not in answer.get_data(as_text=True)


#: What a hook or a middleware answers in place of an endpoint, or makes of its answer.
OWN = {"some_thing": {"left_alone": 1}, "user": {"email_verified": True, "callback_url": None, "more": 2}}
ANSWERS: dict[str, dict[str, Any]] = {
    "before": {"hooks": Hooks(before=Hook(lambda call: OWN, "/sign-up/email"))},
    "after": {"hooks": Hooks(after=Hook(lambda call: Reply(OWN), "/sign-up/email"))},
    "changed": {"hooks": Hooks(after=Hook(lambda call: call.returned.body.update(OWN), "/sign-up/email"))},
    "middleware": {"middlewares": [Hook(lambda call: OWN, "/sign-up/email")]},
}


@pytest.mark.parametrize("part", ANSWERS)
def test_answers_of_hooks_leave_under_the_names_that_the_schema_gives(make_auth: Make, part: str) -> None:
    site = make_auth(plugins=[made(**ANSWERS[part])])
    found = site.browser().post("/sign-up/email", ADA).json
    found.pop("token", None)
    assert found == {
        "someThing": {"left_alone": 1},
        "user": {"emailVerified": True, "callbackURL": None, "more": 2},
    }
    if part != "middleware":
        found = site.api.sign_up_email(body={**ADA, "email": "bob@example.com"})
        found.pop("token", None)
        assert found == OWN


# ---------------------------------------------------------------- columns


def test_client_may_set_columns_that_say_so(site: Site) -> None:
    browser = site.sign_up("ada", publicHandle="ada", mood="fine", pin="s3cret-pin")
    user = browser.session()["user"]
    assert (user["publicHandle"], user["mood"], user["level"], user["clearance"]) == ("ada", "fine", 1, None)
    assert browser.session()["session"]["deviceName"] == "a Turing machine"
    assert browser.post("/update-user", {"mood": "better"}).status_code == 200
    assert browser.session()["user"]["mood"] == "better"
    assert site.rows("user")[0].pin == "s3cret-pin"


@pytest.mark.parametrize("field", ["clearance", "level"])
def test_d1_columns_of_plugins_are_closed_to_clients(site: Site, field: str) -> None:
    value: Any = "top secret" if field == "clearance" else 9
    answer = site.browser().post("/sign-up/email", {**ADA, field: value})
    if field == "clearance":
        assert (answer.status_code, answer.json["code"]) == (400, "FIELD_NOT_ALLOWED")
    browser = site.sign_up("bob") if field == "clearance" else site.browser()
    if field == "level":  # it has a default, which a new row gets in silence, as in the reference
        assert answer.status_code == 200
        browser.post("/sign-in/email", SIGN_IN)
    answer = browser.post("/update-user", {field: value, "name": "Changed"})
    assert (answer.status_code, answer.json["code"]) == (400, "FIELD_NOT_ALLOWED")
    (user,) = site.rows("user")
    assert getattr(user, field) == {"clearance": None, "level": 1}[field]
    assert user.name != "Changed"
    assert site.api.create_user(name="Eve", email="eve@example.com", data={field: value})["user"][field] == value


def test_hidden_column_never_leaves(site: Site, door: Any) -> None:
    invoke = door(site)
    browser = site.sign_up("ada", pin="s3cret-pin")
    answers = [
        invoke("sign_up_email", {**ADA, "email": "bob@example.com", "pin": "s3cret-pin"}),
        invoke("sign_in_email", SIGN_IN),
        invoke("get_session", cookies=browser.cookies),
        invoke("list_sessions", cookies=browser.cookies),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert '"pin"' not in answer.get_data(as_text=True)
        assert "s3cret-pin" not in answer.get_data(as_text=True)
    assert {user.pin for user in site.rows("user")} == {"s3cret-pin"}


def test_taken_value_is_the_error_that_the_column_names(site: Site, door: Any) -> None:
    site.sign_up("ada", publicHandle="ada")
    answer = door(site)("sign_up_email", {**ADA, "email": "bob@example.com", "publicHandle": "ada"})
    assert (answer.status_code, answer.json) == (409, {"message": "This handle is taken", "code": "HANDLE_TAKEN"})
    assert "Set-Cookie" not in answer.headers
    assert len(site.rows("user")) == 1
    bob = site.sign_up("bob", publicHandle="bob")
    assert bob.post("/update-user", {"publicHandle": "ada"}).json["code"] == "HANDLE_TAKEN"


@contextmanager
def calling(site: Site) -> Iterator[Call]:
    """A call as a view gets it."""
    with site.app.test_request_context() as context:
        call = Call(site.app.extensions["better_auth"], None, context.request)
        yield call
        call.finish()


def columns_of(site: Site, table: str) -> set[str]:
    with site.app.app_context():
        return {column["name"] for column in inspect(site.db.engine).get_columns(table)}


def test_columns_and_tables_follow_naming_and_prefix(make_auth: Make) -> None:
    site = make_auth(plugins=[Notes()], naming="camelCase", table_prefix="auth_")
    assert "publicHandle" in columns_of(site, "auth_user")
    assert "deviceName" in columns_of(site, "auth_session")
    assert {"userId", "hiddenKey", "writtenAt"} <= columns_of(site, "auth_note")
    assert columns_of(site, "auth_notePart") == {"id", "noteId"}
    browser = site.sign_up("ada", publicHandle="ada")
    assert browser.session()["user"]["publicHandle"] == "ada"
    assert browser.post("/notes/create", {"noteText": "hi"}).json["note"]["text"] == "HI"
    taken = site.browser().post("/sign-up/email", {**ADA, "email": "bob@example.com", "publicHandle": "ada"})
    assert taken.json["code"] == "HANDLE_TAKEN"


def test_own_model_may_declare_the_column_already(make_auth: Make) -> None:
    db = SQLAlchemy()

    class Person(UserMixin, db.Model):  # type: ignore[name-defined, misc]  # how Flask-SQLAlchemy documents models
        public_handle: Mapped[str | None] = mapped_column(String(40), unique=True)
        pin: Mapped[str | None] = mapped_column(String(40))

    site = make_auth(db=db, user_model=Person, plugins=[Notes()])
    browser = site.sign_up("ada", publicHandle="ada", pin="s3cret-pin")
    assert browser.session()["user"]["publicHandle"] == "ada"
    text = browser.get("/get-session").text
    assert '"pin"' not in text
    assert "s3cret-pin" not in text
    assert Person.__table__.c.public_handle.type.length == 40
    taken = site.browser().post("/sign-up/email", {**ADA, "email": "bob@example.com", "publicHandle": "ada"})
    assert taken.json["code"] == "HANDLE_TAKEN"


def test_default_that_an_own_model_declares_counts(make_auth: Make) -> None:
    db = SQLAlchemy()

    class Person(UserMixin, db.Model):  # type: ignore[name-defined, misc]  # how Flask-SQLAlchemy documents models
        clearance: Mapped[str] = mapped_column(String(40), default="none")

    site = make_auth(db=db, user_model=Person, plugins=[Notes()])
    assert site.sign_up("ada").session()["user"]["clearance"] == "none"


def test_option_of_the_application_may_redefine_a_column(make_auth: Make) -> None:
    fields = {"clearance": AdditionalField(input=True, required=False)}
    site = make_auth(plugins=[Notes()], user={"additional_fields": fields})
    assert site.sign_up("ada", clearance="own").session()["user"]["clearance"] == "own"


def test_two_plugins_may_share_a_column_that_they_describe_alike(make_auth: Make) -> None:
    several = [made(id, extends={"user": {"shared": Column(input=True)}}) for id in ("p1", "p2")]
    assert make_auth(plugins=several).sign_up("ada", shared="x").session()["user"]["shared"] == "x"


# ---------------------------------------------------------------- tables


def test_table_of_a_plugin_has_a_model_and_relationships(site: Site) -> None:
    browser = site.sign_up("ada")
    browser.post("/notes/create", {"noteText": "hi"})
    note = site.auth.model("note")
    assert issubclass(note, NoteMixin)
    with site.app.app_context():
        (found,) = site.db.session.scalars(site.db.select(note))
        assert (found.user.email, found.user.notes) == ("ada@example.com", [found])
        assert "hidden_key" not in found.to_dict()
        assert "k3y-of-the-note" not in repr(found)
    with pytest.raises(KeyError):
        site.auth.model("nope")


def test_foreign_keys_of_a_plugins_table(site: Site) -> None:
    with site.app.app_context():
        (key,) = inspect(site.db.engine).get_foreign_keys("note")
    assert (key["referred_table"], key["options"]["ondelete"].upper()) == ("user", "CASCADE")


@pytest.mark.parametrize("by", ["records", "session"])
@pytest.mark.parametrize("shape", [{}, {"naming": "camelCase", "table_prefix": "auth_"}], ids=["plain", "renamed"])
def test_rows_of_a_plugin_go_with_their_user(make_auth: Make, by: str, shape: dict[str, Any]) -> None:
    site = make_auth(plugins=[Notes()], **shape)
    for who in ("ada", "bob"):
        site.sign_up(who).post("/notes/create", {"noteText": who})
    user = next(each for each in site.rows("user") if each.email == "ada@example.com")
    if by == "records":
        with calling(site) as call, records.unit(call):
            table = call.state.tables["user"]
            assert records.delete(call, "user", table.record(getattr(user, name) for name in table.columns))
    else:
        with site.app.app_context():
            site.db.session.delete(site.db.session.get(site.auth.User, user.id))
            site.db.session.commit()
    with site.app.app_context():
        for table, count in (("session", 1), ("account", 1), ("note", 1), ("note_part", 1)):
            left = site.db.session.scalars(site.db.select(site.auth.model(table))).all()
            assert len(left) == count, table
        (note,) = site.db.session.scalars(site.db.select(site.auth.model("note")))
        assert note.text == "BOB"


class DeviceMixin(TableMixin):
    session_id = attribute("session_id", KEY, references="session")


@pytest.mark.parametrize("path", ["/sign-out", "/revoke-sessions"])
def test_rows_of_a_plugin_go_with_their_session(make_auth: Make, path: str) -> None:
    def add(row: dict[str, Any], call: Call) -> None:
        with records.unit(call):
            records.create(call, "device", {"session_id": row["id"]})

    plugin = made(tables={"device": DeviceMixin}, database_hooks=DatabaseHooks(session={"create": {"after": add}}))
    site = make_auth(plugins=[plugin])

    def devices() -> int:
        with site.app.app_context():
            return len(site.db.session.scalars(site.db.select(site.auth.model("device"))).all())

    browser, _ = site.sign_up("ada"), site.sign_up("bob")
    assert devices() == 2
    assert browser.post(path).status_code == 200
    assert (devices(), len(site.rows("session"))) == (1, 1)


def test_cancelled_end_of_a_user_leaves_their_rows(make_auth: Make) -> None:
    hooks = DatabaseHooks(user={"delete": {"before": lambda row, call: False}})
    site = make_auth(plugins=[Notes()], database_hooks=hooks)
    site.sign_up("ada").post("/notes/create", {"noteText": "hi"})
    (user,) = site.rows("user")
    with calling(site) as call, records.unit(call):
        table = call.state.tables["user"]
        assert not records.delete(call, "user", table.record(getattr(user, name) for name in table.columns))
    assert site.api.count_notes(user_id=user.id) == {"count": 1}


# ---------------------------------------------------------------- signing in


def challenge(call: Call, user: Any, method: str) -> Reply:
    return Reply({"second_factor": method, "email": user.email})


def refuse(call: Call, user: Any, method: str) -> None:
    raise APIError(NotesErrors.NO_NOTES_FOR_YOU)


def test_g1_challenge_comes_before_session_and_cookie(site: Site, notes: Notes, door: Any) -> None:
    site.api.create_user(**ADA)
    notes.gate = challenge
    answer = door(site)("sign_in_email", SIGN_IN)
    assert answer.status_code == 200
    assert answer.json == {"secondFactor": "credential", "email": "ada@example.com"}
    assert "Set-Cookie" not in answer.headers
    assert site.rows("session") == []
    notes.gate = None
    assert "Set-Cookie" in door(site)("sign_in_email", SIGN_IN).headers
    assert len(site.rows("session")) == 1


def test_g1_gate_may_refuse(site: Site, notes: Notes, door: Any) -> None:
    site.api.create_user(**ADA)
    notes.gate = refuse
    answer = door(site)("sign_in_email", SIGN_IN)
    assert (answer.status_code, answer.json["code"]) == (403, "NO_NOTES_FOR_YOU")
    assert "Set-Cookie" not in answer.headers
    assert site.rows("session") == []


def test_gate_is_not_asked_before_the_password_is_right(site: Site, notes: Notes) -> None:
    site.api.create_user(**ADA)
    notes.gate = challenge
    wrong = site.browser().post("/sign-in/email", {**SIGN_IN, "password": "wrong password"})
    assert wrong.json["code"] == "INVALID_EMAIL_OR_PASSWORD"


@pytest.mark.parametrize("gate", [refuse, broken])
def test_refused_sign_in_at_sign_up_leaves_nothing_half_written(site: Site, notes: Notes, gate: Any, door: Any) -> None:
    notes.gate = gate
    if gate is refuse:
        assert door(site)("sign_up_email", ADA).status_code == 403
    else:
        assert site.browser().post("/sign-up/email", ADA).status_code == 500
    assert not any(site.snapshot().values())
    notes.gate = None
    assert door(site)("sign_up_email", ADA).status_code == 200


def test_challenge_at_sign_up_keeps_the_user_and_opens_no_session(site: Site, notes: Notes, door: Any) -> None:
    notes.gate = challenge
    answer = door(site)("sign_up_email", ADA)
    assert answer.json["secondFactor"] == "credential"
    assert "Set-Cookie" not in answer.headers
    assert [len(site.rows(table)) for table in ("user", "account", "session")] == [1, 1, 0]


def test_first_gate_that_answers_counts(make_auth: Make) -> None:
    asked: list[str] = []

    def gate(id: str, answer: Any) -> Plugin:
        return made(id, sign_in_gate=lambda plugin, call, user, method: asked.append(id) or answer)

    site = make_auth(plugins=[gate("p1", None), gate("p2", Reply({"by": "p2"})), gate("p3", Reply({"by": "p3"}))])
    site.api.create_user(**ADA)
    assert site.browser().post("/sign-in/email", SIGN_IN).json == {"by": "p2"}
    assert asked == ["p1", "p2"]


def test_plugin_may_bring_the_token_of_a_session(site: Site) -> None:
    site.sign_up("ada")
    (session,) = site.rows("session")
    told = site.browser().get("/get-session", headers={"X-Notes-Token": session.token})
    assert told.json["user"]["email"] == "ada@example.com"
    assert site.browser().get("/get-session", headers={"X-Notes-Token": "wrong"}).json is None


# ---------------------------------------------------------------- configuration


def config_of(site: Site) -> Any:
    return site.app.extensions["better_auth"].config


def test_defaults_count_where_nobody_else_says_anything(make_auth: Make) -> None:
    first = made("p1", defaults={"session": {"expires_in": 111, "update_age": 6}, "login_url": "/one"})
    second = made("p2", defaults={"session": {"expires_in": 222, "fresh_age": 9}, "login_url": "/two"})
    config = config_of(make_auth(plugins=[first, second], session={"update_age": 5}))
    session = config.session
    found = [each.total_seconds() for each in (session.expires_in, session.update_age, session.fresh_age)]
    assert (found, config.login_url) == ([111, 5, 9], "/one")


def test_default_may_be_a_section_and_loses_to_a_setting(make_auth: Make) -> None:
    plugin = made(defaults={"email_and_password": EmailAndPassword(min_password_length=3, auto_sign_in=False)})
    site = make_auth(plugins=[plugin], settings={"BETTER_AUTH_EMAIL_AND_PASSWORD_MIN_PASSWORD_LENGTH": "20"})
    options = config_of(site).email_and_password
    assert (options.min_password_length, options.auto_sign_in, options.enabled) == (20, False, True)


@pytest.mark.parametrize("own", [{}, {"trusted_origins": ["https://own.test"]}])
def test_trusted_origins_of_plugins_are_added(make_auth: Make, own: dict[str, Any]) -> None:
    several = [made("p1", defaults={"trusted_origins": "https://p1.test"}), Notes()]
    found = config_of(make_auth(plugins=several, **own)).trusted_origins
    assert found == (*own.get("trusted_origins", ()), "https://p1.test", "https://notes.test")


@pytest.mark.parametrize("defaults", [{"trusted_orgins": []}, {"session": {"expires": 5}}])
def test_default_that_nobody_knows_is_refused(make_auth: Make, defaults: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make_auth(plugins=[made(defaults=defaults)])


def test_error_codes_of_plugins_below_those_of_the_core(make_auth: Make) -> None:
    class Others:
        HANDLE_TAKEN = ErrorCode("Not the first plugin's word", 400)
        OTHER = ErrorCode("Other", 400)

    codes = make_auth(plugins=[Notes(), made(errors=Others)]).auth.error_codes
    assert codes["HANDLE_TAKEN"] is NotesErrors.HANDLE_TAKEN
    assert codes["OTHER"] is Others.OTHER
    assert codes["UNAUTHORIZED"].message == "Unauthorized"
    assert all(code == error.code for code, error in codes.items())


def test_options_are_found_by_their_class(make_auth: Make) -> None:
    site = make_auth(plugins=[made("other"), Notes(longest=5)])
    with calling(site) as call:
        assert call.options(NotesOptions).longest == 5
        with pytest.raises(KeyError):
            call.options(EmailAndPassword)


class NamedNote(TableMixin):
    text = attribute("text", KEY)


class Reference(TableMixin):
    nowhere_id = attribute("nowhere_id", KEY, references="nowhere")


WRONG: dict[str, tuple[Callable[[], list[Any]], str]] = {
    "two of one id": (lambda: [made("same"), made("same")], "same is there twice"),
    "no id": (lambda: [type("NoId", (Plugin,), {})()], "have an id"),
    "an id that is no text": (lambda: [made(5)], "have an id"),  # type: ignore[arg-type]  # what is tested
    "a class": (lambda: [Notes], "not <class"),
    "no plugin": (lambda: [object()], "subclasses of Plugin"),
    "a name of the core": (lambda: [made(routes=answering("sign_out", "/other"))], "sign_out"),
    "a path of the core": (lambda: [made(routes=answering("other", "/ok"))], "see ok"),
    "a name of a plugin": (lambda: [made(i, routes=answering("one", f"/{i}")) for i in "ab"], "declared twice"),
    "a path of a plugin": (lambda: [made(i, routes=answering(i, "/one")) for i in "ab"], "declared twice"),
    "replacing nothing": (lambda: [made(routes=answering("one", replaces="nothing"))], "nothing, which is not there"),
    "replacing what is replaced": (
        lambda: [made(i, routes=answering(i, "/ok", replaces="ok")) for i in "ab"],
        "ok, which is not there",
    ),
    "a table of the core": (lambda: [made(tables={"session": NamedNote})], "'session' of the plugin made"),
    "a table of a plugin": (lambda: [Notes(), made(tables={"note": NamedNote})], "'note' of the plugin made"),
    "a table that is not there": (lambda: [made(tables={"x": Reference})], "refers to 'nowhere'"),
    "a column for no table": (lambda: [made(extends={"nope": {"x": Column()}})], "no table 'nope'"),
    "a column of the core": (lambda: [made(extends={"user": {"email": Column(input=True)}})], "'email' of its own"),
    "a column of every table": (lambda: [made(extends={"user": {"id": Column()}})], "'id' of its own"),
    "a column of a plugin's table": (lambda: [Notes(), made(extends={"note": {"text": Column()}})], "of its own"),
    "a column described twice": (
        lambda: [
            made("p1", extends={"user": {"x": Column()}}),
            made("p2", extends={"user": {"x": Column(input=True)}}),
        ],
        "the plugin p2 describes user.x differently",
    ),
    "a column of no type": (lambda: [made(extends={"user": {"x": Column("varchar")}})], "'x'.*type"),
    "what the plugin refuses": (lambda: [Notes(longest=0)], "at least 1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_plugins_that_cannot_work_are_refused(make_auth: Make, name: str) -> None:
    plugins, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        make_auth(plugins=plugins())


def test_two_extensions_must_agree_on_a_table_that_they_share(database_url: str) -> None:
    db = SQLAlchemy()
    BetterAuth(db=db, plugins=[Notes()])
    BetterAuth(db=db, plugins=[Notes()])
    BetterAuth(db=db)
    with pytest.raises(ConfigError, match="'note'"):
        BetterAuth(db=db, plugins=[made(tables={"note": NamedNote})])


# ---------------------------------------------------------------- several applications


def served(auth: BetterAuth, db: SQLAlchemy, name: str, database_url: str, **settings: Any) -> Flask:
    app = Flask(name)
    app.testing = True
    app.config.update(BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_URL=ORIGIN, SQLALCHEMY_DATABASE_URI=database_url)
    app.config.update(settings)
    db.init_app(app)
    auth.init_app(app)
    return app


@pytest.mark.parametrize("extensions", [1, 2])
def test_one_plugin_serves_two_applications(database_url: str, extensions: int) -> None:
    db, notes = SQLAlchemy(), Notes(longest=5)
    several = [BetterAuth(db=db, plugins=[notes], password_hash=FAST) for _ in range(extensions)]
    apps = [
        served(several[0], db, "one", database_url, BETTER_AUTH_SESSION_UPDATE_AGE=7),
        served(several[-1], db, "two", database_url),
    ]
    sites = [Site(app, auth, db) for app, auth in zip(apps, (several[0], several[-1]), strict=True)]
    with apps[0].app_context():
        db.drop_all()
        db.create_all()
    try:
        assert notes.applications == ["one", "two"]
        assert [config_of(site).session.update_age.total_seconds() for site in sites] == [7, 60]
        browser = sites[0].sign_up("ada", publicHandle="ada")
        for site in sites:
            browser.site = site
            assert browser.post("/notes/create", {"noteText": "hi"}).json["note"]["text"] == "HI"
            assert browser.post("/notes/create", {"noteText": "too long"}).json["code"] == "NOTE_TOO_LONG"
        assert browser.get("/notes/list").json["length"] == 2
        assert sites[1].api.count_notes(user_id=browser.session()["user"]["id"]) == {"count": 2}
    finally:
        with apps[0].app_context():
            db.drop_all()
        for app in apps:
            with app.app_context():
                db.engine.dispose()
