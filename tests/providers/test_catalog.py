"""Every provider does what the reference does for it: ``tests/vectors/providers.json``, played."""

from __future__ import annotations

import copy
import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

import pytest
import requests
import time_machine
from support.network import answering, signed

from flask_better_auth.errors import ConfigError
from flask_better_auth.oauth.client import Client
from flask_better_auth.oauth.provider import Arrival, Profile, ProviderError, Start, Tokens
from flask_better_auth.providers.base import Social
from flask_better_auth.providers.catalog import CATALOG
from flask_better_auth.wire import python_name

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "providers.json").read_text("utf-8"))
INPUT, COMMON, IDS = VECTORS["input"], VECTORS["common"], list(VECTORS["providers"])
NOW = datetime.fromisoformat(VECTORS["now"].replace("Z", "+00:00"))

#: Where we are not as the reference is, on purpose: part, provider, case (with ``*``), reason.
DIFFERENCES = [
    # ------------------------------------------------ what an application says counts, or is refused when it starts
    ("*", "*", "clientKey=key-2", "client_key is TikTok's alone; elsewhere it is an unknown option"),
    ("*", "*", "tokenEndpointAuthMethod=*", "the deprecated form of token_endpoint_auth does not exist"),
    ("*", "*", "clientAssertion=* clientSecret=null", "an unknown option, except of Microsoft"),
    ("*", "*", "clientSecret=null", "the secret is missing from the start, not when it is needed"),
    ("authorization", "*", "requireClientSecret=* clientSecret=null", "an unknown option, except of Cognito"),
    ("authorization", "*", "prompt=consent", "an option that is given is sent"),
    ("authorization", "*", "responseMode=*", "an option that is given is sent"),
    ("authorization", "tiktok", "authorizationEndpoint=*", "an option that is given counts"),
    ("authorization", "wechat", "authorizationEndpoint=*", "an option that is given counts"),
    ("authorization", "vk", "scheme=dark", "the option has an effect"),
    ("profile", "tiktok", "*mapProfileToUser*", "the option has an effect"),
    ("*", "*", "environment=live", "PayPal's word; Salesforce's is production"),
    ("*", "tiktok", "clientKey=null", "refused, where the reference sends the text undefined"),
    ("*", "wechat", "clientId=null", "refused, where the reference sends the text undefined"),
    ("*", "wechat", "clientId=client-id,client-ios", "of several ids the first counts"),
    ("profile", "vk", "*clientId*", "of several ids the first counts"),
    ("idToken", "line", "clientIdList", "of several ids the first counts"),
    ("*", "paybin", "issuer=*", "slashes at the end of an issuer do not count"),
    ("profile", "gitlab", "*issuer*", "slashes within an issuer stay"),
    # ------------------------------------------------ requests
    ("authorization", "cognito", "authorizationEndpoint=*", "the reference writes the scope behind the fragment"),
    ("authorization", "cloudflare", "input.additionalParams=audience*", "clients may add parameters here too"),
    ("token", "zoom", "pkce=false", "no code_verifier, for there was no challenge"),
    ("refresh", "notion", "clientId=client id*", "Basic is what its documentation wants for every token request"),
    # ------------------------------------------------ token answers
    ("tokens", "*", "empty", "an answer without a token is refused"),
    ("tokens", "*", "errcode", "an answer without a token is refused"),
    ("tokens", "*", "errorBody", "an answer without a token is refused"),
    ("tokens", "*", "notJson", "an answer without a token is refused"),
    ("tokens", "wechat", "expiresZero", "no life time is none"),
    ("tokens", "wechat", "minimal", "the scope may be missing"),
    ("tokens", "wechat", "scope*", "scopes have no blanks around them"),
    ("tokens", "wechat", "full", "what is said of the life of the refresh token counts"),
    # ------------------------------------------------ profiles
    ("profile", "cognito", "/tokens/idToken/jwt/name*", "the data are what the provider said"),
    ("profile", "github", "/answers/0/body/email=null /answers/1/body=[[][]]", "an address that is not there is null"),
    ("profile", "gitlab", '/answers/0/body/name=""', "an empty name is none"),
    ("profile", "vercel", '/answers/0/body/name=""', "an empty name is none"),
    ("profile", "microsoft", "/tokens/idToken/jwt/tid*", "the ID token is verified"),
    ("profile", "microsoft", "/tokens/idToken/jwt/sub*", "the ID token is verified"),
    ("profile", "*", "*/tokens/accessToken*", "without an access token nobody is asked"),
    ("profile", "google", "*EXAMPLE.com*", "domains have no upper case"),
    ("profile", "cognito", "/tokens/idToken=*", "a broken ID token is refused"),
    ("profile", "line", "/tokens/idToken=*", "a broken ID token is refused"),
    ("profile", "discord", "*avatar*", "a picture that cannot be told is the first of Discord's, and no failure"),
    ("profile", "facebook", "*picture*", "a user may have no picture"),
    ("profile", "spotify", "*images*", "a user may have no picture"),
    ("profile", "github", "/answers/1=*", "the second answer may be missing, however it fails"),
    ("profile", "twitter", "/answers/1=*", "the second answer may be missing, however it fails"),
    ("profile", "microsoft", "/answers/0=*", "the picture may be missing, however it fails"),
    ("profile", "reddit", '*"email":""*', "an address of ours is proven by nobody"),
    ("profile", "vk", "*email*", "a profile without an address is one; nobody gets in by it"),
    ("profile", "vk", "*_name*", "a name that is missing is not the text undefined"),
    # ------------------------------------------------ ID tokens
    ("idToken", "*", "audList", "a token for several must say which of them asked for it (SECURITY J5)"),
    ("idToken", "*", "keyWithoutAlg", "a key need not say what it signs with"),
    ("idToken", "*", "audListAzpOther", "the party that asked for the token must be one of ours (SECURITY J5)"),
    ("idToken", "*", "subEmpty", "an identifier must not be empty"),
    ("idToken", "*", "keyForEncryption", "a key to encrypt with signs nothing"),
    ("idToken", "*", "kidMissing*", "without kid each key of the provider is tried"),
    ("idToken", "facebook", "iatIn*", "a token is not from the future"),
    ("idToken", "facebook", "opaque", "an access token must be for us, which somebody has to say (SECURITY J6)"),
    ("idToken", "facebook", "fourParts", "an access token must be for us, which somebody has to say (SECURITY J6)"),
    ("idToken", "line", "nonceNotThere", "a nonce that was asked for must be there (SECURITY J5)"),
]
#: The same of what is so in every request of a provider: what it has in place of what the reference sends, reason.
OF_EVERY_REQUEST: dict[tuple[str, str], tuple[dict[str, dict[str, Any]], str]] = {
    ("token", "tiktok"): ({"params": {"code_verifier": None}}, "there was no challenge"),
    ("token", "reddit"): ({"headers": {"accept": "application/json"}}, "which it sends"),
    ("refresh", "notion"): (
        {"headers": {"authorization": "client-id:client-secret"}, "params": {"client_id": None, "client_secret": None}},
        "Basic is what its documentation wants for every token request",
    ),
}
#: What is not played, and why.
UNPLAYED = [
    ("*", "input.codeVerifier=null", "there always is a code verifier"),
    ("authorization", "input.display=popup", "no client can ask for it"),
    ("authorization", "input.idTokenNonce=*", "no nonce is made for a provider that does not bind it"),
    ("authorization", "responseType=token", "there is no such option: the type is the provider's"),
]


