"""A network for providers that a table answers for, below ``oauth.client.Client``, and keys to sign ID tokens with."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc.jwk import RSAKey
from requests.structures import CaseInsensitiveDict

from flask_better_auth.oauth import outbound

KEYS = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("key-1", "other")}


def public(key: str) -> bytes:
    return (
        KEYS[key].public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(jwt: Mapping[str, Any], header: Mapping[str, Any] | None = None, key: str = "key-1") -> str:
    head = {"alg": "RS256", "kid": "key-1", "typ": "JWT", **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    text = ".".join(encoded(json.dumps(part).encode()) for part in (head, jwt))
    if head["alg"] == "none":
        return f"{text}."
    if head["alg"].startswith("HS"):
        return f"{text}.{encoded(hmac.digest(public(key), text.encode(), hashlib.sha256))}"
    digest: Any = {"256": hashes.SHA256(), "512": hashes.SHA512()}[head["alg"][2:]]
    pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
    scheme: Any = pss if head["alg"].startswith("PS") else padding.PKCS1v15()
    return f"{text}.{encoded(KEYS[key].sign(text.encode(), scheme, digest))}"


def jwk(kid: str, further: Mapping[str, Any]) -> dict[str, Any]:
    key = RSAKey.import_key(public(kid if kid in KEYS else "key-1")).as_dict(private=False)
    said = {**key, "kid": kid, "alg": "RS256", "use": "sig", **further}
    return {name: value for name, value in said.items() if value is not None}


class Network:
    """Answers requests from a table, in its order; those for keys by themselves, unless the table is about them."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers, self.requests = list(answers), list[Any]()

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        assert request.url is not None
        wants_keys = any(word in urlsplit(request.url).path for word in ("keys", "certs", "jwks"))
        if wants_keys and not (self.answers and self.answers[0].get("for_keys")):
            answer = {"jwks": ["key-1"]}
        else:
            self.requests.append(request)
            if not self.answers or ("jwks" in self.answers[0] and not wants_keys):
                raise outbound.OutboundError("there is no answer")
            answer = self.answers.pop(0)
        status = answer.get("status", 200)
        if answer.get("fails") or 300 <= status < 400:  # as the real one does, before anything sees a redirect
            raise outbound.OutboundError("it failed")
        if "base64" in answer:
            content = b64decode(answer["base64"])
        elif "jwks" in answer:
            content = json.dumps({"keys": [jwk(kid, answer.get("jwk", {})) for kid in answer["jwks"]]}).encode()
        else:
            content = (answer["text"] if "text" in answer else json.dumps(answer.get("body"))).encode()
        response = outbound._Response()
        response.status_code, response._content = status, content
        response.headers = CaseInsensitiveDict({"Content-Type": answer.get("type", "application/json")})
        response.request, response.url = request, request.url
        return response


@contextmanager
def answering(*answers: Any) -> Iterator[Network]:
    """The network in place of the real one."""
    network = Network(answers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbound._Adapter, "send", lambda _, request, **__: network.send(request))
        yield network
