"""The tables: names, constraints, own models, additional columns, binds, and times on every database."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from conftest import FAST, PASSWORD, SECRET, Site, build_site, tear_down
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import MetaData, String, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, DeclarativeBaseNoMeta, Mapped, mapped_column

from flask_better_auth import AdditionalField, BetterAuth, ConfigError, UserMixin
from flask_better_auth.models import build_models

TABLES = ("user", "session", "account", "verification")
COLUMNS = {
    "user": {"id", "name", "email", "email_verified", "image", "created_at", "updated_at"},
    "session": {"id", "user_id", "token", "expires_at", "ip_address", "user_agent", "created_at", "updated_at"},
    "account": {
        "id",
        "user_id",
        "account_id",
        "provider_id",
        "access_token",
        "refresh_token",
        "id_token",
        "access_token_expires_at",
        "refresh_token_expires_at",
        "scope",
        "password",
        "created_at",
        "updated_at",
    },
    "verification": {"id", "identifier", "value", "expires_at", "created_at", "updated_at"},
}


def inspected(site: Site) -> Any:
    with site.app.app_context():
        return inspect(site.db.engine)


def test_the_tables_and_columns_of_the_reference(site: Site) -> None:
    found = inspected(site)
    for table, columns in COLUMNS.items():
        assert {column["name"] for column in found.get_columns(table)} == columns


def test_camel_case_columns_for_a_database_of_the_reference(make_auth: Any) -> None:
    site = make_auth(naming="camelCase")
    found = inspected(site)
    assert {c["name"] for c in found.get_columns("user")} >= {"emailVerified", "createdAt", "updatedAt"}
    assert {c["name"] for c in found.get_columns("session")} >= {"userId", "expiresAt", "ipAddress", "userAgent"}
    assert {c["name"] for c in found.get_columns("account")} >= {"providerId", "accessTokenExpiresAt", "idToken"}
    browser = site.sign_up("ada")
    assert browser.session()["user"]["emailVerified"] is False


def test_uniqueness_foreign_keys_and_indexes(site: Site) -> None:
    found = inspected(site)

    def unique(table: str, column: str) -> bool:
        indexes = [i["column_names"] for i in found.get_indexes(table) if i["unique"]]
        return [column] in indexes + [c["column_names"] for c in found.get_unique_constraints(table)]

    assert unique("user", "email")
    assert unique("session", "token")
    for table in ("session", "account"):
        (key,) = found.get_foreign_keys(table)
        assert (key["referred_table"], key["referred_columns"]) == ("user", ["id"])
        assert key["options"]["ondelete"].upper() == "CASCADE"
        assert ["user_id"] in [i["column_names"] for i in found.get_indexes(table)]
    assert ["identifier"] in [i["column_names"] for i in found.get_indexes("verification")]


def test_deleting_a_user_deletes_what_belongs_to_it(site: Site) -> None:
    site.sign_up("ada")
    with site.app.app_context():
        user = site.db.session.scalar(site.db.select(site.auth.User))
        assert [s.user for s in user.sessions] == [user]
        assert [a.provider_id for a in user.accounts] == ["credential"]
        site.db.session.delete(user)
        site.db.session.commit()
    assert [site.rows(table) for table in TABLES] == [[], [], [], []]


def test_times_are_aware_utc_and_keep_milliseconds(site: Site) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=timezone(timedelta(hours=5)))
    with site.app.app_context():
        row = site.auth.Verification(identifier="x", value="y", expires_at=moment)
        site.db.session.add(row)
        site.db.session.commit()
        assert row.expires_at == moment
        assert row.expires_at.utcoffset() == timedelta(0)
        assert row.created_at.utcoffset() == timedelta(0)
        row.expires_at = datetime(2026, 1, 1)
        with pytest.raises(Exception, match="time zone"):
            site.db.session.flush()
        site.db.session.rollback()


def test_times_in_a_shared_sqlite_file_are_as_javascript_writes_them(tmp_path: Any) -> None:
    """JavaScript takes a text without a zone for local time."""
    site = build_site(f"sqlite:///{tmp_path}/shared.db", options={"naming": "camelCase"})
    try:
        browser = site.sign_up("ada")
        read = browser.session()["session"]
        with site.app.app_context(), site.db.engine.begin() as connection:
            stored = connection.execute(text('SELECT "expiresAt", typeof("expiresAt") FROM session')).one()
            assert tuple(stored) == (read["expiresAt"], "text")
            # SQLAlchemy's own form, which an application may have written
            connection.execute(text("UPDATE session SET \"expiresAt\" = '2036-01-02 03:04:05.678000'"))
        assert browser.session()["session"]["expiresAt"] == "2036-01-02T03:04:05.678Z"
        for number, spoilt in enumerate(("soon", "", "5")):
            browser = site.sign_up(f"user{number}")
            with site.app.app_context(), site.db.engine.begin() as connection:
                connection.execute(text('UPDATE session SET "expiresAt" = :spoilt'), {"spoilt": spoilt})
            assert browser.session() is None
    finally:
        tear_down(site)


def test_identifiers_are_compared_exactly(site: Site) -> None:
    """MariaDB's own collation takes ``TOKEN`` for ``token`` and ``ä`` for ``a``."""
    site.sign_up("ada")
    with site.app.app_context():
        user = site.db.session.scalar(site.db.select(site.auth.User))
        for table, column, value in (("Session", "token", None), ("User", "email", "ÄDA@example.com")):
            model = getattr(site.auth, table)
            row = site.db.session.scalar(site.db.select(model))
            other = (value or getattr(row, column)).swapcase()
            assert site.db.session.scalar(site.db.select(model).where(getattr(model, column) == other)) is None
        site.db.session.add(site.auth.User(name="A", email="ADA@example.com"))
        site.db.session.flush()
        site.db.session.rollback()
        site.db.session.add(site.auth.User(name="A", email=user.email))
        with pytest.raises(IntegrityError):
            site.db.session.flush()
        site.db.session.rollback()


