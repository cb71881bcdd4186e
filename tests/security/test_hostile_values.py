"""SECURITY T5, T11: hostile values in the database, and texts that would be SQL."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import FAST, PASSWORD, Browser, Site, build_site, every_plugin, tear_down
from flask import Response
from sqlalchemy import event, text

import flask_better_auth
from flask_better_auth import AdditionalField
from flask_better_auth.context import Call, Reply
from flask_better_auth.endpoint import Endpoint, Routes
from flask_better_auth.plugin import Plugin
from flask_better_auth.services import records
from flask_better_auth.wire import Str, wire_name

ROOT = Path(flask_better_auth.__file__).parent
COLUMNS = {
    "blob": AdditionalField(type="json", required=False),
    "motto": AdditionalField(type="string", required=False),
    "tags": AdditionalField(type="string[]", required=False),
}


@pytest.fixture(scope="module")
def shared(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    url = server_url or f"sqlite:///{tmp_path_factory.mktemp('hostile')}/test.db"
    options = {
        "table_prefix": "hostile_",
        "plugins": every_plugin(),
        "user": {"additional_fields": COLUMNS, "delete_user": {"enabled": True}},
        "session": {"additional_fields": {"note": AdditionalField(type="json", required=False)}},
        "email_and_password": {"send_reset_password": lambda **message: None},
    }
    site = build_site(url, options=options)
    yield site
    tear_down(site)


@pytest.fixture
def ada(shared: Site) -> Browser:
    """The browser of the only user, whose username is ``ada``."""
    return shared.emptied().sign_up("ada", username="ada")


def endpoints(site: Site) -> list[Endpoint]:
    return [bound.endpoint for bound in site.app.extensions["better_auth"].registry]


def body_of(endpoint: Endpoint) -> dict[str, Any]:
    """A body of right types for Ada."""
    known = dict.fromkeys(("password", "current_password", "new_password"), PASSWORD)
    known |= {"email": "ada@example.com", "username": "ada", "callback_url": "/there", "redirect_to": "/there"}
    fields = endpoint.body.fields.items() if endpoint.body is not None else ()
    return {endpoint.body.wire_names[n]: known.get(n, "text") for n, f in fields if isinstance(f, Str)}


def everything(browser: Browser) -> dict[str, Response]:
    """What the browser gets at each route."""
    answers, cookies = {}, dict(browser.cookies)
    for endpoint in endpoints(browser.site):
        for method, path in endpoint.routes(additions=True):
            browser.cookies = dict(cookies)
            options = {} if method == "GET" else {"json": body_of(endpoint)}
            answers[f"{method} {path}"] = browser.request(method, re.sub("<.*?>", "x", path), **options)
    browser.cookies = cookies
    return answers


def store(site: Site, table: str, **values: Any) -> None:
    """Put values into every row of a table, past the types of its columns."""
    model = getattr(site.auth, table.capitalize())
    with site.app.app_context(), site.db.engine.begin() as connection:
        quote = connection.dialect.identifier_preparer.quote
        changes = ", ".join(f"{quote(name)} = :{name}" for name in values)
        connection.execute(text(f"UPDATE {quote(model.__tablename__)} SET {changes}"), values)


# ---------------------------------------------------------------- T5

TEXTS = [
    "",
    "\x01\x1b[31m\u202e\r\nSet-Cookie: a=b",
    "<script>alert(1)</script>",
    "{{ 7 * 7 }} ${7*7} %s {0.__class__}",
    "' OR '1'='1",
    '{"__proto__": {"x": 1}}',
    "\ud7ff\ue000\U0010ffff",
    "x" * 60_000,
]
#: Columns that hold any text, by table.
TEXT_COLUMNS = {
    "user": ("name", "image", "motto"),
    "session": ("ip_address", "user_agent"),
    "account": ("scope", "access_token", "refresh_token", "id_token", "password"),
    "verification": ("value",),
}


@pytest.mark.parametrize("value", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("table", TEXT_COLUMNS)
def test_t5_any_text_in_a_row_is_text(ada: Browser, table: str, value: str) -> None:
    assert ada.post("/request-password-reset", {"email": "ada@example.com"}).status_code == 200  # a verification
    store(ada.site, table, **dict.fromkeys(TEXT_COLUMNS[table], value))
    seen, answers = ada.session(), everything(ada)
    assert {label: a.status_code for label, a in answers.items() if a.status_code >= 500} == {}
    for answer in answers.values():
        assert "a" not in answer.headers.getlist("Set-Cookie")
        assert "\n" not in "".join(answer.headers.values())
    if table in ("user", "session"):
        assert {seen[table][wire_name(column)] for column in TEXT_COLUMNS[table]} == {value}
    elif table == "account":
        assert ada.post("/sign-in/email", body_of_sign_in()).status_code == 401


def body_of_sign_in() -> dict[str, str]:
    return {"email": "ada@example.com", "password": PASSWORD}


@pytest.mark.parametrize(
    "stored", [None, "", "garbage", "$argon2id$v=19$m=8,t=1,p=1$!!$??", ":", "0" * 32 + ":" + "z" * 128]
)
def test_t5_garbage_in_place_of_a_hash_is_nobodys_password_at_any_route(ada: Browser, stored: str | None) -> None:
    bodies = {
        "/sign-in/email": body_of_sign_in(),
        "/sign-in/username": {"username": "ada", "password": PASSWORD},
        "/verify-password": {"password": PASSWORD},
        "/change-password": {"currentPassword": PASSWORD, "newPassword": "another good password"},
        "/delete-user": {"password": PASSWORD},
    }
    taking = {
        e.path for e in endpoints(ada.site) if e.path and e.body and {"password", "current_password"} & {*e.body.fields}
    }
    assert set(bodies) == taking - {"/sign-up/email"}
    cookies = dict(ada.cookies)
    store(ada.site, "account", password=FAST.hash(PASSWORD))
    for path in ("/sign-in/email", "/sign-in/username", "/verify-password"):
        assert ada.post(path, bodies[path]).status_code == 200, path
    ada.cookies = cookies
    store(ada.site, "account", password=stored)
    before = ada.site.snapshot()["account"]
    for path, body in bodies.items():
        for password in (PASSWORD, (stored or "x")[:128]):
            body = {name: password if name in ("password", "currentPassword") else v for name, v in body.items()}
            answer = ada.post(path, body)
            assert answer.status_code in (400, 401), path
            assert answer.json["code"] in (
                "INVALID_EMAIL_OR_PASSWORD",
                "INVALID_USERNAME_OR_PASSWORD",
                "INVALID_PASSWORD",
                "CREDENTIAL_ACCOUNT_NOT_FOUND",
            )
            assert "Set-Cookie" not in answer.headers
    assert ada.site.snapshot()["account"] == before


@pytest.mark.parametrize(
    "stored", ["", "{", "[1, 2", "nan-sense", '{"a": 1} trailing', "\x01", "[" * 5_000], ids=range(7)
)
def test_t5_tampered_json_is_no_value(ada: Browser, dialect: str, stored: str) -> None:
    if dialect != "sqlite":
        pytest.skip("the database itself takes no such value")
    assert ada.post("/update-user", {"blob": {"a": 1}, "tags": ["x"]}).status_code == 200
    assert (ada.session()["user"]["blob"], ada.session()["user"]["tags"]) == ({"a": 1}, ["x"])
    store(ada.site, "user", blob=stored, tags=stored)
    store(ada.site, "session", note=stored)
    seen = ada.session()
    assert (seen["user"]["blob"], seen["user"]["tags"], seen["session"]["note"]) == (None, None, None)
    assert {label: a.status_code for label, a in everything(ada).items() if a.status_code >= 500} == {}


@pytest.mark.parametrize(
    "stored", ["null", "7", '"text"', '{"__class__": "os.system", "py/object": "os.system"}', '["a", {"b": []}]']
)
def test_t5_json_of_another_shape_is_data(ada: Browser, stored: str) -> None:
    store(ada.site, "user", blob=stored, tags=stored)
    assert ada.session()["user"]["blob"] == json.loads(stored)
    assert {label: a.status_code for label, a in everything(ada).items() if a.status_code >= 500} == {}


@pytest.mark.parametrize("value", ["tomorrow", "", "9999-99-99 99:99:99"])
def test_t5_time_that_is_none_is_over(ada: Browser, dialect: str, value: str) -> None:
    if dialect != "sqlite":
        pytest.skip("the database itself takes no such value")
    store(ada.site, "user", created_at=value, updated_at=value)
    assert ada.session()["user"]["createdAt"] == "0001-01-01T00:00:00.000Z"
    store(ada.site, "session", created_at=value, updated_at=value, expires_at=value)
    assert ada.session() is None
    assert {label: a.status_code for label, a in everything(ada).items() if a.status_code >= 500} == {}


#: What makes code or objects out of data.
EXECUTING = {"eval", "exec", "compile", "__import__"}
LOADING = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "shelve",
    "marshal",
    "yaml",
    "jsonpickle",
    "cloudpickle",
    "code",
    "codeop",
}


def executing(source: str) -> Iterator[str]:
    """Every place of a source that runs data, or loads objects from it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EXECUTING:
            yield node.func.id
        elif isinstance(node, ast.Attribute) and node.attr in ("render_template_string", "from_string", "literal_eval"):
            yield node.attr
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in LOADING)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in LOADING:
            yield str(node.module)
        elif isinstance(node, ast.keyword) and node.arg == "shell":
            yield "shell"


