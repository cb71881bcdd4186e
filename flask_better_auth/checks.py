"""How a database and the settings fit what the extension expects. Nothing here writes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, cast
from urllib.parse import urlsplit

from sqlalchemy import Date, Enum, Numeric, String, func, inspect, not_, select, text, true, type_coerce, update
from sqlalchemy import column as sql_column
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.schema import Column, CreateColumn, CreateIndex, CreateTable, Table
from sqlalchemy.types import JSON, BigInteger, Boolean, DateTime, Integer, TypeEngine

from . import clock
from .config import AuthConfig
from .context import AuthState
from .models import IDENTITY, column_name, kind_of
from .services import accounts

#: What JavaScript writes of a time, for SQL's LIKE.
_ISO = "____-__-__T__:__:__.___Z"
#: Clocks of two servers differ by less.
_APART = timedelta(minutes=5)
#: A required column of this name in this table is what better-auth 1.7.0 to 1.7.2 left.
_LEFT = ("account", "issuer")
#: Columns of plugins that stop a sign-in, and whom they stop.
_GATES = {"two_factor_enabled": "users with a second factor", "banned": "users who are banned"}


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        level: ``"error"`` for what does not work, ``"warning"`` for what has to be known, ``"note"`` for the rest.
        where: a table, a column or a setting.
        text: what it is.
        statements: SQL that mends it.
    """

    level: Literal["error", "warning", "note"]
    where: str
    text: str
    statements: tuple[str, ...] = field(default=())


def adoption(state: AuthState, cookie: str | None = None) -> list[Finding]:
    """Whether the application can be put on a database that a TypeScript server made.

    Args:
        state: of the application.
        cookie: what a browser that is signed in there sends: the value of the session cookie, or ``name=value``.
    """
    found = [*_naming(state), *schema(state)]
    if not any(finding.level == "error" for finding in found):
        found += rows(state)
    return [*found, *_passwords_to_come(state.config), *_secret(state, cookie, found)]


# ---------------------------------------------------------------- tables


def schema(state: AuthState) -> Iterator[Finding]:
    """How our tables in the database differ from our models."""
    for engine, tables in _by_engine(state).items():
        path = engine.url.database
        if engine.dialect.name == "sqlite" and path and path != ":memory:" and not os.path.exists(path):
            yield Finding("error", path, "there is no such file")  # and to look into it would make it
            continue
        inspector = inspect(engine)
        with engine.connect() as connection:
            for table in tables:
                yield from _Comparison(inspector, connection, table).findings()
        mapped = {table.name for metadata in state.db.metadatas.values() for table in metadata.tables.values()}
        if others := sorted(set(inspector.get_table_names()) - mapped):
            yield Finding("note", "other tables", f"left alone: {', '.join(others)}")


def _by_engine(state: AuthState) -> dict[Engine, list[Table]]:
    """Our tables, by the database they are in."""
    found: dict[Engine, list[Table]] = {}
    with state.db.session.session_factory() as session:
        for model in state.models.values():
            engine = cast(Engine, session.get_bind(mapper=inspect(model)))
            found.setdefault(engine, []).append(model.__table__)
    return found


