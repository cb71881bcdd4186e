"""Flask-Migrate sees our tables as they are: it makes them, finds nothing more to do, and takes them away again."""

from __future__ import annotations

import logging.config
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import flask_migrate
import pytest
from conftest import FAST, ORIGIN, PASSWORD, SECRET, Site
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Boolean, MetaData, Uuid, inspect
from sqlalchemy.orm import Mapped, mapped_column

from flask_better_auth import AdditionalField, BetterAuth, UserMixin
from flask_better_auth.models import KEY, TEXT, TableMixin, TimesMixin, UtcDateTime, attribute
from flask_better_auth.plugin import Column, Plugin
from flask_better_auth.plugins import Username

# Flask-Migrate's own env.py asks for it first
pytestmark = pytest.mark.filterwarnings("ignore:'get_engine' is deprecated:DeprecationWarning")

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
DROPPED_INDEX = re.compile(
    r"^    with op\.batch_alter_table\(.*\) as batch_op:\n( +batch_op\.drop_index\(.*\)\n)+\n(?=    op\.drop_table)",
    re.MULTILINE,
)
PAGE = Path(__file__).parents[1] / "docs" / "migrations.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIELDS = {
    "nickname": AdditionalField("string", required=False),
    "handle": AdditionalField("string", required=False, unique=True),
    "shoe_size": AdditionalField("number", required=False, index=True),
    "balance": AdditionalField("number", required=False, bigint=True),
    "vip": AdditionalField("boolean", required=False),
    "born_at": AdditionalField("date", required=False),
    "settings": AdditionalField("json", required=False),
    "tags": AdditionalField("string[]", required=False),
    "plan": AdditionalField(("free", "paid"), required=False),
}


class BadgeMixin(TableMixin, TimesMixin):
    user_id = attribute("user_id", KEY, references="user", index=True)
    code = attribute("code", KEY, unique=True)
    note = attribute("note", TEXT, nullable=True)
    valid = attribute("valid", Boolean(), default=True)
    lost_at = attribute("lost_at", UtcDateTime(), nullable=True)


class Badges(Plugin):
    id = "badges"
    tables: ClassVar = {"visitor_badge": BadgeMixin}
    extends: ClassVar = {
        "user": {
            "badge_name": Column("string", unique=True),
            "badge_count": Column("number"),
            "badge_until": Column("date"),
        },
        "session": {"badge_shown": Column("boolean")},
    }


class Project:
    """A release of an application that keeps its schema with Flask-Migrate."""

    def __init__(self, app: Flask, auth: BetterAuth, db: SQLAlchemy, folder: Path) -> None:
        self.site, self.folder = Site(app, auth, db), str(folder)

    def run(self, command: Callable[..., Any], **options: Any) -> Any:
        """One of ``flask db``'s commands; one that fails ends in ``SystemExit``."""
        with self.site.app.app_context():
            # what the env.py of the last command left there: on the command line each has a process of its own
            self.site.app.extensions["migrate"].configure_args.pop("process_revision_directives", None)
            return command(directory=self.folder, **options)

    @property
    def scripts(self) -> list[str]:
        """The text of every migration there is."""
        return [path.read_text() for path in sorted(Path(self.folder, "versions").glob("*.py"))]

    def schema(self, bind: str | None = None) -> dict[str, Any]:
        """What is in the database now, as it tells itself."""
        with self.site.app.app_context():
            engine = self.site.db.engines[bind]
            found = inspect(engine)
            tables = [table for table in found.get_table_names() if table != "alembic_version"]
            schema = {
                table: {
                    "columns": {c["name"]: (repr(c["type"]), c["nullable"]) for c in found.get_columns(table)},
                    "indexes": sorted(
                        (i["name"] or "", i["column_names"], i["unique"]) for i in found.get_indexes(table)
                    ),
                    "unique": sorted(c["column_names"] for c in found.get_unique_constraints(table)),
                    "foreign": [
                        (c["constrained_columns"], c["referred_table"], c["options"])
                        for c in found.get_foreign_keys(table)
                    ],
                    "key": found.get_pk_constraint(table)["constrained_columns"],
                }
                for table in tables
            }
            return schema


Release = Callable[..., Project]


@pytest.fixture
def release(own_database: str, tmp_path: Path) -> Iterator[Release]:
    """Makes releases of one application, on one database and with one folder of migrations."""
    made = []

    def make(db: SQLAlchemy, settings: dict[str, Any] | None = None, **options: Any) -> Project:
        app = Flask("host")
        app.testing = True
        app.config.update(BETTER_AUTH_SECRET=SECRET, BETTER_AUTH_URL=ORIGIN, SQLALCHEMY_DATABASE_URI=own_database)
        app.config.update(settings or {})
        db.init_app(app)
        Migrate(app, db)
        made.append(Project(app, BetterAuth(app, db=db, password_hash=FAST, **options), db, tmp_path / "migrations"))
        return made[-1]

    yield make
    for project in made:
        with project.site.app.app_context():
            for engine in project.site.db.engines.values():
                engine.dispose()  # PostgreSQL drops no database that is connected to


