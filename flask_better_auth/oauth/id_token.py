"""ID tokens of providers: who signed them, and for whom (OpenID Connect Core section 3.1.3.7)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from .. import clock, wire
from ..crypto import base64url, from_base64url
from .client import Client
from .provider import ProviderError

#: What clocks may differ by.
_TOLERANCE = timedelta(seconds=30)
#: Ways to sign with a key that only the provider has; by a shared one whoever knows it could sign (SECURITY J5).
ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
#: Headers by which a token would bring the key that it was signed with, or ask for what nobody here understands.
_REFUSED = ("jwk", "jku", "x5u", "x5c", "crit")
_HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}


@dataclass(frozen=True)
class Rule:
    """What a provider's ID tokens must be like.

    Args:
        jwks: where its keys are.
        issuers: who may have made them; none for a provider that has to look at the other claims to tell.
        audiences: our client ids; one of them must be meant.
        algorithms: how they may be signed, whatever they say of themselves.
        max_age: how long ago they may have been made.
        hashed_nonce: the nonce may stand there as its SHA-256 in hex.
        headers: to be sent where the keys are.
    """

    jwks: str
    issuers: Collection[str]
    audiences: Collection[str]
    algorithms: Collection[str] = ("RS256",)
    max_age: timedelta | None = None
    hashed_nonce: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


def verified(
    client: Client, token: str, rule: Rule, *, nonce: str | None = None, access_token: str | None = None
) -> dict[str, Any]:
    """The claims of an ID token.

    Args:
        client: asks for the keys.
        token: the compact form.
        rule: what it must be like.
        nonce: what it must hold, if something.
        access_token: what came with it, if something.

    Raises:
        ProviderError: it is none that the provider made for us, or it is over.
    """
    from joserfc import jws
    from joserfc.errors import JoseError

    header = _header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in rule.algorithms or algorithm not in ASYMMETRIC or any(name in header for name in _REFUSED):
        raise ProviderError("the ID token is signed in a way that does not count")
    if kid is not None and not isinstance(kid, str):
        raise ProviderError("the ID token names no key")
    for key in client.keys(rule.jwks, kid, headers=rule.headers).keys:
        if (kid is not None and key.kid is not None and key.kid != kid) or key.get("use", "sig") != "sig":
            continue
        try:
            signed = jws.deserialize_compact(token, key, [algorithm])
        except (JoseError, ValueError, TypeError):  # another key, or one of another kind
            continue
        claims = _object(signed.payload)
        _check(claims, rule, nonce)
        _check_hash(claims, algorithm, access_token)
        return claims
    raise ProviderError("the ID token is not signed by the provider")


def challenge_of(code_verifier: str) -> dict[str, str]:
    """What an authorization request says of a code verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(code_verifier.encode()).digest()
    return {"code_challenge_method": "S256", "code_challenge": base64url(digest)}


def claims_of(token: str | None) -> dict[str, Any]:
    """The claims of an ID token that came straight from the token endpoint, where TLS tells who made it
    (OpenID Connect Core section 3.1.3.7, 6), of a provider that has no keys.

    Raises:
        ProviderError: it is no token.
    """
    parts = (token or "").split(".")
    if len(parts) != 3:
        raise ProviderError("there is no ID token")
    return _object(_decoded(parts[1]))


def _header(token: str) -> dict[str, Any]:
    parts = token.split(".")
    if len(parts) != 3:
        raise ProviderError("the ID token is none")
    return _object(_decoded(parts[0]))


def _decoded(part: str) -> bytes:
    try:
        return from_base64url(part)
    except ValueError:
        raise ProviderError("the ID token is none") from None


def _object(text: bytes | None) -> dict[str, Any]:
    try:
        value = wire.parse_json(text or b"", unique_keys=True)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ProviderError("the ID token holds no claims")
    return value


def _check(claims: Mapping[str, Any], rule: Rule, nonce: str | None) -> None:
    now = clock.now().timestamp()
    meant = claims.get("aud")
    audiences = meant if isinstance(meant, list) else [meant]
    ours = [audience for audience in audiences if isinstance(audience, str) and audience in rule.audiences]
    party = claims.get("azp")
    # a token for several must say who of them asked for it (OpenID Connect Core section 3.1.3.7, 4 and 5)
    if not ours or (len(audiences) > 1 and party is None) or (party is not None and party not in rule.audiences):
        raise ProviderError("the ID token is for somebody else")
    if rule.issuers and claims.get("iss") not in rule.issuers:
        raise ProviderError("the ID token is from somebody else")
    subject = claims.get("sub")
    if not isinstance(claims.get("iss"), str) or not isinstance(subject, str) or not subject:
        raise ProviderError("the ID token does not say whom it is of")
    issued, over, tolerance = _time(claims, "iat"), _time(claims, "exp"), _TOLERANCE.total_seconds()
    if issued is None or over is None or over + tolerance <= now:
        raise ProviderError("the ID token is over")
    if issued - tolerance > now or (_time(claims, "nbf") or 0) - tolerance > now:
        raise ProviderError("the ID token is from the future")
    if rule.max_age is not None and now - issued > rule.max_age.total_seconds() + tolerance:
        raise ProviderError("the ID token is too old")
    if nonce and not _is_nonce(claims.get("nonce"), nonce, rule.hashed_nonce):
        raise ProviderError("the ID token answers another request")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _is_nonce(claimed: object, nonce: str, hashed: bool) -> bool:
    if not isinstance(claimed, str):
        return False
    wanted = [nonce, *([hashlib.sha256(nonce.encode()).hexdigest()] if hashed else [])]
    return any(hmac.compare_digest(claimed.encode(), one.encode()) for one in wanted)


def _check_hash(claims: Mapping[str, Any], algorithm: str, access_token: str | None) -> None:
    """Make sure that ID token and access token belong together, where the ID token says so (section 3.1.3.6)."""
    said = claims.get("at_hash")
    if said is None or access_token is None or algorithm[-3:] not in _HASHES:
        return
    digest = hashlib.new(_HASHES[algorithm[-3:]], access_token.encode()).digest()
    if not isinstance(said, str) or not hmac.compare_digest(said, base64url(digest[: len(digest) // 2])):
        raise ProviderError("the ID token belongs to another access token")
