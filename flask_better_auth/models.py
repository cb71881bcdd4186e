"""The tables: mixins, the columns that options and plugins add, and the models built on the application's metadata."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Enum,
    FetchedValue,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Text,
    Uuid,
    inspect,
    type_coerce,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, backref, declared_attr, mapped_column, relationship
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

from . import clock
from .config import LONGEST_KEY, AdditionalField, AdditionalFields, AuthConfig
from .crypto import random_string
from .errors import ConfigError
from .wire import iso, wire_name

_MODELS = "better_auth_models"
_NAMING = "better_auth_naming"
_RETURNED = "better_auth_returned"
_IDS = "better_auth_ids"
_GENERATE = "better_auth_generate_id"


class _Forgiving(TypeDecorator[Any]):
    """A type that reads what it cannot read as ``unreadable``: SQLite stores any text in any column, and one row that
    was spoilt must not fail every request that meets it (SECURITY T5)."""

    unreadable: ClassVar[Any]

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any] | None:
        read = super().result_processor(dialect, coltype)
        if read is None or dialect.name != "sqlite":
            return read

        def forgiving(value: Any) -> Any:
            try:
                return read(value)
            except (ValueError, TypeError, RecursionError):
                return self.unreadable

        return forgiving


class UtcDateTime(_Forgiving):
    """An aware time in UTC on every database, whatever its driver returns and whatever its server's time zone is."""

    # Alembic writes ``<module>.<repr>`` into a migration, and imports nothing but SQLAlchemy there: the stock type says
    # all that a migration has to know. The dialect is loaded wherever this module is.
    __module__ = "sqlalchemy.types"
    impl = DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=3), "mysql", "mariadb")
    cache_ok = True
    unreadable = datetime.min.replace(tzinfo=timezone.utc)  # long over

    def __repr__(self) -> str:
        return "DateTime(timezone=True).with_variant(sa.dialects.mysql.DATETIME(fsp=3), 'mysql', 'mariadb')"

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time needs a time zone")
        value = value.astimezone(timezone.utc)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


class _DateText(UserDefinedType[str]):
    """What the reference declares for a time on SQLite, where every column holds any text."""

    cache_ok = True

    def get_col_spec(self, **options: Any) -> str:
        return "DATE"


class SharedDateTime(UtcDateTime):
    """``UtcDateTime`` in a table that a TypeScript server shares. On SQLite it is a text of its form, in UTC and with a
    ``Z``: JavaScript takes one without a zone for local time, and SQL compares texts. SQLAlchemy's own form is read."""

    __module__ = "sqlalchemy.types"
    cache_ok = True

    def __repr__(self) -> str:
        return f"{super().__repr__()}.with_variant(sa.Date(), 'sqlite')"

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return _DateText() if dialect.name == "sqlite" else super().load_dialect_impl(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        bound = super().process_bind_param(value, dialect)
        return iso(bound.replace(tzinfo=timezone.utc)) if bound and dialect.name == "sqlite" else bound

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if dialect.name == "sqlite" and value is not None:
            value = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        return super().process_result_value(value, dialect)


class _Json(_Forgiving):
    """A JSON value; ``None`` is NULL."""

    __module__ = "sqlalchemy.types"
    impl = JSON(none_as_null=True)
    cache_ok = True
    unreadable = None

    def __repr__(self) -> str:
        return "JSON(none_as_null=True)"

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return self.impl_instance.coerce_compared_value(op, value)


class _JsonText(sqlite.JSON):
    """What the reference declares for JSON on SQLite."""


@compiles(_JsonText)
def _declare_json_text(type_: _JsonText, compiler: Any, **options: Any) -> str:
    return "TEXT"


class _SharedJson(_Json):
    """``_Json`` as the reference declares it."""

    __module__ = "sqlalchemy.types"
    cache_ok = True

    def __repr__(self) -> str:
        binary = "sa.dialects.postgresql.JSONB(none_as_null=True)"
        return f"{super().__repr__()}.with_variant({binary}, 'postgresql').with_variant(sa.Text(), 'sqlite')"

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return _JsonText(none_as_null=True)
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.JSONB(none_as_null=True))
        return super().load_dialect_impl(dialect)


