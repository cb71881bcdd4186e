"""SECURITY T3: whatever the OpenAPI document allows, or does not allow, to be sent gets an answer that it describes."""

from __future__ import annotations

import builtins
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from conftest import ORIGIN, PASSWORD, Browser, Site, build_site, every_plugin, tear_down
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup

import flask_better_auth
from flask_better_auth.cli import cli
from flask_better_auth.context import Call, Reply
from flask_better_auth.endpoint import Routes
from flask_better_auth.errors import APIError, ErrorCode
from flask_better_auth.openapi import document
from flask_better_auth.plugin import Plugin
from flask_better_auth.wire import Bool, WireSchema

load_all_checks()
#: Requests per operation and caller; a hundred thousand in all with ``--fuzz full``.
EXAMPLES = {"ci": 8, "full": 2_600}
WANTED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
#: What makes some requests get further than to the first refusal.
KNOWN = {
    "email": "ada@example.com",
    "username": "ada",
    "password": PASSWORD,
    "currentPassword": PASSWORD,
    "newPassword": PASSWORD,
    "callbackURL": "/there",
    "redirectTo": "/there",
}


@pytest.fixture(scope="module")
def site(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    url = server_url or f"sqlite:///{tmp_path_factory.mktemp('openapi')}/test.db"
    columns = {"age": {"type": "number", "required": False}, "tags": {"type": "string[]", "required": False}}
    options = {
        "plugins": every_plugin(),
        "user": {"additional_fields": columns, "delete_user": {"enabled": True}},
        "session": {"additional_fields": {"note": {"type": "string", "required": False}}},
        "email_and_password": {"send_reset_password": lambda **message: None},
    }
    site = build_site(url, options=options)
    yield site
    tear_down(site)


class Caller:
    """Sends cases as Ada, who signs in anew whenever a case has signed her out, or as nobody."""

    def __init__(self, site: Site, *, signed_in: bool) -> None:
        self.site, self.signed_in = site, signed_in
        self.browser = site.browser()
        #: Which statuses each operation answered with.
        self.seen: dict[str, set[int]] = defaultdict(set)

    def send(self, case: Any, known: bool) -> None:
        """Send a case and check the answer.

        Raises:
            FailureGroup: it is none that the document describes.
        """
        if known and isinstance(case.body, dict):
            case.body = {**case.body, **{key: value for key, value in KNOWN.items() if key in case.body}}
        if self.signed_in and not self.browser.session():
            self.browser = _ada(self.site)
        case.headers = {**(case.headers or {}), "Origin": ORIGIN}
        case.cookies = dict(self.browser.cookies)
        response = case.call()
        case.validate_response(response, checks=[CHECKS.get_one(name) for name in WANTED])
        self.seen[case.operation.label].add(response.status_code)


def _ada(site: Site) -> Browser:
    """Ada as she was at first, whatever the last case did to her."""
    site.emptied()
    return site.sign_up("ada", username="ada")


def operations(site: Site) -> list[Any]:
    schema = schemathesis.openapi.from_dict(document(site.app.extensions["better_auth"]))
    schema.app = site.app
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    return [found.ok() for found in schema.get_all_operations()]


def play(caller: Caller, operation: Any, examples: int) -> None:
    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        caller.send(case, known=data.draw(st.booleans()))

    run()


@pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "nobody"])
def test_t3_every_answer_is_one_that_the_document_describes(
    site: Site, signed_in: bool, request: pytest.FixtureRequest
) -> None:
    caller = Caller(site, signed_in=signed_in)
    if not signed_in:
        _ada(site)
    for operation in operations(site):
        play(caller, operation, EXAMPLES[request.config.getoption("--fuzz")])
    reached = {label for label, statuses in caller.seen.items() if 200 in statuses}
    assert set(caller.seen) == {operation.label for operation in operations(site)}
    assert {"POST /sign-in/email", "POST /sign-in/username", "POST /request-password-reset"} <= reached
    assert signed_in is bool({"POST /update-user", "PATCH /update-user", "POST /change-password"} & reached)


# ---------------------------------------------------------------- controls


class _Wrong(Plugin):
    """Endpoints whose declarations are wrong in one way each."""

    id = "wrong"
    routes = Routes()


class _Result(WireSchema):
    status = Bool()


class _Rude:
    TEAPOT = ErrorCode("I am one", 418)


