"""What the providers of the catalogue are described by, and do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, NoReturn
from urllib.parse import urlencode

from .. import urls
from ..config import section
from ..errors import ConfigError
from ..oauth import id_token
from ..oauth.client import Client
from ..oauth.provider import Arrival, Profile, Provider, ProviderError, Start, Tokens, called, dict_of, subject_of
from ..wire import is_email, is_storable, python_name
from .options import BASIC, POST, ProviderOptions, TokenEndpointAuth
from .places import Claims, Places, at, path_in


@dataclass(frozen=True)
class Ask:
    """A request for a profile.

    Args:
        url: where to.
        method: GET or POST.
        inside: the place of the profile in the answer, for example ``"data.0"``.
        headers: further ones.
        body: what is sent, as JSON.
        expects: what must stand in the answer, by its place.
        refuses: places in the answer where nothing may stand.
    """

    url: str
    method: str = "GET"
    inside: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] | None = None
    expects: Mapping[str, object] = field(default_factory=dict)
    refuses: tuple[str, ...] = ()


@dataclass(frozen=True)
class IdTokens:
    """How ID tokens of a provider are verified; see ``id_token.Rule``."""

    jwks: str
    issuers: tuple[str, ...]
    algorithms: tuple[str, ...] = ("RS256",)
    max_age: timedelta | None = None
    hashed_nonce: bool = False


@dataclass(frozen=True)
class Row:
    """A provider of the catalogue. It is called with options to get a provider: ``GitHub(client_id="...", ...)``.

    URLs and parameters may hold names of options, for example ``"{issuer}/oauth/token"``; a parameter of which nothing
    is left is not sent.

    Args:
        id: the reference's.
        name: what people know it by.
        authorize, token: its endpoints.
        refresh: where new tokens are to be had, if not at ``token``; ``False`` if nowhere.
        scopes: what is asked for unless the application wants otherwise.
        separator: what stands between scopes; nothing, where there is no such parameter.
        params: further parameters of an authorization request, which a client may change.
        fixed: and those that none may.
        pkce: the provider knows PKCE (RFC 7636).
        login_hint: it knows the parameter.
        client_id_name: what it calls our ``client_id``.
        auth: how we authenticate at the token endpoint, if we have a secret.
        token_headers: further headers of token requests.
        confidential: no code is worth anything without our secret.
        profile: how to ask for a profile; nothing, where it stands in the ID token.
        by_id_token: if there is an ID token, it holds the profile, and nobody is asked.
        claims: where in the profile what stands.
        id_tokens: how ID tokens are verified; nothing, where they cannot be.
        options: what it can be told.
        cls: what data cannot say.
        needs: options without which it does nothing.
        email_is_anybodys: see ``Provider``.
    """

    id: str
    name: str
    authorize: str
    token: str
    refresh: str | Literal[False] | None = None
    scopes: tuple[str, ...] = ()
    separator: str | None = " "
    params: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    pkce: bool = True
    login_hint: bool = False
    client_id_name: str = "client_id"
    auth: str = POST
    token_headers: Mapping[str, str] = field(default_factory=dict)
    confidential: bool = False
    profile: Ask | None = None
    by_id_token: bool = False
    claims: Claims = field(default_factory=Claims)
    id_tokens: IdTokens | None = None
    options: type[ProviderOptions] = ProviderOptions
    cls: type[Social] | None = None
    needs: tuple[str, ...] = ("client_id",)
    email_is_anybodys: bool = False

    def __call__(self, **options: Any) -> Social:
        """The provider, with the options of an application.

        Raises:
            ConfigError: an option that it does not have, or a wrong value.
        """
        return (self.cls or Social)(self, options)


class Social(Provider):
    """A provider of the catalogue, as an application has it."""

    def __init__(self, row: Row, given: Mapping[str, Any]) -> None:
        self.row, self.given = row, {python_name(name): value for name, value in given.items()}
        self.given.pop("enabled", None)
        self.id, self.name = row.id, row.name
        self.options: Any = section(row.options, self.given, f"social_providers.{row.id}")
        options: ProviderOptions = self.options
        self.pkce = row.pkce and getattr(options, "pkce", True)
        self.email_is_anybodys = row.email_is_anybodys
        self.refreshes = row.refresh is not False or options.refresh_access_token is not None
        self.disable_sign_up = options.disable_sign_up
        self.disable_implicit_sign_up = options.disable_implicit_sign_up
        self.override_user_info = options.override_user_info_on_sign_in
        self.require_email_verification = options.require_email_verification
        named = (urls.base_origin(value) for value in self.given.values() if isinstance(value, str) and "://" in value)
        self.own_origins: Sequence[str] = tuple(filter(None, named))

    def __repr__(self) -> str:
        return f"<Provider {self.id}>"

    def told(self, settings: Mapping[str, Any]) -> Social:
        """The same with settings of a deployment, over which what the application itself said counts."""
        return type(self)(self.row, {**settings, **self.given}) if settings else self

    def check(self) -> None:
        """Make sure that it can work.

        Raises:
            ConfigError: an option is missing; the message names its key.
        """
        # who brings an ID token of the provider brings no code, so that there a secret may be missing
        needs_secret = self.row.confidential and not self.verifies
        needs_secret = needs_secret or getattr(self.options, "require_client_secret", False)
        for name in (*self.row.needs, *(("client_secret",) if needs_secret else ())):
            if not getattr(self.options, name):
                self.lacks(name)
        own: TokenEndpointAuth | None = getattr(self.options, "token_endpoint_auth", None)
        if own is not None:
            own.check(self.id, self.options.client_secret)

    def lacks(self, name: str) -> NoReturn:
        """Refuse a configuration without an option."""
        key = f"BETTER_AUTH_{self.id}_{name}".upper()
        raise ConfigError(f"the provider {self.id} needs {name}: pass it, or set {key}")

    # ------------------------------------------------------------ to the provider and back

    def authorization_url(self, client: Client, start: Start) -> str:
        if self.row.confidential and not self.secret():
            raise ProviderError("there is no client_secret, and without one no code is worth anything")
        options: ProviderOptions = self.options
        challenge = id_token.challenge_of(start.code_verifier) if self.pkce else {"code_challenge": None}
        params = {
            **self.params(start),
            **start.params,
            "response_type": "code",
            "client_id": None,
            self.row.client_id_name: self.client_id,
            "state": start.state,
            "scope": self.scope(start.scopes),
            "redirect_uri": options.redirect_uri or start.redirect_uri,
            "nonce": start.nonce,
            "code_challenge_method": None,
            **challenge,
            **self.row.fixed,
        }
        endpoint = options.authorization_endpoint or self.url(self.row.authorize)
        return urls.with_params(endpoint, {name: value for name, value in params.items() if value})

    def params(self, start: Start) -> Mapping[str, str | None]:
        """Further parameters of an authorization request, which a client may change."""
        usual = {name: self.url(value) for name, value in self.row.params.items()}
        options: ProviderOptions = self.options
        return {
            **usual,
            "login_hint": start.login_hint if self.row.login_hint else None,
            "prompt": options.prompt or usual.get("prompt"),
            "response_mode": options.response_mode,
        }

    def scope(self, asked: Iterable[str] = ()) -> str | None:
        """The scopes to be asked for, as the provider wants them."""
        if self.row.separator is None:
            return None
        default = () if self.options.disable_default_scope else self.row.scopes
        return self.row.separator.join(dict.fromkeys((*default, *self.options.scope, *asked))) or None

    @property
    def client_id(self) -> str:
        """Ours for everything but foreign ID tokens."""
        ids = self.options.client_ids
        return str(ids[0]) if ids else ""

    def secret(self) -> str:
        """What we authenticate by."""
        return str(self.options.client_secret)

    def url(self, template: str) -> str:
        """A URL or a parameter of the catalogue, with the options that it names."""
        return template.format_map(_Options(self.options)) if "{" in template else template

    def exchange(self, client: Client, arrival: Arrival) -> Tokens:
        sent = {
            "code": arrival.code,
            "redirect_uri": self.options.redirect_uri or arrival.redirect_uri,
            **({"code_verifier": arrival.code_verifier} if self.pkce else {}),
            **self.exchange_params(arrival),
        }
        url = self.url(self.row.token)
        grant = "authorization_code"
        return self._tokens(client, url, lambda session, how: session.fetch_token(url, grant_type=grant, **how, **sent))

    def exchange_params(self, arrival: Arrival) -> Mapping[str, str]:
        """Further parameters of a token request."""
        return {}

    def refresh(self, client: Client, refresh_token: str) -> Tokens:
        own = self.options.refresh_access_token
        if own is not None:
            return Tokens.of(dict_of(own, refresh_token))
        if self.row.refresh is False:
            return super().refresh(client, refresh_token)
        url, sent = self.url(self.row.refresh or self.row.token), {"refresh_token": refresh_token}
        sent |= self.refresh_params()
        return self._tokens(client, url, lambda session, how: session.refresh_token(url, **how, **sent))

    def refresh_params(self) -> Mapping[str, str]:
        """Further parameters of a request for new tokens."""
        return {}

    def _tokens(self, client: Client, url: str, ask: Callable[[Any, Mapping[str, Any]], Any]) -> Tokens:
        secret = self.secret()
        form = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        answer = client.tokens(
            url,
            lambda session: ask(session, {"headers": {**form, **self.row.token_headers}}),
            client_id=self.client_id,
            client_secret=secret,
            auth=self._auth(url, secret),
        )
        return Tokens.of(answer)

    def _auth(self, url: str, secret: str) -> Any:
        """How we authenticate, in authlib's terms."""
        own: TokenEndpointAuth | None = getattr(self.options, "token_endpoint_auth", None)
        method = own.method if own else self.row.auth if secret else "none"
        if own and method == "custom":
            return own.customize_request
        if method == BASIC:
            return BASIC
        sent = {self.row.client_id_name: self.client_id}
        if method == POST:
            sent["client_secret"] = secret
        if own:
            sent |= own.assertion(url)
        return lambda client, method, uri, headers, body: (uri, headers, f"{body}&{urlencode(sent)}")

    # ------------------------------------------------------------ who it is

    def profile(self, client: Client, tokens: Tokens, *, nonce: str | None = None, user: Any = None) -> Profile:
        own, mapped = self.options.get_user_info, self.options.map_profile_to_user
        if own is not None:
            found = dict_of(own, tokens)
            data, columns = found.get("data") or {}, found.get("user") or {}
            if not isinstance(data, Mapping) or not isinstance(columns, Mapping):
                raise ProviderError("get_user_info gave something else than a user and data")
            return profile_of(found.get("id") or self.subject(data), columns, data)
        data, columns = self.person(client, tokens, nonce, user)
        subject = subject_of(self.subject(data))
        if self.options.verify_id_token is not None and tokens.scopes is None and client.hardening:
            _check_same(tokens, subject, data)
        if mapped is not None:
            columns = overlaid(columns, dict_of(mapped, data), hardening=client.hardening)
        placeholder = self.row.claims.placeholder
        if placeholder and not columns.get("email"):
            email = f"{subject}@{placeholder}.placeholder.invalid"
            if not is_email(email):
                raise ProviderError("the identifier of the user cannot stand in an address")
            columns = {**columns, "email": email, "email_verified": False}
        return profile_of(subject, columns, data)

    def person(
        self, client: Client, tokens: Tokens, nonce: str | None, user: Any
    ) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """What the provider says of the user, and the columns of the user table in it.

        Raises:
            ProviderError: it says nothing, or something that does not count.
        """
        data = self.said(client, tokens, nonce, user)
        return data, self.user(data)

    def said(self, client: Client, tokens: Tokens, nonce: str | None, user: Any) -> Mapping[str, Any]:
        """What the provider says of the user; see ``person``."""
        if self.row.profile is None or (self.row.by_id_token and tokens.id_token):
            return self.claims(client, tokens, nonce)
        return self.ask(client, self.row.profile, tokens.access_token)

    def ask(self, client: Client, ask: Ask, token: str | None) -> Mapping[str, Any]:
        """The answer to a request for a profile."""
        if not token:
            raise ProviderError("there is no access token")
        answer = client.json(ask.method, self.url(ask.url), token=token, headers=ask.headers, body=ask.body)
        if any(path_in(answer, place) != value for place, value in ask.expects.items()):
            raise ProviderError("the provider does not say that all is well")
        if any(path_in(answer, place) not in (..., None, False, 0, "") for place in ask.refuses):
            raise ProviderError("the provider says that something is wrong")
        found = path_in(answer, ask.inside) if ask.inside else answer
        if not isinstance(found, Mapping):
            raise ProviderError("the profile is no object")
        return found

    def claims(self, client: Client, tokens: Tokens, nonce: str | None = None) -> Mapping[str, Any]:
        """What the ID token says, which is verified where that is possible."""
        rule = self.rule((*self.audiences(), *self.options.client_ids))
        if rule is None or tokens.stored:
            return id_token.claims_of(tokens.id_token)
        claims = id_token.verified(client, tokens.id_token or "", rule, nonce=nonce, access_token=tokens.access_token)
        self.accept(claims)
        return claims

    def rule(self, audiences: tuple[str, ...]) -> id_token.Rule | None:
        """What ID tokens must be like, where they can be verified."""
        found = self.row.id_tokens
        if found is None:
            return None
        issuers = tuple(map(self.url, found.issuers))
        return id_token.Rule(
            self.url(found.jwks), issuers, audiences, found.algorithms, found.max_age, found.hashed_nonce
        )

    def accept(self, claims: Mapping[str, Any]) -> None:
        """Make sure that the claims of a verified ID token are of somebody whom the application lets in.

        Raises:
            ProviderError: they are not.
        """

    def subject(self, data: Mapping[str, Any]) -> Any:
        """The identifier of the user at the provider."""
        return at(data, self.row.claims.id)

    def user(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of the user table, as far as the profile says something of them."""
        claims = self.row.claims
        places: dict[str, Places] = {"name": claims.name, "email": claims.email, "image": claims.image}
        places |= {name: (place,) for name, place in claims.further.items()}
        found = {name: at(data, of_column) for name, of_column in places.items()}
        verified = at(data, claims.email_verified)
        user = {name: value for name, value in found.items() if value is not ...}
        return {**user, "email_verified": False if verified is ... else verified}

    # ------------------------------------------------------------ ID tokens that clients bring

    @property
    def verifies(self) -> bool:
        """Whether its ID tokens can be verified."""
        return self.row.id_tokens is not None

    @property
    def accepts_id_tokens(self) -> bool:
        if self.options.disable_id_token_sign_in:
            return False
        return self.verifies or self.options.verify_id_token is not None

    def verify_id_token(self, client: Client, token: str, nonce: str | None) -> None:
        own = self.options.verify_id_token
        if own is None:
            self.verify(client, token, nonce)
        elif not called(own, token, nonce):
            raise ProviderError("the application does not take the ID token")

    def verify(self, client: Client, token: str, nonce: str | None) -> None:
        """What ``verify_id_token`` does unless the application has a way of its own."""
        rule = self.rule(self.audiences())
        if rule is None:
            raise ProviderError("this provider's ID tokens cannot be verified")
        self.accept(id_token.verified(client, token, rule, nonce=nonce))

    def audiences(self) -> tuple[str, ...]:
        """For whom an ID token may be that a client brings."""
        ids: tuple[str, ...] = self.options.client_ids
        return ids


class _Options:
    """Options by their names, for URLs and parameters."""

    def __init__(self, options: Any) -> None:
        self._options = options

    def __getitem__(self, name: str) -> str:
        value = getattr(self._options, name)
        return "true" if value is True else str(value).rstrip("/") if value else ""


def _check_same(tokens: Tokens, subject: str, data: Mapping[str, Any]) -> None:
    """Make sure that a client brought an access token of whom its ID token is of. The application has verified the
    latter alone; the former may have been made for anybody's application (SECURITY J6).

    Raises:
        ProviderError: it is somebody else's, or that cannot be told.
    """
    if tokens.access_token in (None, tokens.id_token):
        return
    whose = id_token.claims_of(tokens.id_token).get("sub")
    if whose is None or str(whose) not in (subject, str(data.get("sub"))):
        raise ProviderError("the access token is of another user than the ID token")


def profile_of(subject: Any, user: Mapping[str, Any], data: Mapping[str, Any]) -> Profile:
    """A profile that holds nothing that no database takes.

    Raises:
        ProviderError: there is no identifier in it.
    """
    texts = ("name", "email", "image")
    clean = {n: v for n, v in user.items() if (is_storable(v) if isinstance(v, str) else v is None or n not in texts)}
    return Profile(subject_of(subject), clean, data)


def overlaid(columns: Mapping[str, Any], further: Mapping[str, Any], *, hardening: bool) -> dict[str, Any]:
    """Columns with those over them that a function of the application makes of a profile."""
    mapped = {**columns, **{name: value for name, value in further.items() if name != "id"}}
    if hardening:  # whether an address is proven is the provider's to say, and it says it of its own (SECURITY J13)
        same = mapped.get("email") == columns.get("email")
        mapped["email_verified"] = columns["email_verified"] if same else False
    return mapped
