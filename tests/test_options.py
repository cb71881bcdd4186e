"""Options of the reference that no other page of tests is about: what each changes, as seen from outside."""

from __future__ import annotations

import json
import logging
import re
import typing
from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import ORIGIN, PASSWORD, SECRET, Site
from flask import Flask, got_request_exception
from jinja2 import DictLoader
from sqlalchemy import inspect

from flask_better_auth import BetterAuth, Call, ConfigError, DatabaseHooks, Plugin
from flask_better_auth.config import AuthConfig
from flask_better_auth.crypto import one_way
from flask_better_auth.services import records, verifications
from flask_better_auth.wire import python_name

ADA = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
WRONG = {"email": "ada@example.com", "password": "wrong password"}
MakeAuth = Callable[..., Site]

# ---------------------------------------------------------------- disabled_paths

NOT_FOUND = (404, b"Not Found", "text/plain;charset=UTF-8")


@pytest.mark.parametrize(
    ("method", "path", "disabled"),
    [
        ("POST", "/sign-up/email", True),
        ("GET", "/sign-up/email", True),
        ("PUT", "/sign-up/email", True),
        ("POST", "/sign-up/email/", True),
        ("GET", "/sign-up/email?x=1", True),
        ("GET", "/nothing-there", True),
        ("GET", "/nothing-there/", True),
        ("GET", "/ok", True),
        ("GET", "/other", False),
        ("GET", "/sign-up", False),
        ("GET", "/sign-up/email/x", False),
        ("GET", "//ok", False),
        ("GET", "/%6fk", False),
    ],
)
def test_a_disabled_path_is_not_found_whatever_the_method(
    make_auth: MakeAuth, method: str, path: str, disabled: bool
) -> None:
    site = make_auth(disabled_paths=["/sign-up/email", "/nothing-there", "/ok"])
    answer = site.browser().request(method, path, json={} if method != "GET" else None)
    got = (answer.status_code, answer.data, answer.headers.get("Content-Type"))
    assert got == (NOT_FOUND if disabled else (404, b"", None))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_a_disabled_path_answers_no_preflight(make_auth: MakeAuth, method: str) -> None:
    site = make_auth(disabled_paths=["/sign-up/email"])
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answer = site.browser().request(method, "/sign-up/email", headers=headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, NOT_FOUND[2])


def test_a_disabled_path_is_disabled_for_clients_alone(make_auth: MakeAuth) -> None:
    site = make_auth(disabled_paths=["/sign-up/email"])
    assert site.api.sign_up_email(body=ADA)["user"]["name"] == "Ada"


# ---------------------------------------------------------------- on_api_error


class Bug(Exception):
    """What an application's own code fails with."""


def failing(user: dict[str, Any], call: Any) -> None:
    raise Bug("in a hook")


def test_on_error_is_told_what_clients_get(make_auth: MakeAuth) -> None:
    told: list[tuple[Exception, str | None]] = []
    hooks = DatabaseHooks(user={"create": {"before": failing}})

    def on_error(error: Exception, call: Call) -> None:
        told.append((error, call.endpoint.path if call.endpoint else None))

    site = make_auth(on_api_error={"on_error": on_error}, database_hooks=hooks)
    browser = site.browser()
    assert browser.post("/sign-in/email", WRONG).status_code == 401
    assert browser.post("/sign-in/email", {}).status_code == 400
    assert browser.post("/sign-in/email", WRONG, headers={"Origin": "https://evil.test"}).status_code == 403
    assert browser.post("/sign-up/email", ADA).status_code == 500
    assert browser.get("/nothing").status_code == 404
    assert browser.get("/ok").status_code == 200
    kinds = [(getattr(error, "code", type(error).__name__), path) for error, path in told]
    assert kinds == [
        ("INVALID_EMAIL_OR_PASSWORD", "/sign-in/email"),
        ("VALIDATION_ERROR", "/sign-in/email"),
        ("INVALID_ORIGIN", "/sign-in/email"),
        ("Bug", "/sign-up/email"),
    ]


def test_on_error_changes_no_answer_and_its_failure_is_logged(
    make_auth: MakeAuth, caplog: pytest.LogCaptureFixture
) -> None:
    def on_error(error: Exception, call: Call) -> None:
        raise Bug("in on_error")

    site = make_auth(on_api_error={"on_error": on_error})
    answer = site.browser().post("/sign-in/email", WRONG)
    assert (answer.status_code, answer.json["code"]) == (401, "INVALID_EMAIL_OR_PASSWORD")
    assert "in on_error" in caplog.text


