"""Whatever is sent to an endpoint: the reference's refusal, never a 5xx, and no row changes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from conftest import FAST, ORIGIN, PASSWORD, SECRET, Site, build_site, email_token, tear_down
from flask import Flask, Response
from flask_sqlalchemy import SQLAlchemy

from flask_better_auth import APIError, BetterAuth
from flask_better_auth.endpoint import Endpoint
from flask_better_auth.providers import Google
from flask_better_auth.wire import Email, Mapped, Name, Part, Str

COOKIE = "better-auth.session_token"
EVIL = "https://evil.test"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
SAFE = ("GET", "HEAD", "OPTIONS")
ROWS = ("user", "session", "account", "verification")

#: Fields that name a place, and what the reference calls them when it refuses one.
TARGETS = {
    "callbackURL": ("callbackURL", "INVALID_CALLBACK_URL"),
    "redirectTo": ("redirectURL", "INVALID_REDIRECT_URL"),
    "errorCallbackURL": ("errorCallbackURL", "INVALID_ERROR_CALLBACK_URL"),
    "newUserCallbackURL": ("newUserCallbackURL", "INVALID_NEW_USER_CALLBACK_URL"),
}
#: The only refusals of the reference that carry no code.
CODELESS = re.compile(r"Invalid \w+: expected a string|No fields to update")
#: What somebody who is signed in is refused with, where a valid body names what is not there.
FROM_SOMEBODY = ("INVALID_TOKEN", "FAILED_TO_UNLINK_LAST_ACCOUNT", "ACCOUNT_NOT_FOUND")
#: Endpoints of the reference that never look at a body, whatever its media type.
BODY_IGNORED = ("get_session",)

#: A JSON value of every type: its JavaScript type, and the value.
VALUES: dict[str, tuple[str, Any]] = {
    "null": ("null", None),
    "number": ("number", 5),
    "true": ("boolean", True),
    "list": ("array", ["x"]),
    "object": ("object", {"x": 1}),
    "text": ("string", "text"),
}
#: Values that Python takes for false; JavaScript does so for the first two alone.
FALSY: dict[str, tuple[str, Any]] = {
    "zero": ("number", 0),
    "false": ("boolean", False),
    "empty list": ("array", []),
    "empty object": ("object", {}),
}
ODD_TEXTS = {"empty": "", "long": "x" * 10_000, "nul": "a\0b@example.com", "surrogate": "a\ud800b"}
BROKEN_JSON = {
    "cut": b'{"email": ',
    "words": b"not json",
    "open list": b"[1,2",
    "two values": b"{} {}",
    "not a number": b'{"name": NaN}',
    "byte order mark": b"\xef\xbb\xbf{}",
    "utf-16": "{}".encode("utf-16"),
    "no utf-8": b'{"name": "\xff"}',
    "encoded surrogate": b'{"name": "\xed\xa0\x80"}',
    "deep": b"[" * 30_000,
    "key twice": b'{"name": "a", "name": "b"}',
}
ODD_QUERIES = ("=", "&&", "x=%zz", "%00=1", "x=%FF", "callback_url=1", "__proto__[x]=1", "x=" + "y" * 5_000)


#: Somebody to sign in with; nobody here gets so far as to ask Google anything.
PROVIDERS = [Google(client_id="google-client", client_secret="google-secret")]


def _endpoints() -> list[Endpoint]:
    app = Flask("probe")
    app.config.update(BETTER_AUTH_SECRET=SECRET, SQLALCHEMY_DATABASE_URI="sqlite://", TESTING=True)
    db = SQLAlchemy(app)
    BetterAuth(app, db=db, password_hash=FAST)
    return [bound.endpoint for bound in app.extensions["better_auth"].registry]


ENDPOINTS = _endpoints()
#: Everything that a request can reach, by path and method.
CALLS = [(e, method) for e in ENDPOINTS for method, path in e.routes(additions=True) if path == e.path]
UNSAFE = [(e, method) for e, method in CALLS if method not in SAFE]
#: Those of them that read a body, and those that have an opinion about it.
PARSING = [(e, method) for e, method in UNSAFE if e.body is not None]
READING = [(e, method) for e, method in PARSING if e.body.root and e.body.refusal is None]
#: Those who take one of several shapes, and say no more of what is none of them.
CHOOSING = [(e, method) for e, method in PARSING if e.body.refusal is not None]


def each_call(calls: list[tuple[Endpoint, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("endpoint", "method"), calls, ids=[f"{m} {e.path}" for e, m in calls])


def each_field(calls: list[tuple[Endpoint, str]]) -> pytest.MarkDecorator:
    cases = [(e, method, name) for e, method in calls for name in e.body.fields]
    return pytest.mark.parametrize(
        ("endpoint", "method", "name"), cases, ids=[f"{m} {e.path} {n}" for e, m, n in cases]
    )


each_caller = pytest.mark.parametrize("signed_in", [True, False], ids=["signed in", "nobody"])


class Target:
    """An application that every request of this module meets in the same state."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.cookies = site.sign_up("ada").cookies
        self.rows = site.snapshot()
        (user,) = self.rows["user"]
        #: What query fields that must be there are set to.
        self.queries = {"token": email_token(site, user["id"], user["email"]), "callback_url": "/there"}
        self._nobody: dict[tuple[str, str], Response] = {}

    def send(
        self,
        endpoint: Endpoint,
        method: str,
        data: bytes | None = None,
        *,
        content_type: str | None = "application/json",
        cookies: dict[str, str] | None = None,
        path: str | None = None,
        **options: Any,
    ) -> Response:
        """Send a request. What is refused must change nothing; what is not is undone."""
        browser = self.site.browser()
        browser.cookies = dict(cookies or {})
        if data is not None:
            options.update(data=data, content_type=content_type)
        required = [name for name, field in endpoint.query.fields.items() if field.required] if endpoint.query else []
        query = {endpoint.query.wire_names[name]: self.queries[name] for name in required}
        if endpoint.query is not None and endpoint.query.refusal is not None:
            query = {"accountId": "text"}
        options.setdefault("query_string", query)
        answer = browser.request(method, re.sub("<.*?>", "x", path or endpoint.path or ""), **options)
        check_shape(answer, method)
        if self.site.snapshot() != self.rows:
            self.restore()
            assert answer.status_code == 200, f"a refused request changed a row: {answer.data!r}"
        if answer.status_code != 200:
            assert not any(line.startswith(f"{COOKIE}=") for line in live_cookies(answer)), "a refusal signs nobody in"
        return answer

    def json(self, endpoint: Endpoint, method: str, body: Any, *, signed_in: bool = True, **options: Any) -> Response:
        """Send a JSON body, as Ada or as nobody."""
        return self.send(
            endpoint, method, json.dumps(body).encode(), cookies=self.cookies if signed_in else None, **options
        )

    def nobody(self, endpoint: Endpoint, method: str) -> Response:
        """What nobody gets for a valid body."""
        key = (endpoint.name, method)
        if key not in self._nobody:
            self._nobody[key] = self.json(endpoint, method, valid_body(endpoint), signed_in=False)
        return self._nobody[key]

    def call(self, endpoint: Endpoint, **arguments: Any) -> Any:
        """Call ``auth.api`` as Ada; an ``APIError`` comes back as a result."""
        headers = {"Cookie": f"{COOKIE}={self.cookies[COOKIE]}"}
        arguments |= dict.fromkeys(endpoint.parameters, "x")
        try:
            result = getattr(self.site.api, endpoint.name)(headers=headers, **arguments)
        except APIError as error:
            result = error
        if self.site.snapshot() != self.rows:
            self.restore()
            assert not isinstance(result, APIError), "a refused call changed a row"
        return result

    def restore(self) -> None:
        site = self.site
        tables = {name: getattr(site.auth, name.capitalize()).__table__ for name in ROWS}
        with site.app.app_context(), site.db.engine.begin() as connection:
            for name in reversed(ROWS):
                connection.execute(tables[name].delete())
            for name in ROWS:
                if self.rows[name]:
                    connection.execute(tables[name].insert(), self.rows[name])


