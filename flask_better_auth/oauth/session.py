"""authlib's OAuth 2.0 client on our own outbound HTTP."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from authlib.integrations.requests_client import OAuth2Session
from requests import Response

from .outbound import Outbound


class OAuth2(Outbound, OAuth2Session):  # type: ignore[misc]  # authlib has no types
    """Asks a token endpoint.

    Args:
        own: see ``Outbound``.
        client_id, client_secret: ours.
        auth: the name of a way to authenticate (RFC 7591 section 2), or a function as authlib takes one.
    """

    def __init__(self, own: Collection[str], client_id: str, client_secret: str | None, auth: Any) -> None:
        OAuth2Session.__init__(self, client_id, client_secret, token_endpoint_auth_method=auth)
        Outbound.__init__(self, own=own)

    def parse_response_token(self, resp: Response) -> Any:
        """The tokens in an answer, unless its status says that it is none; authlib looks for an error in it alone."""
        token = super().parse_response_token(resp)
        resp.raise_for_status()
        return token