class _Comparison:
    """One table as it is, beside its model."""

    def __init__(self, inspector: Inspector, connection: Connection, table: Table) -> None:
        self.inspector, self.connection, self.table = inspector, connection, table
        self.dialect: Dialect = connection.dialect
        self.quoted = self.dialect.identifier_preparer.format_table(table)
        self.columns: dict[str, Any] = {}

    def findings(self) -> Iterator[Finding]:
        if not self.inspector.has_table(self.table.name, schema=self.table.schema):
            made = (CreateTable(self.table), *map(CreateIndex, self._indexes()))
            yield Finding("error", self.table.name, "the table is missing", tuple(map(self._ddl, made)))
            return
        found = self.inspector.get_columns(self.table.name, schema=self.table.schema)
        self.columns = {column["name"]: column for column in found}
        for column in self.table.columns:
            yield from self._missing(column) if column.name not in self.columns else self._column(column)
        yield from self._constraints()
        yield from self._unknown()

    def _missing(self, column: Column[Any]) -> Iterator[Finding]:
        added = self._ddl(CreateColumn(column)).removesuffix(" NOT NULL")  # the rows that are there have no value
        indexes = [self._ddl(CreateIndex(index)) for index in self._indexes() if column in index.columns.values()]
        statements = (f"ALTER TABLE {self.quoted} ADD COLUMN {added}", *indexes)
        yield Finding("error", self._where(column.name), "the column is missing", statements)

    def _column(self, column: Column[Any]) -> Iterator[Finding]:
        found, where = self.columns[column.name], self._where(column.name)
        kind, type_ = kind_of(column.type), found["type"]
        if kind == "text" and not isinstance(column.type.dialect_impl(self.dialect), String):
            kind = None  # an identifier that this database keeps as something else
        if kind is not None and not _holds(type_, kind, self.dialect.name):
            yield Finding("error", where, f"is {self._named(type_)}, which holds no {kind}")
        elif isinstance(column.type, BigInteger) and not isinstance(type_, BigInteger) and not self._is("sqlite"):
            yield Finding("error", where, f"is {self._named(type_)}, which is too small")
        elif kind == "time" and self._is("postgresql") and not type_.timezone:
            yield self._without_zone(column)
        if not found["nullable"] and column.nullable and column.default is None:
            yield Finding("error", where, "is required there, and may be empty here", self._relaxed(column.name))

    def _without_zone(self, column: Column[Any]) -> Finding:
        zone = self.connection.scalar(text("SHOW timezone"))
        name = self.dialect.identifier_preparer.quote(column.name)
        statement = f"ALTER TABLE {self.quoted} ALTER COLUMN {name} TYPE timestamptz USING {name} AT TIME ZONE 'UTC'"
        return Finding(
            "warning" if zone in ("UTC", "Etc/UTC", "GMT") else "error",
            self._where(column.name),
            f"has no time zone, and the database is in {zone}; the statement takes what is stored for UTC",
            (statement,),
        )

    def _constraints(self) -> Iterator[Finding]:
        name, schema = self.table.name, self.table.schema
        # what SQLite makes of a constraint it calls an automatic index
        further: dict[str, Any] = {"include_auto_indexes": True} if self._is("sqlite") else {}
        indexes = [i for i in self.inspector.get_indexes(name, schema, **further) if not _is_partial(i)]
        unique: list[Any] = [self.inspector.get_pk_constraint(name, schema)["constrained_columns"]]
        unique += [constraint["column_names"] for constraint in self.inspector.get_unique_constraints(name, schema)]
        unique += [index["column_names"] for index in indexes if index["unique"]]
        first = {names[0] for names in (*unique, *(index["column_names"] for index in indexes)) if names}
        for column in self.table.columns:
            if column.name not in self.columns:
                continue
            one = [index for index in self._indexes() if list(index.columns) == [column]]
            if column.primary_key or column.unique or any(index.unique for index in one):
                if [column.name] not in unique:
                    yield Finding("error", self._where(column.name), "is not unique", self._index(column, "UNIQUE "))
            elif one and column.name not in first:
                told = "has no index: whoever looks for a row by it reads the whole table"
                yield Finding("warning", self._where(column.name), told, self._index(column))
        yield from self._identities([*unique, *(index["column_names"] for index in indexes)])
        if not self._is("sqlite"):  # which does not heed foreign keys unless it is told to, nor tell their options
            yield from self._foreign_keys()

    def _identities(self, indexed: list[Any]) -> Iterator[Finding]:
        """Whether the account of a user at a provider is found without reading all of them."""
        names = [column_name(self.table.metadata, name) for name in IDENTITY]
        if not all(name in self.columns and name in self.table.columns for name in names) or names in indexed:
            return
        quote, name = self.dialect.identifier_preparer.quote, f"{self.table.name}_{'_'.join(names)}_uidx"
        columns = ", ".join(map(quote, names))
        told = "have no unique index: who signs in with a provider is looked for among all accounts"
        made = f"CREATE UNIQUE INDEX {quote(name)} ON {self.quoted} ({columns})"
        yield Finding("warning", f"{self.table.name}.{' and '.join(names)}", told, (made,))

    def _foreign_keys(self) -> Iterator[Finding]:
        ours = {column.name for column in self.table.columns if column.foreign_keys}
        for key in self.inspector.get_foreign_keys(self.table.name, self.table.schema):
            (column, *_), rule = key["constrained_columns"], str(key["options"].get("ondelete") or "NO ACTION").upper()
            if column in ours and rule != "CASCADE":
                told = f"ON DELETE {rule}: while one refers to it, no row of {key['referred_table']} can be deleted"
                yield Finding("warning", self._where(column), told)

    def _unknown(self) -> Iterator[Finding]:
        """Columns that no model of the application has."""
        unknown = [c for name, c in self.columns.items() if name not in self.table.columns]
        required = [c for c in unknown if not (c["nullable"] or c["default"] is not None or _generates(c))]
        if alone := [c["name"] for c in unknown if c not in required]:
            yield Finding("note", self.table.name, f"columns left alone: {', '.join(alone)}")
        for column in required:
            by = ", as better-auth 1.7.0 to 1.7.2 did" if (self.table.name, column["name"]) == _LEFT else ""
            told = f"is required and has no default: an insert fails that does not fill it{by}"
            yield Finding("error", self._where(column["name"]), told, self._relaxed(column["name"]))

    def _relaxed(self, name: str) -> tuple[str, ...]:
        """What lets a column be empty."""
        column, quote = self.columns[name], self.dialect.identifier_preparer.quote
        if self._is("postgresql"):
            return (f"ALTER TABLE {self.quoted} ALTER COLUMN {quote(name)} DROP NOT NULL",)
        if not self._is("sqlite"):
            return (f"ALTER TABLE {self.quoted} MODIFY {quote(name)} {self._named(column['type'])} NULL",)
        if (self.table.name, name) != _LEFT:
            return ()  # SQLite can only make the table anew
        indexes = [i for i in self.inspector.get_indexes(self.table.name) if name in i["column_names"]]
        dropped = [f"DROP INDEX {quote(str(index['name']))}" for index in indexes]
        return (*dropped, f"ALTER TABLE {self.quoted} DROP COLUMN {quote(name)}")

    def _index(self, column: Column[Any], kind: str = "") -> tuple[str, ...]:
        """What makes an index; MariaDB and MySQL need a type of known length for it."""
        name, quote = f"{self.table.name}_{column.name}_idx", self.dialect.identifier_preparer.quote
        made = f"CREATE {kind}INDEX {quote(name)} ON {self.quoted} ({quote(column.name)})"
        if isinstance(self.columns[column.name]["type"], mysql.TEXT):
            return (f"ALTER TABLE {self.quoted} MODIFY {self._ddl(CreateColumn(column))}", made)
        return (made,)

    def _indexes(self) -> list[Any]:
        return sorted(self.table.indexes, key=lambda index: str(index.name))

    def _is(self, dialect: str) -> bool:
        return self.dialect.name == dialect

    def _named(self, type_: TypeEngine[Any]) -> str:
        return type_.compile(self.dialect)

    def _where(self, column: str) -> str:
        return f"{self.table.name}.{column}"

    def _ddl(self, element: Any) -> str:
        return str(element.compile(dialect=self.dialect)).strip()


