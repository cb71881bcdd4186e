"""What providers gave the caller: access tokens, and what they say of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validates_schema

from .. import clock
from ..context import Call, Record, Reply
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..oauth.provider import Provider, ProviderError, Tokens, tell
from ..services import accounts, records, sessions
from ..wire import Bool, Id, Named, Str, WireSchema

routes = Routes()

#: A token that is over so soon is of no use to whoever gets it.
_SECONDS_LEFT = 5


class AccountSelection(WireSchema):
    """One account: by its identifier, or the one in the account cookie."""

    refusal = "Invalid input"

    account_id = Str()
    use_account_cookie = Bool()
    user_id = Str()  # what a session says counts; see ``AccountOfUser``

    @validates_schema
    def _is_one_of_both(self, data: Mapping[str, Any], **_: Any) -> None:
        if ("account_id" in data) == ("use_account_cookie" in data) or data.get("use_account_cookie") is False:
            raise ValidationError(self.refusal)


class AccountOfUser(WireSchema):
    user_id = Id(required=True)


class AccessTokenResult(WireSchema):
    access_token = Str()
    access_token_expires_at = fields.AwareDateTime()
    scopes = fields.List(Str())
    id_token = Str()


_REFUSALS = (
    CoreErrors.UNAUTHORIZED,
    CoreErrors.USER_ID_OR_SESSION_REQUIRED,
    CoreErrors.ACCOUNT_NOT_FOUND,
    CoreErrors.PROVIDER_NOT_SUPPORTED,
)


@routes.post(
    "/get-access-token",
    body=AccountSelection,
    privileged=AccountOfUser,
    returns=AccessTokenResult,
    raises=[*_REFUSALS, CoreErrors.FAILED_TO_GET_ACCESS_TOKEN],
)
def get_access_token(call: Call) -> Reply:
    """Get an access token of one of the caller's accounts, a new one if it is over; the server may name any user."""
    account = _account(call, call.body)
    return Reply(_valid(call, account))


class RefreshTokenResult(WireSchema):
    access_token = Str()
    refresh_token = Str()
    access_token_expires_at = fields.AwareDateTime()
    refresh_token_expires_at = fields.AwareDateTime(allow_none=True)
    scope = Str(allow_none=True)
    id_token = Str(allow_none=True)
    provider_id = Str()
    account_id = Str()


@routes.post(
    "/refresh-token",
    body=AccountSelection,
    privileged=AccountOfUser,
    returns=RefreshTokenResult,
    raises=[
        *_REFUSALS,
        CoreErrors.TOKEN_REFRESH_NOT_SUPPORTED,
        CoreErrors.REFRESH_TOKEN_NOT_FOUND,
        CoreErrors.FAILED_TO_REFRESH_ACCESS_TOKEN,
    ],
)
def refresh_token(call: Call) -> Reply:
    """Get new tokens of one of the caller's accounts from its provider."""
    account = _account(call, call.body)
    provider = _provider(call, account)
    if not provider.refreshes:
        message = f"Provider {account.provider_id} does not support token refreshing."
        raise APIError(CoreErrors.TOKEN_REFRESH_NOT_SUPPORTED, message=message)
    if not account.refresh_token:
        raise APIError(CoreErrors.REFRESH_TOKEN_NOT_FOUND)
    try:
        old, tokens, account = _refreshed(call, provider, account)
    except ProviderError as error:
        raise _failed(call, provider, error, CoreErrors.FAILED_TO_REFRESH_ACCESS_TOKEN) from error
    if call.body.get("use_account_cookie"):
        call.keep_account(account)
    body = {
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token or old,
        "access_token_expires_at": tokens.access_token_expires_at,
        "refresh_token_expires_at": account.refresh_token_expires_at,
        "scope": account.scope,
        "id_token": account.id_token,
        "provider_id": account.provider_id,
        "account_id": account.id,
    }
    absent = [name for name in ("access_token", "access_token_expires_at") if body[name] is None]
    return Reply({name: value for name, value in body.items() if name not in absent})


class AccountAtProvider(WireSchema):
    id = Str()
    provider_id = Str()
    account_id = Str()


class AccountInfoResult(WireSchema):
    user = Named()
    data = fields.Dict()
    account = fields.Nested(AccountAtProvider)


@routes.get(
    "/account-info",
    query=AccountSelection,
    privileged=AccountOfUser,
    returns=AccountInfoResult,
    raises=[
        *_REFUSALS,
        CoreErrors.PROVIDER_NOT_CONFIGURED,
        CoreErrors.FAILED_TO_GET_ACCESS_TOKEN,
        CoreErrors.ACCESS_TOKEN_NOT_FOUND,
        CoreErrors.FAILED_TO_GET_USER_INFO,
    ],
)
def account_info(call: Call) -> Reply:
    """What a provider says of the caller at this moment."""
    account = _account(call, call.query)
    provider = call.state.providers.get(account.provider_id)
    if provider is None:
        raise APIError(CoreErrors.PROVIDER_NOT_CONFIGURED)
    token = _valid(call, account)
    if not token.get("access_token"):
        raise APIError(CoreErrors.ACCESS_TOKEN_NOT_FOUND)
    tokens = Tokens(token["access_token"], id_token=token.get("id_token"), scopes=tuple(token["scopes"]), stored=True)
    try:
        profile = provider.profile(call.state.once(provider.client), tokens)
    except ProviderError as error:
        tell(call, provider, error)
        raise APIError(CoreErrors.FAILED_TO_GET_USER_INFO, status=401) from error
    shown = {name: account[name] for name in ("id", "provider_id", "account_id")}
    return Reply({"user": profile.user, "data": profile.data, "account": shown})


