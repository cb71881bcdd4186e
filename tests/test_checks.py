"""``flask better-auth adopt --check`` and ``check``: what each finding says, what mends it; neither writes anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import time_machine
from conftest import FAST, PASSWORD, SECRET, Site, command, open_site
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    inspect,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.types import BigInteger, DateTime

from flask_better_auth import BetterAuth
from flask_better_auth.checks import Finding, adoption
from flask_better_auth.checks import settings as of_settings

SHARED: dict[str, Any] = {"naming": "camelCase", "password_hash": "scrypt", "rate_limit": {"storage": "database"}}
Tables = dict[str, Table]
Change = Callable[[Tables], object]
Make = Callable[..., Site]


@pytest.fixture
def make(own_database: str) -> Iterator[Make]:
    """Makes applications on a database of their own; ``change`` is done to the tables before they are made."""
    made: list[Site] = []

    def site(change: Change = lambda tables: None, tables: bool = True, **options: Any) -> Site:
        new = open_site(own_database, options={**SHARED, **options})
        made.append(new)
        with new.app.app_context():
            copies = MetaData()
            named = {table.name: table.to_metadata(copies) for table in new.db.metadata.sorted_tables}
            if tables:
                change(named)
                copies.create_all(new.db.engine)
        return new

    yield site
    for each in made:
        with each.app.app_context():
            each.db.session.remove()
            each.db.engine.dispose()


def look(site: Site, cookie: str | None = None) -> list[Finding]:
    with site.app.app_context():
        return adoption(site.app.extensions["better_auth"], cookie)


def said(site: Site, *levels: str, cookie: str | None = None) -> dict[str, str]:
    """What was found of the levels, by its place; MariaDB's widths of numbers are left out."""
    return {f.where: re.sub(r"(INTEGER|BIGINT)\(\d+\)", r"\1", f.text) for f in look(site, cookie) if f.level in levels}


def mend(site: Site) -> None:
    """Run the statements."""
    statements = [statement for finding in look(site) for statement in finding.statements]
    assert statements
    execute(site, *statements)


def execute(site: Site, *statements: str) -> None:
    with site.app.app_context(), site.db.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def name_of(site: Site, table: str) -> str:
    """A table's name, quoted."""
    with site.app.app_context():
        return site.db.engine.dialect.identifier_preparer.quote(table)


def without_constraint(table: Table, column: str) -> None:
    for constraint in list(table.constraints):
        if isinstance(constraint, UniqueConstraint) and list(constraint.columns.keys()) == [column]:
            table.constraints.remove(constraint)


def test_tables_of_the_extension_fit(make: Make) -> None:
    site = make()
    site.sign_up()
    done = command(site.app, "adopt", "--check")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "it fits")
    assert said(site, "error") == {}
    assert set(said(site, "warning")) == {"account.providerId and accountId", "secret"}  # as the reference makes them
    assert said(site, "note")["rows"] == "users: 1, sessions that are not over: 1"


@pytest.mark.parametrize("kind", ["serial", "uuid"])
def test_identifiers_of_another_kind_fit(make: Make, kind: str) -> None:
    assert said(make(advanced={"database": {"generate_id": kind}}), "error") == {}


def test_it_must_be_said_that_nothing_is_to_be_written(make: Make) -> None:
    done = command(make().app, "adopt")
    assert done.exit_code == 2
    assert "--check" in done.output


def test_what_is_missing_is_shown_as_statements(make: Make) -> None:
    site = make(tables=False)
    done = command(site.app, "adopt", "--check")
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == "Error: it does not fit"
    if make_url(site.app.config["SQLALCHEMY_DATABASE_URI"]).get_backend_name() == "sqlite":
        execute(site, "SELECT 1")  # makes the file
        done = command(site.app, "adopt", "--check")
    for table in ("user", "session", "account", "verification", "rateLimit"):
        assert re.search(rf"^error +{table} +the table is missing$", done.output, re.MULTILINE)
        assert re.search(rf'^CREATE TABLE ["`]?{table}["`]? \($', done.output, re.MULTILINE)
    mend(site)
    assert said(site, "error") == {}
    site.sign_up()


