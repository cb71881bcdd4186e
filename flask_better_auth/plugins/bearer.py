"""Bearer: a session by the ``Authorization`` header, for clients that keep no cookies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ..config import section
from ..context import Call
from ..hooks import Hook, Hooks
from ..plugin import Plugin

_HEADER = "set-auth-token"


@dataclass(frozen=True)
class BearerOptions:
    """Settings of ``Bearer``.

    Args:
        require_signature: ignore a token that does not carry its signature.
    """

    require_signature: bool = False


class Bearer(Plugin):
    """Accept ``Authorization: Bearer <token>``, where ``<token>`` is a session token or, with its signature, what the
    header ``set-auth-token`` of an answer that sets the session cookie said (reference plugin ``bearer``).

    A token counts before a cookie. What is no token, or has a wrong signature, is ignored.

    Args:
        options: see ``BearerOptions``.
    """

    id = "bearer"

    def __init__(self, **options: Any) -> None:
        self.options: BearerOptions = section(BearerOptions, options, "Bearer")
        self.hooks = Hooks(after=Hook(_announce))

    def session_token(self, call: Call) -> str | None:
        scheme, _, sent = call.request.headers.get("Authorization", "").partition(" ")
        sent = sent.strip()
        if scheme.lower() != "bearer" or not sent or not (sent.isascii() and sent.isprintable()):
            return None
        if "." in sent:
            return call.state.cookies.verified(sent)
        return None if self.options.require_signature else sent


def _announce(call: Call) -> None:
    """Tell clients that see no cookies what to send (and browsers that scripts may read it)."""
    value = call.cookies.value(call.state.cookies.session_token)
    if value:
        call.headers[_HEADER] = unquote(value)
        call.headers.add("Access-Control-Expose-Headers", _HEADER)
