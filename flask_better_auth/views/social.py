"""Signing in with a provider, and adding one to the ways of signing in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from marshmallow import ValidationError

from .. import guards
from ..context import Call, Record, Reply
from ..endpoint import FORM, JSON, Routes
from ..errors import APIError, CoreErrors
from ..oauth import back, link, start, state
from ..oauth.provider import Profile, Provider, ProviderError, Tokens, tell
from ..wire import Bool, Mapped, Name, Number, Part, Str, Texts, WireSchema
from .results import SignInResult, redirect, redirected

routes = Routes()

#: What an authorization request is made of: no client may say it in our place (SECURITY J7).
_RESERVED = (
    "state",
    "client_id",
    "redirect_uri",
    "response_type",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "scope",
)
#: The same of providers that have names of their own for it.
_RESERVED_ELSEWHERE = ("client_key", "appid", "client_secret", "response_mode", "request", "request_uri")


def _may_be_added(params: Mapping[str, str]) -> None:
    if any(name.strip().lower() in (*_RESERVED, *_RESERVED_ELSEWHERE) for name in params):
        raise ValidationError(f"additionalParams cannot include reserved OAuth parameters: {', '.join(_RESERVED)}")


class NameOfPerson(WireSchema):
    first_name = Str()
    last_name = Str()


class PersonInToken(WireSchema):
    name = Part(NameOfPerson)
    email = Str()


class LinkIdToken(WireSchema):
    token = Str(required=True, opaque=True)
    nonce = Str(opaque=True)
    access_token = Str()
    refresh_token = Str()


class IdToken(LinkIdToken):
    expires_at = Number()
    user = Part(PersonInToken)


class LinkSocialBody(WireSchema):
    callback_url = Str()
    provider = Name(required=True)
    id_token = Part(LinkIdToken)
    request_sign_up = Bool()
    scopes = Texts()
    error_callback_url = Str()
    disable_redirect = Bool()
    login_hint = Str()
    additional_params = Mapped(texts=True, validate=_may_be_added)
    additional_data = Mapped()


class SignInSocialBody(LinkSocialBody):
    id_token = Part(IdToken)
    new_user_callback_url = Str()


@routes.post(
    "/sign-in/social",
    body=SignInSocialBody,
    returns=SignInResult,
    raises=[
        CoreErrors.PROVIDER_NOT_FOUND,
        CoreErrors.ID_TOKEN_NOT_SUPPORTED,
        CoreErrors.INVALID_TOKEN,
        CoreErrors.FAILED_TO_GET_USER_INFO,
        CoreErrors.USER_EMAIL_NOT_FOUND,
        CoreErrors.EMAIL_NOT_VERIFIED,
        CoreErrors.OAUTH_LINK_ERROR,
        CoreErrors.FIELD_NOT_ALLOWED,
        CoreErrors.MISSING_FIELD,
    ],
)
def sign_in_social(call: Call) -> Reply:
    """Sign in with a provider: the answer says where the browser has to go, unless the client has an ID token of the
    provider already."""
    provider, body = _provider(call), call.body
    if "id_token" not in body:
        return _leave(call, provider, new_user_url=body.get("new_user_callback_url"))
    tokens, profile = _by_id_token(call, provider, body["id_token"])
    identity = link.Identity(
        provider,
        tokens,
        profile,
        sign_up_disabled=back.refuses_sign_up(provider, bool(body.get("request_sign_up"))),
        callback_url=body.get("callback_url"),
    )
    try:
        return link.enter(call, identity, _signed_in)
    except link.Refusal as refusal:
        if refusal.code == "email_not_verified":
            raise APIError(CoreErrors.EMAIL_NOT_VERIFIED) from refusal
        if refusal.code == "email_not_found":
            raise APIError(CoreErrors.USER_EMAIL_NOT_FOUND) from refusal
        raise APIError(CoreErrors.OAUTH_LINK_ERROR, message=refusal.words) from refusal


def _signed_in(session: Record, user: Record, is_new: bool) -> Reply:
    return Reply({"redirect": False, "token": session.token, "user": user})


class LinkSocialResult(WireSchema):
    url = Str()
    redirect = Bool()
    status = Bool()


@routes.post(
    "/link-social",
    body=LinkSocialBody,
    returns=LinkSocialResult,
    guards=[guards.sensitive_session],
    needs_headers=True,
    raises=[
        CoreErrors.PROVIDER_NOT_FOUND,
        CoreErrors.ID_TOKEN_NOT_SUPPORTED,
        CoreErrors.INVALID_TOKEN,
        CoreErrors.FAILED_TO_GET_USER_INFO,
        CoreErrors.USER_EMAIL_NOT_FOUND,
        CoreErrors.SOCIAL_ACCOUNT_ALREADY_LINKED,
        CoreErrors.LINKING_NOT_ALLOWED,
        CoreErrors.LINKING_DIFFERENT_EMAILS_NOT_ALLOWED,
        CoreErrors.LINKING_FAILED,
    ],
)
def link_social_account(call: Call) -> Reply:
    """Add an account of a provider to the caller's ways of signing in, as ``sign_in_social`` signs in."""
    provider, (session, user) = _provider(call), call.signed_in
    if "id_token" not in call.body:
        return _leave(call, provider, link=state.link_of(session, user))
    tokens, profile = _by_id_token(call, provider, call.body["id_token"])
    if profile.email is None:
        raise APIError(CoreErrors.USER_EMAIL_NOT_FOUND)
    owner = link.owner_id(call, provider, profile)
    if owner is not None and owner != user.id:
        raise APIError(CoreErrors.SOCIAL_ACCOUNT_ALREADY_LINKED)
    reason = None if owner else link.objection(call, provider, profile, user, explicit=True)
    if reason is link.Reason.OTHER_ADDRESS:
        raise APIError(CoreErrors.LINKING_DIFFERENT_EMAILS_NOT_ALLOWED)
    if reason is not None:
        raise APIError(CoreErrors.LINKING_NOT_ALLOWED)
    try:
        link.attach(call, provider, tokens, profile, session, user)
    except link.Refusal as refusal:
        if refusal.code == "account_already_linked_to_different_user":
            raise APIError(CoreErrors.SOCIAL_ACCOUNT_ALREADY_LINKED) from refusal
        raise APIError(CoreErrors.LINKING_FAILED) from refusal
    return Reply({"url": "", "status": True, "redirect": False})


