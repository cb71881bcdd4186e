"""Answers that several endpoints give."""

from __future__ import annotations

from ..context import Reply
from ..errors import APIError
from ..wire import Bool, Row, Str, WireSchema

#: The address of the page holds a token, which must not go on to the next site (SECURITY H9).
PRIVATE = {"Referrer-Policy": "no-referrer"}


def redirect(location: str) -> APIError:
    """What a link in a mail leads to: raised, as any redirect of the reference."""
    return APIError.redirect(location, PRIVATE)


def redirected(reply: Reply) -> Reply:
    """What ends a sign-in with a provider: a redirect, or what a plugin wants first.

    Raises:
        APIError: the redirect.
    """
    if reply.is_redirect and reply.location is not None:
        raise redirect(reply.location)
    return reply


class StatusResult(WireSchema):
    status = Bool()


class SignInResult(WireSchema):
    redirect = Bool()
    token = Str()
    url = Str()
    user = Row("user")