def test_t5_nothing_of_the_package_runs_data_or_loads_objects_from_it() -> None:
    sources = {str(path.relative_to(ROOT)): path.read_text() for path in ROOT.rglob("*.py")}
    assert len(sources) > 30
    assert {path: found for path, source in sources.items() if (found := list(executing(source)))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "import pickle",
        "import yaml as y",
        "from pickle import loads",
        "from marshal import loads",
        "jinja.from_string(x)",
        "run(x, shell=True)",
        "def f():\n    import dill.source",
    ],
)
def test_t5_running_and_loading_would_be_found(source: str) -> None:
    assert list(executing(source))


# ---------------------------------------------------------------- T11

#: In every probe; no statement of ours holds it.
MARK = "zqx"
PROBES = [f"""'";`){MARK}` UNION SELECT :{MARK}, %({MARK})s, %s, {{{MARK}}} --\\""", MARK]
#: Keys with which other servers let a client choose columns, order and conditions, and their values.
NAMES = (
    "sortBy",
    "sortDirection",
    "orderBy",
    "filterField",
    "filterValue",
    "filterOperator",
    "where",
    "fields",
    "select",
)


@contextmanager
def statements(site: Site) -> Iterator[list[tuple[str, str]]]:
    """Every statement that is executed, and its parameters."""
    seen: list[tuple[str, str]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, repr(parameters)))

    with site.app.app_context():
        engine = site.db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def probing(endpoint: Endpoint, probe: str) -> Iterator[dict[str, Any]]:
    """Requests that carry a probe in one place each."""
    body, query = body_of(endpoint), endpoint.query.wire_names.values() if endpoint.query else ()
    for name in (*query, *NAMES, "callbackURL", probe):
        yield {"json": body, "query_string": {name: probe}}
    yield {"json": body, "query_string": {probe: "1"}, "headers": {"User-Agent": probe, "Accept-Language": probe}}
    yield {"json": body, "headers": {"Authorization": f"Bearer {probe}"}}
    if endpoint.body is not None:
        columns = ("name", "image", "blob", "motto", "tags", "note", "username", "displayUsername")
        for name in dict.fromkeys((*endpoint.body.wire_names.values(), *columns, *NAMES)):
            for value in (probe, {probe: probe}, [probe]):
                yield {"json": {**body, name: value}}
        yield {"json": {**body, probe: probe}}
        if "email" in endpoint.body.fields:
            yield {"json": {**body, "email": "o'brien+zqx@example.com"}}


