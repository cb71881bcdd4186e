"""A provider that is known by its URLs, or by its discovery document (OpenID Connect Discovery)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode, urljoin

from ... import urls
from ...config import section
from ...oauth import id_token
from ...oauth.client import Client
from ...oauth.provider import (
    Arrival,
    Profile,
    Provider,
    ProviderError,
    Start,
    Tokens,
    called,
    dict_of,
    is_true,
    subject_of,
)
from ...providers.base import overlaid, profile_of
from ...providers.options import ASSERTION, BASIC, POST
from ...wire import wire_name
from .options import GenericProviderOptions

#: Whether an address is proven, as profiles have it.
VERIFIED = wire_name("email_verified")
#: The application changes token requests itself.
CUSTOM = "custom"


@dataclass(frozen=True)
class Metadata:
    """Where the endpoints of a provider are, and whether it makes ID tokens."""

    authorization: str | None
    token: str | None
    user_info: str | None
    end_session: str | None
    issuer: str | None = None
    #: The provider says how it signs ID tokens.
    is_oidc: bool = False
    #: What they must be like, where they can be verified.
    rule: id_token.Rule | None = None


class GenericProvider(Provider):
    """A provider for ``GenericOAuth``.

    Args:
        options: see ``GenericProviderOptions``.

    Raises:
        ConfigError: an option is missing, unknown, of the wrong type, or cannot be together with another.
    """

    def __init__(self, **options: Any) -> None:
        self.options: GenericProviderOptions = section(GenericProviderOptions, options, "GenericProvider")
        self.options.check()
        told = self.options
        self.id, self.name = told.provider_id, told.name or told.provider_id
        self.allow_idp_initiated = told.allow_idp_initiated
        self.ends_sessions = bool(told.discovery_url or told.end_session_endpoint) and not told.disable_provider_logout
        self.post_logout_redirect_uri = told.post_logout_redirect_uri
        self.disable_sign_up = told.disable_sign_up
        self.disable_implicit_sign_up = told.disable_implicit_sign_up
        self.override_user_info = told.override_user_info
        self.require_email_verification = told.require_email_verification
        asked = (told.discovery_url, told.token_url, told.user_info_url)
        self.own_origins = tuple(urls.base_origin(url) for url in asked if url)

    def __repr__(self) -> str:
        return f"<Provider {self.id}>"

    # ------------------------------------------------------------ what the provider says of itself

    def metadata(self, client: Client) -> Metadata:
        """Endpoints and keys. Without its discovery document a provider that has one is away, whatever URLs are
        configured: as plain OAuth 2.0 its ID tokens would not be verified any more.

        Raises:
            ProviderError: the document is not to be had, or is none that counts.
        """
        told = self.options
        document = self._document(client) if told.discovery_url else {}
        algorithms = document.get("id_token_signing_alg_values_supported")
        listed = algorithms if isinstance(algorithms, list) else []
        found = Metadata(
            told.authorization_url or self._endpoint(document, "authorization_endpoint"),
            told.token_url or self._endpoint(document, "token_endpoint"),
            told.user_info_url or self._endpoint(document, "userinfo_endpoint"),
            told.end_session_endpoint or self._endpoint(document, "end_session_endpoint"),
            document.get("issuer", told.issuer),
            bool(listed),
            self._rule(document, listed),
        )
        if told.require_id_token_verification and found.rule is None:
            raise ProviderError("the discovery document names no keys")
        return found

    def _document(self, client: Client) -> Mapping[str, Any]:
        return client.document(
            str(self.options.discovery_url), self._check_issuer, headers=self.options.discovery_headers
        )

    def _check_issuer(self, document: Mapping[str, Any]) -> None:
        named, expected = document.get("issuer"), self.options.expected_issuer
        # or else it could speak for another one (OpenID Connect Discovery section 4.3, RFC 8414 section 6.2)
        if not isinstance(named, str) or named.rstrip("/") != expected.rstrip("/"):
            raise ProviderError("the discovery document is that of another issuer")

    def _endpoint(self, document: Mapping[str, Any], name: str) -> str | None:
        """A URL of the document: https, or where the document itself is (SECURITY R3)."""
        found = document.get(name)
        if found is None:
            return None
        url = urljoin(str(self.options.discovery_url), found) if isinstance(found, str) else ""
        origin = urls.origin_of(url) or ""
        if not origin.startswith("https://") and origin != urls.base_origin(str(self.options.discovery_url)):
            raise ProviderError(f"the {name} of the discovery document is not https")
        return url

    def _rule(self, document: Mapping[str, Any], listed: list[Any]) -> id_token.Rule | None:
        jwks = self._endpoint(document, "jwks_uri")
        if jwks is None:
            return None
        same = urls.origin_of(jwks) == urls.base_origin(str(self.options.discovery_url))
        return id_token.Rule(
            jwks,
            (document["issuer"],),
            (self.options.client_id,),
            tuple(name for name in listed if name in id_token.ASYMMETRIC) or ("RS256",),
            headers=self.options.discovery_headers if same else {},
        )

    def issuer(self, client: Client) -> str | None:
        return self.metadata(client).issuer

    def binds_nonce(self, client: Client) -> bool:
        return not self.options.disable_id_token_nonce_binding and self.metadata(client).rule is not None

    # ------------------------------------------------------------ to the provider and back

    def authorization_url(self, client: Client, start: Start) -> str:
        told, found = self.options, self.metadata(client)
        scopes = [*start.scopes, *told.scopes]
        if found.is_oidc and "openid" not in scopes:
            scopes.insert(0, "openid")
        # what the protocol needs counts over parameters of the configuration, also where it is left out
        ours = {
            "response_type": told.response_type,
            "client_id": told.client_id,
            "state": start.state,
            "scope": " ".join(scopes),
            "redirect_uri": told.redirect_uri or start.redirect_uri,
            "nonce": start.nonce,
            "code_challenge_method": None,
            "code_challenge": None,
            **(id_token.challenge_of(start.code_verifier) if told.pkce else {}),
        }
        usual = {
            "login_hint": start.login_hint,
            "prompt": told.prompt,
            "access_type": told.access_type,
            "response_mode": told.response_mode,
        }
        params = {**usual, **told.authorization_url_params, **start.params, **ours}
        if found.authorization is None:
            raise ProviderError("the discovery document names no authorization endpoint")
        return urls.with_params(found.authorization, {name: value for name, value in params.items() if value})

    def exchange(self, client: Client, arrival: Arrival) -> Tokens:
        told = self.options
        if told.get_token is not None:
            got = called(told.get_token, arrival)
            if isinstance(got, Tokens):
                return replace(got, scopes=got.scopes or ())
            return Tokens.of(_object(got), expires_in=told.access_token_expires_in)
        sent = {
            **told.token_url_params,
            "grant_type": "authorization_code",
            "code": arrival.code,
            "redirect_uri": told.redirect_uri or arrival.redirect_uri,
            **({"code_verifier": arrival.code_verifier} if told.pkce else {}),
        }
        return self._tokens(client, sent)

    def refresh(self, client: Client, refresh_token: str) -> Tokens:
        given = self.options.refresh_token_params
        further = (called(given) or {}) if callable(given) else given
        return self._tokens(client, {**further, "grant_type": "refresh_token", "refresh_token": refresh_token})

    def _tokens(self, client: Client, form: dict[str, str]) -> Tokens:
        told, url = self.options, self.metadata(client).token
        if url is None:
            raise ProviderError("the discovery document names no token endpoint")
        headers = {
            "accept": "application/json",
            "content-type": "application/x-www-form-urlencoded",
            **{name.lower(): value for name, value in told.authorization_headers.items()},
        }
        own = told.token_endpoint_auth
        # an assertion of the configuration's own says who we are (RFC 7523 section 2.2)
        method = "none" if "client_assertion" in form else told.auth_method
        if method not in (BASIC, CUSTOM):
            form["client_id"] = told.client_id
        if method == POST:
            form["client_secret"] = told.client_secret
        if method == ASSERTION and own is not None:
            form |= own.assertion(url)

        def ask(session: Any) -> Any:
            target, sent, body = url, headers, urlencode(form)
            if method == CUSTOM and own is not None and own.customize_request is not None:
                target, sent, body = called(own.customize_request, session, "POST", target, sent, body)
            auth = session.client_auth(BASIC) if method == BASIC else None
            return session.parse_response_token(
                session.post(target, body, headers=sent, auth=auth, withhold_token=True)
            )

        answer = client.tokens(url, ask, client_id=told.client_id, client_secret=told.client_secret, auth=method)
        return Tokens.of(answer, expires_in=told.access_token_expires_in)

    # ------------------------------------------------------------ who it is

    def profile(self, client: Client, tokens: Tokens, *, nonce: str | None = None, user: Any = None) -> Profile:
        if tokens.scopes is None:
            # a client brought them: its ID token is verified, while its access token could be another user's
            tokens = Tokens(id_token=tokens.id_token)
        told, found = self.options, self.metadata(client)
        claims: Mapping[str, Any] | None = None
        if tokens.stored:
            known = unverified(tokens)
            claims = known if found.rule is not None and known.get("sub") else None
        elif found.rule is not None and tokens.id_token:
            claims = id_token.verified(
                client, tokens.id_token, found.rule, nonce=nonce, access_token=tokens.access_token
            )
        elif told.require_id_token_verification:
            raise ProviderError("there is no ID token that could be verified")
        own = told.get_user_info
        data = dict_of(own, tokens) if own is not None else self.said(client, tokens, claims)
        if claims is not None and (own is None or data.get("sub") is not None):
            # a profile for an access token of somebody else (OpenID Connect Core section 5.3.2)
            if str(data.get("sub")) != claims["sub"]:
                raise ProviderError("the profile is that of another user than the ID token")
        subject = subject_of(self._subject(found, tokens, claims, data))
        shown = {name: data[name] for name in ("name", "email", "image") if name in data}
        shown["email_verified"] = is_true(data.get("email_verified" if own is not None else VERIFIED))
        if told.map_profile_to_user is not None:
            further = _object(called(told.map_profile_to_user, data) or {})
            shown = overlaid(shown, further, hardening=client.hardening)
        if shown.get("image") is None:
            shown.pop("image", None)
        return profile_of(subject, shown, data)

    def said(self, client: Client, tokens: Tokens, claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """What the provider says of the user: its ID token, if that holds an address, or its userinfo.

        Args:
            client: asks.
            tokens: as they were got.
            claims: of the ID token, where it was verified.

        Raises:
            ProviderError: nothing.
        """
        known = claims if claims is not None else unverified(tokens)
        if known.get("sub") and known.get("email"):
            image = {"image": known["picture"]} if "picture" in known else {}
            return {"id": known["sub"], VERIFIED: is_true(known.get("email_verified")), **image, **known}
        url = self.metadata(client).user_info
        if url is None:
            raise ProviderError("neither an ID token nor a userinfo endpoint tells who it is")
        answer = self.user_info(client, url, tokens)
        image = {"image": answer["picture"]} if "picture" in answer else {}
        rest = {name: value for name, value in answer.items() if name != "image"}
        return {**rest, **image, VERIFIED: is_true(answer.get("email_verified"))}

    def user_info(
        self, client: Client, url: str, tokens: Tokens, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        """What an endpoint answers to an access token.

        Args:
            client: asks.
            url: where.
            tokens: as they were got.
            headers: in place of that of a bearer token.

        Raises:
            ProviderError: nothing that counts.
        """
        if not tokens.access_token:
            raise ProviderError("there is no access token to ask for a profile with")
        token = tokens.access_token if headers is None else None
        return _object(client.json("GET", url, token=token, headers=headers))

    def _subject(
        self, found: Metadata, tokens: Tokens, claims: Mapping[str, Any] | None, data: Mapping[str, Any]
    ) -> object:
        own = self.options.account_subject
        if own is not None:
            return called(own, tokens, data)
        if not found.is_oidc:
            return data.get("id")
        return claims["sub"] if claims is not None else data.get("sub")

    @property
    def accepts_id_tokens(self) -> bool:
        return self.options.discovery_url is not None

    def verify_id_token(self, client: Client, token: str, nonce: str | None) -> None:
        rule = self.metadata(client).rule
        if rule is None:
            super().verify_id_token(client, token, nonce)
            return
        id_token.verified(client, token, rule, nonce=nonce)

    # ------------------------------------------------------------ signing out

    def end_session_url(
        self, client: Client, *, id_token: str | None, redirect_uri: str | None, state: str | None
    ) -> str | None:
        url = self.metadata(client).end_session
        if url is None:
            return None
        params = {
            "id_token_hint": id_token,
            "post_logout_redirect_uri": redirect_uri,
            # for whom a browser may be sent there; an ID token says whose session that is
            "client_id": self.options.client_id if redirect_uri or not id_token else None,
            "state": state if redirect_uri else None,  # it comes back with the browser
        }
        return urls.with_params(url, {name: value for name, value in params.items() if value})


def unverified(tokens: Tokens) -> Mapping[str, Any]:
    """The claims of an ID token of a provider whose keys nobody knows, straight from its token endpoint."""
    try:
        return id_token.claims_of(tokens.id_token)
    except ProviderError:
        return {}


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProviderError("there is something else than an object")
    return value