@pytest.fixture(scope="module")
def target(server_url: str | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    url = server_url or f"sqlite:///{tmp_path_factory.mktemp('bad_input')}/test.db"
    options = {
        "email_and_password": {"send_reset_password": lambda **message: None},
        "email_verification": {"send_verification_email": lambda **message: None},
        "user": {"change_email": {"enabled": True}, "delete_user": {"enabled": True}},
        "social_providers": PROVIDERS,
    }
    site = build_site(url, options=options)
    try:
        yield Target(site)
    finally:
        tear_down(site)


def live_cookies(answer: Response) -> list[str]:
    return [line for line in answer.headers.getlist("Set-Cookie") if "Max-Age=0" not in line]


def check_shape(answer: Response, method: str) -> None:
    """What holds for every answer: no 5xx, JSON errors with a code, no traceback."""
    assert answer.status_code < 500, answer.data
    for trace in (b"Traceback", b"flask_better_auth", b".py", b"sqlalchemy", b"SELECT"):
        assert trace not in answer.data
    if answer.status_code == 404 and not answer.data:
        assert answer.content_type is None
    elif answer.status_code >= 400:
        assert answer.content_type == "application/json"
        body = answer.json
        assert list(body) == (["message"] if CODELESS.fullmatch(body["message"]) else ["message", "code"])
        assert all(isinstance(value, str) and value for value in body.values())


def refused(answer: Response, status: int, message: str, code: str | None) -> None:
    """The answer is this very refusal."""
    expected = {"message": message, "code": code} if code else {"message": message}
    assert (answer.status_code, answer.json) == (status, expected)


def was_validated(answer: Response) -> None:
    """The answer is none of the refusals of a validation."""
    if answer.status_code >= 400:
        assert answer.json.get("code") not in ("VALIDATION_ERROR", "BAD_REQUEST", "UNSUPPORTED_MEDIA_TYPE")
        assert "expected a string" not in answer.json["message"]


def valid_body(endpoint: Endpoint) -> dict[str, Any]:
    """A body under wire names that every field accepts, for a user that exists; sign-ups get a free address."""
    if endpoint.body is None:
        return {}
    if endpoint.body.refusal is not None:
        return {"accountId": "text"}
    taken = endpoint.name.startswith("sign_in") or "name" not in endpoint.body.fields
    passwords = dict.fromkeys(("password", "current_password", "new_password"), PASSWORD)
    known = {"email": "ada@example.com" if taken else "new@example.com", "new_email": "newer@example.com", **passwords}
    known["provider"] = "google"
    body: dict[str, Any] = {}
    for name, wire in endpoint.body.wire_names.items():
        field = endpoint.body.fields[name]
        if wire in TARGETS:
            body[wire] = "/there"
        elif isinstance(field, Str):
            body[wire] = known.get(name, "text")
        elif not isinstance(field, Part):  # whose presence makes another request of it
            body[wire] = {"boolean": True, "array": ["text"]}.get(getattr(field, "kind", ""), {})
    return body


def wrong_type(field: Any, wire: str, received: str) -> str:
    """What the reference says of a value of the wrong type."""
    if isinstance(field, Name):
        return f"[body.{wire}] Invalid input"
    return f"[body.{wire}] Invalid input: expected {field.kind}, received {received}"


def complaint(endpoint: Endpoint, name: str, kind: str, value: Any) -> tuple[int, str, str | None] | None:
    """What the reference answers to a JSON value in a field; nothing, where it is of the right type."""
    field, wire = endpoint.body.fields[name], endpoint.body.wire_names[name]
    is_truthy = value not in (None, False, 0, "")  # as JavaScript sees it: an empty list is
    if wire in TARGETS and is_truthy and kind != "string":
        return 400, f"Invalid {TARGETS[wire][0]}: expected a string", None
    if kind == "object" and isinstance(field, Part):
        return 400, f"[body.{wire}.token] Invalid input: expected string, received undefined", "VALIDATION_ERROR"
    if kind == "object" and isinstance(field, Mapped) and field.texts and value:
        return 400, f"[body.{wire}.x] Invalid input: expected string, received number", "VALIDATION_ERROR"
    if kind == field.kind.replace("record", "object") or (kind == "null" and field.allow_none):
        return None
    return 400, wrong_type(field, wire, kind), "VALIDATION_ERROR"


def root_complaint(endpoint: Endpoint, received: str) -> tuple[int, str, str]:
    words = endpoint.body.root
    message = "; ".join(f"[body] Invalid input: expected {word}, received {received}" for word in words)
    return 400, message, "VALIDATION_ERROR"


# ---------------------------------------------------------------- controls


def test_the_registry_is_not_empty() -> None:
    assert len(CALLS) > 5
    assert len(READING) > 3


@each_caller
@each_call(CALLS)
def test_valid_request_is_not_refused_by_validation(
    target: Target, endpoint: Endpoint, method: str, signed_in: bool
) -> None:
    answer = target.json(endpoint, method, valid_body(endpoint), signed_in=signed_in)
    was_validated(answer)
    assert answer.status_code != 401 or not signed_in


# ---------------------------------------------------------------- bodies as a whole


@each_caller
@each_call(READING)
def test_no_body_is_an_undefined_one(target: Target, endpoint: Endpoint, method: str, signed_in: bool) -> None:
    cookies = target.cookies if signed_in else None
    for content_type in ("application/json", "text/plain"):
        answer = target.send(endpoint, method, b"", content_type=content_type, cookies=cookies)
        if endpoint.optional_body:
            was_validated(answer)
        else:
            refused(answer, *root_complaint(endpoint, "undefined"))


@each_call(READING)
def test_body_without_a_media_type_is_no_body(target: Target, endpoint: Endpoint, method: str) -> None:
    body = json.dumps(valid_body(endpoint)).encode()
    answer = target.send(endpoint, method, body, content_type=None, cookies=target.cookies)
    if endpoint.optional_body:
        was_validated(answer)
    else:
        refused(answer, *root_complaint(endpoint, "undefined"))


@each_caller
@pytest.mark.parametrize(
    "content_type", ["text/plain", "Text/Plain; charset=utf-8", "multipart/form-data; boundary=x", "application/jsonp"]
)
@each_call(UNSAFE)
def test_wrong_media_type_is_refused(
    target: Target, endpoint: Endpoint, method: str, content_type: str, signed_in: bool
) -> None:
    body = json.dumps(valid_body(endpoint)).encode()
    cookies = target.cookies if signed_in else None
    answer = target.send(endpoint, method, body, content_type=content_type, cookies=cookies)
    if endpoint.name in BODY_IGNORED:
        assert answer.json == target.send(endpoint, method, cookies=cookies).json
        return
    allowed = ", ".join(endpoint.media_types)
    message = f'Content-Type "{content_type}" is not allowed. Allowed types: {allowed}'
    refused(answer, 415, message, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("content_type", ["APPLICATION/json", "application/json; charset=utf-8", "application/json;x"])
@each_call(READING)
def test_media_type_is_read_without_case_and_parameters(
    target: Target, endpoint: Endpoint, method: str, content_type: str
) -> None:
    body = json.dumps(valid_body(endpoint)).encode()
    was_validated(target.send(endpoint, method, body, content_type=content_type, cookies=target.cookies))


@each_caller
@pytest.mark.parametrize("kind", BROKEN_JSON)
@each_call(UNSAFE)
def test_broken_json_is_refused(target: Target, endpoint: Endpoint, method: str, kind: str, signed_in: bool) -> None:
    cookies = target.cookies if signed_in else None
    answer = target.send(endpoint, method, BROKEN_JSON[kind], cookies=cookies)
    if endpoint.name in BODY_IGNORED:
        assert answer.json == target.send(endpoint, method, cookies=cookies).json
    else:
        refused(answer, 400, "Invalid JSON in request body", "BAD_REQUEST")


@each_caller
@pytest.mark.parametrize("kind", ["null", "number", "zero", "true", "false", "list", "empty list", "text"])
@each_call(READING)
def test_json_that_is_no_object_is_refused(
    target: Target, endpoint: Endpoint, method: str, kind: str, signed_in: bool
) -> None:
    received, value = (VALUES | FALSY)[kind]
    refused(target.json(endpoint, method, value, signed_in=signed_in), *root_complaint(endpoint, received))


@pytest.mark.parametrize("kind", VALUES | FALSY)
@each_call([call for call in PARSING if call not in (*READING, *CHOOSING)])
def test_json_of_every_type_is_taken_where_there_is_nothing_to_read(
    target: Target, endpoint: Endpoint, method: str, kind: str
) -> None:
    value = (VALUES | FALSY)[kind][1]
    assert target.json(endpoint, method, value).json == target.json(endpoint, method, {}).json == {"status": True}
    assert target.json(endpoint, method, value, signed_in=False).status_code == 401


@each_call([(e, m) for e, m in READING if "application/x-www-form-urlencoded" in e.media_types and "/sign" in e.path])
def test_form_values_are_texts_and_stay_so(target: Target, endpoint: Endpoint, method: str) -> None:
    valid = valid_body(endpoint)
    flags = [name for name, value in valid.items() if value is True]
    assert flags, "an endpoint that takes forms and has no flag needs another test"
    texts = "&".join(f"{name}={quote(value)}" for name, value in valid.items() if name not in flags)
    form = "application/x-www-form-urlencoded"
    was_validated(target.send(endpoint, method, texts.encode(), content_type=form))
    answer = target.send(endpoint, method, f"{texts}&{flags[0]}=false".encode(), content_type=form)
    message = f"[body.{flags[0]}] Invalid input: expected boolean, received string"
    refused(answer, 400, message, "VALIDATION_ERROR")
    for odd in (b"name=%ED%A0%80", b"name=%FF", b"\xff=1", b"&".join([b"a=1"] * 2_000)):
        assert target.send(endpoint, method, odd, content_type=form).status_code == 400


# ---------------------------------------------------------------- fields


@each_caller
@each_field(READING)
def test_missing_field(target: Target, endpoint: Endpoint, method: str, name: str, signed_in: bool) -> None:
    field, wire = endpoint.body.fields[name], endpoint.body.wire_names[name]
    body = valid_body(endpoint)
    body.pop(wire, None)
    answer = target.json(endpoint, method, body, signed_in=signed_in)
    if field.required:
        refused(answer, 400, wrong_type(field, wire, "undefined"), "VALIDATION_ERROR")
    else:
        was_validated(answer)


@each_caller
@pytest.mark.parametrize("kind", VALUES)
@each_field(READING)
def test_field_of_another_type(
    target: Target, endpoint: Endpoint, method: str, name: str, kind: str, signed_in: bool
) -> None:
    received, value = VALUES[kind]
    wire = endpoint.body.wire_names[name]
    expected = complaint(endpoint, name, received, value)
    answer = target.json(endpoint, method, {**valid_body(endpoint), wire: value}, signed_in=signed_in)
    if expected is not None:
        refused(answer, *expected)
    elif received != "string":
        was_validated(answer)


@pytest.mark.parametrize("kind", FALSY)
@each_field(READING)
def test_empty_value_of_another_type(target: Target, endpoint: Endpoint, method: str, name: str, kind: str) -> None:
    wire = endpoint.body.wire_names[name]
    expected = complaint(endpoint, name, *FALSY[kind])
    answer = target.json(endpoint, method, {**valid_body(endpoint), wire: FALSY[kind][1]})
    if expected is not None:
        refused(answer, *expected)
    else:
        was_validated(answer)


@each_call(READING)
def test_every_complaint_is_told_in_the_order_of_the_fields(target: Target, endpoint: Endpoint, method: str) -> None:
    body = {wire: 5 for wire in endpoint.body.wire_names.values() if wire not in TARGETS}
    complaints = [
        wrong_type(endpoint.body.fields[name], wire, "number")
        for name, wire in endpoint.body.wire_names.items()
        if wire in body
    ]
    if complaints:
        refused(target.json(endpoint, method, body), 400, "; ".join(complaints), "VALIDATION_ERROR")
    else:
        was_validated(target.json(endpoint, method, body))


@each_caller
@each_field(READING)
def test_empty_text(target: Target, endpoint: Endpoint, method: str, name: str, signed_in: bool) -> None:
    field, wire = endpoint.body.fields[name], endpoint.body.wire_names[name]
    answer = target.json(endpoint, method, {**valid_body(endpoint), wire: ""}, signed_in=signed_in)
    if isinstance(field, Email):
        refused(answer, 400, f"[body.{wire}] Invalid email address", "VALIDATION_ERROR")
    elif isinstance(field, Str) and field.minimum:
        message = f"[body.{wire}] Too small: expected string to have >={field.minimum} characters"
        refused(answer, 400, message, "VALIDATION_ERROR")
    elif isinstance(field, Str):
        was_validated(answer)


@each_caller
@each_field(READING)
def test_very_long_text(target: Target, endpoint: Endpoint, method: str, name: str, signed_in: bool) -> None:
    field, wire = endpoint.body.fields[name], endpoint.body.wire_names[name]
    answer = target.json(endpoint, method, {**valid_body(endpoint), wire: ODD_TEXTS["long"]}, signed_in=signed_in)
    if wire in TARGETS:
        refused(answer, 403, f"Invalid {TARGETS[wire][0]}", TARGETS[wire][1])
    elif isinstance(field, Email):
        refused(answer, 400, f"[body.{wire}] Invalid email address", "VALIDATION_ERROR")
    elif isinstance(field, Str):
        was_validated(answer)


@each_caller
@each_field(READING)
def test_text_with_nul(target: Target, endpoint: Endpoint, method: str, name: str, signed_in: bool) -> None:
    field, wire = endpoint.body.fields[name], endpoint.body.wire_names[name]
    answer = target.json(endpoint, method, {**valid_body(endpoint), wire: ODD_TEXTS["nul"]}, signed_in=signed_in)
    if wire in TARGETS:
        refused(answer, 403, f"Invalid {TARGETS[wire][0]}", TARGETS[wire][1])
    elif isinstance(field, Email):
        refused(answer, 400, f"[body.{wire}] Invalid email address", "VALIDATION_ERROR")
    elif isinstance(field, Str) and not field.opaque:  # ours alone: no database of the reference's would refuse it
        assert (answer.status_code, answer.json["code"]) == (400, "VALIDATION_ERROR")
        assert answer.json["message"].startswith(f"[body.{wire}] ")


@each_caller
@each_field(READING)
def test_f5_lone_surrogate_is_no_json(
    target: Target, endpoint: Endpoint, method: str, name: str, signed_in: bool
) -> None:
    wire = endpoint.body.wire_names[name]
    body = {**valid_body(endpoint), wire: ODD_TEXTS["surrogate"]}
    answer = target.json(endpoint, method, body, signed_in=signed_in)
    refused(answer, 400, "Invalid JSON in request body", "BAD_REQUEST")
    pair = target.json(endpoint, method, {**body, wire: "\U0001f511"}, signed_in=signed_in)
    assert pair.status_code < 400 or pair.json.get("code") != "BAD_REQUEST"


@pytest.mark.parametrize("wire", TARGETS)
@each_call(READING)
def test_a11_every_endpoint_checks_every_place_to_go(
    target: Target, endpoint: Endpoint, method: str, wire: str
) -> None:
    label, code = TARGETS[wire]
    valid = valid_body(endpoint)
    was_validated(target.json(endpoint, method, {**valid, wire: "/there"}))
    refused(target.json(endpoint, method, {**valid, wire: EVIL}), 403, f"Invalid {label}", code)
    for kind in ("number", "true", "list", "empty list", "object", "empty object"):
        answer = target.json(endpoint, method, {**valid, wire: (VALUES | FALSY)[kind][1]})
        refused(answer, 400, f"Invalid {label}: expected a string", None)


@each_caller
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"accountId": 5},
        {"accountId": None},
        {"useAccountCookie": False},
        {"accountId": "x", "userId": 5},
        [],
        5,
        None,
    ],
    ids=json.dumps,
)
@each_call(CHOOSING)
def test_what_is_none_of_the_shapes_is_refused_in_one_word(
    target: Target, endpoint: Endpoint, method: str, body: Any, signed_in: bool
) -> None:
    answer = target.json(endpoint, method, body, signed_in=signed_in)
    refused(answer, 400, "[body] Invalid input", "VALIDATION_ERROR")
    extra = target.json(endpoint, method, {"accountId": "x", "odd": 1, "odder": 2}, signed_in=signed_in)
    refused(extra, 400, '[body] Unrecognized keys: "odd", "odder"', "VALIDATION_ERROR")


