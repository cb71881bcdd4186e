"""A small application that must type-check, as the application of a user would."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from flask_better_auth import (
    AdditionalField,
    APIError,
    BetterAuth,
    Call,
    Column,
    EmailAndPassword,
    Hook,
    Hooks,
    Plugin,
    Record,
    Reply,
    Routes,
    SessionOptions,
    UserMixin,
    UserOptions,
    current_user,
    login_required,
    signals,
)


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class User(UserMixin, Base):
    __tablename__ = "user"
    points: Mapped[int] = mapped_column(default=0)


def look(call: Call) -> Reply | None:
    return Reply({"stop": True}) if call.body.get("stop") else None


class Levels(Plugin):
    id = "levels"
    routes = Routes()
    extends = {"user": {"level": Column("number", default=1)}}  # noqa: RUF012  # as applications write it
    middlewares = (Hook(look, "/levels/*"),)

    def sign_in_gate(self, call: Call, user: Record, method: str) -> Reply | None:
        return Reply({"too_low": True}) if user.level < 1 else None


auth = BetterAuth(
    db=db,
    user_model=User,
    email_and_password=EmailAndPassword(min_password_length=12),
    session=SessionOptions(defer_session_refresh=True),
    user=UserOptions(additional_fields={"nickname": AdditionalField("string", required=False)}),
    plugins=[Levels()],
    hooks=Hooks(before=[look, Hook(look, matcher="/sign-in/*")]),
)


def create_app() -> Flask:
    app = Flask(__name__)
    db.init_app(app)
    auth.init_app(app)

    @app.get("/me")
    @login_required
    def me() -> dict[str, str]:
        return {"name": current_user.name}

    return app


def name_of(user: User) -> str:
    verified: bool = user.email_verified
    return user.name if verified else user.email


def sign_in(email: str, password: str) -> str | None:
    try:
        auth.api.sign_in_email(email=email, password=password)
    except APIError as error:
        return error.code
    auth.api.sign_in_email(email=email, pasword=password)  # type: ignore[call-overload]  # no such field
    status: int = auth.api.sign_in_email(email=email, password=password, as_response=True).status_code
    session: dict[str, Any] | None = auth.api.get_session(headers={})
    return None if session is None else str(status)


def end_sessions_of(user_id: str) -> int:
    for session in auth.api.list_sessions(user_id=user_id):
        auth.api.revoke_session(session_id=session["id"])
    auth.api.update_user(user_id=user_id, data={"points": 0})
    anything: Any = auth.api.something_of_a_plugin(whatever=1)
    return len([anything])


signals.user_signed_up.connect(lambda sender, user: None, weak=False)
