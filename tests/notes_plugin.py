"""A plugin as a third party would write it: users keep notes, and have a handle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Request, Response
from marshmallow import fields
from sqlalchemy import Integer, bindparam, select

from flask_better_auth import (
    APIError,
    Call,
    Column,
    ConfigError,
    DatabaseHooks,
    ErrorCode,
    Hook,
    Hooks,
    Limit,
    Plugin,
    Record,
    Reply,
    Routes,
    TableMixin,
    WireSchema,
    clock,
    guards,
)
from flask_better_auth.context import AuthState
from flask_better_auth.models import KEY, TEXT, UtcDateTime, attribute
from flask_better_auth.services import records
from flask_better_auth.wire import Bool, Row, Str


class NotesErrors:
    HANDLE_TAKEN = ErrorCode("This handle is taken", 409)
    NO_NOTES_FOR_YOU = ErrorCode("No notes for you", 403)
    NOTE_TOO_LONG = ErrorCode("Note too long", 400)
    UNAUTHORIZED = ErrorCode("The core says it otherwise", 418)


@dataclass(frozen=True)
class NotesOptions:
    longest: int = 100


class NoteMixin(TableMixin):
    user_id = attribute("user_id", KEY, references="user", index=True)
    text = attribute("text", TEXT)
    stars = attribute("stars", Integer(), default=3)
    hidden_key = attribute("hidden_key", TEXT, nullable=True, returned=False)
    written_at = attribute("written_at", UtcDateTime(), default=clock.now)


class NotePartMixin(TableMixin):
    note_id = attribute("note_id", KEY, references="note")


routes = Routes()


class CreateNoteBody(WireSchema):
    note_text = Str(required=True)


class NoteResult(WireSchema):
    note = Row("note")


@routes.post("/notes/create", body=CreateNoteBody, returns=NoteResult, guards=[guards.session])
def create_note(call: Call) -> Reply:
    """Write a note."""
    _, user = call.signed_in
    if len(call.body["note_text"]) > call.options(NotesOptions).longest:
        raise APIError(NotesErrors.NOTE_TOO_LONG)
    with records.unit(call):
        note = records.create(
            call, "note", {"user_id": user.id, "text": call.body["note_text"], "hidden_key": "k3y-of-the-note"}
        )
        if note is not None:
            records.create(call, "note_part", {"note_id": note.id})
    return Reply({"note": note})


class ListNotesQuery(WireSchema):
    only_text = Str()


class NotesResult(WireSchema):
    notes = fields.List(Row("note"))


@routes.get("/notes/list", query=ListNotesQuery, returns=NotesResult, guards=[guards.session])
def list_notes(call: Call) -> Reply:
    """The caller's notes."""
    _, user = call.signed_in
    note = call.state.tables["note"]
    notes = map(note.record, records.rows(call, call.state.once(_of_user), {"user_id": user.id}))
    wanted = call.query.get("only_text")
    return Reply({"notes": [each for each in notes if wanted in (None, each.text)]})


def _of_user(state: AuthState) -> Any:
    columns = state.tables["note"].columns
    statement = select(*columns.values()).where(columns["user_id"] == bindparam("user_id"))
    return statement.order_by(columns["written_at"])


class CountNotesBody(WireSchema):
    user_id = Str(required=True)


@routes.server(body=CountNotesBody)
def count_notes(call: Call) -> Reply:
    """How many notes a user has; for the server alone."""
    return Reply({"count": len(records.rows(call, call.state.once(_of_user), {"user_id": call.body["user_id"]}))})


class OkResult(WireSchema):
    ok = Bool()
    with_notes = Bool()


@routes.get("/ok", returns=OkResult, replaces="ok")
def ok(call: Call) -> Reply:
    """Tell that there are notes, too."""
    return Reply({"ok": True, "with_notes": True})


def shout(call: Call) -> None:
    """A before hook for one path."""
    call.body["note_text"] = call.body["note_text"].upper()


def count(call: Call) -> Reply | None:
    """An after hook: lists carry their length."""
    if isinstance(call.returned, APIError):
        return None
    notes = call.returned.python["notes"]
    return Reply({"notes": notes, "length": len(notes)})


def no_spam(call: Call) -> Any:
    """A middleware: by HTTP alone."""
    if call.body["note_text"] == "spam":
        raise APIError(NotesErrors.NO_NOTES_FOR_YOU)
    return {"note": None} if call.body["note_text"] == "nothing" else None


class Notes(Plugin):
    id = "notes"
    routes = routes
    errors = NotesErrors
    extends = {  # noqa: RUF012  # nobody writes to it
        "user": {
            "public_handle": Column(unique=True, input=True, taken=NotesErrors.HANDLE_TAKEN),
            "mood": Column(input=True),
            "level": Column("number", default=1),
            "clearance": Column(),
            "pin": Column(input=True, returned=False),
        },
        "session": {"device_name": Column()},
    }
    tables = {"note": NoteMixin, "note_part": NotePartMixin}  # noqa: RUF012  # nobody writes to it
    hooks = Hooks(before=Hook(shout, "/notes/create"), after=Hook(count, "/notes/list"))
    database_hooks = DatabaseHooks(
        session={"create": {"before": lambda row, call: {"device_name": "a Turing machine"}}}
    )
    rate_limits = (("/notes/cr*", Limit(2, per=60)),)
    middlewares = (Hook(no_spam, "/notes/create"),)
    defaults = {"session": {"update_age": 60}, "trusted_origins": ["https://notes.test"]}  # noqa: RUF012  # nobody writes to it

    def __init__(self, **options: Any) -> None:
        self.options = NotesOptions(**options)
        self.gate: Any = None
        self.applications: list[str] = []

    def init(self, state: AuthState) -> None:
        if self.options.longest < 1:
            raise ConfigError("Notes(longest=...) must be at least 1")
        self.applications.append(state.app.name)

    def session_token(self, call: Call) -> str | None:
        return call.request.headers.get("X-Notes-Token") or None

    def sign_in_gate(self, call: Call, user: Record, method: str) -> Reply | None:
        return self.gate(call, user, method) if self.gate else None

    def on_request(self, call: Call) -> Response | Request | None:
        if call.request.headers.get("X-Notes") == "teapot":
            return Response("short and stout", 418)
        if "X-Notes-Origin" in call.request.headers:  # what a native app sends, which must not set Origin
            return Request({**call.request.environ, "HTTP_ORIGIN": call.request.headers["X-Notes-Origin"]})
        return None

    def on_response(self, call: Call, response: Response) -> Response | None:
        response.headers["X-Notes-Path"] = call.endpoint.path or "" if call.endpoint else "unknown"
        return None
