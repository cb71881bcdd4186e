"""Options of those providers of the catalogue that need nothing else of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from .base import ProviderOptions, TokenEndpointAuth


@dataclass(frozen=True)
class ClientAuthOptions(ProviderOptions):
    """Options of Cloudflare and Vercel, which leave it to a client how it authenticates.

    Args:
        token_endpoint_auth: a ``TokenEndpointAuth`` or a dict of its arguments.
    """

    token_endpoint_auth: TokenEndpointAuth | None = None


@dataclass(frozen=True)
class CognitoOptions(ProviderOptions):
    """Options of Cognito.

    Args:
        domain: of the hosted pages, for example ``"acme.auth.eu-central-1.amazoncognito.com"``.
        region: of AWS.
        user_pool_id: the pool.
        identity_provider: whom to ask there, past its own page of choices.
        require_client_secret: refuse to start without a secret.
    """

    domain: str = ""
    region: str = ""
    user_pool_id: str = ""
    identity_provider: str | None = None
    require_client_secret: bool = False

    @property
    def origin(self) -> str:
        """Where the hosted pages are."""
        return self.domain if "://" in self.domain else f"https://{self.domain}"


@dataclass(frozen=True)
class DropboxOptions(ProviderOptions):
    """Options of Dropbox.

    Args:
        access_type: ``"offline"`` for a refresh token.
    """

    access_type: Literal["offline", "online", "legacy"] | None = None


@dataclass(frozen=True)
class GitLabOptions(ProviderOptions):
    """Options of GitLab.

    Args:
        issuer: where it is, if not at gitlab.com.
    """

    issuer: str = "https://gitlab.com"


@dataclass(frozen=True)
class PaybinOptions(ProviderOptions):
    """Options of Paybin.

    Args:
        issuer: where it is, if not at idp.paybin.io.
    """

    issuer: str = "https://idp.paybin.io"


@dataclass(frozen=True)
class RedditOptions(ProviderOptions):
    """Options of Reddit.

    Args:
        duration: ``"permanent"`` for a refresh token, else ``"temporary"``.
    """

    duration: str | None = None


@dataclass(frozen=True)
class SalesforceOptions(ProviderOptions):
    """Options of Salesforce.

    Args:
        environment: ``"sandbox"`` or ``"production"``.
        login_url: the host of a domain of your own there, in place of either.
    """

    environment: Literal["sandbox", "production"] = "production"
    login_url: str | None = None

    @property
    def origin(self) -> str:
        """Where the endpoints are."""
        shared = "test.salesforce.com" if self.environment == "sandbox" else "login.salesforce.com"
        host = self.login_url or shared
        return host if "://" in host else f"https://{host}"


@dataclass(frozen=True)
class TikTokOptions(ProviderOptions):
    """Options of TikTok.

    Args:
        client_key: what TikTok calls the client id.
    """

    client_key: str = ""

    @property
    def client_ids(self) -> tuple[str, ...]:
        return (self.client_key,)


@dataclass(frozen=True)
class TwitchOptions(ProviderOptions):
    """Options of Twitch.

    Args:
        claims: what is to stand in the ID token beside the address.
    """

    claims: tuple[str, ...] = ("preferred_username", "picture")

    @property
    def claims_wanted(self) -> str:
        """The parameter ``claims`` (OpenID Connect Core section 5.5)."""
        names = ("email", "email_verified", *self.claims)
        return json.dumps({"id_token": dict.fromkeys(names)}, separators=(",", ":"))


@dataclass(frozen=True)
class ZoomOptions(ProviderOptions):
    """Options of Zoom.

    Args:
        pkce: use PKCE.
    """

    pkce: bool = True
