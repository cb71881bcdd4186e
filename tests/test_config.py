"""Configuration: where each option may come from, who wins, and what a mistake is told."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from conftest import FAST, ORIGIN, PASSWORD, SECRET, Browser, Site
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Table, create_engine, event, inspect

from flask_better_auth import BetterAuth, ConfigError, CookieCache
from flask_better_auth.config import AuthConfig, Limit, VersionedSecret, build

HINTS = typing.get_type_hints(AuthConfig)
SECTIONS = {name: hint for name, hint in HINTS.items() if is_dataclass(hint)}
#: Every option: its section (``""`` for none), its name and its type.
OPTIONS = [("", name, hint) for name, hint in HINTS.items() if name not in SECTIONS] + [
    (section, name, hint) for section, cls in SECTIONS.items() for name, hint in typing.get_type_hints(cls).items()
]
TABLES = {"user", "session", "account", "verification"}


def is_callable(hint: Any) -> bool:
    return typing.get_origin(hint) is not None and "Callable" in str(typing.get_origin(hint))


def sample(hint: Any, default: Any) -> tuple[Any, str | None]:
    """A value of a type other than the default, and the text that stands for it, if one does."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return "scrypt", "scrypt"
    if origin in (types.UnionType, typing.Union):
        return sample(next(a for a in arguments if a is not type(None)), default)
    if origin is Literal:
        other = next(a for a in arguments if a != default)
        return other, other
    if hint == tuple[VersionedSecret, ...]:
        return (VersionedSecret(2, "abc"), VersionedSecret(1, "de:f")), " 2:abc, 1:de:f"
    if origin is tuple:
        return ("one", "two"), " one,two, "
    if is_callable(hint):
        return print, None
    if hint is logging.Logger:
        return logging.getLogger("sample"), None
    if hint is Limit:
        return Limit(7, per=90), None
    if is_dataclass(hint):
        (name, inner), *_ = typing.get_type_hints(hint).items()
        return hint(**{name: sample(inner, getattr(hint(), name))[0]}), None
    if origin is not None and issubclass(origin, Mapping):
        return {"key": sample(arguments[1], None)[0]}, None
    if hint is bool:
        return not default, str(not default).lower()
    return {int: (7, "7"), timedelta: (timedelta(seconds=90), "90"), str: ("sample", "sample")}[hint]


def default_of(section: str, name: str) -> Any:
    config = AuthConfig()
    return getattr(getattr(config, section) if section else config, name)


def value_of(config: AuthConfig, section: str, name: str) -> Any:
    return getattr(getattr(config, section) if section else config, name)


def key_of(section: str, name: str) -> str:
    return "_".join(filter(None, ("BETTER_AUTH", section.upper(), name.upper())))


def arguments_of(section: str, name: str, value: Any) -> dict[str, Any]:
    return {section: {name: value}} if section else {name: value}


each_option = pytest.mark.parametrize(
    ("section", "name", "hint"), OPTIONS, ids=[f"{s}.{n}" if s else n for s, n, _ in OPTIONS]
)
each_option_of_a_section = pytest.mark.parametrize(
    ("section", "name", "hint"), [o for o in OPTIONS if o[0]], ids=[f"{s}.{n}" for s, n, _ in OPTIONS if s]
)

# ---------------------------------------------------------------- where options come from


def test_there_are_options() -> None:
    assert len(OPTIONS) > 30
    assert ("session", "expires_in", timedelta) in OPTIONS


@each_option
def test_option_comes_from_the_constructor(section: str, name: str, hint: Any) -> None:
    value, _ = sample(hint, default_of(section, name))
    assert value != default_of(section, name)
    assert value_of(build(arguments_of(section, name, value), {}), section, name) == value


@each_option_of_a_section
def test_option_comes_from_a_section_object(section: str, name: str, hint: Any) -> None:
    value, _ = sample(hint, default_of(section, name))
    config = build({section: SECTIONS[section](**{name: value})}, {})
    assert value_of(config, section, name) == value


@each_option
def test_option_comes_from_a_key(section: str, name: str, hint: Any) -> None:
    value, text = sample(hint, default_of(section, name))
    for given in (value, *(() if text is None else (text,))):
        assert value_of(build({}, {key_of(section, name): given}), section, name) == value


