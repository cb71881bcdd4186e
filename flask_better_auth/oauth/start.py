"""Sending a browser to a provider, and where that sends it back to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..context import Call
from ..errors import APIError, ErrorCode
from . import state
from .provider import Provider, ProviderError, Start, tell

_PROVIDER_AWAY = ErrorCode("The provider can not be reached", 503, "SERVICE_UNAVAILABLE")


def authorization_url(
    call: Call,
    provider: Provider,
    *,
    scopes: Sequence[str] = (),
    login_hint: str | None = None,
    params: Mapping[str, str] | None = None,
    **flow: Any,
) -> str:
    """Begin a sign-in, and say where to send the browser.

    Args:
        call: gets the cookie, and the flow.
        provider: to whom.
        scopes: further ones.
        login_hint: who it will be.
        params: further parameters, none of them one of ours.
        flow: what is to be remembered; see ``state.begin``.

    Raises:
        APIError: ``SERVICE_UNAVAILABLE``; the provider has to be asked, and does not answer.
    """
    client = call.state.once(provider.client)
    try:
        nonce = state.nonce() if provider.binds_nonce(client) else None
        number, call.flow = state.begin(call, provider.id, nonce=nonce, **flow)
        verifier = call.flow.code_verifier
        start = Start(number, verifier, redirect_uri(call, provider), nonce, scopes, login_hint, params or {})
        return provider.authorization_url(client, start)
    except ProviderError as error:
        tell(call, provider, error)
        raise APIError(_PROVIDER_AWAY) from error


def redirect_uri(call: Call, provider: Provider) -> str:
    """Where the provider sends browsers back to: by the configuration, whatever the request says (SECURITY C6)."""
    return f"{call.redirect_base or call.base_url}/callback/{provider.id}"
