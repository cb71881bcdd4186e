"""Names, dates, JSON and e-mail addresses on the wire."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from marshmallow import fields

from flask_better_auth import APIError, wire
from flask_better_auth.wire import Bool, Email, Output, QueryFlag, Row, Str, WireSchema

# ---------------------------------------------------------------- names

NAMES = {
    "email": "email",
    "user_id": "userId",
    "callback_url": "callbackURL",
    "error_callback_url": "errorCallbackURL",
    "new_user_callback_url": "newUserCallbackURL",
    "base_url": "baseURL",
    "remember_me": "rememberMe",
    "email_verified": "emailVerified",
    "access_token_expires_at": "accessTokenExpiresAt",
    "redirect_to": "redirectTo",
    "redirect_uri": "redirectURI",
    "totp_uri": "totpURI",
    "disable_csrf_check": "disableCSRFCheck",
    "on_api_error": "onAPIError",
    "ip_address": "ipAddress",
    "id_token": "idToken",
}


@pytest.mark.parametrize("python", NAMES)
def test_names_go_to_the_wire_and_back(python: str) -> None:
    assert wire.wire_name(python) == NAMES[python]
    assert wire.python_name(NAMES[python]) == python


@pytest.mark.parametrize("name", ["snake_case", "callback_url", "x", ""])
def test_python_names_stay_as_they_are(name: str) -> None:
    assert wire.python_name(name) == name


def test_known_names_are_translated_and_others_are_left_alone() -> None:
    known = {"callbackURL": "callback_url", "name": "name"}
    raw = {"callbackURL": "/x", "name": "Ada", "someKey": {"callbackURL": 1}, "snake_key": 2}
    assert wire.to_python_names(raw, known) == {
        "callback_url": "/x",
        "name": "Ada",
        "someKey": {"callbackURL": 1},  # free-form: not ours to rename
        "snake_key": 2,
    }


def test_python_name_on_the_wire_is_an_unknown_key() -> None:
    raw = {"callback_url": "/python", "name": "Ada"}
    assert wire.to_python_names(raw, {"callbackURL": "callback_url", "name": "name"}) == {"name": "Ada"}


@pytest.mark.parametrize("raw", [None, [], ["x"], "text", 5, True, ...])
def test_what_is_no_object_has_no_names(raw: object) -> None:
    assert wire.to_python_names(raw, {"name": "name"}) is raw


# ---------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678_000, timezone.utc), "2026-01-02T03:04:05.678Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 0, timezone.utc), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 999_999, timezone.utc), "2026-01-02T03:04:05.999Z"),
        (datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2))), "2025-12-31T23:00:00.000Z"),
        (datetime(1815, 12, 10, tzinfo=timezone.utc), "1815-12-10T00:00:00.000Z"),
        (datetime(815, 12, 10, tzinfo=timezone.utc), "0815-12-10T00:00:00.000Z"),
    ],
)
def test_times_are_utc_with_milliseconds_and_z(moment: datetime, text: str) -> None:
    assert wire.iso(moment) == text
    assert wire.dumps({"at": [moment]}) == b'{"at":["' + text.encode() + b'"]}'


def test_json_is_compact_and_raw_utf8() -> None:
    value = {
        "message": "Größe 密码 🔑",
        "code": None,
        "list": [1, 2.5, True, False],
        "nested": {"b": 1, "a": 2},
        "/": "</",
    }
    text = '{"message":"Größe 密码 🔑","code":null,"list":[1,2.5,true,false],"nested":{"b":1,"a":2},"/":"</"}'
    assert wire.dumps(value) == text.encode()


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), timedelta(1)])
def test_what_is_no_json_is_an_error(value: object) -> None:
    with pytest.raises(TypeError):
        wire.dumps({"value": value})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, 2.5, null, true]}\n', {"a": [1, 2.5, None, True]}),
        (b'[{"a": 1}, {"a": 1}]', [{"a": 1}, {"a": 1}]),
        (b'"%s"' % (b"[{" * 500), "[{" * 500),
        ('"Größe 🔑"'.encode(), "Größe 🔑"),
        (b'"\\ud83d\\udd11"', "🔑"),
        (b'"\\u0000"', "\0"),
        (b"null", None),
    ],
)
def test_json_is_read(text: bytes, value: object) -> None:
    assert wire.parse_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"{} {}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"{a: 1}",
        b"NaN",
        b'{"a": [Infinity]}',
        b"-Infinity",
        b'"\t"',
        b"01",
        b"undefined",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-32-le"),
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b'{"a": [{"b": "x\\ud83d"}]}',
        b'"\\ud83d \\udd11"',
        b'{"a": 1, "b": {"c": 1, "c": 2}}',
        b"1e999",
        b"[" * 100_000,
    ],
)
def test_f5_json_is_strict(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text goes nowhere
        wire.parse_json(text)


def test_f5_last_of_two_keys_counts_where_the_reference_is_followed_to_the_letter() -> None:
    assert wire.parse_json(b'{"a": 1, "a": 2}', unique_keys=False) == {"a": 2}


@pytest.mark.parametrize("inner", [b"1", b'"\\u0041"'])
def test_f5_nesting_is_read_or_refused_at_every_depth(inner: bytes) -> None:
    def is_read(depth: int) -> bool:
        try:
            wire.parse_json(b"[" * depth + inner + b"]" * depth)
        except ValueError:
            return False
        return True

    low, high = 10, 1_000_000
    assert is_read(low)
    assert not is_read(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_read(middle) else (low, middle)
    # the parser and whatever looks at its result run out of stack at depths of their own
    for depth in range(low - 50, low + 50):
        assert is_read(depth) is (depth <= low)


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    "address",
    [
        "ada@example.com",
        "a@example.com",
        "a+tag@example.com",
        "a.b.c@sub.domain.example.co",
        "ADA@EXAMPLE.COM",
        "MiXed@Example.COM",
        "_a-b'c@ex-ample.org",
        "1@2.museum",
        "x" * 242 + "@example.com",
    ],
)
def test_address_is_accepted(address: str) -> None:
    assert wire.is_email(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "plain",
        "a@b",
        "a b@example.com",
        " a@example.com ",
        "a@example.com\n",
        "a@@example.com",
        "ä@example.com",
        "a@exämple.com",
        "\uff41@example.com",
        "a\uff20example.com",
        "bad",
        "not-an-email",
        "@example.com",
        "a@",
        "a@.com",
        "a@-example.com",
        "a@example.c",
        "a@example.com.",
        "a@example.c0m",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a'@example.com",
        '"a b"@example.com',
        "a@[127.0.0.1]",
        "a@127.0.0.1",
        "a@example.com,b@example.com",
        "Ada <ada@example.com>",
        "a\0@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "x" * 243 + "@example.com",
    ],
)
def test_f4_address_is_refused(address: str) -> None:
    assert not wire.is_email(address)


# ---------------------------------------------------------------- what comes in


class Sample(WireSchema):
    name = Str(required=True)
    email = Email(required=True)
    password = Str(minimum=1, opaque=True)
    callback_url = Str()
    remember_me = Bool(load_default=True)
    image = Str(allow_none=True)
    odd_one = Str(data_key="credentialID")


SAMPLE = Sample()
VALID = {"name": "Ada", "email": "ada@example.com"}


def message_of(raw: object, part: str = "body", schema: WireSchema = SAMPLE) -> str:
    with pytest.raises(APIError) as caught:
        wire.load(schema, raw, part)
    error = caught.value
    assert (error.code, error.status_code) == ("VALIDATION_ERROR", 400)
    return error.message


def test_valid_input_is_loaded_without_unknown_keys() -> None:
    loaded = wire.load(SAMPLE, {**VALID, "unknown": 1, "callbackURL": "/x"}, "body")
    assert loaded == {**VALID, "remember_me": True}


def test_absent_null_and_false_are_three_things() -> None:
    assert "image" not in wire.load(SAMPLE, VALID, "body")
    loaded = wire.load(SAMPLE, {**VALID, "image": None, "remember_me": False}, "body")
    assert (loaded["image"], loaded["remember_me"]) == (None, False)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"name": ...}, "[body.name] Invalid input: expected string, received undefined"),
        ({"name": None}, "[body.name] Invalid input: expected string, received null"),
        ({"name": 5}, "[body.name] Invalid input: expected string, received number"),
        ({"name": 1.5}, "[body.name] Invalid input: expected string, received number"),
        ({"name": True}, "[body.name] Invalid input: expected string, received boolean"),
        ({"name": ["A"]}, "[body.name] Invalid input: expected string, received array"),
        ({"name": {"x": 1}}, "[body.name] Invalid input: expected string, received object"),
        ({"email": ...}, "[body.email] Invalid input: expected string, received undefined"),
        ({"email": 5}, "[body.email] Invalid input: expected string, received number"),
        ({"email": "plain"}, "[body.email] Invalid email address"),
        ({"email": ""}, "[body.email] Invalid email address"),
        ({"email": "a\0@example.com"}, "[body.email] Invalid email address"),
        ({"password": ""}, "[body.password] Too small: expected string to have >=1 characters"),
        ({"password": 12345678}, "[body.password] Invalid input: expected string, received number"),
        ({"remember_me": "no"}, "[body.rememberMe] Invalid input: expected boolean, received string"),
        ({"remember_me": None}, "[body.rememberMe] Invalid input: expected boolean, received null"),
        ({"remember_me": 1}, "[body.rememberMe] Invalid input: expected boolean, received number"),
        ({"remember_me": 0}, "[body.rememberMe] Invalid input: expected boolean, received number"),
        ({"callback_url": 9}, "[body.callbackURL] Invalid input: expected string, received number"),
        ({"odd_one": 9}, "[body.credentialID] Invalid input: expected string, received number"),
        (
            {"name": ["A"], "email": {"x": 1}, "password": True},
            "[body.name] Invalid input: expected string, received array; "
            "[body.email] Invalid input: expected string, received object; "
            "[body.password] Invalid input: expected string, received boolean",
        ),
        (
            {"password": "", "email": "x", "name": 1},
            "[body.name] Invalid input: expected string, received number; [body.email] Invalid email address; "
            "[body.password] Too small: expected string to have >=1 characters",
        ),
    ],
)
def test_complaints_are_the_references(raw: dict[str, Any], message: str) -> None:
    assert message_of({key: value for key, value in {**VALID, **raw}.items() if value is not ...}) == message


def test_nul_is_for_opaque_values_alone() -> None:
    assert wire.load(SAMPLE, {**VALID, "password": "a\0b"}, "body")["password"] == "a\0b"
    assert message_of({**VALID, "name": "a\0b"}).startswith("[body.name] ")


def test_complaints_of_a_query_name_it() -> None:
    assert message_of({"email": "a@example.com"}, "query").startswith("[query.name] ")


@pytest.mark.parametrize(
    ("raw", "received"),
    [(..., "undefined"), (None, "null"), ([], "array"), ("text", "string"), (5, "number"), (True, "boolean")],
)
def test_complaint_about_the_whole_names_each_root(raw: object, received: str) -> None:
    class Both(WireSchema):
        root = ("object", "record")

    assert message_of(raw) == f"[body] Invalid input: expected object, received {received}"
    assert message_of(raw, schema=Both()) == "; ".join(
        f"[body] Invalid input: expected {word}, received {received}" for word in ("object", "record")
    )


def test_optional_part_may_be_absent_but_not_of_another_type() -> None:
    class Optional(WireSchema):
        name = Str()

    assert wire.load(Optional(), ..., "body", optional=True) == {}
    with pytest.raises(APIError, match="received null"):
        wire.load(Optional(), None, "body", optional=True)


def test_flag_of_a_query_is_any_text_but_the_empty_one() -> None:
    class Query(WireSchema):
        disable_refresh = QueryFlag()

    given = {"true": True, "false": True, "0": True, "": False}
    assert {text: wire.load(Query(), {"disable_refresh": text}, "query")["disable_refresh"] for text in given} == given
    assert wire.load(Query(), {}, "query") == {}


def test_columns_of_a_table_pass_a_schema_that_takes_them() -> None:
    class Open(WireSchema):
        columns_of = "user"
        name = Str()

    assert wire.load(Open(), {"name": "Ada", "nickname": 5}, "body") == {"name": "Ada", "nickname": 5}


# ---------------------------------------------------------------- what goes out


class Result(WireSchema):
    token = Str()
    redirect = Bool()
    redirect_url = Str()
    odd_one = Str(data_key="credentialID")
    user = Row("user")


class Wrapped(WireSchema):
    inner_result = fields.Nested(Result)
    all_users = fields.List(Row("user"))


TABLES = {"user": ("id", "email_verified", "created_at")}
NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
USER = {"id": "1", "email_verified": False, "created_at": NOW, "password": "a-hash"}
SHOWN = {"id": "1", "email_verified": False, "created_at": NOW}
ON_THE_WIRE = {"id": "1", "emailVerified": False, "createdAt": NOW}


def test_output_keeps_null_absent_and_false_apart() -> None:
    output = Output(Result(), TABLES)
    assert output.wire({}) == output.python({}) == {}
    assert output.wire({"token": None, "redirect": False, "user": None}) == {
        "token": None,
        "redirect": False,
        "user": None,
    }
    assert json.loads(wire.dumps(output.wire({"token": None}))) == {"token": None}
    assert output.wire(None) is output.python(None) is None


def test_output_drops_columns_that_may_not_leave() -> None:
    output = Output(Result(), TABLES)
    assert output.wire({"user": USER}) == {"user": ON_THE_WIRE}
    assert output.python({"user": USER}) == {"user": SHOWN}
    assert "password" in USER


def test_output_names_fields_for_each_door() -> None:
    output = Output(Result(), TABLES)
    value = {"redirect_url": "/x", "odd_one": "1"}
    assert output.wire(value) == {"redirectURL": "/x", "credentialID": "1"}
    assert output.python(value) == value


def test_output_goes_into_lists_and_nested_results() -> None:
    output = Output(Wrapped(), TABLES)
    value = {"inner_result": {"user": USER, "token": None}, "all_users": [USER, None]}
    assert output.wire(value) == {
        "innerResult": {"user": ON_THE_WIRE, "token": None},
        "allUsers": [ON_THE_WIRE, None],
    }
    assert output.python(value) == {"inner_result": {"user": SHOWN, "token": None}, "all_users": [SHOWN, None]}
    assert Output(fields.List(Row("user")), TABLES).wire([USER]) == [ON_THE_WIRE]


def test_output_without_a_shape_is_as_it_is() -> None:
    value = {"some_key": [1, {"other_key": None}]}
    assert Output(None, TABLES).wire(value) is value