@each_option_of_a_section
def test_option_comes_from_a_dict_of_its_section(section: str, name: str, hint: Any) -> None:
    value, text = sample(hint, default_of(section, name))
    for given in (value, *(() if text is None else (text,))):
        assert value_of(build({}, {key_of("", section): {name: given}}), section, name) == value


@each_option
def test_constructor_wins(section: str, name: str, hint: Any) -> None:
    default = default_of(section, name)
    value, _ = sample(hint, default)
    settings = {key_of(section, name): value}
    assert value_of(build(arguments_of(section, name, default), settings), section, name) == default
    other = sample(hint, value)[0]
    assert value_of(build(arguments_of(section, name, other), {key_of(section, name): default}), section, name) == other


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [("session", "expires_in", 60), ("email_and_password", "enabled", False), ("advanced", "cookie_prefix", "x")],
)
def test_constructor_wins_with_the_default_too(section: str, name: str, value: Any) -> None:
    default, settings = default_of(section, name), {key_of(section, name): value}
    assert value_of(build({}, settings), section, name) != default
    for given in ({name: default}, SECTIONS[section](**{name: default})):
        assert value_of(build({section: given}, settings), section, name) == default


def test_constructor_and_keys_fill_one_section_together() -> None:
    settings = {
        "BETTER_AUTH_SESSION": {"update_age": 60, "fresh_age": 1},
        "BETTER_AUTH_SESSION_FRESH_AGE": "120",
        "BETTER_AUTH_SESSION_DISABLE_SESSION_REFRESH": "true",
    }
    session = build({"session": {"expires_in": 3600}}, settings).session
    assert (session.expires_in, session.update_age) == (timedelta(hours=1), timedelta(minutes=1))
    assert session.fresh_age == timedelta(minutes=2), "the longer key wins over the dict"
    assert session.disable_session_refresh is True


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "SECRET": "from-the-environment-0123456789-abcdef",
        "TRUSTED_ORIGINS": "https://a.example.com, https://*.b.example.com",
        "ALLOWED_HOSTS": '["a.example.com"]',
        "MAX_BODY": "1024",
        "HARDENING": "false",
        "SESSION_EXPIRES_IN": "3600",
        "SESSION_UPDATE_AGE": "0.5",
        "EMAIL_AND_PASSWORD_DISABLE_SIGN_UP": "true",
        "ADVANCED_IP_ADDRESS": '{"ipv6_subnet": 48}',
        "ADVANCED_DISABLE_ORIGIN_CHECK": "/public,/hooks",
    }
    for name, text in environment.items():
        monkeypatch.setenv(f"FLASK_BETTER_AUTH_{name}", text)
    app = Flask("host")
    app.config.from_prefixed_env()
    config = build({}, app.config)
    assert config.secret == environment["SECRET"]
    assert config.trusted_origins == ("https://a.example.com", "https://*.b.example.com")
    assert (config.allowed_hosts, config.max_body, config.hardening) == (("a.example.com",), 1024, False)
    assert (config.session.expires_in, config.session.update_age) == (timedelta(hours=1), timedelta(milliseconds=500))
    assert config.email_and_password.disable_sign_up is True
    assert config.advanced.ip_address.ipv6_subnet == 48
    assert config.advanced.disable_origin_check == ("/public", "/hooks")


@pytest.mark.parametrize("given", [90, 90.0, "90", "90.0", timedelta(seconds=90)])
def test_durations_are_seconds(given: Any) -> None:
    assert build({"session": {"expires_in": given}}, {}).session.expires_in == timedelta(seconds=90)


@pytest.mark.parametrize("given", ["a,b", " a , b ,", ["a", "b"], ("a", "b")])
def test_lists_are_comma_separated(given: Any) -> None:
    assert build({}, {"BETTER_AUTH_DISABLED_PATHS": given}).disabled_paths == ("a", "b")


def test_keys_of_others_are_left_alone() -> None:
    assert build({}, {"BETTERAUTH_X": 1, "BETTER": 2, "AUTH_SECRET": 3, "SQLALCHEMY_ECHO": True}) == AuthConfig()


# ---------------------------------------------------------------- mistakes