@each_call(READING)
def test_unknown_keys_are_dropped(target: Target, endpoint: Endpoint, method: str) -> None:
    odd = {"__proto__": {"x": 1}, "constructor": 1, "": None, "id": "mine", "x" * 300: [[]], "emailVerified": "yes"}
    valid = target.json(endpoint, method, valid_body(endpoint))
    assert target.json(endpoint, method, {**odd, **valid_body(endpoint)}).status_code == valid.status_code


# ---------------------------------------------------------------- paths, methods, queries


@pytest.mark.parametrize("path", sorted({e.path for e, _ in CALLS if e.path}))
def test_any_other_method_is_an_empty_404(target: Target, path: str) -> None:
    known = {method for e, method in CALLS if e.path == path}
    for method in METHODS:
        endpoint = next(e for e, _ in CALLS if e.path == path)
        answer = target.json(endpoint, method, valid_body(endpoint))
        assert (answer.status_code == 404 and not answer.data) is (method not in known), method


@pytest.mark.parametrize("path", sorted({e.path for e, _ in CALLS if e.path}))
def test_paths_have_one_spelling(target: Target, path: str) -> None:
    endpoint, method = next((e, m) for e, m in CALLS if e.path == path)
    others = [path + "/", "/" + path, path.upper(), path + "/x", "/." + path]
    if not endpoint.parameters:  # else it is part of a parameter
        others += [path + ";x", path + "%00"]
    for other in others:
        answer = target.send(endpoint, method, path=other, cookies=target.cookies)
        assert answer.status_code == 404, other


