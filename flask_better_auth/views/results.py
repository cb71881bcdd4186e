"""Answers that several endpoints give."""

from __future__ import annotations

from ..errors import APIError
from ..wire import Bool, Row, Str, WireSchema

#: The address of the page holds a token, which must not go on to the next site (SECURITY H9).
PRIVATE = {"Referrer-Policy": "no-referrer"}


def redirect(location: str) -> APIError:
    """What a link in a mail leads to: raised, as any redirect of the reference."""
    return APIError.redirect(location, PRIVATE)


class StatusResult(WireSchema):
    status = Bool()


class SignInResult(WireSchema):
    redirect = Bool()
    token = Str()
    url = Str()
    user = Row("user")