def _holds(type_: TypeEngine[Any], kind: str, dialect: str) -> bool:
    """Whether a column that was declared so takes values of a kind, and gives them back."""
    taken: Mapping[str, tuple[type[Any], ...]] = {
        "text": (String,),
        "boolean": (Boolean,),
        "number": (Integer,),
        "time": (DateTime,),
        "JSON": (JSON,),
    }
    further: Mapping[str, Mapping[str, tuple[type[Any], ...]]] = {
        "sqlite": {"boolean": (Integer, Numeric), "time": (Date, String), "JSON": (String,)},
        "mysql": {"boolean": (mysql.TINYINT,), "JSON": (String,)},
    }
    if isinstance(type_, Enum) and dialect == "postgresql":
        return False  # it takes no text that is not cast
    more = further.get("mysql" if dialect == "mariadb" else dialect, {})
    return isinstance(type_, (*taken[kind], *more.get(kind, ())))


def _is_partial(index: Mapping[str, Any]) -> bool:
    options = index.get("dialect_options", {})
    return any(options.get(name) is not None for name in ("postgresql_where", "sqlite_where"))


def _generates(column: Mapping[str, Any]) -> bool:
    return bool(column.get("computed") or column.get("identity") or column.get("autoincrement") is True)


# ---------------------------------------------------------------- rows


