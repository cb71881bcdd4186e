"""Taking a browser back from a provider: who was there, what was wanted, and where it goes then."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .. import urls
from ..context import Call, Record, Reply
from ..errors import APIError
from . import link, start, state
from .provider import Arrival, Profile, Provider, ProviderError, Tokens, tell

#: How much of what a provider said goes into an address.
_LONGEST_ERROR = 1000


def concluded(call: Call, error_url: str | None, conclude: Callable[[], Reply]) -> Reply:
    """What ``conclude`` answers, or the redirect that says why nobody gets in.

    Args:
        call: the call.
        error_url: the page that shows it, if the flow has one of its own.
        conclude: raises a ``Refusal``, or what hooks and plugins refuse with.
    """
    try:
        return conclude()
    except link.Refusal as refusal:
        return lost(call, refusal.code, error_url, refusal.description)
    except APIError as error:
        if error.code is None or error.status_code >= 500:
            raise
        return lost(call, error.code, error_url, error.message)


def identified(call: Call, flow: state.Flow, sent: Mapping[str, str]) -> link.Identity:
    """Who a provider sent back.

    Args:
        call: the callback.
        flow: what the browser had begun.
        sent: what it brought.

    Raises:
        Refusal: nobody.
    """
    provider = call.state.providers.get(call.params["id"])
    if sent.get("error"):
        raise link.Refusal(sent["error"], sent.get("error_description"))
    if not sent.get("code"):
        raise link.Refusal("no_code")
    if provider is None:
        raise link.Refusal("oauth_provider_not_found")
    if flow.provider_id is not None and flow.provider_id != provider.id:
        raise link.Refusal("state_mismatch")  # mix-up: the code is another provider's (SECURITY J4)
    tokens, profile = _exchanged(call, provider, flow, sent)
    return link.Identity(
        provider,
        tokens,
        profile,
        sign_up_disabled=refuses_sign_up(provider, flow.request_sign_up),
        overrides=provider.override_user_info,
        callback_url=flow.callback_url,
    )


def settle(call: Call, flow: state.Flow, identity: link.Identity) -> Reply:
    """Do what a flow was begun for, with who turned out to be there.

    Raises:
        Refusal: that identity does not get in, or is not added.
        APIError: a hook or a plugin refuses.
    """
    if flow.link is not None:
        link.add(call, identity.provider, identity.tokens, identity.profile, flow.link)
        return Reply(location=flow.callback_url)

    def answer(session: Record, user: Record, is_new: bool) -> Reply:
        return Reply(location=(flow.new_user_url if is_new else None) or flow.callback_url)

    return link.enter(call, identity, answer)


def _exchanged(call: Call, provider: Provider, flow: state.Flow, sent: Mapping[str, str]) -> tuple[Tokens, Profile]:
    """Who is there, by the code that the browser brought."""
    client = call.state.once(provider.client)
    arrival = Arrival(
        sent["code"], flow.code_verifier, start.redirect_uri(call, provider), flow.nonce, sent.get("device_id")
    )
    try:
        if sent.get("iss") and sent["iss"] != (provider.issuer(client) or sent["iss"]):
            raise link.Refusal("issuer_mismatch")
        if provider.binds_nonce(client) and not flow.nonce:
            raise link.Refusal("nonce_binding_missing")
        tokens = provider.exchange(client, arrival)
    except ProviderError as error:
        tell(call, provider, error)
        raise link.Refusal("invalid_code") from error
    try:
        return tokens, provider.profile(client, tokens, nonce=flow.nonce, user=sent.get("user"))
    except ProviderError as error:
        tell(call, provider, error)
        raise link.Refusal("unable_to_get_user_info") from error


def lost(call: Call, code: str, error_url: str | None, description: str | None = None) -> Reply:
    """The redirect to the page that shows an error; what a provider said of it is its parameter and nothing else
    (SECURITY J10)."""
    target = error_url or call.config.on_api_error.error_url or f"{call.base_url}/error"
    target = urls.with_query(target, "error", code[:_LONGEST_ERROR])
    if description:
        target = urls.with_query(target, "error_description", description[:_LONGEST_ERROR])
    return Reply(location=target)


def refuses_sign_up(provider: Provider, requested: bool) -> bool:
    """Whether nobody becomes a user by a provider, or nobody who does not ask for it."""
    return provider.disable_sign_up or (provider.disable_implicit_sign_up and not requested)