# ---------------------------------------------------------------- which account


def _account(call: Call, chosen: Mapping[str, Any]) -> Record:
    """The account that was chosen, of whom it is asked for."""
    user_id = _user_id(call)
    if chosen.get("account_id") is not None:
        found = _stored(call, user_id, chosen["account_id"])
    else:
        found = call.kept_account(user_id)
    if found is None:
        raise APIError(CoreErrors.ACCOUNT_NOT_FOUND)
    return found


def _stored(call: Call, user_id: str, account_id: str) -> Record | None:
    """One of a user's accounts."""
    theirs = accounts.list_all(call, Record(id=user_id))
    return next((account for account in theirs if account.id == account_id), None)


def _user_id(call: Call) -> str:
    """Who is asked about: the caller, whatever they say, or whom server code names."""
    if call.privileged:
        named: str = call.privileged["user_id"]
        return named
    # the session itself: an access token is worth more than being shown who is signed in
    if sessions.load(call, purpose=sessions.Purpose.GUARD_AND_RENEW):
        return str(call.signed_in[1].id)
    if call.internal and "Cookie" not in call.request.headers and "Authorization" not in call.request.headers:
        raise APIError(CoreErrors.USER_ID_OR_SESSION_REQUIRED)
    raise APIError(CoreErrors.UNAUTHORIZED) if call.config.hardening else APIError.bare(401)


def _provider(call: Call, account: Record) -> Provider:
    provider = call.state.providers.get(account.provider_id)
    if provider is None:
        message = f"Provider {account.provider_id} is not supported."
        raise APIError(CoreErrors.PROVIDER_NOT_SUPPORTED, message=message)
    return provider


# ---------------------------------------------------------------- tokens


def _valid(call: Call, account: Record) -> dict[str, Any]:
    """An access token that is not over, as clients get it."""
    provider, token = _provider(call, account), None
    try:
        if _is_over(account) and account.refresh_token and provider.refreshes:
            _, tokens, account = _refreshed(call, provider, account)
            call.keep_account(account)
            token = tokens.access_token
        token = token or accounts.revealed(call, account.access_token) or ""
    except (ProviderError, ValueError) as error:
        raise _failed(call, provider, error, CoreErrors.FAILED_TO_GET_ACCESS_TOKEN) from error
    found = {
        "access_token": token,
        "access_token_expires_at": account.access_token_expires_at,
        "scopes": accounts.scopes(account),
        "id_token": account.id_token,
    }
    return {name: value for name, value in found.items() if value is not None}


def _is_over(account: Record) -> bool:
    ends = account.access_token_expires_at
    return ends is not None and (ends - clock.now()).total_seconds() < _SECONDS_LEFT


def _refreshed(call: Call, provider: Provider, account: Record) -> tuple[str, Tokens, Record]:
    """The refresh token that was used, the new tokens, and the account that holds them now."""
    try:
        old = accounts.revealed(call, account.refresh_token) or ""
    except ValueError:
        raise ProviderError("the refresh token was encrypted by a secret that is gone") from None
    records.foresee_conflict(call)  # with the new refresh token in hand the old one may be void
    try:
        tokens = provider.refresh(call.state.once(provider.client), old)
    except ProviderError:
        newer = _stored(call, account.user_id, account.id)
        if newer is None or newer.refresh_token == account.refresh_token:
            raise
        # a provider may take a refresh token once, and somebody was faster, or the account cookie is older
        return _refreshed(call, provider, newer) if _is_over(newer) else (old, _tokens(call, newer), newer)
    data = {
        "access_token": accounts.sealed(call, tokens.access_token) or account.access_token,
        "access_token_expires_at": tokens.access_token_expires_at or account.access_token_expires_at,
        "refresh_token": accounts.sealed(call, tokens.refresh_token) or account.refresh_token,
        "refresh_token_expires_at": tokens.refresh_token_expires_at or account.refresh_token_expires_at,
        "id_token": tokens.id_token or account.id_token,
    }
    with records.unit(call):
        # a sign-in that stored tokens meanwhile has the newer ones: they are not written over
        unchanged = call.state.tables["account"].columns["refresh_token"] == account.refresh_token
        records.update(call, "account", account, data, unchanged)
    return old, tokens, Record({**account, **data})


def _tokens(call: Call, account: Record) -> Tokens:
    """What an account holds, as its provider gave it."""
    return Tokens(
        accounts.revealed(call, account.access_token),
        accounts.revealed(call, account.refresh_token),
        access_token_expires_at=account.access_token_expires_at,
    )


def _failed(call: Call, provider: Provider, error: Exception, code: Any) -> APIError:
    tell(call, provider, error)
    return APIError(code)
