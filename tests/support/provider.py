"""An OAuth 2.0 and OpenID Connect provider on loopback, with real keys and misbehaviours of its own."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.common.urls import add_params_to_uri
from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector, current_token
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, InvalidRequestError, OAuth2Request, TokenMixin, grants
from authlib.oauth2.rfc6750 import BearerTokenValidator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import AuthorizationCodeMixin, OpenIDCode
from authlib.oidc.core.util import create_half_hash
from flask import Flask, Response, g, jsonify, make_response, redirect, render_template_string, request
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64encode
from werkzeug.datastructures import Headers
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from flask_better_auth import clock

AuthMethod = Literal["client_secret_post", "client_secret_basic", "none"]
Key = RSAKey | ECKey | OctKey

#: Offered on the consent page.
PEOPLE: list[dict[str, Any]] = [
    {"sub": "1815", "name": "Ada Lovelace", "email": "ada@example.com", "email_verified": True},
    {"sub": "1906", "name": "Grace Hopper", "email": "grace@example.com", "email_verified": True},
    {"sub": "1912", "name": "Alan (address not verified)", "email": "alan@example.com", "email_verified": False},
]
PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Loopback provider</title>
<link rel="icon" href="data:,">
<h1>{{ client_id }} asks who you are</h1>
<form method="post">
  {% for person in people %}
  <p><button name="profile" value='{{ person | tojson }}'>{{ person.name }}</button></p>
  {% endfor %}
  <p><label>Somebody else: <input name="email" placeholder="email address"></label> <button>Continue</button></p>
  <p><button name="error" value="access_denied">Refuse</button></p>
</form>
"""
CODE_LIFETIME = timedelta(minutes=10)
TOKEN_LIFETIME = timedelta(hours=1)
ALGORITHMS = {"RSA": "RS256", "EC": "ES256", "oct": "HS256"}
CHUNK = 65536


@dataclass(frozen=True)
class Exchange:
    """A request that the provider got. ``endpoint`` is a name of ``LoopbackProvider.endpoints``, or empty."""

    endpoint: str
    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: Headers


@dataclass(frozen=True)
class Misbehaviour:
    """What becomes of an endpoint's answers; whatever is left out stays as it is."""

    status: int | None = None
    #: Sent instead: a dict as JSON, a string as HTML.
    body: dict[str, Any] | list[Any] | str | bytes | None = None
    #: Merged into the JSON answer; ``None`` takes a field out.
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Where to send the client instead: with 302, or with ``status``.
    redirect: str | None = None
    #: Seconds before the first byte, the status line's.
    stall: float = 0
    #: Seconds before each byte of the body.
    drip: float = 0
    #: Bytes of the body. Blanks lead, so that only a limit keeps a client from the good JSON at the end.
    size: int = 0
    #: The same, but as bytes that a client has once it unpacked the few that are sent.
    gzip_bomb: int = 0


@dataclass(frozen=True)
class Client(ClientMixin):
    """A registered client. Without ``redirect_uris`` every redirect URI is good."""

    client_id: str
    client_secret: str
    auth_method: AuthMethod
    redirect_uris: tuple[str, ...]

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        return self.redirect_uris[0] if self.redirect_uris else None

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return not self.redirect_uris or redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.client_secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self.auth_method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return True


@dataclass(frozen=True)
class Person:
    """Somebody who consented. No dict: authlib takes an empty one for a refusal."""

    claims: dict[str, Any]
    seen_at: datetime


@dataclass(frozen=True)
class Code(AuthorizationCodeMixin):
    """An authorization code's meaning."""

    client_id: str
    person: Person
    redirect_uri: str | None
    scope: str
    nonce: str | None
    code_challenge: str | None
    code_challenge_method: str | None
    expires_at: datetime

    def get_redirect_uri(self) -> str | None:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass(frozen=True)