@each_call(CALLS)
def test_odd_query_changes_nothing(target: Target, endpoint: Endpoint, method: str) -> None:
    odd = list(ODD_QUERIES)
    for wire in endpoint.query.wire_names.values() if endpoint.query else ():
        odd += [f"{wire}={value}" for value in ("", "%00", "%ED%A0%80", "%zz", "a%0D%0Ab", "x" * 10_000)]
        odd += [f"{wire}=a&{wire}=b", f"{wire}[]=a", wire]
    valid = valid_body(endpoint)
    control = target.json(endpoint, method, valid, query_string="")
    for query in odd:
        answer = target.json(endpoint, method, valid, query_string=query)
        known = [name for name in endpoint.query.wire_names.values() if name in query] if endpoint.query else []
        statuses = {
            control.status_code,
            *({302, 400, 401, 403, 404} if known and endpoint.name != "get_session" else ()),
        }
        assert answer.status_code in statuses, (query[:40], answer.data)
        assert "Location" not in answer.headers or "\n" not in answer.headers["Location"]


@each_call(UNSAFE)
def test_callback_url_of_the_query_is_checked(target: Target, endpoint: Endpoint, method: str) -> None:
    valid = {key: value for key, value in valid_body(endpoint).items() if key != "callbackURL"}
    was_validated(target.json(endpoint, method, valid, query_string={"callbackURL": "/there"}))
    answer = target.json(endpoint, method, valid, query_string={"callbackURL": EVIL})
    refused(answer, 403, "Invalid callbackURL", "INVALID_CALLBACK_URL")


