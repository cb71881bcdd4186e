"""Apple: the profile stands in the ID token, the name beside the code, and the secret is one that we sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import clock, wire
from ..errors import ConfigError
from ..oauth.client import Client
from ..oauth.provider import Tokens
from .base import Social
from .options import ProviderOptions
from .places import joined

#: Who a secret is for, and the seconds that it counts; each request gets a new one.
_AUDIENCE, _LIFE = "https://appleid.apple.com", 300
_KEY = ("team_id", "key_id", "private_key")


@dataclass(frozen=True)
class AppleOptions(ProviderOptions):
    """Options of Apple. ``team_id``, ``key_id`` and ``private_key`` together stand in for ``client_secret``.

    Args:
        audience: for whom an ID token may be that a client brings, if not for ``client_id``.
        app_bundle_identifier: the same for one application.
        team_id: of your account as a developer.
        key_id: of a key for "Sign in with Apple".
        private_key: that key, the content of the ``.p8`` file.
    """

    audience: tuple[str, ...] = ()
    app_bundle_identifier: str | None = None
    team_id: str = ""
    key_id: str = ""
    private_key: str = field(default="", repr=False)


class AppleProvider(Social):
    def check(self) -> None:
        super().check()
        if any(getattr(self.options, name) for name in _KEY):
            for name in _KEY:
                if not getattr(self.options, name):
                    self.lacks(name)
            if self.options.client_secret:
                raise ConfigError("the provider apple takes a client_secret or a private_key, not both")
            from joserfc.errors import JoseError

            try:
                self.secret()
            except (JoseError, ValueError, TypeError, AttributeError):
                raise ConfigError("the private_key of the provider apple is no key on P-256 in PEM") from None

    def secret(self) -> str:
        if not self.options.private_key:
            return super().secret()
        from joserfc import jwt
        from joserfc.jwk import ECKey

        options: AppleOptions = self.options
        # from_prefixed_env leaves the ends of lines as they are written in one
        key = ECKey.import_key(options.private_key.replace("\\n", "\n"))
        now = int(clock.now().timestamp())
        claims = {"iss": options.team_id, "iat": now, "exp": now + _LIFE, "aud": _AUDIENCE, "sub": self.client_id}
        return jwt.encode({"alg": "ES256", "kid": options.key_id}, claims, key)

    def audiences(self) -> tuple[str, ...]:
        options: AppleOptions = self.options
        bundle = (options.app_bundle_identifier,) if options.app_bundle_identifier else ()
        return options.audience or bundle or super().audiences()

    def said(self, client: Client, tokens: Tokens, nonce: str | None, user: Any) -> Mapping[str, Any]:
        claims = super().said(client, tokens, nonce, user)
        told = _name(user)
        return {**claims, "name": claims.get("name") or "" if told is None else told}


def _name(user: Any) -> str | None:
    """The name in what comes once beside the code, as JSON, or what a client passes on of it."""
    if isinstance(user, str):
        try:
            user = wire.parse_json(user.encode())
        except ValueError:
            return None
    name = user.get("name") if isinstance(user, Mapping) else None
    if not isinstance(name, Mapping):
        return None
    parts = {wire.python_name(part): value for part, value in name.items()}
    return joined(parts.get("first_name"), parts.get("last_name"))