@pytest.fixture(autouse=True)
def logging_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ``env.py`` of Flask-Migrate disables every logger that there is, also those that other tests listen to."""
    monkeypatch.setattr(logging.config, "fileConfig", lambda *args, **options: None)


def own_user(db: SQLAlchemy) -> dict[str, Any]:
    class Person(UserMixin, db.Model):  # type: ignore[name-defined,misc]  # made at run time
        points: Mapped[int] = mapped_column(default=0)
        reference: Mapped[Any] = mapped_column(Uuid, nullable=True)

    return {"user_model": Person}


KINDS: dict[str, Callable[[SQLAlchemy], dict[str, Any]]] = {
    "plain": lambda db: {},
    "camelCase": lambda db: {"naming": "camelCase", "user": {"additional_fields": FIELDS}},
    "prefix": lambda db: {"table_prefix": "auth_"},
    "own user": own_user,
    "fields": lambda db: {"user": {"additional_fields": FIELDS}, "session": {"additional_fields": FIELDS}},
    "plugin": lambda db: {"plugins": [Badges()]},
    "usernames": lambda db: {"plugins": [Username()]},
}


def as_the_docs_say(project: Project, dialect: str) -> None:
    """MariaDB drops no index that a foreign key needs: ``drop_table`` alone takes both."""
    if dialect == "mysql":
        for path in Path(project.folder, "versions").glob("*.py"):
            path.write_text(DROPPED_INDEX.sub("", path.read_text()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("convention", [None, CONVENTION], ids=["unnamed", "named"])
def test_a_migration_makes_the_tables_and_takes_them_away(
    release: Release, dialect: str, kind: str, convention: Any
) -> None:
    db = SQLAlchemy(metadata=MetaData(naming_convention=convention))
    project = release(db, **KINDS[kind](db))
    project.run(flask_migrate.init)
    project.run(flask_migrate.migrate)
    (script,) = project.scripts
    assert "better_auth" not in script
    project.run(flask_migrate.upgrade)
    migrated = project.schema()
    assert set(migrated) == set(db.metadata.tables)

    project.run(flask_migrate.check)
    project.run(flask_migrate.migrate)
    assert project.scripts == [script]

    assert project.site.sign_up("ada").session()["user"]["name"] == "Ada"
    assert project.site.api.sign_in_email(email="ada@example.com", password=PASSWORD)["token"]

    as_the_docs_say(project, dialect)
    project.run(flask_migrate.downgrade, revision="base")
    assert project.schema() == {}
    with project.site.app.app_context():
        db.create_all()
    assert project.schema() == migrated


def test_a_migration_written_on_sqlite_makes_the_same_tables(release: Release, tmp_path: Path) -> None:
    options: dict[str, Any] = {"user": {"additional_fields": FIELDS}, "plugins": [Badges()]}
    at_home = release(SQLAlchemy(), {"SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/home.db"}, **options)
    at_home.run(flask_migrate.init)
    at_home.run(flask_migrate.migrate)
    deployed = release(SQLAlchemy(), **options)
    deployed.run(flask_migrate.upgrade)
    deployed.run(flask_migrate.check)
    migrated = deployed.schema()
    with deployed.site.app.app_context():
        deployed.site.db.drop_all()
        deployed.site.db.create_all()
    assert deployed.schema() == migrated


@pytest.mark.parametrize("convention", [None, CONVENTION], ids=["unnamed", "named"])
def test_what_comes_later_is_one_more_migration(release: Release, dialect: str, convention: Any) -> None:
    first = release(SQLAlchemy(metadata=MetaData(naming_convention=convention)))
    first.run(flask_migrate.init)
    first.run(flask_migrate.migrate)
    first.run(flask_migrate.upgrade)
    before = first.schema()
    first.site.sign_up("ada")

    db = SQLAlchemy(metadata=MetaData(naming_convention=convention))
    second = release(db, user={"additional_fields": FIELDS}, plugins=[Badges()])
    second.run(flask_migrate.migrate)
    second.run(flask_migrate.upgrade)
    second.run(flask_migrate.check)
    assert len(second.scripts) == 2
    assert second.site.api.sign_in_email(email="ada@example.com", password=PASSWORD)["user"]["name"] == "Ada"

    as_the_docs_say(second, dialect)
    second.run(flask_migrate.downgrade)
    assert second.schema() == before


def test_tables_of_a_bind_have_a_migration_of_their_own(
    release: Release, own_database: str, dialect: str, tmp_path: Path
) -> None:
    main = f"sqlite:///{tmp_path}/main.db"
    settings = {"SQLALCHEMY_DATABASE_URI": main, "SQLALCHEMY_BINDS": {"auth": own_database}}
    project = release(SQLAlchemy(), settings, bind_key="auth")
    project.run(flask_migrate.init, multidb=True)
    project.run(flask_migrate.migrate)
    project.run(flask_migrate.upgrade)
    assert set(project.schema("auth")) == {"user", "session", "account", "verification"}
    assert project.schema() == {}
    project.run(flask_migrate.migrate)
    assert len(project.scripts) == 1
    assert project.site.sign_up("ada").session()["user"]["name"] == "Ada"
    as_the_docs_say(project, dialect)
    project.run(flask_migrate.downgrade, revision="base")
    assert project.schema("auth") == {}


def test_the_page_of_the_docs_from_the_command_line(tmp_path: Path) -> None:
    blocks = dict(FENCE.findall(PAGE.read_text()))
    (tmp_path / "app.py").write_text(blocks["python"])
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("FLASK_")}
    environment = {**inherited, "FLASK_BETTER_AUTH_SECRET": SECRET, "FLASK_BETTER_AUTH_URL": ORIGIN}
    written = [shlex.split(line)[2:] for line in blocks["console"].splitlines()]
    for command in (*written, ["db", "check"]):
        done = subprocess.run(
            [sys.executable, "-m", "flask", *command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert "No new upgrade operations detected" in done.stdout + done.stderr