@each_call(UNSAFE)
def test_callback_url_twice_in_the_query_is_no_text(target: Target, endpoint: Endpoint, method: str) -> None:
    valid = {key: value for key, value in valid_body(endpoint).items() if key != "callbackURL"}
    answer = target.json(endpoint, method, valid, query_string="callbackURL=/a&callbackURL=/b")
    refused(answer, 400, "Invalid callbackURL: expected a string", None)


# ---------------------------------------------------------------- origins and cookies


@each_call(CALLS)
def test_b1_foreign_origin_with_cookies_is_refused(target: Target, endpoint: Endpoint, method: str) -> None:
    own = target.json(endpoint, method, valid_body(endpoint), headers={"Origin": ORIGIN})
    foreign = target.json(endpoint, method, valid_body(endpoint), headers={"Origin": EVIL})
    assert own.status_code != 403
    if method in SAFE:
        assert foreign.status_code == own.status_code
    else:
        refused(foreign, 403, "Invalid origin", "INVALID_ORIGIN")


def _sign(token: str, secret: str) -> str:
    mac = hmac.new(secret.encode(), token.encode(), hashlib.sha256).digest()
    return quote(f"{token}.{base64.b64encode(mac).decode()}", safe="")


#: How a session cookie is spoilt, from its token.
SPOILT: dict[str, Callable[[str], str]] = {
    "tampered": lambda token: _sign(token, SECRET).replace(token[0], "0" if token[0] != "0" else "1", 1),
    "tampered signature": lambda token: token + "." + quote("A" * 43 + "="),
    "truncated": lambda token: _sign(token, SECRET)[:-6],
    "without signature": lambda token: token,
    "empty signature": lambda token: token + ".",
    "foreign-signed": lambda token: _sign(token, "another-secret-of-the-test-suite-01234"),
    "signed, of nobody": lambda token: _sign("0" * 32, SECRET),
    "signed twice": lambda token: quote(_sign(token, SECRET), safe=""),
    "garbage": lambda token: "garbage",
    "percent": lambda token: "%%%",
    "nul": lambda token: "%00.%00",
    "no utf-8": lambda token: "%FF%FE." + "A" * 44,
    "empty": lambda token: "",
    "long": lambda token: "x" * 6_000,
}


