"""Generic OAuth: providers that are known by their URLs, or by their discovery document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...config import section
from ...errors import ConfigError
from ...plugin import Plugin
from ...providers.options import TokenEndpointAuth
from . import presets
from .options import GenericProviderOptions
from .provider import GenericProvider

__all__ = [
    "GenericOAuth",
    "GenericOAuthOptions",
    "GenericProvider",
    "GenericProviderOptions",
    "TokenEndpointAuth",
    "presets",
]


@dataclass(frozen=True)
class GenericOAuthOptions:
    """Settings of ``GenericOAuth``.

    Args:
        config: the providers: of the class ``GenericProvider``, of ``presets``, or dicts of ``GenericProviderOptions``.
    """

    config: Any = ()


class GenericOAuth(Plugin):
    """Sign users in by any provider of OAuth 2.0 or OpenID Connect (reference plugin ``generic-oauth``).

    There are no endpoints of its own: ``/sign-in/social``, ``/link-social`` and ``/callback/<id>`` know its providers.

    Args:
        options: see ``GenericOAuthOptions``.
    """

    id = "generic-oauth"

    def __init__(self, **options: Any) -> None:
        self.options: GenericOAuthOptions = section(GenericOAuthOptions, options, "GenericOAuth")
        if not isinstance(self.options.config, (list, tuple)):
            raise ConfigError("GenericOAuth(config=...) must be a list of providers")
        self.providers = tuple(map(_provider, self.options.config))


def _provider(given: Any) -> GenericProvider:
    if isinstance(given, GenericProvider):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(f"GenericOAuth(config=[...]) takes a GenericProvider or a dict, not {given!r}")
    return GenericProvider(**given)