def rows(state: AuthState) -> Iterator[Finding]:
    """What the rows are like: forms of passwords, times, and how many there are."""
    with state.db.session.session_factory() as session:
        engine = cast(Engine, session.get_bind(mapper=inspect(state.models["user"])))
    with engine.connect() as connection:
        yield from _counted(state, connection)
        yield from _gates(state, connection)
        yield from _passwords(state, connection)
        yield from _times(state, connection)


def _counted(state: AuthState, connection: Connection) -> Iterator[Finding]:
    user, session = state.tables["user"], state.tables["session"]
    users = connection.scalar(select(func.count()).select_from(user.model))
    live = connection.scalar(
        select(func.count()).select_from(session.model).where(session.columns["expires_at"] > clock.now())
    )
    yield Finding("note", "rows", f"users: {users}, sessions that are not over: {live}")


def _gates(state: AuthState, connection: Connection) -> Iterator[Finding]:
    """Users whom the other server does not let in by a password alone, and nobody here would ask."""
    model = state.models["user"]
    table: Table = model.__table__
    there = {found["name"] for found in inspect(connection).get_columns(table.name, table.schema)}
    for attribute, who in _GATES.items():
        name = column_name(table.metadata, attribute)
        if name in there and name not in table.columns:
            gated = select(func.count()).select_from(model).where(sql_column(name, Boolean()).is_(true()))
            if found := connection.scalar(gated):
                told = f"{who}: {found}; here they sign in with their password alone"
                yield Finding("error", f"{table.name}.{name}", told)


def _passwords(state: AuthState, connection: Connection) -> Iterator[Finding]:
    account = state.tables["account"]
    where, c = account.model.__table__.name, account.columns
    of_passwords = (c["provider_id"] == accounts.CREDENTIAL, c["password"].is_not(None))
    stored = connection.execution_options(yield_per=1000).scalars(select(c["password"]).where(*of_passwords))
    forms = Counter(state.passwords.form(password) for password in stored)
    for form, count in sorted(forms.items(), key=str):
        if form is None:
            yield Finding("warning", where, f"passwords that nobody here can read: {count}")
        else:
            yield Finding("note", where, f"passwords as {form}: {count}")
    counts = accounts.holds_password(state, c["user_id"])
    foreign = select(func.count()).select_from(account.model).where(*of_passwords, not_(counts))
    if found := connection.scalar(foreign):
        told = f"passwords in an account of another id than the user's, which counts for nothing: {found}"
        mend = update(account.model).where(c["provider_id"] == accounts.CREDENTIAL)
        mended = mend.values({c["account_id"]: c["user_id"], c["updated_at"]: c["updated_at"]}).compile(
            dialect=connection.dialect, compile_kwargs={"literal_binds": True}
        )
        yield Finding("warning", where, told, (str(mended),))