@pytest.mark.parametrize("throw", [True, False])
def test_throw_leaves_failures_to_the_application(make_auth: MakeAuth, throw: bool) -> None:
    hooks = DatabaseHooks(user={"create": {"before": failing}})
    site = make_auth(on_api_error={"throw": throw}, database_hooks=hooks)
    seen: list[Exception] = []

    @site.app.errorhandler(Bug)
    def handle(error: Bug) -> tuple[str, int]:
        return f"our page: {error}", 500

    def note(sender: Any, exception: Exception) -> None:
        seen.append(exception)

    with got_request_exception.connected_to(note, site.app):
        answer = site.browser().post("/sign-up/email", ADA)
    assert (answer.status_code, answer.data) == (500, b"our page: in a hook" if throw else b"")
    assert "Set-Cookie" not in answer.headers
    assert len(seen) == (0 if throw else 1)  # Flask sends it for what nobody handles
    assert site.rows("user") == []
    assert site.browser().post("/sign-in/email", WRONG).json["code"] == "INVALID_EMAIL_OR_PASSWORD"


def test_throw_without_a_handler_is_a_500_of_flask_and_logged_once(
    make_auth: MakeAuth, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = DatabaseHooks(user={"create": {"before": failing}})
    site = make_auth(on_api_error={"throw": True}, database_hooks=hooks, settings={"PROPAGATE_EXCEPTIONS": False})
    with caplog.at_level(logging.ERROR):
        assert site.browser().post("/sign-up/email", ADA).status_code == 500
    assert len([record for record in caplog.records if record.exc_info]) == 1


@pytest.mark.parametrize("testing", [True, False])
def test_the_error_page_may_be_the_applications_own(make_auth: MakeAuth, testing: bool) -> None:
    site = make_auth(on_api_error={"error_template": "oops.html"})
    site.app.testing = testing
    site.app.jinja_loader = DictLoader({"oops.html": "<p>{{ error }}: {{ error_description }}</p>"})
    answer = site.browser().get("/error?error=NO&error_description=<b>")
    assert (answer.status_code, answer.text) == (200, "<p>NO: &lt;b&gt;</p>")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert len(answer.headers.getlist("Content-Security-Policy")) == 1
    assert site.browser().get("/error?error=<script>").text == "<p>UNKNOWN: </p>"


# ---------------------------------------------------------------- the logger


def test_failures_are_told_to_a_child_of_the_applications_logger(
    make_auth: MakeAuth, caplog: pytest.LogCaptureFixture
) -> None:
    site = make_auth(database_hooks=DatabaseHooks(user={"create": {"before": failing}}))
    site.browser().post("/sign-up/email", ADA)
    (record,) = [record for record in caplog.records if "better-auth" in record.getMessage()]
    assert record.name == f"{site.app.name}.better_auth"


def test_failures_are_told_to_the_logger_of_the_options(make_auth: MakeAuth, caplog: pytest.LogCaptureFixture) -> None:
    mine = logging.getLogger("mine")
    site = make_auth(logger=mine, database_hooks=DatabaseHooks(user={"create": {"before": failing}}))
    site.browser().post("/sign-up/email", ADA)
    assert [record.name for record in caplog.records if "better-auth" in record.getMessage()] == ["mine"]


# ---------------------------------------------------------------- the base URL of a request

HOSTS = {"BETTER_AUTH_URL": None, "BETTER_AUTH_ALLOWED_HOSTS": "app.example.com,*.pre.example.com"}
FALLBACK = "https://fall.example.com"


@pytest.mark.parametrize(
    ("options", "host", "base"),
    [
        ({}, "app.example.com", "http://app.example.com"),
        ({}, "a.b.pre.example.com", "http://a.b.pre.example.com"),
        ({}, "app.example.com:8080", None),
        ({}, "evil.test", None),
        ({"protocol": "https"}, "app.example.com", "https://app.example.com"),
        ({"protocol": "http"}, "app.example.com", "http://app.example.com"),
        ({"fallback_url": FALLBACK}, "app.example.com", "http://app.example.com"),
        ({"fallback_url": FALLBACK}, "evil.test", FALLBACK),
        ({"fallback_url": FALLBACK + "/app/"}, "evil.test", FALLBACK + "/app"),
        ({"fallback_url": FALLBACK, "protocol": "https"}, "evil.test", FALLBACK),
    ],
)
def test_links_are_below_the_host_or_the_fallback(
    make_auth: MakeAuth, options: dict[str, str], host: str, base: str | None
) -> None:
    links: list[str] = []
    site = make_auth(
        settings=HOSTS, email_and_password={"send_reset_password": lambda url, **_: links.append(url)}, **options
    )
    site.api.create_user(**ADA)
    client = site.app.test_client()
    answer = client.post("/api/auth/request-password-reset", json={"email": ADA["email"]}, headers={"Host": host})
    answer.close()
    assert answer.status_code == (421 if base is None else 200)
    assert [link.partition("/api/auth/")[0] for link in links] == ([] if base is None else [base])


@pytest.mark.parametrize(
    ("options", "host", "origin", "status"),
    [
        ({}, "app.example.com", "http://app.example.com", 401),
        ({}, "app.example.com", "https://app.example.com", 403),
        ({}, "app.example.com", "http://x.pre.example.com", 403),
        ({"protocol": "https"}, "app.example.com", "https://app.example.com", 401),
        ({"protocol": "https"}, "app.example.com", "http://app.example.com", 403),
        ({"fallback_url": FALLBACK}, "app.example.com", FALLBACK, 401),
        ({"fallback_url": FALLBACK}, "evil.test", FALLBACK, 401),
        ({"fallback_url": FALLBACK}, "evil.test", "http://evil.test", 403),
        ({"fallback_url": FALLBACK}, "evil.test", "http://app.example.com", 403),
    ],
)
def test_the_own_origin_is_the_one_of_the_base_url(
    make_auth: MakeAuth, options: dict[str, str], host: str, origin: str, status: int
) -> None:
    site = make_auth(settings=HOSTS, **options)
    headers = {"Host": host, "Origin": origin, "Cookie": "a=b"}
    assert site.app.test_client().post("/api/auth/sign-in/email", json=WRONG, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("protocol", "production", "secure"),
    [("https", False, True), ("http", True, False), ("auto", True, True), ("auto", False, False)],
)
def test_cookies_are_secure_by_the_protocol(make_auth: MakeAuth, protocol: str, production: bool, secure: bool) -> None:
    app = Flask("host")
    app.testing = not production
    app.config.update(BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_DATABASE_URI="sqlite://", BETTER_AUTH_PROTOCOL=protocol)
    BetterAuth(app, allowed_hosts=["app.example.com"])
    assert app.extensions["better_auth"].cookies.session_token.attributes.secure is secure


@pytest.mark.parametrize("url", ["fall.example.com", "https://", "ftp://fall.example.com", "https://a@b.example.com"])
def test_a_fallback_that_is_no_url_is_refused(make_auth: MakeAuth, url: str) -> None:
    with pytest.raises(ConfigError, match="BETTER_AUTH_FALLBACK_URL must be like"):
        make_auth(fallback_url=url)


# ---------------------------------------------------------------- trusted origins by the request


def by_origin(site: Site, origin: str) -> int:
    headers = {"Origin": origin, "Cookie": "a=b"}
    return site.browser().post("/sign-in/email", WRONG, headers=headers).status_code


def test_trusted_origins_may_depend_on_the_request(make_auth: MakeAuth) -> None:
    def trusted(request: Any) -> list[str | None]:
        return ["https://t.example.com", None, "*.wild.example.com"] if request.path.endswith("/email") else []

    site = make_auth(trusted_origins=trusted)
    for origin in (ORIGIN, "https://t.example.com", "https://a.wild.example.com"):
        assert by_origin(site, origin) == 401
    assert by_origin(site, "https://u.example.com") == 403
    target = {**WRONG, "callbackURL": "https://t.example.com/x"}
    assert site.browser().post("/sign-in/email", target).status_code == 401
    elsewhere = {"email": "a@example.com", "redirectTo": "https://t.example.com/x"}
    assert site.browser().post("/request-password-reset", elsewhere).json["code"] == "INVALID_REDIRECT_URL"


def test_functions_and_texts_are_trusted_side_by_side(make_auth: MakeAuth) -> None:
    site = make_auth(
        trusted_origins=["https://a.example.com", lambda request: ["https://b.example.com"], lambda request: ()]
    )
    assert [by_origin(site, f"https://{name}.example.com") for name in "abc"] == [401, 401, 403]


def test_a_function_that_fails_trusts_nobody(make_auth: MakeAuth) -> None:
    def trusted(request: Any) -> list[str]:
        raise Bug("no tenant")

    site = make_auth(trusted_origins=trusted)
    assert by_origin(site, "https://t.example.com") == 500
    assert site.rows("session") == []


@pytest.mark.parametrize("value", [7, [7], {"a": "b"}, ["https://a.example.com", None]])
def test_trusted_origins_are_texts_and_functions(value: Any) -> None:
    with pytest.raises(ConfigError, match="must be a list of texts or functions"):
        BetterAuth(trusted_origins=value)


# ---------------------------------------------------------------- identifiers of verifications


def reversed_(text: str) -> str:
    return text[::-1]


@pytest.mark.parametrize(
    ("options", "stored"),
    [
        ({"store_identifier": "plain"}, str),
        ({"store_identifier": "hashed"}, one_way),
        ({"store_identifier": reversed_}, reversed_),
        ({"store_identifier": "hashed", "store_identifier_overrides": {"reset-password": "plain"}}, str),
        ({"store_identifier_overrides": {"reset-password:": reversed_, "reset": "hashed"}}, reversed_),
        ({"store_identifier_overrides": {"reset": "hashed", "reset-password:": "plain"}}, one_way),
        ({"store_identifier": "hashed", "store_identifier_overrides": {"eset": "plain"}}, one_way),
    ],
)
def test_the_identifier_of_a_verification_is_stored(
    make_auth: MakeAuth, options: dict[str, Any], stored: Callable[[str], str]
) -> None:
    tokens: list[str] = []
    site = make_auth(
        verification=options, email_and_password={"send_reset_password": lambda token, **_: tokens.append(token)}
    )
    site.api.create_user(**ADA)
    site.browser().post("/request-password-reset", {"email": ADA["email"]})
    assert [row.identifier for row in site.rows("verification")] == [stored("reset-password:" + tokens[0])]


@pytest.mark.parametrize("rule", ["hashed", reversed_])
@pytest.mark.parametrize("now_stored", ["as the rule says", "plainly"])
def test_a_verification_is_found_and_used_up_as_stored_or_plain(
    make_auth: MakeAuth, rule: Any, now_stored: str
) -> None:
    kind = verifications.RESET_PASSWORD
    site = make_auth(verification={"store_identifier": rule})
    with site.app.test_request_context() as context:
        call = Call(site.app.extensions["better_auth"], None, context.request)
        with records.unit(call):
            verifications.create(call, kind, "secret", "ada", expires_in=timedelta(hours=1))
        if now_stored == "plainly":
            with records.unit(call) as session:
                session.execute(site.db.update(site.auth.Verification).values(identifier="reset-password:secret"))
        assert verifications.find(call, kind, "secret") == "ada"
        with records.unit(call):
            assert verifications.consume(call, kind, "secret") == "ada"
            assert verifications.consume(call, kind, "secret") is None
        call.close()


# ---------------------------------------------------------------- additional fields


def test_a_field_may_be_renewed_by_every_change(make_auth: MakeAuth) -> None:
    numbers = iter(range(1, 9))
    version = {"type": "number", "required": False, "input": False, "on_update": lambda: next(numbers)}
    site = make_auth(user={"additional_fields": {"version": version}})
    ada = site.sign_up("ada")
    assert ada.session()["user"]["version"] is None
    for number in (1, 2):
        ada.post("/update-user", {"name": f"Ada {number}"})
        assert ada.session()["user"]["version"] == number
    site.api.update_user(user_id=ada.session()["user"]["id"], data={"version": 77})
    assert ada.session()["user"]["version"] == 77


def test_a_fields_column_may_have_another_name(make_auth: MakeAuth) -> None:
    nick = {"required": False, "field_name": "NickName", "unique": True}
    site = make_auth(user={"additional_fields": {"nick": nick}})
    ada, bob = site.sign_up("ada", nick="x"), site.sign_up("bob", nick="y")
    assert ada.session()["user"]["nick"] == "x"
    with site.app.app_context():
        assert "NickName" in {column["name"] for column in inspect(site.db.engine).get_columns("user")}
    assert bob.post("/update-user", {"nick": "x"}).json["code"] == "VALUE_ALREADY_TAKEN"
    assert [user.nick for user in site.rows("user")] in (["x", "y"], ["y", "x"])


# ---------------------------------------------------------------- the user that does not exist


def test_a_synthetic_user_may_look_like_the_applications_own(make_auth: MakeAuth) -> None:
    given: dict[str, Any] = {}

    def synthetic(**parts: Any) -> dict[str, Any]:
        given.update(parts)
        return {**parts["core_fields"], **parts["additional_fields"], "id": parts["id"], "plan": "trial"}

    site = make_auth(
        user={"additional_fields": {"nick": {"required": False}, "plan": {"default": "free", "input": False}}},
        email_and_password={"auto_sign_in": False, "custom_synthetic_user": synthetic},
        database_hooks=DatabaseHooks(user={"create": {"before": lambda user, call: {"plan": "trial"}}}),
    )
    first, second = (site.browser().post("/sign-up/email", {**ADA, "nick": "x"}).json["user"] for _ in range(2))
    assert set(given) == {"core_fields", "additional_fields", "id"}
    assert given["additional_fields"] == {"nick": "x", "plan": "free"}
    assert {"name", "email", "email_verified", "image", "created_at", "updated_at"} == set(given["core_fields"])
    assert first.keys() == second.keys()
    assert (first["plan"], second["plan"], second["nick"]) == ("trial", "trial", "x")


def test_the_application_has_a_name() -> None:
    app = Flask("host")
    app.config.update(BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_URL=ORIGIN, BETTER_AUTH_DATABASE_URI="sqlite://")
    BetterAuth(app, app_name="Acme")
    assert app.extensions["better_auth"].config.app_name == "Acme"


# ---------------------------------------------------------------- every option of the reference

VECTORS = json.loads((Path(__file__).parent / "vectors" / "options.json").read_text("utf-8"))
PAGE = (Path(__file__).parents[1] / "docs" / "options.md").read_text("utf-8")
TABLE, _, MISSING = PAGE.partition("\n## Not there yet\n")


def exists(option: str) -> bool:
    """Whether there is an option of this path; ``<key>`` stands for any key of a mapping."""
    hint: Any = AuthConfig
    for name in option.split("."):
        if name == "<key>":
            hint = typing.get_args(hint)[1]
        elif is_dataclass(hint) and name in typing.get_type_hints(hint):
            hint = typing.get_type_hints(hint)[name]
        else:
            return False
    return True


def python_path(reference: str) -> str:
    return ".".join(part if part == "<key>" else python_name(part) for part in reference.split("."))


def is_below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith((prefix + ".", prefix + "[]"))


def test_every_option_of_the_reference_has_one_answer() -> None:
    known = [*VECTORS["renamed"], *VECTORS["instead"], *VECTORS["same"]]
    assert len(known) == len(set(known)) == 377


@pytest.mark.parametrize("reference", VECTORS["renamed"])
def test_an_option_of_another_name_exists(reference: str) -> None:
    assert exists(VECTORS["renamed"][reference])
    assert not exists(python_path(reference)) or reference == "baseURL"


def test_an_option_of_the_same_name_exists_or_is_said_to_be_missing() -> None:
    missing = re.findall(r"^- `(.+)`$", MISSING, re.MULTILINE)
    absent = [path for path in VECTORS["same"] if not exists(python_path(path))]
    assert [path for path in absent if not any(is_below(path, prefix) for prefix in missing)] == []
    assert [prefix for prefix in missing if not any(is_below(path, prefix) for path in absent)] == []


def test_the_page_of_the_docs_says_what_stands_for_every_other_option() -> None:
    rows = {
        path: answer
        for paths, answer in re.findall(r"^\| (`.+?`) \| (.+) \|$", TABLE, re.MULTILINE)
        for path in re.findall(r"`(.+?)`", paths)
    }
    answers = {**{path: f"`{option}`" for path, option in VECTORS["renamed"].items()}, **VECTORS["instead"]}
    for path, answer in answers.items():
        nearest = max((prefix for prefix in rows if is_below(path, prefix)), key=len, default="nothing")
        assert rows.get(nearest) == answer, path
    assert [path for path in rows if not any(is_below(answered, path) for answered in answers)] == []


NAMED = [text for answer in VECTORS["instead"].values() for text in re.findall(r"`(.+?)`", answer)]


@pytest.mark.parametrize("text", sorted({text for text in NAMED if re.fullmatch(r"[a-z_.]+|Plugin\.[a-z_]+", text)}))
def test_what_stands_in_place_of_an_option_exists(text: str) -> None:
    if text.startswith("Plugin."):
        assert hasattr(Plugin, text.removeprefix("Plugin.")) or text.removeprefix("Plugin.") in Plugin.__annotations__
    else:
        elsewhere = {"limiter", "user_model", "unique", "index", "verify", "hash", "services.records"}
        assert exists(text) or text in elsewhere or text.startswith("werkzeug."), text