@pytest.fixture(autouse=True)
def at_that_time() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


# ---------------------------------------------------------------- one provider as a case has it


def real(value: Any) -> Any:
    """What a table says, as providers want it: functions, signed tokens, nothing that is not given."""
    if isinstance(value, list):
        return tuple(map(real, value))
    if not isinstance(value, dict):
        return value
    if "returns" in value:
        return lambda *_: value["returns"]
    return {python_name(name): real(part) for name, part in value.items() if part is not None}


def built(provider_id: str, options: Mapping[str, Any]) -> Social:
    made = _built(provider_id, json.dumps(options, sort_keys=True))
    if isinstance(made, ConfigError):
        raise made
    return made


@cache
def _built(provider_id: str, text: str) -> Social | ConfigError:
    options = json.loads(text)
    given = real(options)
    if "map_profile_to_user" in given:
        mapped = {python_name(name): value for name, value in options["mapProfileToUser"]["returns"].items()}
        given["map_profile_to_user"] = lambda _: mapped
    if "customize_request" in given.get("token_endpoint_auth", {}):
        given["token_endpoint_auth"]["customize_request"] = lambda _, __, *request: request
    try:
        provider = CATALOG[provider_id](**given)
        provider.check()
    except ConfigError as error:
        return error
    return provider


