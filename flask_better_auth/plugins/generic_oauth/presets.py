"""Providers for ``GenericOAuth`` that only lack our client: ``presets.keycloak(client_id="...", issuer="...")``.

What is said beyond the parameters of a function counts over what it knows, see ``GenericProviderOptions``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ...errors import ConfigError
from ...oauth.client import Client
from ...oauth.provider import ProviderError, Tokens
from .provider import VERIFIED, GenericProvider, unverified

_OPENID = ("openid", "profile", "email")
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def auth0(*, domain: str, **options: Any) -> GenericProvider:
    """Auth0.

    Args:
        domain: of the tenant, for example ``"acme.eu.auth0.com"``.
        options: further ones.
    """
    host = re.split(r"[/?#]", domain.partition("://")[2] or domain)[0]
    if not host:
        raise ConfigError("auth0: domain must be that of a tenant")
    return _discovered("auth0", f"https://{host}", options)


def keycloak(*, issuer: str, **options: Any) -> GenericProvider:
    """Keycloak.

    Args:
        issuer: with the realm, for example ``"https://id.acme.example/realms/staff"``.
        options: further ones.
    """
    return _discovered("keycloak", issuer, options)


def okta(*, issuer: str, **options: Any) -> GenericProvider:
    """Okta.

    Args:
        issuer: for example ``"https://dev-1.okta.com/oauth2/default"``.
        options: further ones.
    """
    return _discovered("okta", issuer, options)


def gumroad(**options: Any) -> GenericProvider:
    """Gumroad."""
    return _Gumroad(
        **{
            "provider_id": "gumroad",
            "authorization_url": "https://gumroad.com/oauth/authorize",
            "token_url": "https://api.gumroad.com/oauth/token",
            "scopes": ("view_profile",),
            **options,
        }
    )


def hubspot(**options: Any) -> GenericProvider:
    """HubSpot."""
    return _HubSpot(
        **{
            "provider_id": "hubspot",
            "authorization_url": "https://app.hubspot.com/oauth/authorize",
            "token_url": "https://api.hubapi.com/oauth/v1/token",
            "scopes": ("oauth",),
            **options,
        }
    )


def line(**options: Any) -> GenericProvider:
    """LINE; with a ``provider_id`` for each of several channels."""
    return _Line(
        **{
            "provider_id": "line",
            "authorization_url": "https://access.line.me/oauth2/v2.1/authorize",
            "token_url": "https://api.line.me/oauth2/v2.1/token",
            "user_info_url": "https://api.line.me/oauth2/v2.1/userinfo",
            "scopes": _OPENID,
            "account_subject": _sub,
            **options,
        }
    )


def microsoft_entra_id(*, tenant_id: str, **options: Any) -> GenericProvider:
    """Microsoft Entra ID, for one tenant; the provider ``microsoft`` is for users of any.

    Args:
        tenant_id: its GUID.
        options: further ones.
    """
    tenant = tenant_id.lower()
    if not _GUID.fullmatch(tenant):
        raise ConfigError(f"microsoft_entra_id: tenant_id must be the GUID of a tenant, not {tenant_id!r}")
    authority = f"https://login.microsoftonline.com/{tenant}"
    return _EntraId(
        **{
            "provider_id": "microsoft-entra-id",
            "discovery_url": f"{authority}/v2.0/.well-known/openid-configuration",
            "authorization_url": f"{authority}/oauth2/v2.0/authorize",
            "token_url": f"{authority}/oauth2/v2.0/token",
            "user_info_url": "https://graph.microsoft.com/oidc/userinfo",
            "scopes": _OPENID,
            "account_subject": lambda tokens, profile: profile.get("oid"),
            "require_id_token_verification": True,
            **options,
        }
    )


def patreon(**options: Any) -> GenericProvider:
    """Patreon."""
    return _Patreon(
        **{
            "provider_id": "patreon",
            "authorization_url": "https://www.patreon.com/oauth2/authorize",
            "token_url": "https://www.patreon.com/api/oauth2/token",
            "scopes": ("identity[email]",),
            **options,
        }
    )


def slack(**options: Any) -> GenericProvider:
    """Slack."""
    return _Slack(
        **{
            "provider_id": "slack",
            "authorization_url": "https://slack.com/openid/connect/authorize",
            "token_url": "https://slack.com/api/openid.connect.token",
            "user_info_url": "https://slack.com/api/openid.connect.userInfo",
            "scopes": _OPENID,
            "account_subject": _sub,
            **options,
        }
    )


def yandex(**options: Any) -> GenericProvider:
    """Yandex."""
    return _Yandex(
        **{
            "provider_id": "yandex",
            "authorization_url": "https://oauth.yandex.com/authorize",
            "token_url": "https://oauth.yandex.com/token",
            "scopes": ("login:info", "login:email", "login:avatar"),
            **options,
        }
    )


def _discovered(provider_id: str, issuer: str, options: Mapping[str, Any]) -> GenericProvider:
    url = f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
    return GenericProvider(**{"provider_id": provider_id, "discovery_url": url, "scopes": _OPENID, **options})


def _sub(tokens: Tokens, profile: Mapping[str, Any]) -> Any:
    return profile.get("sub")


# ---------------------------------------------------------------- what they say of a user


class _Gumroad(GenericProvider):
    def said(self, client: Client, tokens: Tokens, claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
        answer = self.user_info(client, "https://api.gumroad.com/v2/user", tokens)
        user = answer.get("user")
        if not answer.get("success") or not isinstance(user, Mapping):
            raise ProviderError("Gumroad knows nobody by the access token")
        return _profile(user, id="user_id", name="name", email="email", image="profile_url")


class _HubSpot(GenericProvider):
    def said(self, client: Client, tokens: Tokens, claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
        token = quote(tokens.access_token or "", safe="")
        answer = self.user_info(client, f"https://api.hubapi.com/oauth/v1/access-tokens/{token}", tokens, {})
        signed = answer.get("signed_access_token")
        subject = answer.get("user_id") or (signed.get("userId") if isinstance(signed, Mapping) else None)
        return {**_profile(answer, name="user", email="user"), "id": subject}


class _Line(GenericProvider):
    def said(self, client: Client, tokens: Tokens, claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
        known = unverified(tokens) or self.user_info(client, str(self.options.user_info_url), tokens)
        return _profile(known, sub="sub", name="name", email="email", image="picture")


class _EntraId(GenericProvider):
    email_is_anybodys = True

    def said(self, client: Client, tokens: Tokens, claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
        claims = claims or {}
        oid = claims.get("oid")
        if not isinstance(oid, str) or not oid.strip():
            raise ProviderError("the ID token names no object")
        try:
            answer = self.user_info(client, str(self.options.user_info_url), tokens)
        except ProviderError:  # its scope was not granted; the ID token tells enough
            answer = {}
        known = {**(answer if answer.get("sub") == claims["sub"] else {}), **claims}
        names = (claims.get(part) for part in ("given_name", "family_name"))
        name = claims.get("name") or " ".join(filter(None, names)) or known.get("name")
        image = {"image": known["picture"]} if "picture" in known else {}
        address: dict[str, Any] = {VERIFIED: known.get("email_verified", False)}
        if not known.get("email"):
            address = {"email": f"{oid}@microsoft-entra-id.placeholder.invalid", VERIFIED: False}
        return {**known, "name": name, **image, **address}


class _Patreon(GenericProvider):
    def said(self, client: Client, tokens: Tokens, claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
        fields = quote("fields[user]") + "=" + quote("email,full_name,image_url,is_email_verified")
        answer = self.user_info(client, f"https://www.patreon.com/api/oauth2/v2/identity?{fields}", tokens)
        data = answer.get("data")
        user = data.get("attributes") if isinstance(data, Mapping) else None
        if not isinstance(data, Mapping) or not isinstance(user, Mapping):
            raise ProviderError("Patreon knows nobody by the access token")
        profile = _profile(user, name="full_name", email="email", image="image_url")
        return {**profile, **_profile(data, id="id"), VERIFIED: user.get("is_email_verified")}


class _Slack(GenericProvider):
    def said(self, client: Client, tokens: Tokens, claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
        answer = self.user_info(client, str(self.options.user_info_url), tokens)
        picture = answer.get("picture")
        image = {"image": answer.get("https://slack.com/user_image_512") if picture is None else picture}
        return {
            **_profile(answer, sub="sub", name="name", email="email"),
            **(image if image["image"] is not None else {}),
            VERIFIED: answer.get("email_verified") or False,
        }


class _Yandex(GenericProvider):
    def said(self, client: Client, tokens: Tokens, claims: Mapping[str, Any] | None) -> Mapping[str, Any]:
        headers = {"Authorization": f"OAuth {tokens.access_token}"}
        answer = self.user_info(client, "https://login.yandex.ru/info?format=json", tokens, headers)
        listed = answer.get("emails")
        first = listed[0] if isinstance(listed, list) and listed else None
        email = answer.get("default_email")
        email = first if email is None else email
        if not email:
            raise ProviderError("Yandex tells no address")
        names = (answer.get(name) for name in ("display_name", "real_name", "first_name", "login"))
        avatar = answer.get("default_avatar_id") if not answer.get("is_avatar_empty") else None
        image = {"image": f"https://avatars.yandex.net/get-yapic/{avatar}/islands-200"} if avatar else {}
        name = next((name for name in names if name is not None), "")
        return {**_profile(answer, id="id"), "name": name, "email": email, VERIFIED: False, **image}


def _profile(said: Mapping[str, Any], **places: str) -> dict[str, Any]:
    """A profile of what stands at places of an answer; that its address is proven, is not said."""
    return {VERIFIED: False, **{name: said[place] for name, place in places.items() if place in said}}
