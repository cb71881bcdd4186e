"""What providers can be told: all of them, and those that need nothing else of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import ConfigError
from ..oauth.provider import ProviderError, Tokens, called

#: How a client authenticates at a token endpoint (RFC 7591 section 2).
POST, BASIC, ASSERTION = "client_secret_post", "client_secret_basic", "private_key_jwt"


@dataclass(frozen=True)
class ProviderOptions:
    """What every provider can be told (reference option ``socialProviders.<id>``).

    Args:
        client_id: ours at the provider; or several, whose ID tokens are accepted, the first for everything else.
        client_secret: ours; some providers have clients without one.
        scope: further scopes.
        disable_default_scope: only those, and what a client asks for.
        redirect_uri: where the provider sends browsers back to, if not to ``/callback/<id>`` of ours.
        authorization_endpoint: in place of the provider's own.
        prompt: what to ask the user whatever happens: ``"select_account"``, ``"consent"``, ``"login"`` or ``"none"``.
        response_mode: ``"query"``, or ``"form_post"`` to get the code by a POST.
        disable_id_token_sign_in: clients cannot sign in by an ID token that they got from the provider.
        disable_sign_up: nobody becomes a user by signing in here.
        disable_implicit_sign_up: only who asks for it, with ``request_sign_up``.
        override_user_info_on_sign_in: name, picture and address become what the provider says, each time.
        require_email_verification: nobody gets a session before the address is proven.
        map_profile_to_user: called with what the provider says, returns columns of the user table, which count over
            what is read from it. Whether an address is proven is the provider's to say.
        get_user_info: called with the ``Tokens``, returns a dict of ``user``, ``data`` and ``id``, in place of asking
            the provider.
        refresh_access_token: called with a refresh token, returns a token response, in place of asking the provider.
        verify_id_token: called with an ID token and a nonce, tells whether it counts, in place of verifying it. An
            access token that a client brings beside it must be of the same user.
    """

    client_id: str | tuple[str, ...] = ""
    client_secret: str = field(default="", repr=False)
    scope: tuple[str, ...] = ()
    disable_default_scope: bool = False
    redirect_uri: str | None = None
    authorization_endpoint: str | None = None
    prompt: str | None = None
    response_mode: Literal["query", "form_post"] | None = None
    disable_id_token_sign_in: bool = False
    disable_sign_up: bool = False
    disable_implicit_sign_up: bool = False
    override_user_info_on_sign_in: bool = False
    require_email_verification: bool = False
    map_profile_to_user: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    get_user_info: Callable[[Tokens], Mapping[str, Any] | None] | None = None
    refresh_access_token: Callable[[str], Mapping[str, Any]] | None = None
    verify_id_token: Callable[[str, str | None], object] | None = None

    @property
    def client_ids(self) -> tuple[str, ...]:
        """Ours at the provider, the one for everything first."""
        ids = self.client_id.split(",") if isinstance(self.client_id, str) else self.client_id
        return tuple(filter(None, map(str.strip, ids)))


@dataclass(frozen=True)
class TokenEndpointAuth:
    """How we authenticate at the token endpoint of a provider that leaves it to us.

    Args:
        method: as RFC 7591 section 2 calls it; ``"custom"`` leaves it to ``customize_request``.
        get_client_assertion: called with the address of the token endpoint, returns a JWT that tells who we are
            (RFC 7523), for ``"private_key_jwt"``.
        customize_request: changes a token request: called with authlib's client, the method, the URL, the headers and
            the body, returns the last three.
    """

    method: Literal["none", "client_secret_post", "client_secret_basic", "private_key_jwt", "custom"]
    get_client_assertion: Callable[[str], str] | None = None
    customize_request: Callable[..., tuple[str, Any, Any]] | None = None

    def assertion(self, url: str) -> dict[str, str]:
        """The parameters by which a JWT tells a token endpoint who we are; none, if we authenticate otherwise.

        Raises:
            ProviderError: there is no JWT.
        """
        if self.method != ASSERTION or self.get_client_assertion is None:
            return {}
        made = called(self.get_client_assertion, url)
        if not isinstance(made, str):
            raise ProviderError("get_client_assertion gave no text")
        return {
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": made,
        }

    def check(self, provider_id: str, secret: str) -> None:
        """Make sure that it can work with the secret that there is, or is not.

        Raises:
            ConfigError: it cannot.
        """
        if (self.method in (POST, BASIC)) != bool(secret) and self.method != "custom":
            be = "no" if secret else "a"
            raise ConfigError(f"the provider {provider_id} takes {be} client_secret for {self.method}")
        for method, name in ((ASSERTION, "get_client_assertion"), ("custom", "customize_request")):
            if self.method == method and getattr(self, name) is None:
                raise ConfigError(f"the provider {provider_id} needs {name} for {method}")


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