class Token(TokenMixin):
    """An access token's meaning, and its refresh token's."""

    client_id: str
    person: Person
    scope: str
    expires_at: datetime

    def check_client(self, client: Client) -> bool:
        return client.client_id == self.client_id

    def get_scope(self) -> str:
        return self.scope

    def is_expired(self) -> bool:
        return self.expires_at <= clock.now()

    def is_revoked(self) -> bool:
        return False


class Server(AuthorizationServer):
    """authlib's server, which its grants ask for the provider."""

    def __init__(self, provider: LoopbackProvider) -> None:
        super().__init__(provider.app, provider.clients.get, self.keep)
        self.provider = provider

    def keep(self, token: dict[str, Any], asked: OAuth2Request) -> None:
        kept = Token(asked.client.client_id, asked.user, token.get("scope", ""), clock.now() + TOKEN_LIFETIME)
        self.provider.access_tokens[token["access_token"]] = kept
        self.provider.refresh_tokens[token["refresh_token"]] = kept


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "none")

    def save_authorization_code(self, code: str, asked: OAuth2Request) -> None:
        sent = asked.payload.data
        self.server.provider.codes[code] = Code(
            asked.client.client_id,
            asked.user,
            asked.payload.redirect_uri,
            asked.payload.scope or "",
            sent.get("nonce"),
            sent.get("code_challenge"),
            sent.get("code_challenge_method"),
            clock.now() + CODE_LIFETIME,
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        codes = self.server.provider.codes
        if code not in codes or codes[code].client_id != client.client_id:
            return None
        found: Code | None = codes.pop(code, None)  # not when the answer is made: of two at once, one wins
        return found if found and found.expires_at > clock.now() else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """Gone already."""

    def authenticate_user(self, authorization_code: Code) -> Person:
        return authorization_code.person


class RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = CodeGrant.TOKEN_ENDPOINT_AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        found: Token | None = self.server.provider.refresh_tokens.pop(refresh_token, None)
        return found

    def authenticate_user(self, refresh_token: Token) -> Person:
        return refresh_token.person

    def revoke_old_credential(self, refresh_token: Token) -> None:
        """Gone already."""


class S256(CodeChallenge):
    """PKCE as the provider wants it: authlib's also takes ``plain``, and asks nothing of confidential clients."""

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        super().validate_code_challenge(grant, redirect_uri)
        sent = grant.request.payload.data
        if grant.server.provider.require_pkce or "code_challenge" in sent:
            if sent.get("code_challenge_method") != "S256":
                raise InvalidRequestError("PKCE with S256 is required")


class IDTokens(OpenIDCode):
    """The provider's own ID tokens: authlib's cannot be made wrong."""

    def exists_nonce(self, nonce: str, asked: OAuth2Request) -> bool:
        return False

    def process_token(self, grant: grants.BaseGrant, answer: tuple[int, dict[str, Any], Any]) -> None:
        token = answer[1]
        if "openid" in token.get("scope", "").split():
            token["id_token"] = grant.server.provider.issued_id_token(grant.request, token["access_token"])


class Bearer(BearerTokenValidator):
    def __init__(self, provider: LoopbackProvider) -> None:
        super().__init__()
        self.provider = provider

    def authenticate_token(self, token_string: str) -> Token | None:
        return self.provider.access_tokens.get(token_string)


class Quiet(WSGIRequestHandler):
    """Werkzeug would set up logging to standard error for the whole process."""

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class LoopbackProvider:
    """An OAuth/OIDC provider on 127.0.0.1 with real keys, and misbehaviours of its own.

    A session of tests may share one: ``reset()`` forgets all but the registered clients and the keys.

    Args:
        port: where ``start()`` listens; 0 is any free one, known from then on.

    Attributes:
        log: every request so far.
        people: who is offered on the consent page.
        require_pkce: refuse an authorization request without a code challenge.
        send_iss: name the issuer in the authorization response (RFC 9207).
        id_token_claims: put into the ID tokens of ``/token``; ``None`` takes a claim out.
        id_token_header: the same for their header. ``alg`` chooses the key: the RSA key, the EC key, for HS256
            the public RSA key as a secret, none at all for ``none``.
        signing_key: signs them instead.
    """

    endpoints: Mapping[str, str] = {
        "discovery": "/.well-known/openid-configuration",
        "authorize": "/authorize",
        "token": "/token",
        "userinfo": "/userinfo",
        "jwks": "/jwks",
        "end_session": "/end-session",
    }

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.clients: dict[str, Client] = {}
        self.people = list(PEOPLE)
        self.key = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig", "alg": "RS256"})
        self.ec_key = ECKey.generate_key("P-256", {"kid": "ec", "use": "sig", "alg": "ES256"})
        self._listening: tuple[BaseWSGIServer, threading.Thread] | None = None
        self._over = threading.Event()
        self.reset()
        self.app = Flask(__name__)
        self._set_up_app()

    @property
    def url(self) -> str:
        """The issuer."""
        return f"http://localhost:{self.port}"

    @cached_property
    def foreign_key(self) -> RSAKey:
        """Another RSA key, under the ``kid`` of the one that is published."""
        return RSAKey.generate_key(2048, {"kid": self.key.kid})

    def url_for(self, endpoint: str) -> str:
        """The address of an endpoint by its name."""
        return self.url + self.endpoints[endpoint]

    def register(
        self,
        client_id: str,
        client_secret: str = "",
        *,
        auth_method: AuthMethod = "client_secret_post",
        redirect_uris: Iterable[str] = (),
    ) -> Client:
        """Make a client known, or known anew."""
        client = self.clients[client_id] = Client(client_id, client_secret, auth_method, tuple(redirect_uris))
        return client

    # Running

    def start(self) -> LoopbackProvider:
        """Listen, from a thread of its own."""
        server = make_server("127.0.0.1", self.port, self.app, threaded=True, request_handler=Quiet)
        self.port = server.port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()  # the socket listens by now: whoever comes before the thread does waits in its queue
        self._listening = server, thread
        return self

    def stop(self) -> None:
        """Listen no more; an answer that stalls or drips ends here."""
        self._release()
        if self._listening is not None:
            server, thread = self._listening
            self._listening = None
            server.shutdown()
            thread.join()

    def __enter__(self) -> LoopbackProvider:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def reset(self) -> None:
        """Behave well again, and forget every code, token and request."""
        self._release()
        self.codes: dict[str, Code] = {}
        self.access_tokens: dict[str, Token] = {}
        self.refresh_tokens: dict[str, Token] = {}
        self.log: list[Exchange] = []
        self.require_pkce = False
        self.send_iss = True
        self.id_token_claims: dict[str, Any] = {}
        self.id_token_header: dict[str, Any] = {}
        self.signing_key: Key | None = None
        self._misbehaviours: dict[str, Misbehaviour] = {}

    def misbehave(self, endpoint: str, **how: Any) -> None:
        """Spoil an endpoint's answers until ``reset()`` or the next call: see ``Misbehaviour`` for how.

        The endpoint does its work all the same: the code in a request that is answered with a 500 is used up.
        """
        if endpoint not in self.endpoints:
            raise ValueError(f"no endpoint {endpoint!r}")
        self._misbehaviours[endpoint] = Misbehaviour(**how)

    def exchanges(self, endpoint: str) -> list[Exchange]:
        """The requests that one endpoint got."""
        return [exchange for exchange in self.log if exchange.endpoint == endpoint]

    # The person, and what is signed

    def consent(
        self,
        authorization_url: str,
        profile: dict[str, Any],
        *,
        error: str | None = None,
        extra: Mapping[str, str | None] | None = None,
    ) -> str:
        """Play the browser's part: the address at the client that it is redirected to.

        Args:
            authorization_url: where the client sent the browser.
            profile: the claims of the person who consents, for the ID token and for userinfo as they are.
            error: what the provider answers in place of a code.
            extra: parameters to add to that address or to change in it; ``None`` takes one out.

        Raises:
            OAuth2Error: the request is so wrong that the browser stays at the provider, on an error page.
        """
        if not authorization_url.startswith(self.url_for("authorize") + "?"):
            raise ValueError(f"{authorization_url} leads elsewhere")
        form = {"profile": json.dumps(profile), **({"error": error} if error else {})}
        answer = self.app.test_client().post(authorization_url, data=form)
        if answer.location is None:
            said = answer.get_json(silent=True) or {}
            raise OAuth2Error(error=said.get("error", answer.status), description=said.get("error_description"))
        if not extra:
            return answer.location
        address = urlsplit(answer.location)
        query = {**dict(parse_qsl(address.query, keep_blank_values=True)), **extra}
        return address._replace(query=urlencode(_present(query))).geturl()

    def id_token(
        self, claims: Mapping[str, Any], *, key: Key | None = None, header: Mapping[str, Any] | None = None
    ) -> str:
        """Sign an ID token, however wrong. ``iss``, ``iat`` and ``exp`` are good unless given; ``None`` leaves out.

        Args:
            claims: ``aud``, ``sub`` and whatever else there shall be.
            key: signs instead of the key that ``alg`` stands for.
            header: put over ``alg``, ``kid`` and ``typ``.
        """
        now = int(clock.now().timestamp())
        lifetime = int(TOKEN_LIFETIME.total_seconds())
        claims = {"iss": self.url, "iat": now, "exp": now + lifetime, **claims}
        alg = (header or {}).get("alg") or (ALGORITHMS[key.key_type] if key else "RS256")
        key = key or self._key_of(alg)
        header = {"typ": "JWT", "alg": alg, "kid": key.kid or self.key.kid, **(header or {})}
        signed = b".".join(urlsafe_b64encode(json.dumps(_present(part)).encode()) for part in (header, claims))
        # not by joserfc.jwt: it refuses just the tokens that we are here to make
        by = JWSRegistry.algorithms.get(alg) or JWSRegistry.algorithms[ALGORITHMS[key.key_type]]
        return (signed + b"." + urlsafe_b64encode(by.sign(signed, key))).decode()

    def issued_id_token(self, asked: OAuth2Request, access_token: str) -> str:
        """The ID token for an answer of ``/token``, as the test wants it."""
        code, header = asked.authorization_code, self.id_token_header
        alg = header.get("alg") or (ALGORITHMS[self.signing_key.key_type] if self.signing_key else "RS256")
        at_hash = create_half_hash(access_token, alg)
        claims = {
            **asked.user.claims,
            "aud": asked.client.client_id,
            "auth_time": int(asked.user.seen_at.timestamp()),
            "at_hash": at_hash and at_hash.decode(),
            "nonce": code and code.nonce,  # a refreshed token has none (OpenID Connect Core, 12.2)
            **self.id_token_claims,
        }
        return self.id_token(claims, key=self.signing_key, header=header)

    def _key_of(self, alg: str) -> Key:
        if alg.startswith("HS"):
            public = self.key.as_pem(private=False)
            return OctKey(public, public)  # its import_key knows the attack
        return self.ec_key if alg.startswith("ES") else self.key

    # Over HTTP

    def _set_up_app(self) -> None:
        app = self.app
        app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
        app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"authorization_code": int(TOKEN_LIFETIME.total_seconds())}
        self.server = Server(self)
        self.server.register_grant(CodeGrant, [IDTokens(), S256()])
        self.server.register_grant(RefreshGrant, [IDTokens()])
        bearer = ResourceProtector()
        bearer.register_token_validator(Bearer(self))
        views = {
            "discovery": (self._discovery, ["GET"]),
            "authorize": (self._authorize, ["GET", "POST"]),
            "token": (self.server.create_token_response, ["POST"]),
            "userinfo": (bearer()(self._userinfo), ["GET", "POST"]),
            "jwks": (self._jwks, ["GET"]),
            "end_session": (self._end_session, ["GET", "POST"]),
        }
        for name, (view, methods) in views.items():
            app.add_url_rule(self.endpoints[name], name, view, methods=methods)
        app.before_request(self._note)
        app.after_request(self._spoil)

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": self.url_for("authorize"),
            "token_endpoint": self.url_for("token"),
            "userinfo_endpoint": self.url_for("userinfo"),
            "jwks_uri": self.url_for("jwks"),
            "end_session_endpoint": self.url_for("end_session"),
            "scopes_supported": ["openid", "email", "profile"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["public"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": list(CodeGrant.TOKEN_ENDPOINT_AUTH_METHODS),
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "authorization_response_iss_parameter_supported": self.send_iss,
        }

    def _authorize(self) -> Response | str:
        person = self._person() if request.method == "POST" else None
        error = request.form.get("error")
        try:
            grant = self.server.get_consent_grant(end_user=person)
            if request.method == "GET":
                return render_template_string(PAGE, client_id=grant.client.client_id, people=self.people)
            if error:
                state = request.args.get("state")
                raise OAuth2Error(error=error, redirect_uri=grant.redirect_uri, state=state)
            answer = self.server.create_authorization_response(grant_user=person, grant=grant)
        except OAuth2Error as refusal:
            answer = self.server.handle_error_response(request, refusal)
        if self.send_iss and answer.location:
            answer.location = add_params_to_uri(answer.location, [("iss", self.url)])
        return answer

    def _person(self) -> Person | None:
        form = request.form
        if "profile" in form:
            return Person(json.loads(form["profile"]), clock.now())
        email = form.get("email", "").strip()
        name = email.partition("@")[0].title()
        claims = {"sub": email, "name": name, "email": email, "email_verified": True}
        return Person(claims, clock.now()) if email else None

    def _userinfo(self) -> Response:
        return jsonify(current_token.person.claims)

    def _jwks(self) -> dict[str, Any]:
        return dict(KeySet([self.key, self.ec_key]).as_dict(private=False))

    def _end_session(self) -> Response | str:
        target, state = (request.values.get(name) for name in ("post_logout_redirect_uri", "state"))
        if not target:
            return "Signed out."
        return redirect(add_params_to_uri(target, [("state", state)] if state else []))

    def _note(self) -> None:
        g.over = self._over  # first: who reads in the log of a request may release it at once
        query, form = request.args.to_dict(), request.form.to_dict()
        headers = Headers(list(request.headers))
        self.log.append(Exchange(request.endpoint or "", request.method, request.path, query, form, headers))

    def _spoil(self, answer: Response) -> Response:
        how = self._misbehaviours.get(request.endpoint or "")
        if how is None:
            return answer
        g.over.wait(how.stall)
        if how.redirect:
            answer = redirect(how.redirect)
        elif how.body is not None:
            answer = make_response(how.body)
        elif how.fields:
            answer.set_data(json.dumps(_present({**answer.get_json(), **how.fields})))
        answer.status_code = how.status or answer.status_code
        if how.size or how.gzip_bomb or how.drip:
            body: Iterable[bytes] = _padded(answer.get_data(), how.gzip_bomb or how.size)
            body = _packed(body) if how.gzip_bomb else body
            answer.response = _dripping(body, how.drip, g.over) if how.drip else body
            answer.headers.pop("Content-Length", None)
        if how.gzip_bomb:
            answer.content_encoding = "gzip"
        answer.headers.update(how.headers)
        return answer

    def _release(self) -> None:
        self._over.set()
        self._over = threading.Event()


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _padded(data: bytes, size: int) -> Iterator[bytes]:
    missing = size - len(data)
    for start in range(0, missing, CHUNK):
        yield b" " * min(CHUNK, missing - start)
    yield data


def _packed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    gzip = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    for chunk in chunks:
        yield gzip.compress(chunk)
    yield gzip.flush()


def _dripping(chunks: Iterable[bytes], pause: float, over: threading.Event) -> Iterator[bytes]:
    for chunk in chunks:
        for byte in chunk:
            if over.wait(pause):
                return
            yield bytes([byte])