def drop(table: str, column: str) -> Callable[[Site], None]:
    return lambda site: execute(site, f"ALTER TABLE {name_of(site, table)} DROP COLUMN {name_of(site, column)}")


def test_a_missing_column_is_an_error(make: Make) -> None:
    site = make()
    site.sign_up()
    drop("session", "userAgent")(site)
    drop("user", "emailVerified")(site)
    missing = "the column is missing"
    assert said(site, "error") == {"session.userAgent": missing, "user.emailVerified": missing}
    mend(site)
    assert said(site, "error") == {}


def test_a_missing_index_is_a_warning(make: Make) -> None:
    site = make(lambda tables: tables["verification"].indexes.clear())
    found = said(site, "warning")
    assert found["verification.identifier"].startswith("has no index")
    mend(site)
    assert set(said(site, "warning")) == {"secret"}


def test_a_value_that_is_not_unique_is_an_error(make: Make) -> None:
    site = make(lambda tables: without_constraint(tables["session"], "token"))
    assert said(site, "error") == {"session.token": "is not unique"}
    mend(site)
    assert said(site, "error") == {}


def test_counters_of_earlier_versions_are_mended(make: Make) -> None:
    """Their key was a text without an index."""

    def change(tables: Tables) -> None:
        without_constraint(tables["rateLimit"], "key")
        tables["rateLimit"].c.key.type = Text()

    site = make(change)
    assert said(site, "error") == {"rateLimit.key": "is not unique"}
    mend(site)
    assert said(site, "error") == {}


def test_a_type_that_holds_something_else_is_an_error(make: Make) -> None:
    def change(tables: Tables) -> None:
        tables["session"].c.expiresAt.type = BigInteger()
        tables["user"].c.name.type = Integer()
        tables["user"].c.emailVerified.type = String(5)
        tables["rateLimit"].c["count"].type = String(5)

    assert said(make(change), "error") == {
        "session.expiresAt": "is BIGINT, which holds no time",
        "user.name": "is INTEGER, which holds no text",
        "user.emailVerified": "is VARCHAR(5), which holds no boolean",
        "rateLimit.count": "is VARCHAR(5), which holds no number",
    }


def test_a_number_that_is_too_small_is_an_error(make: Make, dialect: str) -> None:
    def change(tables: Tables) -> None:
        tables["rateLimit"].c.lastRequest.type = Integer()

    expected = {} if dialect == "sqlite" else {"rateLimit.lastRequest": "is INTEGER, which is too small"}
    assert said(make(change), "error") == expected


def test_a_json_column_that_is_text_is_an_error_where_that_matters(make: Make, dialect: str) -> None:
    def change(tables: Tables) -> None:
        tables["user"].c.tags.type = String(200)

    site = make(change, user={"additional_fields": {"tags": {"type": "string[]", "required": False}}})
    expected = {"user.tags": "is VARCHAR(200), which holds no JSON"} if dialect == "postgresql" else {}
    assert said(site, "error") == expected


def test_times_without_a_zone_are_mended(make: Make, dialect: str) -> None:
    """What the library made on PostgreSQL in earlier days."""

    def change(tables: Tables) -> None:
        tables["session"].c.expiresAt.type = (
            DateTime() if dialect == "postgresql" else tables["session"].c.expiresAt.type
        )

    site = make(change)
    if dialect != "postgresql":
        assert said(site, "error") == {}
        return
    database = make_url(site.app.config["SQLALCHEMY_DATABASE_URI"]).database
    for zone, level in (("UTC", "warning"), ("Asia/Kathmandu", "error")):
        execute(site, f"ALTER DATABASE {database} SET timezone TO '{zone}'")
        with site.app.app_context():
            site.db.engine.dispose()
        assert said(site, level)["session.expiresAt"].startswith(f"has no time zone, and the database is in {zone}")
    site.sign_up()
    moment = "2036-01-02 03:04:05.678"
    execute(site, f"UPDATE session SET \"expiresAt\" = '{moment}'")
    mend(site)
    assert said(site, "error") == {}
    assert site.rows("session")[0].expires_at == datetime.fromisoformat(moment + "+00:00")