#: Compared byte by byte: MariaDB's default collation would find ``token`` for ``Token``, and ``a@x`` for ``ä@x``.
KEY = String(LONGEST_KEY).with_variant(
    mysql.VARCHAR(LONGEST_KEY, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
)
#: MariaDB's TEXT ends at 64 KiB, which a larger ``max_body`` would exceed.
TEXT = Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4"), "mysql", "mariadb")
#: The reference's own columns: a UUID as text, but on PostgreSQL of its type.
UUID_TEXT = String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
#: What identifiers are, by ``Database.generate_id``.
_IDENTIFIERS: Mapping[Any, TypeEngine[Any]] = {"serial": Integer(), "uuid": UUID_TEXT}


class AsText(TypeDecorator[str]):
    """An identifier that the database keeps as a number or a UUID, in statements a text like any other.

    A text that is none of these, as a client may send it, is no row's; it must not fail in the driver.
    """

    impl = String
    cache_ok = True

    def __init__(self, native: TypeEngine[Any]) -> None:
        super().__init__()
        self.native = native

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return self.native.dialect_impl(dialect)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return self.read(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def read(self, value: Any) -> Any:
        """The identifier as the column holds it; nothing, if no row can have it. One has one spelling."""
        if isinstance(self.native, Integer):
            bits = 63 if isinstance(self.native, BigInteger) else 15 if isinstance(self.native, SmallInteger) else 31
            number = _integer(value)
            return number if number is not None and number < 2**bits else None
        try:
            found = uuid.UUID(str(value))
        except ValueError:
            return None
        if str(found) != str(value):
            return None
        return found if self.native.python_type is uuid.UUID else str(found)


def _integer(value: Any) -> int | None:
    text = str(value)
    # a text of many digits takes int() long, and one without ASCII alone has more than one spelling
    return int(text) if len(text) < 20 and text.isascii() and text.isdigit() and str(int(text)) == text else None


_SHARED_KEY = Text().with_variant(
    mysql.VARCHAR(LONGEST_KEY, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
)
_TYPES: dict[str, TypeEngine[Any]] = {
    "string": TEXT,
    "number": Integer(),
    "boolean": Boolean(),
    "date": UtcDateTime(),
    "json": _Json(),
    "string[]": _Json(),
    "number[]": _Json(),
}


def _is_shared(metadata: MetaData) -> bool:
    """Whether the tables are as a TypeScript server makes them, and it may use them too."""
    return metadata.info.get(_NAMING) == "camelCase"


def kind_of(type_: TypeEngine[Any]) -> str | None:
    """What a column of a type holds, in a word; nothing, for one that is none of ours."""
    kinds = {"time": UtcDateTime, "JSON": _Json, "boolean": Boolean, "number": Integer, "text": String}
    return None if isinstance(type_, Enum) else next((k for k, cls in kinds.items() if isinstance(type_, cls)), None)


def column_name(metadata: MetaData, attribute: str) -> str:
    """How the column of a Python attribute is called under the naming of ``metadata``."""
    return wire_name(attribute) if _is_shared(metadata) else attribute


def _shared(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type as the reference makes it of the same field."""
    if isinstance(type_, _Json):
        return _SharedJson()
    if isinstance(type_, UtcDateTime):
        return SharedDateTime()
    return _SHARED_KEY if type_ is KEY else type_


def _column(
    cls: Any,
    name: str,
    type_: TypeEngine[Any],
    *,
    returned: bool = True,
    references: str | None = None,
    column: str | None = None,
    **options: Any,
) -> Any:
    foreign = []
    if references is not None:
        models: Models = cls.metadata.info[_MODELS]
        if references not in models:
            raise ConfigError(f"{cls.__name__}.{name} refers to {references!r}, which is no table mapped before it")
        identity = _identity(models[references])
        type_, foreign = identity.type, [ForeignKey(identity, ondelete="CASCADE")]
    elif _is_shared(cls.metadata):
        type_ = _shared(type_)
    return mapped_column(
        column or column_name(cls.metadata, name),
        type_,
        *foreign,
        info={_RETURNED: returned},
        **{"nullable": False, **options},
    )


def attribute(name: str, type_: TypeEngine[Any], **options: Any) -> Any:
    """A column of a mixin; what it is called is decided by the metadata of the class that takes the mixin in.

    Args:
        name: the attribute's, in snake_case.
        type_: of the column; ``KEY`` for what is looked up, ``TEXT`` for other texts, ``UtcDateTime()`` for times.
        options: of ``mapped_column`` (``nullable=False`` unless said), and ``returned=False`` for what must not leave
            the server, ``references="user"`` for the identifier of a row of another of our tables, with which this
            one goes.
    """
    return declared_attr(lambda cls: _column(cls, name, type_, **options))


def _id_column(cls: Any) -> Any:
    kind = cls.metadata.info.get(_IDS)
    made: dict[str, Any] = {"default": lambda: _text_id(cls)}
    if kind == "uuid":
        made = {"default": lambda: str(uuid.uuid4())}
    elif kind in ("serial", False):
        made = {"server_default": None if kind else FetchedValue()}
    column = _column(cls, "id", _IDENTIFIERS.get(kind, KEY), primary_key=True, **made)
    column.column.info[_IDS] = kind
    return column


def _text_id(cls: Any) -> str:
    generate = cls.metadata.info.get(_GENERATE)
    if generate is None:
        return random_string()
    return str(generate(model=next(table for table, model in cls.metadata.info[_MODELS].items() if model is cls)))


class TableMixin:
    """What every table has: the identifier, and a text form that gives nothing away. Plugins begin theirs with it.

    An own model may say what identifiers are: ``id = mapped_column(Uuid, primary_key=True, default=uuid4)``.
    """

    if TYPE_CHECKING:
        id: Mapped[str]
    else:
        id = declared_attr(lambda cls: _id_column(cls))

    def __repr__(self) -> str:
        identity = inspect(self).identity
        return f"<{type(self).__name__} {identity[0] if identity else 'new'}>"

    def to_dict(self) -> dict[str, Any]:
        """The columns that may leave the server, under their Python names."""
        return {name: read(getattr(self, name)) for name, read in _readers(type(self), returned_columns(type(self)))}


class TimesMixin:
    """When a row was made and last changed, for tables that keep it."""

    if TYPE_CHECKING:
        created_at: Mapped[datetime]
        updated_at: Mapped[datetime]
    else:
        created_at = attribute("created_at", UtcDateTime(), default=clock.now)
        updated_at = attribute("updated_at", UtcDateTime(), default=clock.now, onupdate=clock.now)


class UserMixin(TableMixin, TimesMixin):
    """The ``user`` table. Take it in by an own model to add columns: ``class User(UserMixin, db.Model)``."""

    is_authenticated = True

    if TYPE_CHECKING:
        name: Mapped[str]
        email: Mapped[str]
        email_verified: Mapped[bool]
        image: Mapped[str | None]
    else:
        name = attribute("name", TEXT)
        email = attribute("email", KEY, unique=True)
        email_verified = attribute("email_verified", Boolean(), default=False)
        image = attribute("image", TEXT, nullable=True)


class SessionMixin(TableMixin, TimesMixin):
    """The ``session`` table: one signed-in browser or device."""

    if TYPE_CHECKING:
        user_id: Mapped[str]
        token: Mapped[str]
        expires_at: Mapped[datetime]
        ip_address: Mapped[str | None]
        user_agent: Mapped[str | None]
    else:
        user_id = attribute("user_id", KEY, references="user", index=True)
        token = attribute("token", KEY, unique=True)
        expires_at = attribute("expires_at", UtcDateTime())
        ip_address = attribute("ip_address", TEXT, nullable=True)
        user_agent = attribute("user_agent", TEXT, nullable=True)


class AccountMixin(TableMixin, TimesMixin):
    """The ``account`` table: one way a user can sign in."""

    if TYPE_CHECKING:
        user_id: Mapped[str]
        account_id: Mapped[str]
        provider_id: Mapped[str]
        access_token: Mapped[str | None]
        refresh_token: Mapped[str | None]
        id_token: Mapped[str | None]
        access_token_expires_at: Mapped[datetime | None]
        refresh_token_expires_at: Mapped[datetime | None]
        scope: Mapped[str | None]
        password: Mapped[str | None]
    else:
        user_id = attribute("user_id", KEY, references="user", index=True)
        account_id = attribute("account_id", KEY)
        provider_id = attribute("provider_id", KEY)
        access_token = attribute("access_token", TEXT, nullable=True, returned=False)
        refresh_token = attribute("refresh_token", TEXT, nullable=True, returned=False)
        id_token = attribute("id_token", TEXT, nullable=True, returned=False)
        access_token_expires_at = attribute("access_token_expires_at", UtcDateTime(), nullable=True, returned=False)
        refresh_token_expires_at = attribute("refresh_token_expires_at", UtcDateTime(), nullable=True, returned=False)
        scope = attribute("scope", TEXT, nullable=True)
        password = attribute("password", TEXT, nullable=True, returned=False)


class VerificationMixin(TableMixin, TimesMixin):
    """The ``verification`` table: single-use secrets, what each is for and what it proves."""

    if TYPE_CHECKING:
        identifier: Mapped[str]
        value: Mapped[str]
        expires_at: Mapped[datetime]
    else:
        identifier = attribute("identifier", KEY, index=True)
        value = attribute("value", TEXT)
        expires_at = attribute("expires_at", UtcDateTime())


class RateLimitMixin(TableMixin):
    """The ``rate_limit`` table, where requests are counted with ``rate_limit.storage="database"``."""

    if TYPE_CHECKING:
        key: Mapped[str]
        count: Mapped[int]
        last_request: Mapped[int]
    else:
        key = attribute("key", KEY, unique=True)
        count = attribute("count", Integer())
        last_request = attribute("last_request", BigInteger())


def own_columns(model: type[Any]) -> tuple[str, ...]:
    """The attributes of a model that are ours: declared by a mixin or by an option, not by the application."""
    mapper = inspect(model)
    return tuple(a.key for a in mapper.column_attrs if _RETURNED in a.columns[0].info)


def returned_columns(model: type[Any]) -> tuple[str, ...]:
    """Those of them that may leave the server."""
    mapper = inspect(model)
    return tuple(name for name in own_columns(model) if mapper.column_attrs[name].columns[0].info[_RETURNED])


def defaults(model: type[Any]) -> dict[str, Callable[[], Any]]:
    """What makes the value of a column of ours where none is given, for those that have a default."""
    made = {name: _maker(inspect(model).column_attrs[name].columns[0].default) for name in own_columns(model)}
    return {name: make for name, make in made.items() if make is not None}


def texts(model: type[Any]) -> dict[str, AsText]:
    """The columns that hold identifiers, ours or another table's, as something else than text."""
    columns = {name: inspect(model).column_attrs[name].columns[0] for name in own_columns(model)}
    keys = {name: c.type for name, c in columns.items() if c.primary_key or c.foreign_keys}
    return {name: AsText(t) for name, t in keys.items() if isinstance(t, (Integer, Uuid)) or t is UUID_TEXT}


def maker_of_ids(model: type[Any]) -> Callable[[], str] | None:
    """What makes identifiers of a table; nothing, if the database does."""
    make = _maker(_identity(model).default)
    return None if make is None else lambda: str(make())


def _readers(model: type[Any], names: tuple[str, ...]) -> list[tuple[str, Callable[[Any], Any]]]:
    as_text = texts(model)
    return [(name, _as_text if name in as_text else _as_it_is) for name in names]


def _as_text(value: Any) -> Any:
    return None if value is None else str(value)


def _as_it_is(value: Any) -> Any:
    return value


def _maker(default: Any) -> Callable[[], Any] | None:
    if default is None or not (default.is_callable or default.is_scalar):
        return None  # the database's to make
    return lambda: default.arg(None) if default.is_callable else default.arg


#: The attributes of an account that tell its user at a provider from all others.
IDENTITY = ("provider_id", "account_id")

Models = Mapping[str, type[Any]]

_CORE: Mapping[str, type[TableMixin]] = {
    "user": UserMixin,
    "session": SessionMixin,
    "account": AccountMixin,
    "verification": VerificationMixin,
}
CORE_TABLES = tuple(_CORE)


def build_models(
    db: SQLAlchemy,
    config: AuthConfig,
    user_model: type[Any] | None = None,
    further: Mapping[str, type[TableMixin]] | None = None,
    additional: Mapping[str, AdditionalFields] | None = None,
) -> Models:
    """Map our tables in the metadata of ``db``, each once; a later call finds them there.

    Args:
        db: the application's Flask-SQLAlchemy, or the extension's own.
        config: naming, prefix and bind key.
        user_model: the application's own class, a subclass of ``UserMixin``.
        further: tables beyond the core, each with its mixin.
        additional: columns beyond the mixins', by table.

    Raises:
        ConfigError: ``user_model`` lacks a column, or was mapped under another naming; a table that is mapped by
            another mixin already; a column for no table, or one that the mixin of its table has.
    """
    bind_key = getattr(user_model, "__bind_key__", config.bind_key)
    base: Any = type("AuthModel", (db.Model,), {"__abstract__": True, "__bind_key__": bind_key})
    metadata: MetaData = base.metadata
    if user_model is not None:
        _check_user_model(user_model, config)
    metadata.info.setdefault(_NAMING, config.naming)
    if metadata.info.setdefault(_IDS, _kind_of_ids(config)) != _kind_of_ids(config):
        raise ConfigError("the tables are mapped already with other identifiers: pass generate_id where they are")
    if callable(config.advanced.database.generate_id):
        metadata.info.setdefault(_GENERATE, config.advanced.database.generate_id)
    models: dict[str, type[Any]] = metadata.info.setdefault(_MODELS, {})
    if user_model is not None and models.get("user") is not user_model:
        models.clear()
        models["user"] = user_model
    mixins = {**(further or {}), **_CORE}
    for table in (*_CORE, *mixins):
        if table not in models:
            models[table] = _map(base, config, table, mixins[table])
            _relate(models, table)
            _name_indexes(models[table])
            if table == "account":
                _index_identities(models[table])
        elif not issubclass(models[table], mixins[table]):
            raise ConfigError(f"another BetterAuth has mapped the table {table!r} from another mixin")
    for table, columns in (additional or {}).items():
        if table not in mixins:
            raise ConfigError(f"there is no table {table!r} to add {', '.join(columns)} to")
        for name in columns:
            if any(name in vars(cls) for cls in mixins[table].__mro__):
                raise ConfigError(f"the table {table!r} has {name!r} of its own")
        add_columns(models[table], columns)
    return models


def _kind_of_ids(config: AuthConfig) -> Any:
    generate = config.advanced.database.generate_id
    return None if callable(generate) else generate


def _check_ids(user_model: type[Any], config: AuthConfig) -> None:
    column, wanted = _identity(user_model), _kind_of_ids(config)
    if _IDS not in column.info:
        if not isinstance(column.type, (Integer, String, Uuid)):
            raise ConfigError(f"{user_model.__name__}.id must be a text, an integer or a UUID, not {column.type!r}")
        column.info[_RETURNED] = True  # the model's own, and as public as ours
    elif column.info[_IDS] != wanted:
        raise ConfigError(
            f"generate_id={wanted!r}, but {user_model.__name__} was mapped before that was known: say it where the "
            f"metadata is made, SQLAlchemy(metadata=MetaData(info={{{_IDS!r}: {wanted!r}}})), or give it an id column"
        )


def _check_user_model(user_model: type[Any], config: AuthConfig) -> None:
    if not issubclass(user_model, UserMixin):
        raise ConfigError(f"user_model={user_model.__name__} must take in flask_better_auth.UserMixin")
    found = inspect(user_model).column_attrs["email_verified"].columns[0].name
    wanted = wire_name("email_verified") if config.naming == "camelCase" else "email_verified"
    if found != wanted:
        raise ConfigError(
            f"naming={config.naming!r}, but {user_model.__name__} was mapped before that was known: say it where the "
            f"metadata is made, SQLAlchemy(metadata=MetaData(info={{{_NAMING!r}: {config.naming!r}}}))"
        )
    _check_ids(user_model, config)


def _map(base: type[Any], config: AuthConfig, table: str, mixin: type[TableMixin]) -> type[Any]:
    name = "".join(word.capitalize() for word in table.split("_"))
    stored = config.table_prefix + column_name(base.metadata, table)
    # a number that was a deleted user's must not become another's
    options = {"__table_args__": {"sqlite_autoincrement": True}} if base.metadata.info[_IDS] == "serial" else {}
    return type(name, (mixin, base), {"__tablename__": stored, **options})


def references(child: type[Any], parent: type[Any]) -> tuple[str, ...]:
    """The attributes of ``child`` that hold the identifier of a row of ``parent``."""
    return tuple(
        name for name in own_columns(child) if getattr(child, name).property.columns[0].references(_identity(parent))
    )


def _identity(model: type[Any]) -> Any:
    return inspect(model).column_attrs["id"].columns[0]


def _relate(models: Models, table: str) -> None:
    """``user.sessions`` and ``session.user``; children go with their parent even where the database leaves foreign keys
    unchecked, as SQLite does."""
    child, many = models[table], table + "s"
    for parent in models.values():
        for column in references(child, parent):
            one = column.removesuffix("_id")
            # an own model may use the word for something else
            if parent is not child and not (hasattr(parent, many) or hasattr(child, one)):
                back = backref(many, cascade="all, delete-orphan")
                keys = [getattr(child, column)]
                inspect(child).add_property(one, relationship(parent, foreign_keys=keys, backref=back))


def add_columns(model: type[Any], additional: AdditionalFields) -> None:
    """Add columns to a mapped class. One that the class has already, say by an own model, is taken as it is."""
    for name, spec in additional.items():
        if name in inspect(model).column_attrs:
            inspect(model).column_attrs[name].columns[0].info.setdefault(_RETURNED, spec.returned)
            continue
        added = _column(
            model,
            name,
            _type(name, spec),
            returned=spec.returned,
            nullable=not spec.required,
            unique=spec.unique or None,
            column=spec.field_name,
            # an index, unlike a constraint, has a name everywhere, which migrations need to add and to drop it
            index=spec.unique or spec.index or None,
        ).column
        # not by setattr, which maps nothing where the base class is a DeclarativeBaseNoMeta
        model.__table__.append_column(added)
        inspect(model).add_property(name, added)
    _name_indexes(model)


def _index_identities(model: type[Any]) -> None:
    """Let nobody be two users by one identity at a provider, and let it be found without reading every account.

    A shared table stays as the reference makes it; ``flask better-auth check`` tells that it has no such index.
    """
    table = model.__table__
    if not _is_shared(table.metadata):
        Index(None, *(table.c[column_name(table.metadata, name)] for name in IDENTITY), unique=True)


def _name_indexes(model: type[Any]) -> None:
    """Call the indexes of a shared table as the reference does, or Alembic would make them anew."""
    table = model.__table__
    for index in table.indexes if _is_shared(table.metadata) else ():
        (first, *more) = index.columns
        if not (index.unique or more) and _RETURNED in first.info:
            index.name = f"{table.name}_{first.name}_idx"


def _type(name: str, spec: AdditionalField) -> TypeEngine[Any]:
    if isinstance(spec.type, tuple) or (spec.type == "string" and (spec.unique or spec.index)):
        return KEY
    if spec.type not in _TYPES:
        raise ConfigError(f"additional_fields[{name!r}]: type must be one of {', '.join(_TYPES)} or a tuple of texts")
    return BigInteger() if spec.bigint else _TYPES[spec.type]


def statement_columns(model: type[Any]) -> Mapping[str, Any]:
    """The mapped attributes of our columns, for statements: these follow bind keys, ``__table__.c`` does not.

    Identifiers are texts in all of them, whatever the columns hold.
    """
    as_text = texts(model)
    return {
        # labelled, so that the identifiers of two tables can stand in one statement of the ORM
        name: type_coerce(column, as_text[name]).label(None) if name in as_text else column
        for name, column in ((name, getattr(model, name)) for name in own_columns(model))
    }