FORM = "application/x-www-form-urlencoded"
REFUSED = "refused"
#: It is refused when the application starts, and the reference looks past it.
UNKNOWN = "unknown option"


def attempt(provider_id: str, options: Mapping[str, Any], answers: list[Any], use: Any) -> tuple[Any, list[Any]]:
    """What comes of it, and the requests that were made."""
    try:
        provider = built(provider_id, options)
    except ConfigError as error:
        return (UNKNOWN if "is no setting" in str(error) else REFUSED), []
    with answering(*answers) as network:
        try:
            return use(provider, Client(provider.own_origins, hardening=False)), network.requests
        except ProviderError:
            return REFUSED, network.requests


@dataclass
class Case:
    """What the reference makes of a case, of the plain one, and what we make of it."""

    part: str
    provider_id: str
    name: str
    theirs: Any
    plain: Any
    ours: Any

    @property
    def differs(self) -> bool:
        # an option that has no effect there is none here
        return bool(self.theirs != (self.plain if self.ours == UNKNOWN else self.ours))

    @property
    def on_purpose(self) -> int | None:
        """The line of the table."""
        key = (self.part, self.provider_id, self.name)
        lines = (n for n, row in enumerate(DIFFERENCES) if all(map(fnmatchcase, key, row)))
        return next(lines, None)


def is_played(part: str, name: str) -> bool:
    return not any(fnmatchcase(part, row[0]) and fnmatchcase(name, row[1]) for row in UNPLAYED)


def outcomes(recorded: Mapping[str, Any], part: str, kind: str = "cases") -> dict[str, Any]:
    return {**COMMON[part][kind], **recorded[part][kind]} if recorded[part] else {}


def every_outcome(recorded: Mapping[str, Any], part: str) -> list[tuple[str, Any, Mapping[str, Any], Any]]:
    """Name, options, input and outcome of the plain case and of every variation."""
    found: list[tuple[str, Any, Mapping[str, Any], Any]] = [("plain", recorded["options"], {}, {})]
    for name, outcome in outcomes(recorded, part).items():
        variation = VECTORS["variations"][name]
        found.append((name, {**recorded["options"], **variation["options"]}, variation["input"], outcome))
    return found


# ---------------------------------------------------------------- authorization


def place(url: str) -> dict[str, Any]:
    """A URL as whoever gets it reads it: the order of parameters and scopes means nothing."""
    parts = urlsplit(url)
    params: dict[str, Any] = {name: value for name, value in parse_qsl(parts.query) if value}
    return {"at": f"{parts.scheme}://{parts.netloc}{unquote(parts.path)}", "hash": parts.fragment, **read(params)}


def read(params: Mapping[str, Any]) -> dict[str, Any]:
    scope = {"scope": set(params["scope"].replace(",", " ").split())} if "scope" in params else {}
    return {"params": {**params, **scope}}