def issuer(tables: Tables) -> None:
    """What better-auth 1.7.0 to 1.7.2 added."""
    table = tables["account"]
    table.append_column(Column("issuer", String(255), nullable=False))
    Index("account_issuer_accountId_uidx", table.c.issuer, table.c.accountId, unique=True)


def test_the_issuer_that_some_versions_left_is_named_and_mended(make: Make, dialect: str) -> None:
    def change(tables: Tables) -> None:
        tables["account"].c.accountId.type = String(100)  # which MariaDB can index
        issuer(tables)

    site = make(change)
    body = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
    assert site.browser().post("/sign-up/email", body).status_code >= 500
    found = said(site, "error")
    assert list(found) == ["account.issuer"]
    assert found["account.issuer"].endswith("better-auth 1.7.0 to 1.7.2 did")
    (finding,) = [f for f in look(site) if f.where == "account.issuer"]
    assert (
        finding.statements[-1]
        == {
            "postgresql": "ALTER TABLE account ALTER COLUMN issuer DROP NOT NULL",
            "mysql": "ALTER TABLE account MODIFY issuer VARCHAR(255) NULL",
            "sqlite": "ALTER TABLE account DROP COLUMN issuer",
        }[dialect]
    )
    mend(site)
    assert said(site, "error") == {}
    site.sign_up("ada")
    site.sign_up("bob")


def test_a_column_that_is_required_there_alone_is_an_error(make: Make, dialect: str) -> None:
    def change(tables: Tables) -> None:
        tables["user"].c.image.nullable = False
        tables["user"].append_column(Column("tenant", Integer(), nullable=False))

    site = make(change)
    found = said(site, "error")
    assert set(found) == {"user.image", "user.tenant"}
    assert "1.7.0" not in found["user.tenant"]
    if dialect != "sqlite":
        mend(site)
        assert said(site, "error") == {}
        site.sign_up()


def test_what_the_extension_does_not_know_is_left_alone(make: Make) -> None:
    def change(tables: Tables) -> None:
        tables["user"].append_column(Column("role", String(20)))
        tables["user"].append_column(Column("tier", String(20), nullable=False, server_default="free"))
        Table("organization", tables["user"].metadata, Column("id", String(36), primary_key=True))

    site = make(change)
    assert said(site, "error") == {}
    found = said(site, "note")
    assert found["user"] == "columns left alone: role, tier"
    assert found["other tables"] == "left alone: organization"
    site.sign_up()


def test_a_foreign_key_that_keeps_users_is_a_warning(make: Make, dialect: str) -> None:
    def change(tables: Tables) -> None:
        for constraint in tables["session"].foreign_key_constraints:
            constraint.ondelete = "RESTRICT"

    found = said(make(change), "warning")
    assert ("session.userId" in found) is (dialect != "sqlite")


# ---------------------------------------------------------------- rows


def test_forms_of_passwords_are_counted(make: Make) -> None:
    site, other = make(), make(tables=False, password_hash=FAST)
    for who in ("ada", "bob"):
        site.sign_up(who)
    foreign = "$2b$12$abcdefghijklmnopqrstuv"
    execute(site, f"UPDATE account SET password = '{foreign}' WHERE password IS NOT NULL")
    site.sign_up("eve")
    other.sign_up("joe")
    notes = [f.text for f in look(site) if f.where == "account" and f.level == "note"]
    assert notes == ["passwords as argon2: 1", "passwords as scrypt: 1"]
    assert said(site, "warning")["account"] == "passwords that nobody here can read: 2"
    assert foreign not in command(site.app, "adopt", "--check").output