def test_an_own_user_model_brings_its_columns(make_auth: Any) -> None:
    db = SQLAlchemy()

    class Person(UserMixin, db.Model):  # type: ignore[name-defined, misc]  # how Flask-SQLAlchemy documents models
        __tablename__ = "people"
        points: Mapped[int] = mapped_column(default=7)
        city: Mapped[str | None] = mapped_column(String(20))

    site = make_auth(db=db, user_model=Person, user={"additional_fields": {"city": AdditionalField(required=False)}})
    assert site.auth.User is Person
    (key,) = inspected(site).get_foreign_keys("session")
    assert key["referred_table"] == "people"
    browser = site.sign_up("ada", city="London", points=100)
    assert browser.session()["user"]["city"] == "London"
    assert "points" not in browser.session()["user"]
    (row,) = site.rows("user")
    assert (row.points, row.city) == (7, "London")


def test_a_user_model_that_is_none_is_refused() -> None:
    db = SQLAlchemy()

    class Person(db.Model):  # type: ignore[name-defined, misc]  # how Flask-SQLAlchemy documents models
        id: Mapped[int] = mapped_column(primary_key=True)

    with pytest.raises(ConfigError, match="UserMixin"):
        BetterAuth(db=db, user_model=Person)


def test_an_own_user_model_of_another_naming_is_refused() -> None:
    db = SQLAlchemy()

    class Person(UserMixin, db.Model):  # type: ignore[name-defined, misc]  # how Flask-SQLAlchemy documents models
        pass

    with pytest.raises(ConfigError, match="better_auth_naming"):
        BetterAuth(db=db, user_model=Person, naming="camelCase", password_hash="argon2id")


def test_an_own_user_model_follows_the_naming_of_its_metadata(make_auth: Any) -> None:
    db = SQLAlchemy(metadata=MetaData(info={"better_auth_naming": "camelCase"}))

    class Person(UserMixin, db.Model):  # type: ignore[name-defined, misc]  # how Flask-SQLAlchemy documents models
        pass

    site = make_auth(db=db, user_model=Person, naming="camelCase")
    assert "emailVerified" in {c["name"] for c in inspected(site).get_columns("person")}
    assert site.sign_up("ada").session()["user"]["name"] == "Ada"


def test_prefix_and_naming_convention_are_respected(make_auth: Any) -> None:
    convention = {"ix": "i_%(table_name)s_%(column_0_name)s", "fk": "f_%(table_name)s_%(column_0_name)s"}
    site = make_auth(db=SQLAlchemy(metadata=MetaData(naming_convention=convention)), table_prefix="auth_")
    found = inspected(site)
    assert set(found.get_table_names()) >= {f"auth_{table}" for table in TABLES}
    (key,) = found.get_foreign_keys("auth_session")
    assert key["referred_table"] == "auth_user"
    if found.dialect.name != "sqlite":  # which does not tell
        assert key["name"] == "f_auth_session_user_id"
    assert "i_auth_session_user_id" in [i["name"] for i in found.get_indexes("auth_session")]
    assert site.sign_up("ada").session() is not None


