"""Replies and errors as the HTTP answers that clients see."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import Response
from werkzeug.datastructures import Headers

from . import wire
from .context import Reply
from .endpoint import JSON, Endpoint
from .errors import APIError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_HTML = "text/html; charset=utf-8"
_HTML_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Answer(Response):
    """A response whose ``Location`` leaves as it is.

    Werkzeug reads it as an http URL: it changes the case of other schemes, and fails on hosts such as ``..``.
    """

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        location = self.headers.pop("Location", None)
        headers = super().get_wsgi_headers(environ)
        if location is not None:
            headers["Location"] = self.headers["Location"] = location
        return headers


def of_reply(reply: Reply, endpoint: Endpoint) -> Response:
    """A reply of an endpoint: JSON, a page, or a redirect."""
    if reply.html is not None:
        response = Answer(reply.html, reply.status, content_type=_HTML, headers=_HTML_HEADERS)
    elif reply.is_redirect:
        response = empty(302)
    else:
        response = Answer(wire.dumps(reply.wire), reply.status, content_type=JSON)
    if reply.location is not None:
        response.headers["Location"] = _ascii(reply.location)
    response.headers.update(reply.headers)
    if endpoint.no_store:
        response.headers.extend(_NO_STORE)
    return response


def of_error(error: APIError, endpoint: Endpoint | None = None) -> Response:
    """An error: its JSON, or its redirect."""
    body = b"" if error.body is None else wire.dumps(error.body)
    response = Answer(body, error.status_code, content_type=JSON)
    response.headers.extend(error.headers)
    if "Location" in error.headers:
        response.headers["Location"] = _ascii(error.headers["Location"])
    if endpoint is not None and endpoint.no_store:
        response.headers.extend(_NO_STORE)
    return response


def empty(status: int) -> Answer:
    """An answer without a body and without a media type."""
    response = Answer(status=status)
    del response.headers["Content-Type"]
    return response


def _ascii(location: str) -> str:
    """A URL as a header can hold it; what is encoded already stays as it is."""
    return quote(location, safe="%/:=&?~#+!$,;'@()*[]")


def merge(headers: Headers, more: Headers) -> None:
    """Add what hooks have set: cookies are added, lists of exposed headers united, any other name is replaced."""
    for name in {name.lower() for name, _ in more}.difference(("set-cookie",)):
        exposed = headers.getlist(name) if name == "access-control-expose-headers" else []
        headers.setlist(name, [", ".join([*exposed, *more.getlist(name)])])
    for line in more.getlist("Set-Cookie"):
        headers.add("Set-Cookie", line)