def test_whether_passwords_can_be_used_there_is_said(make: Make) -> None:
    assert said(make(), "note")["password_hash"] == "passwords that are set here can be used there"
    assert "cannot sign in there" in said(make(password_hash=FAST), "warning")["password_hash"]


def test_passwords_in_accounts_of_another_id_are_mended(make: Make) -> None:
    site = make()
    site.sign_up()
    execute(site, f"UPDATE account SET {name_of(site, 'accountId')} = 'ada@example.com'")
    sign_in = {"email": "ada@example.com", "password": PASSWORD}
    assert site.browser().post("/sign-in/email", sign_in).status_code == 401
    assert said(site, "warning")["account"].endswith("which counts for nothing: 1")
    mend(site)
    assert "account" not in said(site, "warning")
    assert site.browser().post("/sign-in/email", sign_in).status_code == 200


@pytest.mark.parametrize("column", ["twoFactorEnabled", "banned"])
def test_users_whom_another_plugin_would_stop_are_an_error(make: Make, column: str) -> None:
    """Here nothing would: no plugin that is enabled knows the column."""
    site = make(lambda tables: tables["user"].append_column(Column(column, Boolean())))
    for who in ("ada", "bob"):
        site.sign_up(who)
    user, quoted = name_of(site, "user"), name_of(site, column)
    execute(site, f"UPDATE {user} SET {quoted} = false")
    assert said(site, "error") == {}
    execute(site, f"UPDATE {user} SET {quoted} = true WHERE name = 'Ada'")
    (told,) = said(site, "error").values()
    assert told.endswith(": 1; here they sign in with their password alone")


def test_sessions_that_begin_in_the_future_are_an_error(make: Make) -> None:
    site = make()
    with time_machine.travel(datetime.now(timezone.utc) + timedelta(hours=2)):
        site.sign_up()
    assert said(site, "error")["session"].startswith("the newest began in the future")


def test_times_in_another_form_are_a_warning_on_sqlite(make: Make, dialect: str) -> None:
    site = make()
    site.sign_up()
    execute(site, f"UPDATE session SET {name_of(site, 'expiresAt')} = '2036-01-02 03:04:05.678000'")
    expected = "times that are not written 2026-01-02T03:04:05.678Z: 1" if dialect == "sqlite" else None
    assert said(site, "warning").get("session.expiresAt") == expected


# ---------------------------------------------------------------- the secret