NEAREST = {
    "BETTER_AUTH_SECRT": "BETTER_AUTH_SECRET",
    "BETTER_AUTH_TRUSTED_ORIGIN": "BETTER_AUTH_TRUSTED_ORIGINS",
    "BETTER_AUTH_SESSION_EXPIRE_IN": "BETTER_AUTH_SESSION_EXPIRES_IN",
    "BETTER_AUTH_EMAIL_AND_PASSWORD_MIN_LENGTH": "BETTER_AUTH_EMAIL_AND_PASSWORD_MIN_PASSWORD_LENGTH",
    "BETTER_AUTH_ADVANCED_COOKIE_PREFX": "BETTER_AUTH_ADVANCED_COOKIE_PREFIX",
    "BETTER_AUTH_SESION_EXPIRES_IN": "BETTER_AUTH_SESSION_EXPIRES_IN",
}


def host(*, testing: bool = True, **settings: Any) -> Flask:
    app = Flask("host")
    app.testing = testing
    app.config.update({"BETTER_AUTH_SECRET": SECRET, "SQLALCHEMY_DATABASE_URI": "sqlite://", **settings})
    return app


@pytest.mark.parametrize("key", NEAREST)
def test_unknown_key_is_named_with_the_nearest_one(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BetterAuth(host(**{key: "x"}), db=SQLAlchemy())
    words = str(caught.value).replace(";", " ").split()
    assert key in words
    assert NEAREST[key] in words


@pytest.mark.parametrize(
    ("options", "wrong", "nearest"),
    [
        ({"sesion": {}}, "sesion", "session"),
        ({"secre": "x"}, "secre", "secret"),
        ({"session": {"expire_in": 1}}, "expire_in", "expires_in"),
        ({"advanced": {"ip_address": {"ipv6_subnets": 1}}}, "ipv6_subnets", "ipv6_subnet"),
        ({"advanced": {"cookies": {"session_token": {"nam": "x"}}}}, "nam", "name"),
        ({"advanced": {"database": {"generate_ids": "uuid"}}}, "generate_ids", "generate_id"),
        ({"trusted_origin": []}, "trusted_origin", "trusted_origins"),
        ({"verification": {"store_identifiers": "plain"}}, "store_identifiers", "store_identifier"),
        ({"on_api_error": {"on_errors": print}}, "on_errors", "on_error"),
        ({"email_and_password": {"is_compromisd": print}}, "is_compromisd", "is_compromised"),
        ({"user": {"additional_fields": {"nick": {"inputt": True}}}}, "inputt", "input"),
    ],
)
def test_unknown_argument_is_named_with_the_nearest_one(options: dict[str, Any], wrong: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BetterAuth(**options)  # at once: no application is needed to tell
    assert wrong in str(caught.value)
    assert str(caught.value).split()[-1] == nearest


def wrong_values(hint: Any) -> list[Any]:
    """Values that are of no type that ``hint`` allows."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return []
    if origin in (types.UnionType, typing.Union):
        common = [wrong_values(a) for a in arguments if a is not type(None)]
        return [object()] if len(common) > 1 else [v for v in common[0] if v is not None]
    if hint is bool:
        return ["maybe", "", 2, 1, None, []]
    if hint is int:
        return ["x", "-", "1.5", 1.5, True, None, []]
    if hint is timedelta:
        return ["soon", "", -1, "-1", True, None, [], float("nan"), float("inf"), "nan", 1e300]
    if hint is str:
        return [5, True, None, []]
    if origin is tuple:
        return [5, None, [5], {"a": 1}, ["a", None]]
    if origin is Literal:
        return ["another", None, 5]
    return ["text", 5, ["x"]]


WRONG = [(s, n, v) for s, n, hint in OPTIONS for v in wrong_values(hint)]


@pytest.mark.parametrize(("section", "name", "value"), WRONG, ids=[f"{s}.{n}-{v!r:.20}" for s, n, v in WRONG])
def test_wrong_value_is_refused_by_name(section: str, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        build(arguments_of(section, name, value), {})
    with pytest.raises(ConfigError, match=f"(?i){name}"):
        build({}, {key_of(section, name): value})


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [("", "max_body", "x"), ("session", "expires_in", "soon"), ("advanced", "cookie_prefix", 5), ("session", "", "x")],
)
def test_wrong_value_of_a_key_is_told_with_the_key(section: str, name: str, value: Any) -> None:
    key = key_of(section, name).rstrip("_")
    with pytest.raises(ConfigError, match=key):
        build({}, {key: value})


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({"advanced": {"database": {"generate_id": "serials"}}}, "'serial', 'uuid', False"),
        ({"verification": {"store_identifier": "hash"}}, "'plain', 'hashed'"),
        ({"protocol": "ftp"}, "'auto', 'http', 'https'"),
        ({"naming": "kebab-case"}, "'snake_case', 'camelCase'"),
    ],
)
def test_a_value_that_is_none_of_a_few_is_told_with_these(options: dict[str, Any], allowed: str) -> None:
    with pytest.raises(ConfigError, match=f"must be one of {allowed}, not"):
        BetterAuth(**options)


@pytest.mark.parametrize("place", ["constructor", "key", "SECRET_KEY"])
@pytest.mark.parametrize("wrap", [lambda s: [s], lambda s: {"secret": s}, lambda s: s[:9], lambda s: s[:8] * 5])
def test_message_never_shows_a_secret(place: str, wrap: Callable[[str], Any]) -> None:
    secret = wrap("hush-hush")
    app = Flask("host")
    options: dict[str, Any] = {}
    if place == "constructor":
        options["secret"] = secret
    else:
        app.config["BETTER_AUTH_SECRET" if place == "key" else "SECRET_KEY"] = secret
    with pytest.raises(ConfigError) as caught:
        BetterAuth(app, db=SQLAlchemy(), **options)
    assert "secret" in str(caught.value).lower()
    assert "hush" not in str(caught.value)


def test_configuration_does_not_show_its_secret() -> None:
    assert SECRET not in repr(build({"secret": SECRET}, {}))


@pytest.mark.parametrize(
    ("option", "value"),
    [("base_path", "auth"), ("url", "app.example.com"), ("url", "ftp://app.example.com"), ("database_uri", "nonsense")],
)
def test_value_that_cannot_work_is_refused_at_the_start(option: str, value: str) -> None:
    app = Flask("host")
    app.testing = True
    if option != "database_uri":
        app.config["BETTER_AUTH_DATABASE_URI"] = "sqlite://"
    with pytest.raises(ConfigError, match=f"(?i){option}"):
        BetterAuth(app, secret=SECRET, **{option: value})


# ---------------------------------------------------------------- the secret


@pytest.mark.parametrize(
    ("options", "settings", "secret"),
    [
        ({}, {"SECRET_KEY": "fallback"}, "fallback"),
        ({}, {"SECRET_KEY": b"fallback\xff"}, "fallback\xff"),
        ({}, {"SECRET_KEY": "fallback", "BETTER_AUTH_SECRET": "own"}, "own"),
        ({"secret": "argument"}, {"SECRET_KEY": "fallback", "BETTER_AUTH_SECRET": "own"}, "argument"),
        ({}, {"SECRET_KEY": None}, ""),
        ({}, {}, ""),
    ],
)
def test_secret_falls_back_to_the_applications(options: dict[str, Any], settings: dict[str, Any], secret: str) -> None:
    assert build(options, settings).secret == secret


@pytest.mark.parametrize("secret", ["", "short", "x" * 64, "better-auth-secret-12345678901234567890"])
def test_weak_secret_is_refused_outside_debug_and_testing(secret: str) -> None:
    db = SQLAlchemy()
    with pytest.raises(ConfigError, match="BETTER_AUTH_SECRET"):
        BetterAuth(host(testing=False, BETTER_AUTH_SECRET=secret), db=db)
    BetterAuth(host(testing=False, BETTER_AUTH_URL=ORIGIN), db=db)
    if secret:
        BetterAuth(host(BETTER_AUTH_SECRET=secret), db=db)


# ---------------------------------------------------------------- applications


@pytest.fixture
def make_app(server_url: str | None, tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Applications whose databases are taken down at the end, under whatever prefix their tables have."""
    made: list[Flask] = []

    def make(name: str = "host", *, db: SQLAlchemy | None = None, **settings: Any) -> Flask:
        app = Flask(name, instance_path=str(tmp_path / name))
        app.testing = True
        app.config.update({"BETTER_AUTH_SECRET": SECRET, "BETTER_AUTH_URL": ORIGIN, **settings})
        if db is not None:
            app.config["SQLALCHEMY_DATABASE_URI"] = server_url or f"sqlite:///{name}.db"
            db.init_app(app)
        elif server_url:
            app.config["BETTER_AUTH_DATABASE_URI"] = server_url
        made.append(app)
        return app

    yield make
    for app in made:
        db = app.extensions.get("sqlalchemy")
        if db is not None:
            with app.app_context():
                db.session.remove()
                db.drop_all()
                for engine in db.engines.values():
                    engine.dispose()


def tables_of(app: Flask) -> set[str]:
    with app.app_context():
        return set(inspect(app.extensions["sqlalchemy"].engine).get_table_names())


def test_routes_are_below_the_base_path(make_app: Callable[..., Flask]) -> None:
    db = SQLAlchemy()
    app = make_app(db=db, BETTER_AUTH_BASE_PATH="/accounts/v1")
    sent: list[str] = []
    auth = BetterAuth(
        app,
        db=db,
        password_hash=FAST,
        email_and_password={"send_reset_password": lambda user, url, token: sent.append(url)},
    )
    with app.app_context():
        db.create_all()
    browser = Browser(Site(app, auth, db))
    assert browser.get("~/accounts/v1/ok").json == {"ok": True}
    for path in ("~/api/auth/ok", "~/accounts/v1", "~/accounts/v1/", "~/accounts/v1/nope", "~/accounts/v1/ok/"):
        assert browser.get(path).status_code == 404
    assert auth.api.ok() == {"ok": True}
    auth.api.create_user(email="ada@example.com", name="Ada")
    auth.api.request_password_reset(email="ada@example.com")
    assert sent[0].startswith(f"{ORIGIN}/accounts/v1/reset-password/")


def test_two_applications_of_one_extension_do_not_mix(make_app: Callable[..., Flask]) -> None:
    auth, dbs = BetterAuth(password_hash=FAST), {"one": SQLAlchemy(), "two": SQLAlchemy()}
    settings: dict[str, dict[str, Any]] = {
        "one": {"BETTER_AUTH_EMAIL_AND_PASSWORD_MIN_PASSWORD_LENGTH": 4, "BETTER_AUTH_SESSION_EXPIRES_IN": 60},
        "two": {"BETTER_AUTH_SECRET": SECRET[::-1], "BETTER_AUTH_EMAIL_AND_PASSWORD_DISABLE_SIGN_UP": True},
    }
    sites = {}
    for name, db in dbs.items():
        app = make_app(
            name,
            db=db,
            BETTER_AUTH_TABLE_PREFIX=f"{name}_",
            BETTER_AUTH_ADVANCED_COOKIE_PREFIX=name,
            BETTER_AUTH_BASE_PATH=f"/{name}",
            **settings[name],
        )
        auth.init_app(app)
        with app.app_context():
            db.create_all()
        sites[name] = Site(app, auth, db)
    one, two = sites["one"], sites["two"]
    body = {"name": "Ada", "email": "ada@example.com", "password": "four"}

    browser, other = one.browser(), two.browser()
    signed_up = browser.post("~/one/sign-up/email", body)
    assert (signed_up.status_code, list(browser.cookies)) == (200, ["one.session_token"])
    assert "Max-Age=60;" in signed_up.headers["Set-Cookie"]
    assert other.post("~/two/sign-up/email", body).json["code"] == "EMAIL_PASSWORD_SIGN_UP_DISABLED"
    assert other.get("~/one/ok").status_code == browser.get("~/two/ok").status_code == 404

    # the database, the cookies and the secret of one are not those of two
    with pytest.raises(Exception, match="Invalid email or password"):
        two.api.sign_in_email(email="ada@example.com", password="four")
    with pytest.raises(Exception, match="Password too short"):
        two.api.create_user(email="ada@example.com", name="Ada", password="four")
    assert two.api.create_user(email="ada@example.com", name="Other", password=PASSWORD)["user"]["name"] == "Other"
    assert one.api.sign_in_email(email="ada@example.com", password="four")["user"]["name"] == "Ada"
    cookie = browser.cookies["one.session_token"]
    assert browser.get("~/one/get-session").json["user"]["name"] == "Ada"
    assert other.get("~/two/get-session", headers={"Cookie": f"two.session_token={cookie}"}).json is None

    # the current application is meant, where there is one; another must be asked for
    with two.app.app_context():
        assert auth.api.sign_in_email(email="ada@example.com", password=PASSWORD)["user"]["name"] == "Other"
        assert one.api.sign_in_email(email="ada@example.com", password="four")["user"]["name"] == "Ada"
    with pytest.raises(RuntimeError, match="for_app"):
        auth.api.ok()


def test_second_extension_on_one_application_is_refused(make_app: Callable[..., Flask]) -> None:
    db = SQLAlchemy()
    app = make_app(db=db)
    auth = BetterAuth(app, db=db)
    state = app.extensions["better_auth"]
    for again in (auth, BetterAuth(db=db)):
        with pytest.raises(ConfigError, match="already"):
            again.init_app(app)
    assert app.extensions["better_auth"] is state


@pytest.mark.parametrize("order", ["db first", "auth first", "db found"])
def test_database_may_be_registered_later(make_app: Callable[..., Flask], server_url: str | None, order: str) -> None:
    db = SQLAlchemy()
    auth = BetterAuth(password_hash=FAST) if order == "db found" else BetterAuth(db=db, password_hash=FAST)
    app = make_app(SQLALCHEMY_DATABASE_URI=server_url or "sqlite:///later.db")
    app.config.pop("BETTER_AUTH_DATABASE_URI", None)
    for extension in (auth, db) if order == "auth first" else (db, auth):
        extension.init_app(app)
    assert app.extensions["better_auth"].db is db
    assert not tables_of(app) & TABLES, "the application's database is migrated by the application"
    with app.app_context():
        db.create_all()
    assert auth.api.create_user(email="ada@example.com", name="Ada")["user"]["name"] == "Ada"
    with app.app_context():
        assert [user.email for user in db.session.scalars(db.select(auth.User))] == ["ada@example.com"]


@pytest.mark.parametrize("key", ["SQLALCHEMY_DATABASE_URI", "SQLALCHEMY_BINDS"])
def test_database_that_nobody_registered_is_missed(key: str) -> None:
    app = Flask("host")
    app.config.update({"SECRET_KEY": SECRET, key: {} if key == "SQLALCHEMY_BINDS" else "sqlite://"})
    with pytest.raises(ConfigError, match=r"db\.init_app"):
        BetterAuth(app)
    assert "sqlalchemy" not in app.extensions


def test_application_without_a_database_gets_one(make_app: Callable[..., Flask], server_url: str | None) -> None:
    app = make_app()
    auth = BetterAuth(app, password_hash=FAST)
    assert tables_of(app) >= TABLES
    auth.api.create_user(email="ada@example.com", name="Ada", password=PASSWORD)
    assert auth.api.sign_in_email(email="ada@example.com", password=PASSWORD)["user"]["name"] == "Ada"
    if server_url is None:
        assert Path(app.instance_path, "better_auth.db").is_file()


@pytest.mark.parametrize("made", ["user", "all"])
def test_worker_that_is_overtaken_while_it_makes_tables_goes_on(
    make_app: Callable[..., Flask], server_url: str | None, tmp_path: Path, made: str
) -> None:
    app = make_app()
    app.config["BETTER_AUTH_DATABASE_URI"] = url = server_url or f"sqlite:///{tmp_path}/shared.db"
    overtaken: list[str] = []

    def overtake(table: Table, connection: Any, **options: Any) -> None:
        if table.name == "user" and not overtaken:
            overtaken.append(made)
            faster = create_engine(url)
            table.metadata.create_all(faster, tables=[table] if made == "user" else None)
            faster.dispose()

    event.listen(Table, "before_create", overtake)
    try:
        auth = BetterAuth(app, password_hash=FAST)
    finally:
        event.remove(Table, "before_create", overtake)
    assert overtaken
    assert tables_of(app) >= TABLES
    assert auth.api.create_user(email="ada@example.com", name="Ada")["user"]["name"] == "Ada"


WORKER = """
import sys
from flask import Flask
from flask_better_auth import BetterAuth
app = Flask("worker")
app.config.update(BETTER_AUTH_SECRET=sys.argv[1], BETTER_AUTH_DATABASE_URI=sys.argv[2])
app.config["BETTER_AUTH_URL"] = "http://localhost"
print("ready", flush=True)
sys.stdin.readline()
auth = BetterAuth(app)
print(auth.api.create_user(email=sys.argv[3], name="Worker")["user"]["email"], flush=True)
"""


def test_workers_that_start_at_once_share_one_database(
    make_app: Callable[..., Flask], server_url: str | None, tmp_path: Path
) -> None:
    url = server_url or f"sqlite:///{tmp_path}/shared.db"
    addresses = [f"worker{number}@example.com" for number in range(3)]
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, SECRET, url, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for address in addresses
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:  # all of them are told to go before any is waited for
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        answers = [worker.communicate(timeout=60) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    app = make_app()
    app.config["BETTER_AUTH_DATABASE_URI"] = url
    auth = BetterAuth(app)
    assert [out.strip() for out, _ in answers] == addresses, [error for _, error in answers]
    with app.app_context():
        db = app.extensions["sqlalchemy"]
        assert sorted(db.session.scalars(db.select(auth.User.email))) == addresses


# ---------------------------------------------------------------- imports


@pytest.mark.parametrize("extra", ["", "import httpx, flask_better_auth.views.user"])
def test_import_loads_no_plugin_and_nothing_optional(extra: str) -> None:
    script = f"import sys, flask_better_auth\n{extra}\nprint(*sorted(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "flask_better_auth.extension" in loaded
    optional = {"redis", "authlib", "joserfc", "requests", "httpx", "nacl", "webauthn"} & loaded
    assert optional == ({"httpx"} if extra else set())
    assert not [name for name in loaded if name.startswith("flask_better_auth.plugins")]


@pytest.mark.parametrize(
    "settings",
    [
        {"BETTER_AUTH_SESSION_COOKIE_CACHE_ENABLED": "true", "BETTER_AUTH_SESSION_COOKIE_CACHE_MAX_AGE": "60"},
        {"BETTER_AUTH_SESSION": {"COOKIE_CACHE": {"ENABLED": "true", "MAX_AGE": 60}}},
        {"BETTER_AUTH_SESSION": {"cookie_cache": {"enabled": True}}, "BETTER_AUTH_SESSION_COOKIE_CACHE_MAX_AGE": 60},
        {"BETTER_AUTH_SESSION_COOKIE_CACHE": {"enabled": True, "max_age": 60}},
    ],
)
def test_a_section_in_a_section_is_set_by_a_key_or_by_a_dict(settings: dict[str, Any]) -> None:
    cache = build({}, settings).session.cookie_cache
    assert (cache.enabled, cache.max_age, cache.strategy) == (True, timedelta(seconds=60), "compact")


def test_the_environment_reaches_a_section_in_a_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_BETTER_AUTH_USER__CHANGE_EMAIL__ENABLED", "true")
    monkeypatch.setenv("FLASK_BETTER_AUTH_USER_DELETE_USER_ENABLED", "true")
    app = Flask("host")
    app.config.from_prefixed_env()
    options = build({}, app.config).user
    assert (options.change_email.enabled, options.delete_user.enabled) == (True, True)


def test_the_constructor_and_the_settings_share_a_section_in_a_section() -> None:
    settings = {"BETTER_AUTH_SESSION_COOKIE_CACHE_MAX_AGE": 60, "BETTER_AUTH_SESSION_COOKIE_CACHE_VERSION": "7"}
    for given in ({"enabled": True, "version": "8"}, CookieCache(enabled=True, version="8")):
        cache = build({"session": {"cookie_cache": given}}, settings).session.cookie_cache
        assert (cache.enabled, cache.version, cache.max_age) == (True, "8", timedelta(seconds=60))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"BETTER_AUTH_SESSION_COOKIE_CACHE_MAXAGE": 60}, "BETTER_AUTH_SESSION_COOKIE_CACHE_MAX_AGE"),
        ({"BETTER_AUTH_SESSION": {"cookie_cache": {"maxage": 60}}}, "nearest one is max_age"),
        ({"BETTER_AUTH_SESSION_COOKIE_CACHE": 5}, "must be a dict"),
    ],
)
def test_a_wrong_option_of_a_section_in_a_section_is_named(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        build({}, settings)