@pytest.mark.parametrize("how", SPOILT)
@each_call(CALLS)
def test_g2_spoilt_session_cookie_is_nobodys(target: Target, endpoint: Endpoint, method: str, how: str) -> None:
    (session,) = target.rows["session"]
    cookie = SPOILT[how](session["token"])
    valid, nobody = json.dumps(valid_body(endpoint)).encode(), target.nobody(endpoint, method)
    answer = target.send(endpoint, method, valid, cookies={COOKIE: cookie})
    assert answer.status_code == nobody.status_code
    if nobody.status_code != 200 or nobody.data == b"null":
        assert answer.data == nobody.data


@each_call(CALLS)
def test_the_cookie_that_was_not_spoilt_is_somebodys(target: Target, endpoint: Endpoint, method: str) -> None:
    (session,) = target.rows["session"]
    nobody = target.nobody(endpoint, method)
    cookies = {COOKIE: _sign(session["token"], SECRET)}
    answer = target.send(endpoint, method, json.dumps(valid_body(endpoint)).encode(), cookies=cookies)
    if nobody.status_code == 401 or nobody.data == b"null":
        refusal = answer.status_code != 200 and (answer.json.get("code") or answer.json["message"])
        assert not refusal or refusal in FROM_SOMEBODY or CODELESS.fullmatch(refusal)
        assert answer.data != nobody.data


