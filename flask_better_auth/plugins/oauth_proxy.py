"""OAuth proxy: deployments whose address no provider knows sign users in by way of one whose address they all know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from marshmallow import ValidationError

from .. import clock, guards, urls, wire
from ..config import VersionedSecret, section
from ..context import AuthState, Call, Reply
from ..crypto import Secrets
from ..endpoint import Routes
from ..errors import APIError, ConfigError, CoreErrors
from ..hooks import Hook, Hooks
from ..oauth import back, link, state
from ..oauth.provider import Profile, ProviderError, Tokens, subject_of
from ..plugin import Plugin
from ..services import accounts, records, verifications
from ..views.results import redirect, redirected
from ..views.social import CallbackQuery
from ..wire import Bool, Mapped, Number, Part, Str, Texts, WireSchema, wire_name

#: What is encrypted, each by a key of its own: one is none of the others, nor any other cookie (SECURITY J16).
_PACKAGE, _STATE, _PROFILE = "oauth-proxy-package", "oauth-proxy-state", "oauth-proxy-profile"
#: Begins a sign-in here, even so.
_SKIP = "x-skip-oauth-proxy"
#: How far the clock of production may be ahead.
_SKEW = timedelta(seconds=10)
#: What a secret measures at least, as the application's own.
_SECRET_LENGTH = 32
_CALLBACK, _CALLBACK_URL = "/callback/<id>", wire_name("callback_url")
#: A sign-in that can end once, where a cookie holds all else; the subject is its ``state``, the value the provider.
_UNDER_WAY: verifications.Kind[str] = verifications.Kind("oauth-proxy:", str, str)


@dataclass(frozen=True)
class OAuthProxyOptions:
    """Settings of ``OAuthProxy``.

    Args:
        production_url: the deployment that providers send browsers back to; by default the base URL.
        current_url: this deployment; by default where the request was sent to, if that is a trusted origin, else the
            base URL.
        max_age: how long counts what production says of a user.
        secret: what production and the others share, if not the application's own secret.
        secrets: several of them by version, the current one first, as ``AuthConfig.secrets``.
    """

    production_url: str | None = None
    current_url: str | None = None
    max_age: timedelta = timedelta(seconds=60)
    secret: str | None = field(default=None, repr=False)
    secrets: tuple[VersionedSecret, ...] = ()

    def seals(self, state: AuthState) -> Secrets:
        """What encrypts, and reads, all that goes from one deployment to the other."""
        if self.secret is None and not self.secrets:
            return state.secrets
        return Secrets(self.secret or "", {each.version: each.value for each in self.secrets})


# ---------------------------------------------------------------- what goes from one to the other


class Package(WireSchema):
    """The ``state`` parameter: what was begun, for production."""

    state = Str(required=True, minimum=1)
    state_cookie = Str(required=True)
    is_proxied = Bool(required=True, data_key="isOAuthProxy")


class Person(WireSchema):
    id = Str(required=True)
    email = Str(required=True)
    name = Str(required=True)
    image = Str(allow_none=True)
    email_verified = Bool(load_default=False)


class ProviderAccount(WireSchema):
    provider_id = Str(required=True)
    account_id = Str(required=True)
    access_token = Str(allow_none=True)
    refresh_token = Str(allow_none=True)
    id_token = Str(allow_none=True)
    access_token_expires_at = Str(allow_none=True)
    refresh_token_expires_at = Str(allow_none=True)
    scope = Str(allow_none=True)


class Payload(WireSchema):
    """The ``profile`` parameter: who signed in, for the deployment where that began."""

    user_info = Part(Person, required=True)
    profile = Mapped()
    scopes = Texts()
    account = Part(ProviderAccount, required=True)
    state = Str(required=True, minimum=1)
    callback_url = Str(required=True, minimum=1)
    new_user_url = Str()
    error_url = Str()
    disable_sign_up = Bool()
    timestamp = Number(required=True)


def _sealed(call: Call, schema: WireSchema, content: Mapping[str, Any], purpose: str) -> str:
    """Encrypt what a schema describes; what is nothing is left out."""
    text = wire.dumps(_wired(schema, content)).decode()
    return call.options(OAuthProxyOptions).seals(call.state).encrypt(text, purpose=purpose)


def _wired(schema: WireSchema, content: Mapping[str, Any]) -> dict[str, Any]:
    parts = {name: part.schema for name, part in schema.fields.items() if isinstance(part, Part)}
    return {
        schema.wire_names[name]: _wired(parts[name], value) if name in parts else value
        for name, value in content.items()
        if value is not None
    }


def _opened(call: Call, sealed: str, purpose: str) -> str:
    """The text that was encrypted for a purpose.

    Raises:
        ValueError: there is none.
    """
    return call.options(OAuthProxyOptions).seals(call.state).decrypt(sealed, purpose=purpose)


def _read(schema: type[WireSchema], text: str) -> dict[str, Any]:
    """What a schema describes.

    Raises:
        ValueError: it is no such thing.
    """
    try:
        content: dict[str, Any] = Part(schema).deserialize(wire.parse_json(text.encode()))
    except ValidationError as error:
        raise ValueError(str(error)) from None
    return content


# ---------------------------------------------------------------- where a sign-in begins


def _here(call: Call) -> str:
    """Where our routes are on this deployment."""
    current, base_path = call.options(OAuthProxyOptions).current_url, call.config.base_path
    if current is not None:
        return current.rstrip("/") + base_path
    origin = urls.origin_of(f"{call.request.scheme}://{call.request.host}")
    if origin in (None, urls.base_origin(call.base_url)):
        return call.base_url
    trusted = urls.is_trusted_origin(origin or "", call.state.trusted_origins(call.request))
    return f"{origin}{call.request.script_root}{base_path}" if trusted else call.base_url


def _production(call: Call) -> str:
    """Where they are on the one that providers know."""
    production = call.options(OAuthProxyOptions).production_url
    return call.base_url if production is None else production.rstrip("/") + call.config.base_path


def _is_production(call: Call) -> bool:
    return urls.base_origin(_here(call)) == urls.base_origin(_production(call))


def _goes_by_way(call: Call) -> bool:
    if call.endpoint is None or call.endpoint.name not in ("sign_in_social", "link_social_account"):
        return False
    if call.request.headers.get(_SKIP) or "id_token" in call.body:
        return False
    return not _is_production(call)


def _set_out(call: Call) -> None:
    """Let the provider send the browser back to production, and production to us."""
    provider_id, wanted = call.body.get("provider"), call.body.get("callback_url")
    if not isinstance(provider_id, str) or not isinstance(wanted, (str, type(None))):
        return  # the schema refuses it
    here = _here(call)
    end = f"{here}/callback/{quote(provider_id, safe='')}/oauth-proxy"
    call.body["callback_url"] = urls.with_params(
        end, {_CALLBACK_URL: wanted or here.removesuffix(call.config.base_path)}
    )
    call.redirect_base = _production(call)


def _pack(call: Call) -> Reply | None:
    """Put what was begun into the ``state`` parameter: production has neither our database nor our cookies."""
    flow, reply = call.flow, call.returned
    if flow is None or flow.state is None or not isinstance(reply, Reply) or not isinstance(reply.body, Mapping):
        return None
    url = reply.body.get("url")
    if not isinstance(url, str) or call.redirect_base is None:
        return None
    if call.config.account.store_state_strategy == "cookie":
        with records.unit(call):
            life = flow.expires_at - clock.now()
            verifications.create(call, _UNDER_WAY, flow.state, flow.provider_id or "", expires_in=life)
    # whose account shall be added to, and in which session, is nothing that production has to know
    told = state.dumps(call, replace(flow, link=None, server_context={}))
    cookie = call.options(OAuthProxyOptions).seals(call.state).encrypt(told, purpose=_STATE)
    package = {"state": flow.state, "state_cookie": cookie, "is_proxied": True}
    url = urls.with_params(url, {"state": _sealed(call, Package(), package, _PACKAGE)})
    return replace(reply, body={**reply.body, "url": url}, location=url if reply.location is not None else None)


# ---------------------------------------------------------------- what production does


#: What a provider sends a browser back with.
_SENT = tuple(CallbackQuery().fields)


def _pass_on(call: Call) -> None:
    """Send a browser that began elsewhere back there, with who it turned out to be; nothing is stored here.

    Raises:
        APIError: the redirect.
    """
    sent = {**call.body, **call.query}
    if not all(isinstance(sent.get(name, ""), str) for name in _SENT):
        return  # the schema refuses it
    try:
        package = _read(Package, _opened(call, sent.get("state", ""), _PACKAGE))
        flow = state.loads(call, _opened(call, package["state_cookie"], _STATE))
    except ValueError:  # it began here
        return
    if not package["is_proxied"]:
        return
    sent.pop("error_description", None)
    reply = back.concluded(call, flow.error_url, lambda: _leave(call, package["state"], flow, sent))
    raise redirect(reply.location or "")


def _leave(call: Call, number: str, flow: state.Flow, sent: Mapping[str, str]) -> Reply:
    if flow.state not in (None, number) or flow.expires_at <= clock.now():
        raise link.Refusal("state_mismatch")
    identity = back.identified(call, flow, sent)
    profile, tokens, provider_id = identity.profile, identity.tokens, identity.provider.id
    if profile.email is None:
        raise link.Refusal("email_not_found")
    said = profile.user
    payload = {
        "user_info": {
            "id": profile.subject,
            "email": said["email"],
            "name": _text(said.get("name")) or "",
            "image": _text(said.get("image")),
            "email_verified": profile.email_verified,
        },
        "profile": dict(profile.data) if isinstance(profile.data, Mapping) else None,
        "scopes": None if tokens.scopes is None else list(tokens.scopes),
        "account": {
            "provider_id": provider_id,
            "account_id": profile.subject,
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "id_token": tokens.id_token,
            "access_token_expires_at": tokens.access_token_expires_at,
            "refresh_token_expires_at": tokens.refresh_token_expires_at,
            "scope": tokens.scope,
        },
        "state": number,
        "callback_url": _inner(flow.callback_url) or flow.callback_url,
        "new_user_url": flow.new_user_url,
        "error_url": flow.error_url,
        "disable_sign_up": identity.sign_up_disabled or None,
        "timestamp": _now(),
    }
    try:
        sealed = _sealed(call, Payload(), payload, _PROFILE)
    except (TypeError, ValueError) as error:  # what a function of the application made of a profile is no JSON
        raise link.Refusal("unable_to_get_user_info") from error
    return Reply(location=urls.with_params(flow.callback_url, {"profile": sealed}))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _go_straight(call: Call) -> None:
    """A sign-in on production that would end by way of production is over.

    Raises:
        APIError: the redirect, in place of that which was to be.
    """
    answer = call.returned
    location = answer.headers.get("Location", "") if isinstance(answer, APIError) else ""
    if not location or urls.origin_of(location) != urls.base_origin(_production(call)):
        return
    inner, path = _inner(location), urlsplit(location).path
    if inner and path.endswith(("/oauth-proxy", "/oauth-proxy-callback")) and _is_trusted(call, inner):
        raise redirect(inner)


def _inner(url: str) -> str | None:
    """The callback URL inside of one that leads to our own endpoint."""
    try:
        return parse_qs(urlsplit(url).query).get(_CALLBACK_URL, [None])[0]
    except ValueError:
        return None


def _is_trusted(call: Call, url: str) -> bool:
    return urls.is_trusted_target(url, call.state.trusted_origins(call.request))


# ---------------------------------------------------------------- where it ends

routes = Routes()


class OAuthProxyQuery(WireSchema):
    callback_url = Str(required=True)
    profile = Str(opaque=True)


@routes.get(
    "/callback/<id>/oauth-proxy",
    query=OAuthProxyQuery,
    guards=[guards.callback_url],
    raises=[CoreErrors.INVALID_CALLBACK_URL],
)
def oauth_proxy_completion(call: Call) -> Reply:
    """Sign in who comes back from production, where the sign-in began; every end of it is a redirect."""
    return _end(call, call.params["id"])


@routes.get(
    "/oauth-proxy-callback",
    query=OAuthProxyQuery,
    guards=[guards.callback_url],
    raises=[CoreErrors.INVALID_CALLBACK_URL],
)
def oauth_proxy(call: Call) -> Reply:
    """What ``oauth_proxy_completion`` does, under its older address."""
    return _end(call, None)


def _end(call: Call, provider_id: str | None) -> Reply:
    try:
        payload = _payload(call)
    except link.Refusal as refusal:
        return redirected(back.lost(call, refusal.code, None))
    error_url = payload.get("error_url", "")
    shown = error_url if _is_trusted(call, error_url) else None  # whoever has the secret could have written it
    return redirected(back.concluded(call, shown, lambda: _enter(call, payload, provider_id)))


def _payload(call: Call) -> dict[str, Any]:
    """What production says.

    Raises:
        Refusal: it says nothing that counts.
    """
    sealed = call.query.get("profile")
    if not sealed:
        raise link.Refusal("missing_profile")
    try:
        text = _opened(call, sealed, _PROFILE)
    except ValueError:
        call.state.logger.warning("better-auth: what came by the OAuth proxy was sealed by another secret, or changed")
        raise link.Refusal("invalid_profile") from None
    try:
        return _read(Payload, text)
    except ValueError:
        raise link.Refusal("invalid_payload") from None


def _enter(call: Call, payload: Mapping[str, Any], provider_id: str | None) -> Reply:
    account, options = payload["account"], call.options(OAuthProxyOptions)
    if _is_production(call):
        raise link.Refusal("state_mismatch")  # what previews have the secret of opens nothing here (SECURITY J16)
    if provider_id not in (None, account["provider_id"]):
        raise link.Refusal("provider_mismatch")
    age = _now() - payload["timestamp"]
    if not -_milliseconds(_SKEW) <= age <= _milliseconds(options.max_age):
        raise link.Refusal("payload_expired")
    identity = _identity(call, payload)
    flow = _resumed(call, payload["state"], identity.provider.id)
    provider, disabled = identity.provider, payload.get("disable_sign_up", False)
    # where the browser goes is what we ourselves remembered, and not what came back
    flow = replace(flow, callback_url=_inner(flow.callback_url) or flow.callback_url)
    identity = replace(
        identity,
        sign_up_disabled=disabled or back.refuses_sign_up(provider, flow.request_sign_up),
        callback_url=flow.callback_url,
    )
    return back.settle(call, flow, identity)


def _now() -> int:
    return int(clock.now().timestamp() * 1000)


def _milliseconds(time: timedelta) -> float:
    return time / timedelta(milliseconds=1)


def _identity(call: Call, payload: Mapping[str, Any]) -> link.Identity:
    account, scope = payload["account"], payload["account"].get("scope")
    provider = call.state.providers.get(account["provider_id"])
    if provider is None:
        raise link.Refusal("oauth_provider_not_found")
    scopes = payload.get("scopes") if scope is None else accounts.scopes(account)
    user = {name: value for name, value in payload["user_info"].items() if name != "id" and value is not None}
    try:
        profile = Profile(subject_of(account["account_id"]), user, payload.get("profile", {}))
        tokens = Tokens(
            account.get("access_token"),
            account.get("refresh_token"),
            account.get("id_token"),
            _moment(account.get("access_token_expires_at")),
            _moment(account.get("refresh_token_expires_at")),
            None if scopes is None else tuple(scopes),
        )
    except (ProviderError, ValueError, OverflowError):
        raise link.Refusal("invalid_payload") from None
    return link.Identity(provider, tokens, profile)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else wire.moment(text)


def _resumed(call: Call, number: str, provider_id: str) -> state.Flow:
    """What this browser had begun with that provider. It can be ended once (SECURITY J16)."""
    try:
        flow = call.flow = state.resume(call, number)
    except state.StateError as error:
        raise link.Refusal("state_mismatch") from error
    begun_with = flow.provider_id
    if call.config.account.store_state_strategy == "cookie":
        with records.unit(call):
            begun_with = verifications.consume(call, _UNDER_WAY, number)
        if begun_with is None:
            raise link.Refusal("state_mismatch")
    if begun_with not in (None, provider_id):
        raise link.Refusal("state_mismatch")
    return flow


class OAuthProxy(Plugin):
    """Signing in with a provider on deployments whose address it does not know, such as previews, by way of one that it
    does (reference plugin ``oauth-proxy``).

    It is there on all of them, with the same providers and the same secret.

    Args:
        options: see ``OAuthProxyOptions``.
    """

    id = "oauth-proxy"
    routes = routes

    def __init__(self, **options: Any) -> None:
        self.options: OAuthProxyOptions = section(OAuthProxyOptions, options, "OAuthProxy")
        for name in ("production_url", "current_url"):
            url = getattr(self.options, name)
            if url is not None and not urls.base_origin(url):
                raise ConfigError(f"OAuthProxy({name}=...) must be like https://app.example.com, not {url!r}")
        if self.options.current_url is not None:
            self.defaults = {"trusted_origins": (urls.base_origin(self.options.current_url),)}
        self.hooks = Hooks(
            before=[Hook(_set_out, _goes_by_way), Hook(_pass_on, _CALLBACK)],
            after=[Hook(_pack, lambda call: call.redirect_base is not None), Hook(_go_straight, _CALLBACK)],
        )

    def init(self, state: AuthState) -> None:
        own = (self.options.secret, *(each.value for each in self.options.secrets))
        weak = any(secret is not None and len(secret) < _SECRET_LENGTH for secret in own)
        if weak and not (state.app.debug or state.app.testing):
            raise ConfigError(
                f"the secrets of OAuthProxy must be at least {_SECRET_LENGTH} characters nobody can guess"
            )