def test_tables_of_a_bind_are_made_and_used_there(database_url: str, tmp_path: Any) -> None:
    other = f"sqlite:///{tmp_path}/other.db"
    settings = {"SQLALCHEMY_BINDS": {"auth": database_url}, "SQLALCHEMY_DATABASE_URI": other}
    site = build_site(other, settings, options={"bind_key": "auth"})
    try:
        with site.app.app_context():
            assert inspect(site.db.engines[None]).get_table_names() == []
            assert set(inspect(site.db.engines["auth"]).get_table_names()) >= set(TABLES)
        browser = site.sign_up("ada")
        assert browser.post("/update-user", {"name": "Changed"}).status_code == 200
        assert browser.session()["user"]["name"] == "Changed"
        site.api.sign_in_email(email="ada@example.com", password=PASSWORD)
        assert browser.post("/sign-out").status_code == 200
        assert len(site.rows("session")) == 1
    finally:
        tear_down(site)


def test_models_are_built_once_per_metadata(site: Site) -> None:
    config = site.app.extensions["better_auth"].config
    assert build_models(site.db, config)["user"] is site.auth.User


def test_two_applications_share_one_database_object(database_url: str) -> None:
    db = SQLAlchemy()
    auth = BetterAuth(db=db, password_hash=FAST)
    apps = []
    for name in ("one", "two"):
        app = Flask(name)
        app.testing = True
        app.config.update(BETTER_AUTH_SECRET=SECRET, SQLALCHEMY_DATABASE_URI=database_url)
        db.init_app(app)
        auth.init_app(app)
        apps.append(app)
    with apps[0].app_context():
        db.drop_all()
        db.create_all()
    try:
        auth.for_app(apps[0]).api.create_user(name="Ada", email="ada@example.com", password=PASSWORD)
        assert auth.for_app(apps[1]).api.sign_in_email(email="ada@example.com", password=PASSWORD)["token"]
        with pytest.raises(RuntimeError, match="for_app"):
            auth.api.ok()
        with apps[1].app_context():
            assert auth.api.ok() == {"ok": True}
    finally:
        for app in apps:
            with app.app_context():
                if app is apps[0]:
                    db.drop_all()
                db.engine.dispose()


def test_models_are_there_at_once_with_a_database_object() -> None:
    db = SQLAlchemy()
    auth = BetterAuth(db=db)
    assert set(db.metadata.tables) == set(TABLES)
    assert auth.User.__table__ is db.metadata.tables["user"]


def test_additional_fields_become_columns(make_auth: Any) -> None:
    fields = {
        "nickname": AdditionalField(unique=True),
        "age": AdditionalField("number", required=False),
        "big": AdditionalField("number", required=False, bigint=True),
        "tags": AdditionalField("string[]", required=False),
        "born": AdditionalField("date", required=False),
        "level": AdditionalField(("low", "high"), default="low"),
        "settings": AdditionalField("json", required=False),
    }
    site = make_auth(user={"additional_fields": fields}, session={"additional_fields": {"theme": {"default": "light"}}})
    values = {"age": 3, "big": 2**40, "tags": ["a"], "born": "1815-12-10T00:00:00.000Z", "settings": {"aB": [None]}}
    browser = site.sign_up("ada", nickname="addy", **values)
    told = browser.session()
    assert told["user"]["nickname"] == "addy"
    assert {name: told["user"][name] for name in values} == values
    assert (told["user"]["level"], told["session"]["theme"]) == ("low", "light")
    columns = {c["name"]: c for c in inspected(site).get_columns("user")}
    assert columns["nickname"]["nullable"] is False
    assert columns["age"]["nullable"] is True


def test_an_additional_field_of_an_unknown_type_is_refused(make_auth: Any) -> None:
    with pytest.raises(ConfigError, match="additional_fields"):
        make_auth(user={"additional_fields": {"x": AdditionalField("varchar")}})


def base_classes() -> list[type[Any]]:
    class Plain(DeclarativeBase):
        pass

    class NoMeta(DeclarativeBaseNoMeta):
        pass

    return [Plain, NoMeta]


@pytest.mark.parametrize("position", [0, 1], ids=["DeclarativeBase", "DeclarativeBaseNoMeta"])
def test_additional_fields_and_relationships_on_every_base_class(make_auth: Any, position: int) -> None:
    db = SQLAlchemy(model_class=base_classes()[position])
    site = make_auth(db=db, user={"additional_fields": {"nickname": AdditionalField(required=False)}})
    assert site.sign_up("ada", nickname="addy").session()["user"]["nickname"] == "addy"
    with site.app.app_context():
        user = db.session.scalar(db.select(site.auth.User))
        assert (user.nickname, [session.user for session in user.sessions]) == ("addy", [user])