def _times(state: AuthState, connection: Connection) -> Iterator[Finding]:
    session = state.tables["session"]
    newest = connection.scalar(select(func.max(session.columns["created_at"])))
    if newest is not None and newest > clock.now() + _APART:
        told = "the newest began in the future: does the driver of the other server write local time?"
        yield Finding("error", session.model.__table__.name, told)
    if connection.dialect.name != "sqlite" or state.config.naming != "camelCase":
        return
    for table in state.tables.values():
        for column in (table.columns[name] for name in table.times):
            mapped, other = column.property.columns[0], type_coerce(column, String).not_like(_ISO)
            if found := connection.scalar(select(func.count()).select_from(table.model).where(other)):
                told = f"times that are not written 2026-01-02T03:04:05.678Z: {found}"
                yield Finding("warning", f"{mapped.table.name}.{mapped.name}", told)


# ---------------------------------------------------------------- settings


def _naming(state: AuthState) -> Iterator[Finding]:
    if state.config.naming != "camelCase":
        yield Finding("error", "naming", 'the library calls its columns in camelCase: set naming="camelCase"')


def _passwords_to_come(config: AuthConfig) -> Iterator[Finding]:
    if config.password_hash == "scrypt":  # noqa: S105  the name of a scheme
        yield Finding("note", "password_hash", "passwords that are set here can be used there")
    else:
        told = "who signs in or sets a password here cannot sign in there any more; with scrypt they can"
        yield Finding("warning", "password_hash", told)


def _secret(state: AuthState, cookie: str | None, found: list[Finding]) -> Iterator[Finding]:
    """Whether a cookie of the other server is one here."""
    if cookie is None:
        yield Finding("warning", "secret", "not compared; give a session cookie of the other server")
        return
    ours = state.cookies.session_token.name
    name, _, value = cookie.partition("=")  # a value alone has its only one at the end
    if value and name != ours:
        yield Finding("error", "cookie", f"is called {name} there, and {ours} here")
    token = state.cookies.verified((value or cookie).strip('" '))
    if token is None:
        yield Finding("error", "secret", "the cookie was signed with another")
        return
    yield Finding("note", "secret", "the cookie was signed with it")
    options = state.config.session
    elsewhere = options.stateless or (state.storage is not None and not options.store_session_in_database)
    if elsewhere or any(finding.level == "error" for finding in found):
        return
    session = state.tables["session"].columns
    with state.db.session.session_factory() as work:
        until = work.scalar(select(session["expires_at"]).where(session["token"] == token))
    if until is None:
        yield Finding("warning", "cookie", "the database has no session of it: is it the same database?")
    elif until <= clock.now():
        yield Finding("warning", "cookie", "its session is over")
    else:
        yield Finding("note", "cookie", "its session is here")


def settings(state: AuthState) -> Iterator[Finding]:
    """What in the settings is wrong for a deployment, or has to be known."""
    config = state.config
    if config.url is None and not config.allowed_hosts:
        yield Finding("error", "url", "no host is answered; set BETTER_AUTH_URL or BETTER_AUTH_ALLOWED_HOSTS")
    parts = urlsplit(config.url or "")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        yield Finding("warning", "url", "is http: cookies cross the network in the clear")
    patterns = [pattern for pattern in config.trusted_origins if isinstance(pattern, str)]
    if any(pattern.partition("://")[2] in ("*", "**") or pattern in ("*", "**") for pattern in patterns):
        yield Finding("warning", "trusted_origins", "every origin is trusted")
    if config.rate_limit.enabled is False:
        yield Finding("warning", "rate_limit", "requests are not limited")
    elif (config.rate_limit.storage or "memory") == "memory" and state.storage is None:
        yield Finding("note", "rate_limit", "each process counts by itself, unless a Limiter of the application counts")
    if config.advanced.disable_csrf_check or config.advanced.disable_origin_check:
        yield Finding("warning", "advanced", "origins are not checked everywhere")
    if not config.hardening:
        yield Finding("warning", "hardening", "is off")
    if config.email_and_password.enabled and config.email_and_password.send_reset_password is None:
        yield Finding("note", "email_and_password", "nobody can reset a password: send_reset_password is not set")