@pytest.mark.parametrize("probe", PROBES, ids=["every quote", "an identifier"])
def test_t11_no_text_of_a_request_becomes_part_of_a_statement(ada: Browser, probe: str) -> None:
    cookies = dict(ada.cookies)
    with statements(ada.site) as seen:
        for endpoint in endpoints(ada.site):
            for method, path in endpoint.routes(additions=True):
                for options in probing(endpoint, probe):
                    ada.cookies = dict(cookies)
                    if method == "GET":
                        del options["json"]
                    answer = ada.request(method, re.sub("<.*?>", "x", path), **options)
                    assert answer.status_code < 500, (path, options)
                    if endpoint.name.startswith("revoke") or endpoint.name in ("sign_out", "change_password"):
                        if not ada.session():
                            ada = ada.site.emptied().sign_up("ada", username="ada")
                            cookies = dict(ada.cookies)
    assert [statement for statement, _ in seen if MARK in statement] == []
    assert any(MARK in parameters for _, parameters in seen), "probes do reach the database"


def test_t11_cookies_are_no_part_of_a_statement_either(ada: Browser) -> None:
    jar = ada.site.app.extensions["better_auth"].cookies
    name = next(iter(ada.cookies))
    with statements(ada.site) as seen:
        for probe in PROBES:
            ada.cookies = {name: jar.signed(probe)}
            assert ada.session() is None
    assert [statement for statement, _ in seen if MARK in statement] == []
    assert any(MARK in parameters for _, parameters in seen), "probes do reach the database"


@pytest.mark.parametrize("name", ["id", "token", "password", "user.password", "1", "email; --", "created_at desc"])
def test_t11_keys_choose_no_columns(ada: Browser, name: str) -> None:
    """What a client names beside the fields changes neither the statements nor the answer."""

    def ask(**query: str) -> tuple[Any, list[str]]:
        with statements(ada.site) as seen:
            answer = ada.get("/list-sessions", query_string=query)
        return answer.json, [statement for statement, _ in seen]

    assert ask(**dict.fromkeys(NAMES, name)) == ask()


class _Careless(Plugin):
    """Sorts by whatever the client says."""

    id = "careless"
    routes = Routes()


@_Careless.routes.get("/sorted")
def sorted_users(call: Call) -> Reply:
    column = call.request.args["sortBy"]
    found = records.rows(call, text(f"SELECT 1 AS one ORDER BY {column}"))
    return Reply({"count": len(found)})


def test_t11_text_in_a_statement_would_be_found(make_auth: Callable[..., Site]) -> None:
    site = make_auth(plugins=[_Careless()])
    with statements(site) as seen:
        site.browser().get("/sorted", query_string={"sortBy": MARK})
    assert any(MARK in statement for statement, _ in seen)
