"""Options of a provider that is known by its URLs, and what they must be like together."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from ... import urls
from ...config import LONGEST_KEY
from ...errors import ConfigError
from ...oauth.provider import Arrival, MapProfile, Tokens
from ...providers.options import BASIC, POST, TokenEndpointAuth

#: An identifier stands in a path as it is.
_ID = re.compile(rf"[A-Za-z0-9_-][A-Za-z0-9._~-]{{0,{LONGEST_KEY - 1}}}", re.ASCII)
#: Where metadata of an issuer is (OpenID Connect Discovery section 4, RFC 8414 section 3).
_WELL_KNOWN = re.compile(r"/\.well-known/(?:openid-configuration|oauth-authorization-server)(?=/|$)")


@dataclass(frozen=True)
class GenericProviderOptions:
    """What a provider of ``GenericOAuth`` can be told (reference option ``genericOAuth.config[]``).

    Args:
        provider_id: its part in ``/callback/<id>``, and the ``provider_id`` of its accounts.
        name: what people know it by; by default its identifier.
        client_id, client_secret: ours; a client need not have a secret.
        discovery_url: its metadata, usually ``<issuer>/.well-known/openid-configuration``; asked for at first use.
        discovery_headers: sent with that, and where its keys are, if that is the same origin.
        issuer: what the metadata must name, if that is not where they are.
        authorization_url, token_url, user_info_url, end_session_endpoint: over what the metadata say, or without any.
        scopes: what is asked for.
        pkce: send a code challenge (RFC 7636).
        prompt, access_type, response_type, response_mode: parameters of the authorization request.
        authorization_url_params: further ones; none takes the place of what the protocol itself needs.
        token_url_params: further parameters of the request for tokens.
        refresh_token_params: the same of one for new tokens; or a function, called in the request, that returns them.
        authorization_headers: sent to the token endpoint.
        authentication: ``"basic"`` sends the secret in a header, ``"post"`` in the form.
        token_endpoint_auth: see ``TokenEndpointAuth``; counts over ``authentication``.
        access_token_expires_in: how long an access token lives, where the provider does not say.
        redirect_uri: where the provider sends browsers back to, if not to ``/callback/<id>`` of ours.
        get_token: called with the ``Arrival``, returns ``Tokens`` or a token response, in place of asking the provider.
        get_user_info: called with the ``Tokens``, returns a profile under Python names, in place of asking.
        map_profile_to_user: called with the profile, returns columns of the user table, which count over what is read
            from it. Whether an address is proven is the provider's to say.
        account_subject: called with ``Tokens`` and profile, returns the identifier that never changes; by default
            ``sub``, or ``id`` where the metadata tell of no ID tokens.
        override_user_info: name, picture and address become what the provider says, each time.
        disable_sign_up: nobody becomes a user by signing in here.
        disable_implicit_sign_up: only who asks for it, with ``request_sign_up``.
        require_email_verification: nobody gets a session before the address is proven.
        allow_idp_initiated: browsers that the provider sends by itself are sent back to it, to begin properly.
        disable_id_token_nonce_binding: send no nonce, and look for none in ID tokens.
        require_id_token_verification: nobody gets in without an ID token that was verified.
        disable_provider_logout: who signs out here stays signed in there.
        post_logout_redirect_uri: where the provider sends browsers that signed out, unless the client says.
    """

    provider_id: str = ""
    name: str | None = None
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    discovery_url: str | None = None
    discovery_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    issuer: str | None = None
    authorization_url: str | None = None
    token_url: str | None = None
    user_info_url: str | None = None
    end_session_endpoint: str | None = None
    scopes: tuple[str, ...] = ()
    pkce: bool = True
    prompt: str | None = None
    access_type: str | None = None
    response_type: str = "code"
    response_mode: Literal["query", "form_post"] | None = None
    authorization_url_params: Mapping[str, str] = field(default_factory=dict)
    token_url_params: Mapping[str, str] = field(default_factory=dict, repr=False)
    refresh_token_params: Mapping[str, str] | Callable[[], Mapping[str, str] | None] = field(
        default_factory=dict, repr=False
    )
    authorization_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authentication: Literal["basic", "post"] | None = None
    token_endpoint_auth: TokenEndpointAuth | None = None
    access_token_expires_in: timedelta | None = None
    redirect_uri: str | None = None
    get_token: Callable[[Arrival], Tokens | Mapping[str, Any]] | None = None
    get_user_info: Callable[[Tokens], Mapping[str, Any] | None] | None = None
    map_profile_to_user: MapProfile | None = None
    account_subject: Callable[[Tokens, Mapping[str, Any]], object] | None = None
    override_user_info: bool = False
    disable_sign_up: bool = False
    disable_implicit_sign_up: bool = False
    require_email_verification: bool = False
    allow_idp_initiated: bool = False
    disable_id_token_nonce_binding: bool = False
    require_id_token_verification: bool = False
    disable_provider_logout: bool = False
    post_logout_redirect_uri: str | None = None

    @property
    def expected_issuer(self) -> str:
        """Whose metadata are at ``discovery_url``."""
        path = (self.discovery_url or "").partition("?")[0]
        return self.issuer or (_WELL_KNOWN.sub("", path) if _WELL_KNOWN.search(path) else "")

    @property
    def auth_method(self) -> str:
        """How we authenticate at the token endpoint."""
        if self.token_endpoint_auth is not None:
            return self.token_endpoint_auth.method
        if self.authentication == "basic":
            return BASIC
        return POST if self.client_secret else "none"

    def check(self) -> None:
        """Make sure that it can work.

        Raises:
            ConfigError: an option is missing, or cannot be together with another.
        """
        who = f"the provider {self.provider_id or '(without provider_id)'}"
        for name in ("discovery_url", "authorization_url", "token_url", "user_info_url", "end_session_endpoint"):
            url = getattr(self, name)
            if url is not None and urls.origin_of(url) is None:
                raise ConfigError(f"{who}: {name} must be a URL of http or https, not {url!r}")
        assertion = [name for name in ("client_assertion", "client_assertion_type") if name in self.token_url_params]
        has_endpoints = self.authorization_url and (self.token_url or self.get_token)
        wrong = {
            "provider_id must be letters, digits and -._~": not _ID.fullmatch(self.provider_id),
            "it needs client_id": not self.client_id,
            "it needs discovery_url, or authorization_url and token_url": not (self.discovery_url or has_endpoints),
            "its discovery_url is at no well-known place: pass issuer, too": self.discovery_url
            and not self.expected_issuer,
            "require_id_token_verification needs discovery_url": self.require_id_token_verification
            and not self.discovery_url,
            "authentication by basic needs client_secret": self.auth_method == BASIC and not self.client_secret,
            "client_assertion and client_assertion_type belong together": len(assertion) == 1,
        }
        for reason, is_wrong in wrong.items():
            if is_wrong:
                raise ConfigError(f"{who}: {reason}")
        if self.token_endpoint_auth is not None:
            self.token_endpoint_auth.check(self.provider_id, self.client_secret)
