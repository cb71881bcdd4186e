"""One Tap: signing in by the ID token that Google hands to a page of the application itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..config import section
from ..context import AuthState, Call, Record, Reply
from ..endpoint import Routes
from ..errors import APIError, ConfigError, CoreErrors, ErrorCode
from ..oauth import link
from ..oauth.provider import Profile, ProviderError, Tokens, subject_of, tell
from ..plugin import Plugin
from ..providers import Google
from ..providers.google import GoogleProvider
from ..wire import Row, Str, WireSchema

#: What the account table says was granted: the ID token tells no more, and nothing less.
_SCOPES = ("openid", "profile", "email")

# the reference has no codes for these
_NO_CLIENT_ID = ErrorCode(
    "Google client ID is required for One Tap. Set it on the oneTap plugin (clientId) or on socialProviders.google.",
    400,
)
_INVALID = ErrorCode("invalid id token", 400)
_NO_EMAIL = ErrorCode("Email not available in token", 400)


@dataclass(frozen=True)
class OneTapOptions:
    """Settings of ``OneTap``.

    Args:
        client_id: for whom ID tokens may be: one identifier or several, in place of those of the provider Google.
        disable_signup: nobody becomes a user by One Tap; users may still get the account of Google.
    """

    client_id: str | tuple[str, ...] = ""
    disable_signup: bool = False


routes = Routes()


class OneTapBody(WireSchema):
    id_token = Str(required=True, opaque=True)
    callback_url = Str()


class OneTapResult(WireSchema):
    token = Str()
    user = Row("user")


@routes.post(
    "/one-tap/callback",
    body=OneTapBody,
    returns=OneTapResult,
    raises=[
        CoreErrors.OAUTH_LINK_ERROR,
        CoreErrors.EMAIL_NOT_VERIFIED,
        CoreErrors.FIELD_NOT_ALLOWED,
        CoreErrors.MISSING_FIELD,
    ],
)
def one_tap_callback(call: Call) -> Reply:
    """Sign in with an ID token of Google One Tap. A callback URL is checked, for the client goes there by itself."""
    provider: GoogleProvider = call.state.once(_google)
    if not provider.audiences():
        raise APIError(_NO_CLIENT_ID, without_code=True)  # anybody's token would do (SECURITY J6)
    tokens = Tokens(id_token=call.body["id_token"], scopes=_SCOPES)
    try:
        profile = _profile(call, provider, tokens)
    except ProviderError as error:
        tell(call, provider, error)
        raise APIError(_INVALID, without_code=True) from error
    identity = link.Identity(
        provider,
        tokens,
        profile,
        sign_up_disabled=_refuses_sign_up(call, provider),
        overrides=provider.override_user_info,
    )
    try:
        return link.enter(call, identity, _signed_in)
    except link.Refusal as refusal:
        if refusal.code == "email_not_found":
            raise APIError(_NO_EMAIL, without_code=True) from refusal
        if refusal.code == "email_not_verified":
            raise APIError(CoreErrors.EMAIL_NOT_VERIFIED) from refusal
        raise APIError(CoreErrors.OAUTH_LINK_ERROR, message=refusal.words, without_code=True) from refusal


def _signed_in(session: Record, user: Record, is_new: bool) -> Reply:
    return Reply({"token": session.token, "user": user})


def _profile(call: Call, provider: GoogleProvider, tokens: Tokens) -> Profile:
    """Who the token is of.

    Raises:
        ProviderError: Google did not make it for us, or not for somebody who is let in.
    """
    client = call.state.once(provider.client)
    claims = provider.claims(client, tokens)  # whatever functions of the application stand in for a part of it below
    profile = provider.profile(client, tokens)
    texts = {name: profile.user[name] for name in ("name", "image") if isinstance(profile.user.get(name), str)}
    rest = {name: value for name, value in profile.user.items() if name not in ("name", "image")}
    return replace(profile, subject=subject_of(claims["sub"]), user={**rest, **texts})


def _refuses_sign_up(call: Call, provider: GoogleProvider) -> bool:
    if call.options(OneTapOptions).disable_signup or provider.disable_sign_up:
        return True
    # no client of One Tap can ask for it, and so nobody has
    return provider.disable_implicit_sign_up and call.config.hardening


def _google(state: AuthState) -> GoogleProvider:
    """Google as the application has it, or would have it, for the client identifiers of One Tap."""
    registered, own = state.providers.get(Google.id), state.options(OneTapOptions).client_id
    provider = registered if isinstance(registered, GoogleProvider) else GoogleProvider(Google, {})
    return provider if own == "" else type(provider)(Google, {**provider.given, "client_id": own})


class OneTap(Plugin):
    """Signing in by Google One Tap (reference plugin ``one-tap``).

    Who may sign in, who gets an account and what becomes of a user is as with the provider Google, whose options count
    where it is registered.

    Args:
        options: see ``OneTapOptions``.
    """

    id = "one-tap"
    routes = routes

    def __init__(self, **options: Any) -> None:
        self.options: OneTapOptions = section(OneTapOptions, options, "OneTap")

    def init(self, state: AuthState) -> None:
        registered = state.providers.get(Google.id)
        if registered is not None and not isinstance(registered, GoogleProvider):
            # an account of one would be one of the other, and need not be the same person's (SECURITY I6)
            raise ConfigError("OneTap signs in users of Google, and the provider google is another one")