def changed(plain: Mapping[str, Any], outcome: Mapping[str, Any]) -> Any:
    if "throws" in outcome:
        return REFUSED
    kept = {name: value for name, value in plain["params"].items() if name not in outcome.get("gone", ())}
    params = {**kept, **read(outcome.get("set", {}))["params"]}
    params = {name: value for name, value in params.items() if value}
    hashed = outcome["hash"].removeprefix("#") if "hash" in outcome else plain.get("hash")
    return {**plain, "at": outcome.get("at", plain.get("at")), "hash": hashed, "params": params}


def authorizations(provider_id: str, recorded: Mapping[str, Any]) -> Iterator[Case]:
    def start(given: Mapping[str, Any]) -> Start:
        return Start(
            INPUT["state"],
            INPUT["codeVerifier"],
            f"https://app.example.com/api/auth/callback/{provider_id}",
            scopes=tuple(given.get("scopes", ())),
            login_hint=given.get("loginHint"),
            params=given.get("additionalParams", {}),
        )

    plain = place(recorded["authorization"]["url"])
    for name, options, given, outcome in every_outcome(recorded, "authorization"):
        if is_played("authorization", name):
            asked = start(given)
            url, _ = attempt(
                provider_id, options, [], lambda p, client, asked=asked: p.authorization_url(client, asked)
            )
            ours = url if url in (REFUSED, UNKNOWN) else place(url)
            yield Case("authorization", provider_id, name, changed(plain, outcome), plain, ours)


# ---------------------------------------------------------------- requests for tokens


def credentials(value: str) -> str:
    return unquote_plus(b64decode(value.removeprefix("Basic ")).decode())


def sent(method: str, url: str, headers: Mapping[str, str], form: Any, body: Any = None) -> dict[str, Any]:
    low = {name.lower(): value for name, value in headers.items()}
    if low.get("authorization", "").startswith("Basic "):
        low["authorization"] = credentials(low["authorization"])
    params = read(dict(form))["params"] if form is not None else {}
    told = {name: low.get(name) for name in ("accept", "authorization", "content-type", "user-agent", "notion-version")}
    return {"method": method, "url": place(url), "headers": told, "params": params, "body": body}


def recorded_request(request: Mapping[str, Any]) -> dict[str, Any]:
    form = request.get("form")
    return sent(request["method"], request["url"], request["headers"], form, request.get("json"))


def our_request(request: requests.PreparedRequest, like: Mapping[str, Any]) -> dict[str, Any]:
    """A request of ours. Headers that the reference does not send, but any client may, are none."""
    text = request.body.decode() if isinstance(request.body, bytes) else request.body
    is_form = str(request.headers.get("Content-Type")).startswith(FORM)
    form, body = (parse_qsl(text), None) if is_form and text else (None, json.loads(text) if text else None)
    made = sent(str(request.method), str(request.url), request.headers, form, body)
    usual = [name for name in ("accept", "user-agent") if like["headers"][name] is None]
    return {**made, "headers": {**made["headers"], **dict.fromkeys(usual)}}


def token_requests(provider_id: str, recorded: Mapping[str, Any], part: str) -> Iterator[Case]:
    plain = in_our_way(part, provider_id, recorded_request(recorded[part]["request"]))
    for name, options, given, outcome in every_outcome(recorded, part):
        if not is_played(part, name):
            continue
        if "request" in outcome:
            theirs = recorded_request({**recorded[part]["request"], **outcome["request"]})
            theirs = in_our_way(part, provider_id, theirs)
        else:
            theirs = plain
        theirs = changed(theirs, outcome)
        theirs = theirs if theirs == REFUSED else {name: theirs[name] for name in plain}
        full = [VECTORS["tokenAnswers"]["full"]]
        came, made = attempt(provider_id, options, full, asking(provider_id, part, given.get("deviceId")))
        ours = our_request(made[0], plain) if made else came
        yield Case(part, provider_id, name, theirs, plain, ours)


