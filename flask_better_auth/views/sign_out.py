"""Signing out."""

from __future__ import annotations

from urllib.parse import urljoin

from ..context import Call, Record, Reply
from ..endpoint import Routes
from ..oauth.provider import ProviderError, tell
from ..services import accounts, sessions
from ..wire import Bool, Str, WireSchema

routes = Routes()


class SignOutBody(WireSchema):
    callback_url = Str()
    disable_redirect = Bool()
    state = Str()


class SignOutResult(WireSchema):
    success = Bool()
    url = Str()
    redirect = Bool()


@routes.post("/sign-out", body=SignOutBody, returns=SignOutResult, optional_body=True, needs_headers=True)
def sign_out(call: Call) -> Reply:
    """End the caller's session; the answer says where a provider ends its own, if one can. It never fails: a browser
    without a session is signed out already."""
    user = None
    if sessions.load(call, refresh=False, writing=False):
        session, user = call.signed_in
        sessions.revoke(call, session)
    call.clear_session()
    url = _end_at_provider(call, user) if user is not None else None
    if url is None:
        return Reply({"success": True})
    stays = bool(call.body.get("disable_redirect"))
    return Reply({"success": True, "url": url, "redirect": not stays}, location=None if stays else url)


def _end_at_provider(call: Call, user: Record) -> str | None:
    """Where the provider that the user was signed in by last ends its session; nothing, if none can."""
    able = {provider_id: provider for provider_id, provider in call.state.providers.items() if provider.ends_sessions}
    theirs = accounts.list_all(call, user) if able else []
    for account in sorted(theirs, key=lambda account: account.updated_at, reverse=True):
        provider = able.pop(account.provider_id, None)  # one account of each provider
        if provider is None:
            continue
        target = call.body.get("callback_url") or provider.post_logout_redirect_uri
        try:
            url = provider.end_session_url(
                call.state.once(provider.client),
                id_token=account.id_token,
                redirect_uri=urljoin(call.base_url, target) if target else None,
                state=call.body.get("state"),
            )
        except ProviderError as error:
            tell(call, provider, error)
            continue
        if url is not None:
            return url
    return None
