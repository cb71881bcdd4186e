"""Answers that several endpoints give."""

from __future__ import annotations

from ..wire import Bool, Row, Str, WireSchema


class StatusResult(WireSchema):
    status = Bool()


class SignInResult(WireSchema):
    redirect = Bool()
    token = Str()
    url = Str()
    user = Row("user")