def in_our_way(part: str, provider_id: str, request: dict[str, Any]) -> dict[str, Any]:
    own, _ = OF_EVERY_REQUEST.get((part, provider_id), ({}, ""))
    made = {**request, **{name: {**request[name], **changes} for name, changes in own.items()}}
    return {**made, "params": {name: value for name, value in made["params"].items() if value is not None}}


def asking(provider_id: str, part: str, device_id: str | None = None) -> Any:
    redirect_uri = f"https://app.example.com/api/auth/callback/{provider_id}"
    arrival = Arrival(INPUT["code"], INPUT["codeVerifier"], redirect_uri, device_id=device_id)
    if part == "token":
        return lambda provider, client: provider.exchange(client, arrival)
    return lambda provider, client: provider.refresh(client, INPUT["refreshToken"])


# ---------------------------------------------------------------- token answers


def granted(result: Mapping[str, Any] | None) -> Any:
    """Tokens as the reference tells them."""
    names = ("accessToken", "refreshToken", "idToken", "accessTokenExpiresAt", "refreshTokenExpiresAt")
    return REFUSED if result is None else {**{n: result.get(n) for n in names}, "scopes": result["scopes"]}


def ours_of(tokens: Tokens, part: str) -> dict[str, Any]:
    ends = (tokens.access_token_expires_at, tokens.refresh_token_expires_at)
    refresh = tokens.refresh_token
    return {
        "accessToken": tokens.access_token,
        # authlib puts the old one in the place of one that did not come
        "refreshToken": None if part == "refresh" and refresh == INPUT["refreshToken"] else refresh,
        "idToken": tokens.id_token,
        "accessTokenExpiresAt": ends[0] and ends[0].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "refreshTokenExpiresAt": ends[1] and ends[1].strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "scopes": list(tokens.scopes or ()),
    }


def token_answers(provider_id: str, recorded: Mapping[str, Any], part: str) -> Iterator[Case]:
    for name, outcome in outcomes(recorded, part, "tokens").items():
        answer = VECTORS["tokenAnswers"][name]
        came, _ = attempt(provider_id, recorded["options"], [answer], asking(provider_id, part))
        ours = came if came == REFUSED else ours_of(came, part)
        if outcome.get("result") and outcome["result"].get("raw") == "the answer" and came != REFUSED:
            assert answer["body"].items() <= came.raw.items(), f"{provider_id} lost something of {name}"
        theirs = granted(outcome.get("result"))
        yield Case("tokens", provider_id, name, theirs, None, ours)


# ---------------------------------------------------------------- profiles