# ---------------------------------------------------------------- the door of the server

each_endpoint = pytest.mark.parametrize(
    "endpoint", [e for e in ENDPOINTS if e.body and e.body.refusal is None], ids=lambda e: e.name
)


def python_body(endpoint: Endpoint) -> dict[str, Any]:
    names = {wire: name for name, wire in endpoint.body.wire_names.items()}
    return {names[wire]: value for wire, value in valid_body(endpoint).items()}


def api_refused(result: Any, message: str | None) -> None:
    assert isinstance(result, APIError), result
    assert (result.code, result.status_code, result.status) == ("VALIDATION_ERROR", 400, "BAD_REQUEST")
    assert message is None or result.message == message


@each_endpoint
def test_api_takes_a_valid_body(target: Target, endpoint: Endpoint) -> None:
    result = target.call(endpoint, body=python_body(endpoint))
    assert not isinstance(result, APIError) or result.code not in ("VALIDATION_ERROR", "UNAUTHORIZED")


@pytest.mark.parametrize("kind", VALUES | FALSY)
@each_endpoint
def test_api_refuses_fields_of_another_type_alike(target: Target, endpoint: Endpoint, kind: str) -> None:
    received, value = (VALUES | FALSY)[kind]
    for name, wire in endpoint.body.wire_names.items():
        field = endpoint.body.fields[name]
        for spelling in {name, wire}:
            body = {key: item for key, item in python_body(endpoint).items() if key != name}
            result = target.call(endpoint, body={**body, spelling: value})
            if not hasattr(field, "kind"):  # a field of the server's own door
                if received != "object":
                    api_refused(result, None)
            elif (wrong := complaint(endpoint, name, received, value)) is not None and wire not in TARGETS:
                api_refused(result, wrong[1])
            elif received not in ("string", "null") and wire in TARGETS:
                api_refused(result, wrong_type(field, wire, received))


