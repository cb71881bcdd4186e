"""OAuth popup: signing in with a provider in a window of its own, which tells the page that opened it how it went."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

from jinja2.utils import htmlsafe_json_dumps

from .. import urls, wire
from ..context import AuthState, Call, Reply
from ..cookies import Cookie
from ..endpoint import Routes
from ..errors import APIError, CoreErrors
from ..hooks import Hook, Hooks
from ..oauth import start
from ..plugin import Plugin
from ..wire import Str, WireSchema, wire_name

#: What the message to the page, and the place of the data in ours, are called.
_TYPE, _DATA_ID = "better-auth:oauth-popup", "better-auth-oauth-popup"
#: What a flow knows of the popup that it was begun for.
_MARK = "oauth_popup"
_LIFE = timedelta(minutes=10)

# the target is checked by the server, and once more by the browser: no page but one of that origin gets the message
_SCRIPT = f"""
const {{ {wire_name("target_origin")}: target, ...message }} = JSON.parse(document.getElementById("{_DATA_ID}").text);
try {{
  if (window.opener) window.opener.postMessage(message, target);
}} finally {{
  window.close();
}}
"""
_PAGE = f"""\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Completing sign-in</title></head>
<body>
<p>You can close this window.</p>
<script type="application/json" id="{_DATA_ID}">%s</script>
<script>{_SCRIPT}</script>
</body>
</html>"""
_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
#: Under any other policy for openers, in an answer on the way too, the browser cuts the window off from its page.
_OPENED = {"Cross-Origin-Opener-Policy": "unsafe-none"}
_HEADERS = {
    **_OPENED,
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
}


@dataclass(frozen=True)
class _Popup:
    """A window that was opened for a sign-in: by whom, and what tells its message from others."""

    origin: str
    nonce: str

    def page(self, location: str | None = None, **message: Any) -> Reply:
        """The page that tells how it went, and closes."""
        data = {"type": _TYPE, "target_origin": self.origin, "nonce": self.nonce, **message}
        shown = htmlsafe_json_dumps({wire_name(n): v for n, v in data.items()}, separators=(",", ":"))
        return Reply(html=_PAGE % shown, location=location, headers=dict(_HEADERS))

    def failed(self, code: str, description: str | None, location: str | None = None) -> Reply:
        """The page that tells that nobody was signed in."""
        more = {} if description is None else {"description": description}
        return self.page(location, error={"code": code, **more})


routes = Routes()


class OAuthPopupStartQuery(WireSchema):
    provider = Str(required=True)
    popup_origin = Str(required=True)
    popup_nonce = Str(load_default="")
    callback_url = Str()
    error_callback_url = Str()
    new_user_callback_url = Str()
    scopes = Str(load_default="")
    request_sign_up = Str()
    additional_data = Str(load_default="")


#: Where a window may be sent afterwards, and what the page is told of a place that is not trusted.
_TARGETS = {
    "callback_url": "invalid_callback_url",
    "error_callback_url": "invalid_error_callback_url",
    "new_user_callback_url": "invalid_new_user_callback_url",
}


@routes.get("/oauth-popup/start", query=OAuthPopupStartQuery, raises=[CoreErrors.INVALID_ORIGIN])
def oauth_popup_start(call: Call) -> Reply:
    """Send a popup to a provider. A page on a trusted origin has opened it, and that origin alone hears of the end."""
    query, trusted = call.query, call.state.trusted_origins(call.request)
    if not urls.is_trusted_origin(query["popup_origin"], trusted):
        raise APIError(CoreErrors.INVALID_ORIGIN)
    popup = _Popup(urls.origin_of(query["popup_origin"]) or query["popup_origin"], query["popup_nonce"])
    for name, code in _TARGETS.items():
        target = query.get(name)
        if target and not urls.is_trusted_target(target, trusted):
            return popup.failed(code, f"Untrusted URL: {target}")
    provider = call.state.providers.get(query["provider"])
    if provider is None:
        return popup.failed("provider_not_found", f"Unknown provider: {query['provider']}")
    if call.config.hardening:
        call.server_context[_MARK] = popup.nonce
    try:
        url = start.authorization_url(
            call,
            provider,
            scopes=[scope for scope in query["scopes"].split(",") if scope],
            callback_url=query.get("callback_url") or call.base_url,
            error_url=query.get("error_callback_url"),
            new_user_url=query.get("new_user_callback_url"),
            request_sign_up=query.get("request_sign_up") == "true",
            additional=_additional(query["additional_data"]),
        )
    except APIError:
        return popup.failed("popup_sign_in_failed", "Failed to start the OAuth flow.")
    _remember(call, popup)
    raise APIError.redirect(url, _OPENED)


def _additional(text: str) -> Mapping[str, Any]:
    """What the client wants to be kept; nothing, if it is no object."""
    with suppress(ValueError):
        value = wire.parse_json(text.encode())
        return value if isinstance(value, dict) else {}
    return {}


# ---------------------------------------------------------------- from start to end


def _cookie(state: AuthState) -> Cookie:
    return state.cookies.cookie("oauth_popup", max_age=_LIFE)


_ORIGIN, _NONCE = wire_name("popup_origin"), wire_name("popup_nonce")


def _remember(call: Call, popup: _Popup) -> None:
    cookie, kept = call.state.once(_cookie), wire.dumps({_ORIGIN: popup.origin, _NONCE: popup.nonce}).decode()
    call.cookies.set(cookie, call.state.cookies.signed(kept), max_age=cookie.attributes.max_age)


def _remembered(call: Call) -> _Popup | None:
    """The popup that the browser was last sent off in, if its page is trusted still."""
    kept = call.state.cookies.read(call.request.cookies, call.state.once(_cookie))
    with suppress(ValueError):
        found = wire.parse_json((kept or "").encode())
        origin, nonce = (found.get(_ORIGIN), found.get(_NONCE)) if isinstance(found, dict) else (None, None)
        if isinstance(origin, str) and isinstance(nonce, str):
            trusted = call.state.trusted_origins(call.request)
            return _Popup(origin, nonce) if urls.is_trusted_origin(origin, trusted) else None
    return None


def _comes_back(call: Call) -> bool:
    """Whether a browser comes back from a provider; a POST only sends it here by GET."""
    path = (call.endpoint.path if call.endpoint else None) or ""
    return path.startswith(("/callback/", "/oauth2/callback/")) and call.request.method == "GET"


def _tell(call: Call) -> Reply | None:
    """Answer with the page in place of a redirect, where it is a popup that came back."""
    location = _location(call.returned)
    popup = _remembered(call) if location else None
    if not location or popup is None or not _is_of(popup, call):
        return None
    call.cookies.expire(call.state.once(_cookie))
    token = call.cookies.value(call.state.cookies.session_token)
    if token:
        return popup.page(location, token=unquote(token), redirect_to=location)
    said = {name: values[0] for name, values in parse_qs(location.partition("#")[0].partition("?")[2]).items()}
    return popup.failed(said["error"], said.get("error_description"), location) if "error" in said else None


def _location(returned: Reply | APIError | None) -> str | None:
    if isinstance(returned, APIError):
        return returned.headers.get("Location")
    return returned.location if returned is not None else None


def _is_of(popup: _Popup, call: Call) -> bool:
    """Whether the sign-in that ends here was begun in the popup. As long as its cookie lives, one that began otherwise
    would end on a page that has nobody to talk to."""
    flow = call.flow
    return flow is None or not call.config.hardening or flow.server_context.get(_MARK) == popup.nonce


class OAuthPopup(Plugin):
    """Signing in with a provider in a popup (reference plugin ``oauth-popup``).

    A page that is embedded in another site gets no cookies there: it uses the token of the message, and needs
    ``Bearer``.
    """

    id = "oauth-popup"
    routes = routes
    hooks = Hooks(after=Hook(_tell, _comes_back))