class CallbackQuery(WireSchema):
    code = Str(opaque=True)
    error = Str(opaque=True)
    device_id = Str(data_key="device_id", opaque=True)
    error_description = Str(data_key="error_description", opaque=True)
    state = Str(opaque=True)
    user = Str(opaque=True)
    iss = Str(opaque=True)


@routes.route(
    "/callback/<id>",
    methods=("GET", "POST"),
    query=CallbackQuery,
    body=CallbackQuery,
    optional_body=True,
    media_types=(FORM, JSON),
    # what an application's hook refuses with becomes a redirect too
    raises=[],
)
def callback_oauth(call: Call) -> Reply:
    """What a provider sends a browser back to; every end of it is a redirect."""
    if call.request.method == "POST" and not call.internal:
        # a POST from elsewhere brings no cookies, and so no proof that the browser is the one that began (SECURITY J11)
        sent = urlencode({**call.body, **call.query})
        raise redirect(f"{call.base_url}/callback/{call.params['id']}?{sent}")
    return redirected(_come_back(call, {**call.body, **call.query}))


def _come_back(call: Call, sent: Mapping[str, str]) -> Reply:
    provider = call.state.providers.get(call.params["id"])
    if "state" not in sent and sent.get("code") and provider is not None and provider.allow_idp_initiated:
        try:
            return Reply(location=start.authorization_url(call, provider))
        except APIError as error:
            if error.code != CoreErrors.SERVICE_UNAVAILABLE.code:
                raise
            return back.lost(call, "service_unavailable", None)
    try:
        flow = call.flow = state.resume(call, sent.get("state"))
    except state.StateError as error:
        return back.lost(call, error.code, error.flow.error_url if error.flow else None)
    return back.concluded(call, flow.error_url, lambda: back.settle(call, flow, back.identified(call, flow, sent)))


def _leave(call: Call, provider: Provider, **flow: Any) -> Reply:
    """Send the browser to the provider."""
    body = call.body
    url = start.authorization_url(
        call,
        provider,
        scopes=body.get("scopes") or (),
        login_hint=body.get("login_hint"),
        params=body.get("additional_params"),
        callback_url=body.get("callback_url"),
        error_url=body.get("error_callback_url"),
        request_sign_up=body.get("request_sign_up"),
        additional=body.get("additional_data"),
        **flow,
    )
    stays = bool(body.get("disable_redirect"))
    return Reply({"url": url, "redirect": not stays}, location=None if stays else url)


def _provider(call: Call) -> Provider:
    provider = call.state.providers.get(call.body["provider"])
    if provider is None:
        raise APIError(CoreErrors.PROVIDER_NOT_FOUND)
    return provider


def _by_id_token(call: Call, provider: Provider, given: Mapping[str, Any]) -> tuple[Tokens, Profile]:
    """Who is there, by the ID token that the client got from the provider (SECURITY J6)."""
    if not provider.accepts_id_tokens:
        raise APIError(CoreErrors.ID_TOKEN_NOT_SUPPORTED)
    client = call.state.once(provider.client)
    try:
        provider.verify_id_token(client, given["token"], given.get("nonce"))
    except ProviderError as error:
        tell(call, provider, error)
        raise APIError(CoreErrors.INVALID_TOKEN) from error
    tokens = Tokens(given.get("access_token"), given.get("refresh_token"), given["token"])
    try:
        return tokens, provider.profile(client, tokens, user=given.get("user"))
    except ProviderError as error:
        tell(call, provider, error)
        raise APIError(CoreErrors.FAILED_TO_GET_USER_INFO, status=401) from error