@each_endpoint
def test_api_misses_fields_alike(target: Target, endpoint: Endpoint) -> None:
    for name, field in endpoint.body.fields.items():
        body = {key: value for key, value in python_body(endpoint).items() if key != name}
        result = target.call(endpoint, body=body)
        if field.required:
            wire = endpoint.body.wire_names[name]
            api_refused(result, wrong_type(field, wire, "undefined"))
        else:
            assert not isinstance(result, APIError) or result.code != "VALIDATION_ERROR"


@pytest.mark.parametrize("kind", ["number", "zero", "true", "false", "list", "empty list", "text"])
@pytest.mark.parametrize(
    "endpoint", [e for e in ENDPOINTS if e.body and e.body.root and e.body.refusal is None], ids=lambda e: e.name
)
def test_api_refuses_a_body_that_is_no_object_alike(target: Target, endpoint: Endpoint, kind: str) -> None:
    received, value = (VALUES | FALSY)[kind]
    api_refused(target.call(endpoint, body=value), root_complaint(endpoint, received)[1])


@pytest.mark.parametrize("kind", ODD_TEXTS)
@each_endpoint
def test_api_answers_odd_texts_or_refuses_them(target: Target, endpoint: Endpoint, kind: str) -> None:
    for name, field in endpoint.body.fields.items():
        if isinstance(field, Str):
            result = target.call(endpoint, body={**python_body(endpoint), name: ODD_TEXTS[kind]})
            assert not isinstance(result, APIError) or result.status_code < 500


@pytest.mark.parametrize(
    "endpoint", [e for e in ENDPOINTS if e.query and e.query.refusal is None], ids=lambda e: e.name
)
def test_api_refuses_a_query_of_another_type(target: Target, endpoint: Endpoint) -> None:
    for name, field in endpoint.query.fields.items():
        body = {"body": python_body(endpoint)} if endpoint.body else {}
        result = target.call(endpoint, query={name: "text"}, **body)
        assert not isinstance(result, APIError) or result.code != "VALIDATION_ERROR" or name not in result.message
        result = target.call(endpoint, query={**target.queries, name: 5}, **body)
        if isinstance(field, Str):
            wire = endpoint.query.wire_names[name]
            api_refused(result, f"[query.{wire}] Invalid input: expected string, received number")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
def test_api_knows_its_keywords(target: Target, endpoint: Endpoint) -> None:
    with pytest.raises(TypeError, match="no_such_field"):
        target.call(endpoint, no_such_field=1)
    for name, value in python_body(endpoint).items() if endpoint.body else ():
        target.call(endpoint, **{name: value})


@each_endpoint
def test_api_refuses_a_field_that_is_given_twice(target: Target, endpoint: Endpoint) -> None:
    body = python_body(endpoint)
    for name, wire in ((name, endpoint.body.wire_names[name]) for name in body):
        if wire != name:
            with pytest.raises(TypeError, match=name):
                target.call(endpoint, body={**body, wire: body[name]})
        with pytest.raises(TypeError, match=name):
            target.call(endpoint, body=body, **{name: body[name]})


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.needs_headers], ids=lambda e: e.name)
def test_api_asks_for_the_headers_it_needs(target: Target, endpoint: Endpoint) -> None:
    body = {"body": python_body(endpoint)} if endpoint.body else {}
    assert not isinstance(target.call(endpoint, **body), APIError)
    with pytest.raises(APIError) as caught:
        getattr(target.site.api, endpoint.name)(**body)
    api_refused(caught.value, "Headers is required")