def at(scenario: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        scenario = scenario[int(step)] if isinstance(scenario, list) else scenario[step]
    return scenario


def edited(scenario: Mapping[str, Any], edits: list[list[Any]]) -> Any:
    made: Any = copy.deepcopy(scenario)
    for pointer, *value in edits:
        above, _, step = pointer.rpartition("/")
        node, step = at(made, above), step.replace("~1", "/").replace("~0", "~")
        key = int(step) if isinstance(node, list) else step
        if value:
            node[key] = value[0]
        else:
            del node[key]
    return made


def every_edit(when: Mapping[str, Any]) -> Iterator[list[list[Any]]]:
    for pointer, values in when.get("set", {}).items():
        yield from ([[pointer, value]] for value in values)
    yield from ([[pointer]] for pointer in when.get("removed", ()))
    yield from when.get("together", ())


def named(edits: list[list[Any]]) -> str:
    return " ".join("=".join([e[0], *(json.dumps(v, separators=(",", ":")) for v in e[1:])]) for e in edits)


def said(scenario: Any, pointer: Any) -> Any:
    """The data that a profile hands on: something in the scenario, perhaps with something set, or what it is."""
    if isinstance(pointer, str):
        return at(scenario, pointer)
    if isinstance(pointer, dict) and set(pointer) == {"at", "set"}:
        return {**at(scenario, pointer["at"]), **pointer["set"]}
    return pointer


def recorded_profile(result: Mapping[str, Any], scenario: Any) -> Any:
    if "throws" in result or result.get("result", ...) is None or not isinstance(result["accountId"], str):
        return REFUSED
    user = {python_name(name): value or None for name, value in result["user"].items()}
    verified = user.pop("email_verified", None)
    user.pop("id", None)  # what an application's function says of it never counts
    asked = [recorded_request(request) for request in result["requests"]]
    proven = verified is True or verified == "true"  # as ``Profile.email_verified`` reads it
    return person(result["accountId"], user, proven, said(scenario, result["data"]), asked)


def person(subject: str, user: Mapping[str, Any], verified: object, data: Any, asked: Any) -> dict[str, Any]:
    columns = {name: value for name, value in user.items() if value is not None}
    return {"subject": subject, "user": columns, "verified": verified, "data": data, "requests": asked}


def our_profile(profile: Profile, made: list[Any], like: list[Any], added: Mapping[str, Any]) -> Any:
    user = {name: value or None for name, value in profile.user.items() if name != "email_verified"}
    data = {name: value for name, value in profile.data.items() if name not in added}
    asked = [our_request(r, like[min(n, len(like) - 1)]) for n, r in enumerate(made)] if like else made
    return person(profile.subject, user, profile.email_verified, data, asked)


def profiles(provider_id: str, recorded: Mapping[str, Any]) -> Iterator[Case]:
    for scenario in recorded["profile"]:
        plain = scenario["plain"]
        base = {"tokens": scenario["tokens"], "answers": scenario["answers"], "options": {}}
        yield profile_case(provider_id, recorded, base, "plain", plain)
        for case in scenario["cases"]:
            outcome = {name: value for name, value in case.items() if name != "when"}
            kept = {name: v for name, v in plain["user"].items() if name not in outcome.get("without", ())}
            requests_of = outcome.get("requests", plain["requests"])
            result = {
                **plain,
                **outcome,
                "user": {**kept, **outcome.get("user", {})},
                "requests": plain["requests"][:requests_of] if isinstance(requests_of, int) else requests_of,
            }
            for edits in every_edit(case["when"]):
                case_of = profile_case(provider_id, recorded, edited(base, edits), named(edits), result)
                if case_of.theirs != REFUSED and any(is_no_proof(provider_id, *edit) for edit in edits):
                    case_of.theirs["verified"] = False
                yield case_of


def is_no_proof(provider_id: str, pointer: str, value: Any = "true") -> bool:
    """Whether an address is said to be proven by something that is true in JavaScript alone (SECURITY I4)."""
    if not pointer.endswith(("verified", "valid", "_email")) or pointer.startswith("/answers/1/body/0/"):
        return False  # it is another value, or of another address
    proof = isinstance(value, list) or value is True or value == "true"
    return not proof and (provider_id, value) != ("zoom", 1)


def profile_case(provider_id: str, recorded: Any, scenario: Any, name: str, result: Mapping[str, Any]) -> Case:
    given = scenario["tokens"]
    added = added_claims(recorded)
    token = given.get("idToken")
    if isinstance(token, dict):
        token = signed({**added, **token["jwt"]})
    raw = {name: given[name] for name in ("openid", "unionid") if name in given}
    tokens = Tokens(given.get("accessToken"), None, token, raw=raw)
    user = json.dumps(given["user"]) if "user" in given else None
    came, made = attempt(
        provider_id,
        {**recorded["options"], **scenario["options"]},
        scenario["answers"],
        lambda provider, client: provider.profile(client, tokens, user=user),
    )
    theirs = recorded_profile(result, scenario)
    like = theirs["requests"] if theirs != REFUSED else []
    ours = came if came in (REFUSED, UNKNOWN) else our_profile(came, made, like, added)
    return Case("profile", provider_id, name, theirs, None, ours)


def added_claims(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What an ID token needs that is verified, and the reference only reads."""
    if not recorded["idToken"] or recorded["idToken"].get("answer"):
        return {}
    claims = recorded["idToken"]["claims"]
    return {name: claims[name] for name in ("iss", "aud", "iat", "exp")}


# ---------------------------------------------------------------- ID tokens


def id_tokens(provider_id: str, recorded: Mapping[str, Any]) -> Iterator[Case]:
    known = recorded["idToken"]
    if known is None:
        return
    own = "answer" in known
    answer = known.get("answer", {"jwks": ["key-1"]})
    for name, case in {**({} if own else VECTORS["idTokenCases"]), **known["cases"]}.items():
        claims = {**known["claims"], **case.get("claims", {})}
        claims = {name: value for name, value in claims.items() if value is not None}
        token = case.get("token") or signed(claims, case.get("header"), case.get("key", "key-1"))
        nonce = case.get("nonce", "nonce-1")
        replies = [{**case.get("answer", answer), "for_keys": not own}]
        use = verifying(token, nonce)
        came, _ = attempt(provider_id, {**recorded["options"], **case.get("options", {})}, replies, use)
        theirs = known["accepted"].get(name, COMMON["idToken"]["accepted"].get(name))
        yield Case("idToken", provider_id, name, theirs, None, came is True)


def verifying(token: str, nonce: str | None) -> Any:
    def use(provider: Social, client: Client) -> bool:
        if provider.accepts_id_tokens:
            provider.verify_id_token(client, token, nonce)
        return provider.accepts_id_tokens

    return use


# ---------------------------------------------------------------- the tests


@cache
def played(provider_id: str) -> list[Case]:
    recorded = VECTORS["providers"][provider_id]
    cases = [
        *authorizations(provider_id, recorded),
        *profiles(provider_id, recorded),
        *id_tokens(provider_id, recorded),
    ]
    for part in ("token", "refresh"):
        if recorded[part] is not None:
            cases += [*token_requests(provider_id, recorded, part), *token_answers(provider_id, recorded, part)]
    return cases


@pytest.mark.parametrize("provider_id", IDS)
def test_a_provider_does_what_the_reference_does(provider_id: str) -> None:
    wrong = [case for case in played(provider_id) if case.differs and case.on_purpose is None]
    assert not wrong, "\n".join(f"{c.part} {c.name}\n  theirs {c.theirs}\n  ours   {c.ours}" for c in wrong)


@pytest.mark.parametrize("provider_id", IDS)
def test_a_provider_says_of_itself_what_the_reference_says(provider_id: str) -> None:
    recorded = VECTORS["providers"][provider_id]
    provider, facts = built(provider_id, recorded["options"]), recorded["facts"]
    ours = (provider.id, provider.name, provider.issuer(Client(())), provider.accepts_id_tokens, provider.refreshes)
    assert ours == tuple(facts[name] for name in ("id", "name", "issuer", "supportsIdTokenSignIn", "refreshes"))


def test_every_difference_is_one() -> None:
    used = {case.on_purpose for provider_id in IDS for case in played(provider_id) if case.differs}
    assert [row for n, row in enumerate(DIFFERENCES) if n not in used] == []


def test_every_recorded_provider_is_there_and_every_case_is_played() -> None:
    assert set(IDS) == set(CATALOG)
    parts = Counter(case.part for provider_id in IDS for case in played(provider_id))
    left_out = Counter(
        (part, name)
        for recorded in VECTORS["providers"].values()
        for part in ("authorization", "token", "refresh")
        for name in outcomes(recorded, part)
        if not is_played(part, name)
    )
    assert parts == {
        "authorization": 1524,
        "token": 845,
        "refresh": 780,
        "tokens": 1207,
        "profile": 1325,
        "idToken": 365,
    }
    assert left_out == {
        ("authorization", "input.codeVerifier=null"): 36,
        ("authorization", "input.display=popup"): 36,
        ("authorization", "input.idTokenNonce=nonce-1"): 36,
        ("authorization", "responseType=token"): 36,
        ("token", "input.codeVerifier=null"): 36,
    }