@_Wrong.routes.get("/undocumented", returns=_Result)
def undocumented(call: Call) -> Reply:
    raise APIError(_Rude.TEAPOT)


@_Wrong.routes.get("/misshapen", returns=_Result)
def misshapen(call: Call) -> Reply:
    return Reply({"status": "yes"})


@_Wrong.routes.get("/crashing", returns=_Result)
def crashing(call: Call) -> Reply:
    raise RuntimeError


@_Wrong.routes.get("/page", returns=_Result)
def page(call: Call) -> Reply:
    return Reply(html="<p>")


@_Wrong.routes.get("/right", returns=_Result, raises=[_Rude.TEAPOT])
def right(call: Call) -> Reply:
    if call.request.args:
        raise APIError(_Rude.TEAPOT)
    return Reply({"status": True})


def test_t3_answers_that_are_not_described_are_found(make_auth: Callable[..., Site]) -> None:
    site = make_auth(plugins=[_Wrong()])
    caller = Caller(site, signed_in=False)
    found = {}
    for operation in operations(site):
        if operation.path.strip("/") in ("undocumented", "misshapen", "crashing", "page", "right"):
            try:
                caller.send(operation.Case(), known=False)
            except FailureGroup as group:
                found[operation.path] = {type(failure).__name__ for failure in group.exceptions}
            except RuntimeError as error:  # schemathesis shows what was behind a 500
                found[operation.path] = {type(error).__name__}
    assert found == {
        "/undocumented": {"UndefinedStatusCode"},
        "/misshapen": {"JsonSchemaError"},
        "/crashing": {"RuntimeError"},
        "/page": {"UndefinedContentType"},
    }


# ---------------------------------------------------------------- the document


def test_t3_document_holds_every_route_and_no_endpoint_of_the_server(site: Site) -> None:
    state = site.app.extensions["better_auth"]
    routes = {route for bound in state.registry for route in bound.endpoint.routes(additions=True)}
    served = {(method, re.sub(r"<(\w+)>", r"{\1}", path)) for method, path in routes}
    documented = {(method.upper(), path) for path, item in document(state)["paths"].items() for method in item}
    assert documented == served
    assert {("PATCH", "/update-user"), ("POST", "/sign-in/username")} <= documented


def test_t3_identifiers_are_unique_and_wire_names(site: Site) -> None:
    items = document(site.app.extensions["better_auth"])["paths"].values()
    names = [operation["operationId"] for item in items for operation in item.values()]
    assert len(set(names)) == len(names)
    assert {"signInEmail", "updateUser", "getSession"} <= set(names)


def test_t3_document_follows_the_configuration(make_auth: Callable[..., Site]) -> None:
    site = make_auth(additions=False, disabled_paths=["/sign-up/email"], url="https://app.example.com")
    made = document(site.app.extensions["better_auth"])
    assert "patch" not in made["paths"]["/update-user"]
    assert "/sign-up/email" not in made["paths"]
    assert made["servers"] == [{"url": "https://app.example.com/api/auth"}]
    assert made["components"]["securitySchemes"]["session"]["name"] == "__Secure-better-auth.session_token"


def test_t3_bodies_carry_what_clients_may_set_under_wire_names(site: Site) -> None:
    paths = document(site.app.extensions["better_auth"])["paths"]
    fields = paths["/update-user"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(fields) == {"name", "image", "age", "tags", "username", "displayUsername"}
    assert fields["age"] == {"type": ["integer", "null"]}
    assert paths["/change-password"]["post"]["responses"]["400"]["description"].split(", ")[1:5] == [
        "PASSWORD_TOO_SHORT",
        "PASSWORD_TOO_LONG",
        "PASSWORD_COMPROMISED",
        "CREDENTIAL_ACCOUNT_NOT_FOUND",
    ]


def test_t3_command_prints_the_document(site: Site) -> None:
    result = site.app.test_cli_runner().invoke(cli, ["openapi"])
    assert json.loads(result.output) == document(site.app.extensions["better_auth"])


def test_t3_command_names_the_extra_that_is_missing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    load = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("apispec"):
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.delitem(sys.modules, "flask_better_auth.openapi")
    monkeypatch.delattr(flask_better_auth, "openapi")
    monkeypatch.setattr(builtins, "__import__", without)
    result = site.app.test_cli_runner().invoke(cli, ["openapi"])
    assert result.exit_code == 1
    assert "flask-better-auth[openapi]" in result.output