def test_a_cookie_of_the_other_server_compares_the_secrets(make: Make) -> None:
    site = make()
    browser = site.sign_up()
    ((name, value),) = browser.cookies.items()
    for given in (value, f"{name}={value}", value.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/")):
        found = look(site, given)
        assert {f.text for f in found if f.where == "secret"} == {"the cookie was signed with it"}
        assert {f.text for f in found if f.where == "cookie"} == {"its session is here"}
    done = command(site.app, "adopt", "--check", "--cookie", value)
    assert done.exit_code == 0
    assert value not in done.output

    with time_machine.travel(datetime.now(timezone.utc) + timedelta(days=8)):
        assert said(site, "warning", cookie=value)["cookie"] == "its session is over"
    browser.post("/sign-out")
    assert said(site, "warning", cookie=value)["cookie"].startswith("the database has no session of it")


def test_a_cookie_of_another_secret_or_name_is_an_error(make: Make) -> None:
    value = make().sign_up().cookies["better-auth.session_token"]
    other = make(tables=False, secret="another-secret-of-the-tests-0123456789")
    for given in (value, f"better-auth.session_token={value}"):
        assert said(other, "error", cookie=given) == {"secret": "the cookie was signed with another"}
    named = said(make(tables=False), "error", cookie=f"__Secure-better-auth.session_token={value}")
    expected = "is called __Secure-better-auth.session_token there, and better-auth.session_token here"
    assert named == {"cookie": expected}


def test_other_names_of_columns_are_an_error(make: Make) -> None:
    make()
    found = said(make(tables=False, naming="snake_case", rate_limit={}), "error")
    assert "camelCase" in found["naming"]
    assert found["user.email_verified"] == "the column is missing"


# ---------------------------------------------------------------- nothing is written


def contents(site: Site) -> dict[str, Any]:
    """Every table with its columns and rows."""
    with site.app.app_context(), site.db.engine.connect() as connection:
        found = inspect(connection)
        quote = connection.dialect.identifier_preparer.quote
        return {
            table: (
                [column["name"] for column in found.get_columns(table)],
                sorted(map(repr, connection.execute(text(f"SELECT * FROM {quote(table)}")).all())),
            )
            for table in found.get_table_names()
        }


def test_nothing_is_written(make: Make) -> None:
    site = make()
    site.sign_up()
    before, seen = contents(site), []
    with site.app.app_context():
        engine = site.db.engine
    event.listen(engine, "before_cursor_execute", lambda conn, cursor, statement, *rest: seen.append(statement))
    for arguments in (["adopt", "--check"], ["adopt", "--check", "--cookie", "abc.def"], ["check"]):
        assert command(site.app, *arguments).exit_code in (0, 1)
    assert seen
    assert {re.split(r"\W", statement.strip())[0].upper() for statement in seen} <= {
        "SELECT",
        "PRAGMA",
        "SHOW",
        "DESCRIBE",
    }
    assert contents(site) == before


def test_a_file_that_is_missing_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing.db"
    site = open_site(f"sqlite:///{path}", options=SHARED)
    done = command(site.app, "adopt", "--check")
    assert done.exit_code == 1
    assert "there is no such file" in done.output
    assert not path.exists()


# ---------------------------------------------------------------- settings


def configured(**options: Any) -> Flask:
    app = Flask("host")
    app.config.update(BETTER_AUTH_SECRET=SECRET, SQLALCHEMY_DATABASE_URI="sqlite://")
    db = SQLAlchemy()
    db.init_app(app)
    BetterAuth(app, db=db, **options)
    return app


@pytest.mark.parametrize(
    ("options", "where", "level"),
    [
        ({"url": None}, "url", "error"),
        ({"url": "http://app.example.com"}, "url", "warning"),
        ({"trusted_origins": ["https://*"]}, "trusted_origins", "warning"),
        ({"rate_limit": {"enabled": False}}, "rate_limit", "warning"),
        ({}, "rate_limit", "note"),
        ({"advanced": {"disable_csrf_check": True}}, "advanced", "warning"),
        ({"hardening": False}, "hardening", "warning"),
        ({}, "email_and_password", "note"),
    ],
)
def test_settings_that_have_to_be_known(options: dict[str, Any], where: str, level: str) -> None:
    app = configured(**{"url": "https://app.example.com", **options})
    assert {f.level for f in of_settings(app.extensions["better_auth"]) if f.where == where} == {level}


@pytest.mark.parametrize("url", ["https://app.example.com", "http://localhost:5000"])
def test_settings_that_are_well(url: str) -> None:
    options: dict[str, Any] = {
        "url": url,
        "rate_limit": {"storage": "database"},
        "email_and_password": {"send_reset_password": print},
        "trusted_origins": ["https://*.example.com"],
    }
    assert list(of_settings(configured(**options).extensions["better_auth"])) == []


def test_tables_and_settings_are_checked_together(make: Make) -> None:
    site = make(lambda tables: tables["verification"].indexes.clear())
    done = command(site.app, "check")
    assert done.exit_code == 0
    assert "verification.identifier" in done.output
    assert "email_and_password" in done.output
    drop("session", "ipAddress")(site)
    assert command(site.app, "check").exit_code == 1
