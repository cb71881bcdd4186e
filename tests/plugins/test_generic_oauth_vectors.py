"""Generic OAuth by what the reference was seen to do, ``tests/vectors/providers.json``; see ``record.mjs`` for how to
read it. What we do otherwise, and why, is in ``ON_PURPOSE``."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import time_machine
from joserfc.jwk import OctKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64encode
from requests.adapters import BaseAdapter

from flask_better_auth import ConfigError
from flask_better_auth.oauth.client import Client
from flask_better_auth.oauth.outbound import Outbound, OutboundError
from flask_better_auth.oauth.provider import Arrival, ProviderError, Start, Tokens
from flask_better_auth.plugins.generic_oauth import GenericProvider, presets
from flask_better_auth.wire import python_name, wire_name

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "providers.json").read_text())
RECORDED = {**VECTORS["presets"], **VECTORS["custom"]}
INPUT, VARIATIONS, TOKEN_ANSWERS = VECTORS["input"], VECTORS["variations"], VECTORS["tokenAnswers"]
COMMON = VECTORS["common"]
ISSUER = "https://idp.example.com"
NOW = datetime.fromisoformat(VECTORS["now"].replace("Z", "+00:00"))
#: What we do otherwise: regular expressions of cases, and why.
ON_PURPOSE = {
    r".* authorization input\.codeVerifier=null": "there always is a verifier; pkce=False leaves the challenge out",
    r"oauth2 .* (tokenUrl|authorizationUrl)=null": "a provider without endpoints is a mistake that the start tells of",
    r".* (authorization|refresh) tokenUrlParams=client_assertion": "half an assertion is one, too",
    r".* (clientId=client-id,client-ios|clientKey=key-2)": "there is no such option, which the start tells, too",
    r".* token answers (empty|errcode|errorBody|notJson)": "an answer without tokens is a failure at once",
    r".*/tokens/accessToken.*": "nobody asks with the access token 'undefined'",
    r".*mapProfileToUser.*": "presets take it, too; it does not tell whether an address is proven (SECURITY J13)",
    r"patreon .*is_email_verified.*": "what is not said is false in the profile, too",
    r".* id token (audList|audListAzpOther)": "a token for several says who asked for it (OpenID Connect Core 3.1.3.7)",
    r".* id token (iatIn31|iatInAnHour)": "no token is from the future",
    r".* id token subEmpty": "an empty subject is nobody (SECURITY I6)",
    r".* id token kidMissingTwoKeys": "each key of the provider may have signed it",
    r".* id token (disabled|ownCheck\w+|audSecondOfTwo)": "generic providers have no such option",
}


def on_purpose(case: str) -> bool:
    return any(re.fullmatch(pattern, case) for pattern in ON_PURPOSE)


class Signer:
    """Signs what the vectors want signed, however wrong: what is null stays in the claims."""

    def __init__(self) -> None:
        make = RSAKey.generate_key
        self.keys = {name: make(2048, {"kid": name, "use": "sig", "alg": "RS256"}) for name in ("key-1", "other")}

    def token(self, claims: Mapping[str, Any], header: Mapping[str, Any], key: str) -> str:
        head = {"alg": "RS256", "kid": "key-1", "typ": "JWT", **header}
        parts = ({name: part for name, part in head.items() if part is not None}, claims)
        signed = b".".join(urlsafe_b64encode(json.dumps(part).encode()) for part in parts)
        by, private = JWSRegistry.algorithms[head["alg"]], self.keys[key]
        if head["alg"].startswith("HS"):
            public = private.as_pem(private=False)
            return f"{signed.decode()}.{urlsafe_b64encode(by.sign(signed, OctKey(public, public))).decode()}"
        return f"{signed.decode()}.{urlsafe_b64encode(by.sign(signed, private)).decode()}"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


@pytest.fixture(autouse=True)
def then() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


# ---------------------------------------------------------------- the provider's part


class Answers(BaseAdapter):
    """Answers requests from a table, as the recorder did, and keeps them."""

    def __init__(self, signer: Signer, document: Mapping[str, Any]) -> None:
        super().__init__()
        self.signer, self.document = signer, document
        self.table: list[dict[str, Any]] = []
        self.requests: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        url = str(request.url)
        if url.endswith("/.well-known/openid-configuration"):
            issuer = url.removesuffix("/.well-known/openid-configuration")
            return answered(request, {"body": {**self.document, "issuer": issuer}})
        self.requests.append(request)
        if "jwks" in self.table[0] and not re.search("keys|certs|jwks", url):
            self.table.pop(0)
        return answered(request, self._made(self.table.pop(0)))

    def _made(self, answer: dict[str, Any]) -> dict[str, Any]:
        if "jwks" not in answer:
            return answer
        keys, extra = self.signer.keys, answer.get("jwk", {})
        found = [{**keys[kid].as_dict(private=False), **extra} for kid in answer["jwks"]]
        return {"body": {"keys": [{name: part for name, part in key.items() if part is not None} for key in found]}}

    def close(self) -> None:
        """Nothing is open."""


def answered(request: requests.PreparedRequest, answer: Mapping[str, Any]) -> requests.Response:
    if answer.get("fails") or answer.get("status", 200) // 100 == 3:  # as the real adapter refuses redirects
        raise OutboundError("no answer that counts")
    response = requests.Response()
    response.status_code, response.request, response.url = answer.get("status", 200), request, str(request.url)
    response._content = (answer["text"] if "text" in answer else json.dumps(answer.get("body"))).encode()
    return response


class Case:
    """A provider of the vectors, and what answers it."""

    def __init__(self, name: str, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name, self.recorded, self.signer = name, RECORDED[name], signer
        document = {
            "authorization_endpoint": f"{ISSUER}/authorize?audience=api",
            "token_endpoint": f"{ISSUER}/token",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
            "jwks_uri": f"{ISSUER}/keys",
            "end_session_endpoint": f"{ISSUER}/logout",
            "id_token_signing_alg_values_supported": ["RS256", "PS256"],
        }
        if name == "oidc without keys":
            del document["jwks_uri"]
        if name == "oidc without signing algorithms":
            del document["id_token_signing_alg_values_supported"]
        self.answers = Answers(signer, document)
        monkeypatch.setattr(Outbound, "get_adapter", lambda session, url: self.answers)

    def provider(self, options: Mapping[str, Any] | None = None) -> GenericProvider:
        given = {
            name: part for name, part in {**self.recorded["options"], **(options or {})}.items() if part is not None
        }
        make: Callable[..., GenericProvider] = GenericProvider
        if self.name in VECTORS["presets"]:
            make = getattr(presets, self.name.replace("-", "_"))
        return make(**{python_name(name): real(name, part) for name, part in given.items()})

    def client(self, *table: Mapping[str, Any]) -> Client:
        self.answers.table, self.answers.requests = [copy.deepcopy(dict(answer)) for answer in table], []
        return Client([ISSUER])

    @property
    def issuer(self) -> str:
        url = self.provider().options.discovery_url
        return (url or f"{ISSUER}/").removesuffix("/.well-known/openid-configuration")

    def token(self, value: Any) -> Any:
        """An ID token: opaque, or signed here for the issuer whose metadata were found."""
        if not isinstance(value, Mapping):
            return value
        claims = {**value["jwt"], **({"iss": self.issuer} if value["jwt"].get("iss") == ISSUER else {})}
        return self.signer.token(claims, value.get("header") or {}, value.get("key") or "key-1")

    @property
    def redirect_uri(self) -> str:
        return f"https://app.example.com/api/auth/callback/{self.provider().id}"


def real(name: str, value: Any) -> Any:
    """An option as Python has it."""
    if name == "tokenEndpointAuth":
        given = {python_name(key): real(key, part) for key, part in value.items()}
        if "customize_request" in given:
            given["customize_request"] = lambda client, method, url, headers, body: (url, headers, body)
        return given
    if isinstance(value, Mapping) and "returns" in value:
        returned = value["returns"]
        if isinstance(returned, Mapping):
            returned = {python_name(key): part for key, part in returned.items()}
        return lambda *_: returned
    return value


@pytest.fixture(params=sorted(RECORDED))
def case(request: pytest.FixtureRequest, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(request.param, signer, monkeypatch)


def wrong(case: Case, part: str, outcomes: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """What came out otherwise than recorded; what is otherwise on purpose must be."""
    found = {f"{case.name} {part} {name}": pair for name, pair in outcomes.items() if pair[0] != pair[1]}
    return {name: pair for name, pair in found.items() if not on_purpose(name)}


def attempt(act: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return act(*arguments)
    except (ProviderError, ConfigError):
        return "refused"


def variation(name: str) -> Mapping[str, Any]:
    """The changes of options and input that a name stands for."""
    found: Mapping[str, Any] = VARIATIONS.get(name, {"options": {}, "input": {}})
    return found


# ---------------------------------------------------------------- requests


def changed(before: Mapping[str, str], outcome: Mapping[str, Any]) -> dict[str, str]:
    kept = {name: part for name, part in before.items() if name not in outcome.get("gone", ())}
    return {**kept, **outcome.get("set", {})}


def test_authorization_requests(case: Case) -> None:
    recorded = case.recorded["authorization"]
    plain = urlsplit(recorded["url"])
    outcomes = {}
    for name, outcome in {"plain": {}, **recorded.get("cases", {})}.items():
        place = urlsplit(outcome.get("at", plain._replace(query="").geturl()))
        place = place._replace(fragment=outcome.get("hash", "").lstrip("#"))
        expected = (place.geturl(), changed(dict(parse_qsl(plain.query)), outcome))
        outcomes[name] = (attempt(authorization, case, name), "refused" if "throws" in outcome else expected)
    assert wrong(case, "authorization", outcomes) == {}


def authorization(case: Case, name: str) -> tuple[str, dict[str, str]]:
    sent = {**INPUT, **variation(name)["input"]}
    start = Start(
        sent["state"],
        sent["codeVerifier"] or "",
        case.redirect_uri,
        sent.get("idTokenNonce"),
        sent.get("scopes", ()),
        sent.get("loginHint"),
        sent.get("additionalParams", {}),
    )
    url = urlsplit(case.provider(variation(name)["options"]).authorization_url(case.client(), start))
    return url._replace(query="").geturl(), dict(parse_qsl(url.query))


@pytest.mark.parametrize("part", ["token", "refresh"])
def test_token_requests(case: Case, part: str) -> None:
    recorded = case.recorded[part]
    outcomes = {}
    for name, outcome in {"plain": {}, **recorded.get("cases", {})}.items():
        before = {**recorded["request"], **outcome.get("request", {})}
        form = changed(dict(recorded["request"]["form"]), outcome)
        expected = (before["method"], before["url"], before["headers"], form)
        outcomes[name] = (attempt(token_request, case, part, name), "refused" if "throws" in outcome else expected)
    assert wrong(case, part, outcomes) == {}


def token_request(case: Case, part: str, name: str) -> tuple[Any, ...]:
    provider, client = case.provider(variation(name)["options"]), case.client(TOKEN_ANSWERS["full"])
    tokens_of(case, provider, client, part, variation(name)["input"])
    (request,) = case.answers.requests
    headers = {key.lower(): value for key, value in request.headers.items()}
    shown = ("accept", "authorization", "content-type", "x-staging")
    kept = {key: headers[key] for key in shown if key in headers}
    return request.method, request.url, kept, dict(parse_qsl(str(request.body)))


def tokens_of(
    case: Case, provider: GenericProvider, client: Client, part: str, given: Mapping[str, Any] | None = None
) -> Tokens:
    sent = {**INPUT, **(given or {})}
    if part == "refresh":
        return provider.refresh(client, sent["refreshToken"])
    arrival = Arrival(sent["code"], sent["codeVerifier"] or "", case.redirect_uri, device_id=sent.get("deviceId"))
    return provider.exchange(client, arrival)


@pytest.mark.parametrize("part", ["token", "refresh"])
def test_answers_of_the_token_endpoint(case: Case, part: str) -> None:
    outcomes = {}
    for name, outcome in {**COMMON[part]["tokens"], **case.recorded[part]["tokens"]}.items():
        result = outcome.get("result", {})
        expected = {key: part for key, part in result.items() if part is not None and key not in ("raw", "tokenType")}
        outcomes[name] = (attempt(answered_tokens, case, part, name), "refused" if "throws" in outcome else expected)
    assert wrong(case, f"{part} answers", outcomes) == {}


def answered_tokens(case: Case, part: str, name: str) -> dict[str, Any]:
    tokens = tokens_of(case, case.provider(), case.client(TOKEN_ANSWERS[name]), part)
    found = {
        "accessToken": tokens.access_token,
        "refreshToken": tokens.refresh_token,
        "idToken": tokens.id_token,
        "accessTokenExpiresAt": moment(tokens.access_token_expires_at),
        "refreshTokenExpiresAt": moment(tokens.refresh_token_expires_at),
        "scopes": list(tokens.scopes or ()),
    }
    return {name: value for name, value in found.items() if value is not None}


def moment(value: datetime | None) -> str | None:
    return value and value.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---------------------------------------------------------------- profiles


def edits(when: Mapping[str, Any]) -> Iterator[list[list[Any]]]:
    for pointer, values in when.get("set", {}).items():
        yield from ([[pointer, value]] for value in values)
    yield from ([[pointer]] for pointer in when.get("removed", ()))
    yield from when.get("together", ())


def path_of(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def at(node: Any, path: list[str]) -> Any:
    for part in path:
        node = node[int(part)] if isinstance(node, list) else node[part]
    return node


def edited(scenario: Mapping[str, Any], changes: list[list[Any]]) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(dict(scenario))
    for pointer, *value in changes:
        *path, last = path_of(pointer)
        node = at(made, path)
        if value:
            node[int(last) if isinstance(node, list) else last] = value[0]
        else:
            del node[int(last) if isinstance(node, list) else last]
    return made


def test_profiles(case: Case) -> None:
    outcomes = {}
    for scenario in case.recorded["profile"]:
        base = {"tokens": scenario["tokens"], "answers": scenario["answers"]}
        plain = scenario["plain"]
        changes = ((change, one) for one in scenario["cases"] for change in edits(one["when"]))
        for change, outcome in [([], {}), *changes]:
            made = edited(base, change)
            expected = expected_profile(case, made, plain, outcome)
            outcomes[f"{scenario['name']} {json.dumps(change)}"] = (profiled(case, made), expected)
    assert wrong(case, "profile", outcomes) == {}


def profiled(case: Case, scenario: Mapping[str, Any]) -> Any:
    given = scenario["tokens"]
    tokens = Tokens(given.get("accessToken"), None, case.token(given.get("idToken")), scopes=())
    client, nonce = case.client(*scenario["answers"]), given.get("expectedIdTokenNonce")
    profile = attempt(lambda: case.provider(scenario.get("options")).profile(client, tokens, nonce=nonce))
    if profile == "refused":
        return profile
    user = {wire_name(name): value for name, value in profile.user.items() if value is not None}
    user["emailVerified"] = profile.email_verified
    asked = [(request.method, request.url, request.headers.get("Authorization")) for request in case.answers.requests]
    return profile.subject, user, dict(profile.data), asked


def expected_profile(
    case: Case, scenario: Mapping[str, Any], plain: Mapping[str, Any], outcome: Mapping[str, Any]
) -> Any:
    found = {**plain, **outcome}
    if "throws" in outcome or found.get("result", ...) is None or isinstance(found["accountId"], Mapping):
        return "refused"
    user = {**plain["user"], **outcome.get("user", {})}
    user = {name: value for name, value in user.items() if value is not None and name not in outcome.get("without", ())}
    user.pop("id", None)
    user["emailVerified"] = user["emailVerified"] in (True, "true")
    data = found["data"]
    if isinstance(data, str):
        data = at(scenario, path_of(data))
    elif isinstance(data, Mapping) and set(data) == {"at", "set"}:
        data = {**at(scenario, path_of(data["at"])), **data["set"]}
    data = {name: (case.issuer if value == ISSUER and name == "iss" else value) for name, value in data.items()}
    asked = plain["requests"][: found["requests"]] if isinstance(found["requests"], int) else found["requests"]
    return found["accountId"], user, data, [(r["method"], r["url"], r["headers"].get("authorization")) for r in asked]


# ---------------------------------------------------------------- ID tokens, facts and signing out


def test_id_tokens(case: Case) -> None:
    recorded = case.recorded["idToken"]
    if recorded is None:
        return
    outcomes = {}
    for name, accepted in {**COMMON["idToken"]["accepted"], **recorded["accepted"]}.items():
        one = VECTORS["idTokenCases"][name]
        claims = {**recorded["claims"], **one.get("claims", {})}
        claims = {name: part for name, part in claims.items() if part is not None}
        token = one.get("token") or case.token({"jwt": claims, "header": one.get("header"), "key": one.get("key")})
        outcomes[name] = (attempt(verified, case, one, token) is True, accepted)
    assert wrong(case, "id token", outcomes) == {}


def verified(case: Case, one: Mapping[str, Any], token: str) -> bool:
    client = case.client(one.get("answer", {"jwks": ["key-1"]}))
    case.provider(one.get("options")).verify_id_token(client, token, one.get("nonce", "nonce-1"))
    return True


def test_what_a_provider_can_do(case: Case) -> None:
    facts, provider, client = case.recorded["facts"], case.provider(), case.client()
    assert (provider.id, provider.name) == (facts["id"], facts["name"])
    assert provider.issuer(client) == (facts["issuer"] and case.issuer)
    assert provider.binds_nonce(client) == facts["requiresIdTokenNonce"]
    rule = provider.metadata(client).rule
    assert (rule is not None) == facts["supportsIdTokenSignIn"]
    if rule is not None:
        algorithms = facts["idTokenConfig"].get("algorithms", ["RS256"])
        assert (list(rule.algorithms), rule.audiences) == (algorithms, (facts["idTokenConfig"]["audience"],))


def test_signing_out(case: Case) -> None:
    for one in case.recorded["logout"]:
        target = one["data"].get("postLogoutRedirectURI")
        url = case.provider(one["options"]).end_session_url(
            case.client(),
            id_token=one["data"].get("idToken"),
            redirect_uri=target and f"https://app.example.com{target}",
            state=one["data"].get("state"),
        )
        assert url == one["result"]


@pytest.mark.parametrize("name", sorted(VECTORS["presets"]))
def test_what_presets_are_made_of(name: str) -> None:
    recorded = VECTORS["presets"][name]
    for one in recorded["config"]:
        given = {python_name(key): value for key, value in {**recorded["options"], **one["options"]}.items()}
        make = getattr(presets, name.replace("-", "_"))
        if "throws" in one:
            with pytest.raises(ConfigError):
                make(**given)
            continue
        options = make(**given).options
        for key, value in one["result"].items():
            if value != "function" and key not in ("authentication", "tokenEndpointAuth"):
                found = getattr(options, python_name(key))
                assert (list(found) if isinstance(found, tuple) else found) == value, key
        assert options.auth_method == one["options"].get("tokenEndpointAuth", {}).get("method", "client_secret_post")
