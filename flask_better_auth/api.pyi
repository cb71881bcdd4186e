"""Generated from the declarations of the endpoints by .ci/api_stub.py."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias, overload
from uuid import UUID

from flask import Response
from sqlalchemy.orm import Session, scoped_session
from werkzeug.datastructures import Headers

from .context import AuthState
from .errors import APIError as APIError

__all__ = ["API", "APIError"]

_Fields: TypeAlias = Mapping[str, Any] | None
_Headers: TypeAlias = Mapping[str, str] | Headers | None
_Session: TypeAlias = Session | scoped_session[Any] | None

class API:
    def __init__(self, names: Iterable[str], find_state: Callable[[], AuthState]) -> None: ...
    def __getattr__(self, name: str) -> Callable[..., Any]: ...
    def __dir__(self) -> list[str]: ...
    @overload
    def account_info(
        self,
        *,
        account_id: str = ...,
        use_account_cookie: bool = ...,
        user_id: str | int | UUID = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """What a provider says of the caller at this moment."""
    @overload
    def account_info(
        self,
        *,
        account_id: str = ...,
        use_account_cookie: bool = ...,
        user_id: str | int | UUID = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """What a provider says of the caller at this moment."""
    @overload
    def account_info(
        self,
        *,
        account_id: str = ...,
        use_account_cookie: bool = ...,
        user_id: str | int | UUID = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """What a provider says of the caller at this moment."""
    @overload
    def callback_oauth(
        self,
        *,
        id: str,
        code: str = ...,
        error: str = ...,
        device_id: str = ...,
        error_description: str = ...,
        state: str = ...,
        user: str = ...,
        iss: str = ...,
        body: _Fields = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> Any:
        """What a provider sends a browser back to; every end of it is a redirect."""
    @overload
    def callback_oauth(
        self,
        *,
        id: str,
        code: str = ...,
        error: str = ...,
        device_id: str = ...,
        error_description: str = ...,
        state: str = ...,
        user: str = ...,
        iss: str = ...,
        body: _Fields = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """What a provider sends a browser back to; every end of it is a redirect."""
    @overload
    def callback_oauth(
        self,
        *,
        id: str,
        code: str = ...,
        error: str = ...,
        device_id: str = ...,
        error_description: str = ...,
        state: str = ...,
        user: str = ...,
        iss: str = ...,
        body: _Fields = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """What a provider sends a browser back to; every end of it is a redirect."""
    @overload
    def change_email(
        self,
        *,
        new_email: str = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Change the caller's address once the new one is proven; the answer is the same whether it is somebody's."""
    @overload
    def change_email(
        self,
        *,
        new_email: str = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Change the caller's address once the new one is proven; the answer is the same whether it is somebody's."""
    @overload
    def change_email(
        self,
        *,
        new_email: str = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Change the caller's address once the new one is proven; the answer is the same whether it is somebody's."""
    @overload
    def change_password(
        self,
        *,
        new_password: str = ...,
        current_password: str = ...,
        revoke_other_sessions: bool = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Change the caller's password; with ``revoke_other_sessions`` their only session is then a new one."""
    @overload
    def change_password(
        self,
        *,
        new_password: str = ...,
        current_password: str = ...,
        revoke_other_sessions: bool = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Change the caller's password; with ``revoke_other_sessions`` their only session is then a new one."""
    @overload
    def change_password(
        self,
        *,
        new_password: str = ...,
        current_password: str = ...,
        revoke_other_sessions: bool = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Change the caller's password; with ``revoke_other_sessions`` their only session is then a new one."""
    @overload
    def cleanup(
        self, *, headers: _Headers = ..., session: _Session = ..., as_response: Literal[False] = ...
    ) -> dict[str, Any]:
        """Delete expired sessions and verifications, and tell how many there were of each. Safe at any time."""
    @overload
    def cleanup(self, *, headers: _Headers = ..., session: _Session = ..., as_response: Literal[True]) -> Response:
        """Delete expired sessions and verifications, and tell how many there were of each. Safe at any time."""
    @overload
    def cleanup(
        self, *, headers: _Headers = ..., session: _Session = ..., return_headers: bool = ..., return_status: bool = ...
    ) -> Any:
        """Delete expired sessions and verifications, and tell how many there were of each. Safe at any time."""
    @overload
    def create_user(
        self,
        *,
        name: str = ...,
        email: str = ...,
        password: str = ...,
        image: str = ...,
        email_verified: bool = ...,
        data: Mapping[str, Any] = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
        **columns: Any,
    ) -> dict[str, Any]:
        """Create a user from the server, without a session; additional fields stand beside the others or in
        ``data``."""
    @overload
    def create_user(
        self,
        *,
        name: str = ...,
        email: str = ...,
        password: str = ...,
        image: str = ...,
        email_verified: bool = ...,
        data: Mapping[str, Any] = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
        **columns: Any,
    ) -> Response:
        """Create a user from the server, without a session; additional fields stand beside the others or in
        ``data``."""
    @overload
    def create_user(
        self,
        *,
        name: str = ...,
        email: str = ...,
        password: str = ...,
        image: str = ...,
        email_verified: bool = ...,
        data: Mapping[str, Any] = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
        **columns: Any,
    ) -> Any:
        """Create a user from the server, without a session; additional fields stand beside the others or in
        ``data``."""
    @overload
    def delete_user(
        self,
        *,
        callback_url: str = ...,
        password: str = ...,
        token: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Delete the caller: by their password, by a session that was opened lately, or by the token in a mail;
        where mails are configured, send one unless it brings that token."""
    @overload
    def delete_user(
        self,
        *,
        callback_url: str = ...,
        password: str = ...,
        token: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Delete the caller: by their password, by a session that was opened lately, or by the token in a mail;
        where mails are configured, send one unless it brings that token."""
    @overload
    def delete_user(
        self,
        *,
        callback_url: str = ...,
        password: str = ...,
        token: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Delete the caller: by their password, by a session that was opened lately, or by the token in a mail;
        where mails are configured, send one unless it brings that token."""
    @overload
    def delete_user_callback(
        self,
        *,
        token: str = ...,
        callback_url: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Delete the caller by the link in the mail. It needs their session too: whoever looks into mails and
        follows links deletes nobody (SECURITY H10)."""
    @overload
    def delete_user_callback(
        self,
        *,
        token: str = ...,
        callback_url: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Delete the caller by the link in the mail. It needs their session too: whoever looks into mails and
        follows links deletes nobody (SECURITY H10)."""
    @overload
    def delete_user_callback(
        self,
        *,
        token: str = ...,
        callback_url: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Delete the caller by the link in the mail. It needs their session too: whoever looks into mails and
        follows links deletes nobody (SECURITY H10)."""
    @overload
    def error(
        self,
        *,
        error: str = ...,
        error_description: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> Any:
        """Show an error to a browser that a redirect brought here; in production, on the application's own page."""
    @overload
    def error(
        self,
        *,
        error: str = ...,
        error_description: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Show an error to a browser that a redirect brought here; in production, on the application's own page."""
    @overload
    def error(
        self,
        *,
        error: str = ...,
        error_description: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Show an error to a browser that a redirect brought here; in production, on the application's own page."""
    @overload
    def get_access_token(
        self,
        *,
        account_id: str = ...,
        use_account_cookie: bool = ...,
        user_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Get an access token of one of the caller's accounts, a new one if it is over; the server may name any
        user."""
    @overload
    def get_access_token(
        self,
        *,
        account_id: str = ...,
        use_account_cookie: bool = ...,
        user_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Get an access token of one of the caller's accounts, a new one if it is over; the server may name any
        user."""
    @overload
    def get_access_token(
        self,
        *,
        account_id: str = ...,
        use_account_cookie: bool = ...,
        user_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Get an access token of one of the caller's accounts, a new one if it is over; the server may name any
        user."""
    @overload
    def get_session(
        self,
        *,
        disable_cookie_cache: bool = ...,
        disable_refresh: bool = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any] | None:
        """Tell who is signed in; null if nobody is."""
    @overload
    def get_session(
        self,
        *,
        disable_cookie_cache: bool = ...,
        disable_refresh: bool = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Tell who is signed in; null if nobody is."""
    @overload
    def get_session(
        self,
        *,
        disable_cookie_cache: bool = ...,
        disable_refresh: bool = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Tell who is signed in; null if nobody is."""
    @overload
    def is_username_available(
        self,
        *,
        username: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Tell whether nobody has a username. This discloses which ones exist, by design; ``disabled_paths`` ends
        it."""
    @overload
    def is_username_available(
        self,
        *,
        username: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Tell whether nobody has a username. This discloses which ones exist, by design; ``disabled_paths`` ends
        it."""
    @overload
    def is_username_available(
        self,
        *,
        username: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Tell whether nobody has a username. This discloses which ones exist, by design; ``disabled_paths`` ends
        it."""
    @overload
    def link_social_account(
        self,
        *,
        callback_url: str = ...,
        provider: str = ...,
        id_token: Mapping[str, Any] = ...,
        request_sign_up: bool = ...,
        scopes: list[str] = ...,
        error_callback_url: str = ...,
        disable_redirect: bool = ...,
        login_hint: str = ...,
        additional_params: Mapping[str, Any] = ...,
        additional_data: Mapping[str, Any] = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Add an account of a provider to the caller's ways of signing in, as ``sign_in_social`` signs in."""
    @overload
    def link_social_account(
        self,
        *,
        callback_url: str = ...,
        provider: str = ...,
        id_token: Mapping[str, Any] = ...,
        request_sign_up: bool = ...,
        scopes: list[str] = ...,
        error_callback_url: str = ...,
        disable_redirect: bool = ...,
        login_hint: str = ...,
        additional_params: Mapping[str, Any] = ...,
        additional_data: Mapping[str, Any] = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Add an account of a provider to the caller's ways of signing in, as ``sign_in_social`` signs in."""
    @overload
    def link_social_account(
        self,
        *,
        callback_url: str = ...,
        provider: str = ...,
        id_token: Mapping[str, Any] = ...,
        request_sign_up: bool = ...,
        scopes: list[str] = ...,
        error_callback_url: str = ...,
        disable_redirect: bool = ...,
        login_hint: str = ...,
        additional_params: Mapping[str, Any] = ...,
        additional_data: Mapping[str, Any] = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Add an account of a provider to the caller's ways of signing in, as ``sign_in_social`` signs in."""
    @overload
    def list_sessions(
        self,
        *,
        user_id: str | int | UUID = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> list[dict[str, Any]]:
        """List the caller's live sessions, oldest first; for the server, those of ``user_id``."""
    @overload
    def list_sessions(
        self,
        *,
        user_id: str | int | UUID = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """List the caller's live sessions, oldest first; for the server, those of ``user_id``."""
    @overload
    def list_sessions(
        self,
        *,
        user_id: str | int | UUID = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """List the caller's live sessions, oldest first; for the server, those of ``user_id``."""
    @overload
    def list_user_accounts(
        self, *, headers: _Headers = ..., session: _Session = ..., as_response: Literal[False] = ...
    ) -> list[dict[str, Any]]:
        """List the caller's ways of signing in, oldest first, without what they hold (SECURITY J12)."""
    @overload
    def list_user_accounts(
        self, *, headers: _Headers = ..., session: _Session = ..., as_response: Literal[True]
    ) -> Response:
        """List the caller's ways of signing in, oldest first, without what they hold (SECURITY J12)."""
    @overload
    def list_user_accounts(
        self, *, headers: _Headers = ..., session: _Session = ..., return_headers: bool = ..., return_status: bool = ...
    ) -> Any:
        """List the caller's ways of signing in, oldest first, without what they hold (SECURITY J12)."""
    @overload
    def oauth_popup_start(
        self,
        *,
        provider: str = ...,
        popup_origin: str = ...,
        popup_nonce: str = ...,
        callback_url: str = ...,
        error_callback_url: str = ...,
        new_user_callback_url: str = ...,
        scopes: str = ...,
        request_sign_up: str = ...,
        additional_data: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> Any:
        """Send a popup to a provider. A page on a trusted origin has opened it, and that origin alone hears of the
        end."""
    @overload
    def oauth_popup_start(
        self,
        *,
        provider: str = ...,
        popup_origin: str = ...,
        popup_nonce: str = ...,
        callback_url: str = ...,
        error_callback_url: str = ...,
        new_user_callback_url: str = ...,
        scopes: str = ...,
        request_sign_up: str = ...,
        additional_data: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Send a popup to a provider. A page on a trusted origin has opened it, and that origin alone hears of the
        end."""
    @overload
    def oauth_popup_start(
        self,
        *,
        provider: str = ...,
        popup_origin: str = ...,
        popup_nonce: str = ...,
        callback_url: str = ...,
        error_callback_url: str = ...,
        new_user_callback_url: str = ...,
        scopes: str = ...,
        request_sign_up: str = ...,
        additional_data: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Send a popup to a provider. A page on a trusted origin has opened it, and that origin alone hears of the
        end."""
    @overload
    def oauth_proxy(
        self,
        *,
        callback_url: str = ...,
        profile: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> Any:
        """What ``oauth_proxy_completion`` does, under its older address."""
    @overload
    def oauth_proxy(
        self,
        *,
        callback_url: str = ...,
        profile: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """What ``oauth_proxy_completion`` does, under its older address."""
    @overload
    def oauth_proxy(
        self,
        *,
        callback_url: str = ...,
        profile: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """What ``oauth_proxy_completion`` does, under its older address."""
    @overload
    def oauth_proxy_completion(
        self,
        *,
        id: str,
        callback_url: str = ...,
        profile: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> Any:
        """Sign in who comes back from production, where the sign-in began; every end of it is a redirect."""
    @overload
    def oauth_proxy_completion(
        self,
        *,
        id: str,
        callback_url: str = ...,
        profile: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Sign in who comes back from production, where the sign-in began; every end of it is a redirect."""
    @overload
    def oauth_proxy_completion(
        self,
        *,
        id: str,
        callback_url: str = ...,
        profile: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Sign in who comes back from production, where the sign-in began; every end of it is a redirect."""
    @overload
    def ok(
        self, *, headers: _Headers = ..., session: _Session = ..., as_response: Literal[False] = ...
    ) -> dict[str, Any]:
        """Tell that the server answers."""
    @overload
    def ok(self, *, headers: _Headers = ..., session: _Session = ..., as_response: Literal[True]) -> Response:
        """Tell that the server answers."""
    @overload
    def ok(
        self, *, headers: _Headers = ..., session: _Session = ..., return_headers: bool = ..., return_status: bool = ...
    ) -> Any:
        """Tell that the server answers."""
    @overload
    def one_tap_callback(
        self,
        *,
        id_token: str = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Sign in with an ID token of Google One Tap. A callback URL is checked, for the client goes there by
        itself."""
    @overload
    def one_tap_callback(
        self,
        *,
        id_token: str = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Sign in with an ID token of Google One Tap. A callback URL is checked, for the client goes there by
        itself."""
    @overload
    def one_tap_callback(
        self,
        *,
        id_token: str = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Sign in with an ID token of Google One Tap. A callback URL is checked, for the client goes there by
        itself."""
    @overload
    def refresh_token(
        self,
        *,
        account_id: str = ...,
        use_account_cookie: bool = ...,
        user_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Get new tokens of one of the caller's accounts from its provider."""
    @overload
    def refresh_token(
        self,
        *,
        account_id: str = ...,
        use_account_cookie: bool = ...,
        user_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Get new tokens of one of the caller's accounts from its provider."""
    @overload
    def refresh_token(
        self,
        *,
        account_id: str = ...,
        use_account_cookie: bool = ...,
        user_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Get new tokens of one of the caller's accounts from its provider."""
    @overload
    def request_password_reset(
        self,
        *,
        email: str = ...,
        redirect_to: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Send a link to set a new password, if the address has a user; the answer is the same if it has none."""
    @overload
    def request_password_reset(
        self,
        *,
        email: str = ...,
        redirect_to: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Send a link to set a new password, if the address has a user; the answer is the same if it has none."""
    @overload
    def request_password_reset(
        self,
        *,
        email: str = ...,
        redirect_to: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Send a link to set a new password, if the address has a user; the answer is the same if it has none."""
    @overload
    def request_password_reset_callback(
        self,
        *,
        token: str,
        callback_url: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> Any:
        """Lead from the link in the mail to the page that asks for the new password."""
    @overload
    def request_password_reset_callback(
        self,
        *,
        token: str,
        callback_url: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Lead from the link in the mail to the page that asks for the new password."""
    @overload
    def request_password_reset_callback(
        self,
        *,
        token: str,
        callback_url: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Lead from the link in the mail to the page that asks for the new password."""
    @overload
    def reset_password(
        self,
        *,
        new_password: str = ...,
        token: str = ...,
        body: _Fields = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Set a new password by the token of a link."""
    @overload
    def reset_password(
        self,
        *,
        new_password: str = ...,
        token: str = ...,
        body: _Fields = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Set a new password by the token of a link."""
    @overload
    def reset_password(
        self,
        *,
        new_password: str = ...,
        token: str = ...,
        body: _Fields = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Set a new password by the token of a link."""
    @overload
    def revoke_other_sessions(
        self,
        *,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """End all of the caller's sessions but this one."""
    @overload
    def revoke_other_sessions(
        self, *, body: _Fields = ..., headers: _Headers = ..., session: _Session = ..., as_response: Literal[True]
    ) -> Response:
        """End all of the caller's sessions but this one."""
    @overload
    def revoke_other_sessions(
        self,
        *,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """End all of the caller's sessions but this one."""
    @overload
    def revoke_session(
        self,
        *,
        token: str = ...,
        session_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """End one of the caller's sessions; for the server, the one of ``session_id``."""
    @overload
    def revoke_session(
        self,
        *,
        token: str = ...,
        session_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """End one of the caller's sessions; for the server, the one of ``session_id``."""
    @overload
    def revoke_session(
        self,
        *,
        token: str = ...,
        session_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """End one of the caller's sessions; for the server, the one of ``session_id``."""
    @overload
    def revoke_sessions(
        self,
        *,
        user_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """End all of the caller's sessions, this one too; for the server, those of ``user_id``."""
    @overload
    def revoke_sessions(
        self,
        *,
        user_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """End all of the caller's sessions, this one too; for the server, those of ``user_id``."""
    @overload
    def revoke_sessions(
        self,
        *,
        user_id: str | int | UUID = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """End all of the caller's sessions, this one too; for the server, those of ``user_id``."""
    @overload
    def send_verification_email(
        self,
        *,
        email: str = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Send the link that proves an address; without a session the answer is the same whether it has a user."""
    @overload
    def send_verification_email(
        self,
        *,
        email: str = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Send the link that proves an address; without a session the answer is the same whether it has a user."""
    @overload
    def send_verification_email(
        self,
        *,
        email: str = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Send the link that proves an address; without a session the answer is the same whether it has a user."""
    @overload
    def set_password(
        self,
        *,
        new_password: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Give the caller, who has none, a password: one who signed up with a provider."""
    @overload
    def set_password(
        self,
        *,
        new_password: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Give the caller, who has none, a password: one who signed up with a provider."""
    @overload
    def set_password(
        self,
        *,
        new_password: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Give the caller, who has none, a password: one who signed up with a provider."""
    @overload
    def sign_in_email(
        self,
        *,
        email: str = ...,
        password: str = ...,
        callback_url: str = ...,
        remember_me: bool = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Sign in with an e-mail address and a password."""
    @overload
    def sign_in_email(
        self,
        *,
        email: str = ...,
        password: str = ...,
        callback_url: str = ...,
        remember_me: bool = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Sign in with an e-mail address and a password."""
    @overload
    def sign_in_email(
        self,
        *,
        email: str = ...,
        password: str = ...,
        callback_url: str = ...,
        remember_me: bool = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Sign in with an e-mail address and a password."""
    @overload
    def sign_in_social(
        self,
        *,
        callback_url: str = ...,
        provider: str = ...,
        id_token: Mapping[str, Any] = ...,
        request_sign_up: bool = ...,
        scopes: list[str] = ...,
        error_callback_url: str = ...,
        disable_redirect: bool = ...,
        login_hint: str = ...,
        additional_params: Mapping[str, Any] = ...,
        additional_data: Mapping[str, Any] = ...,
        new_user_callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Sign in with a provider: the answer says where the browser has to go, unless the client has an ID token
        of the provider already."""
    @overload
    def sign_in_social(
        self,
        *,
        callback_url: str = ...,
        provider: str = ...,
        id_token: Mapping[str, Any] = ...,
        request_sign_up: bool = ...,
        scopes: list[str] = ...,
        error_callback_url: str = ...,
        disable_redirect: bool = ...,
        login_hint: str = ...,
        additional_params: Mapping[str, Any] = ...,
        additional_data: Mapping[str, Any] = ...,
        new_user_callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Sign in with a provider: the answer says where the browser has to go, unless the client has an ID token
        of the provider already."""
    @overload
    def sign_in_social(
        self,
        *,
        callback_url: str = ...,
        provider: str = ...,
        id_token: Mapping[str, Any] = ...,
        request_sign_up: bool = ...,
        scopes: list[str] = ...,
        error_callback_url: str = ...,
        disable_redirect: bool = ...,
        login_hint: str = ...,
        additional_params: Mapping[str, Any] = ...,
        additional_data: Mapping[str, Any] = ...,
        new_user_callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Sign in with a provider: the answer says where the browser has to go, unless the client has an ID token
        of the provider already."""
    @overload
    def sign_in_username(
        self,
        *,
        username: str = ...,
        password: str = ...,
        remember_me: bool = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Sign in with a username and a password."""
    @overload
    def sign_in_username(
        self,
        *,
        username: str = ...,
        password: str = ...,
        remember_me: bool = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Sign in with a username and a password."""
    @overload
    def sign_in_username(
        self,
        *,
        username: str = ...,
        password: str = ...,
        remember_me: bool = ...,
        callback_url: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Sign in with a username and a password."""
    @overload
    def sign_out(
        self,
        *,
        callback_url: str = ...,
        disable_redirect: bool = ...,
        state: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """End the caller's session; the answer says where a provider ends its own, if one can. It never fails: a
        browser without a session is signed out already."""
    @overload
    def sign_out(
        self,
        *,
        callback_url: str = ...,
        disable_redirect: bool = ...,
        state: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """End the caller's session; the answer says where a provider ends its own, if one can. It never fails: a
        browser without a session is signed out already."""
    @overload
    def sign_out(
        self,
        *,
        callback_url: str = ...,
        disable_redirect: bool = ...,
        state: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """End the caller's session; the answer says where a provider ends its own, if one can. It never fails: a
        browser without a session is signed out already."""
    @overload
    def sign_up_email(
        self,
        *,
        name: str = ...,
        email: str = ...,
        password: str = ...,
        image: str = ...,
        callback_url: str = ...,
        remember_me: bool = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
        **columns: Any,
    ) -> dict[str, Any]:
        """Create a user with an e-mail address and a password, and sign them in."""
    @overload
    def sign_up_email(
        self,
        *,
        name: str = ...,
        email: str = ...,
        password: str = ...,
        image: str = ...,
        callback_url: str = ...,
        remember_me: bool = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
        **columns: Any,
    ) -> Response:
        """Create a user with an e-mail address and a password, and sign them in."""
    @overload
    def sign_up_email(
        self,
        *,
        name: str = ...,
        email: str = ...,
        password: str = ...,
        image: str = ...,
        callback_url: str = ...,
        remember_me: bool = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
        **columns: Any,
    ) -> Any:
        """Create a user with an e-mail address and a password, and sign them in."""
    @overload
    def unlink_account(
        self,
        *,
        account_id: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Take one of the caller's ways of signing in away, by the ``id`` that ``list_user_accounts`` shows."""
    @overload
    def unlink_account(
        self,
        *,
        account_id: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Take one of the caller's ways of signing in away, by the ``id`` that ``list_user_accounts`` shows."""
    @overload
    def unlink_account(
        self,
        *,
        account_id: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Take one of the caller's ways of signing in away, by the ``id`` that ``list_user_accounts`` shows."""
    @overload
    def update_session(
        self,
        *,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
        **columns: Any,
    ) -> dict[str, Any]:
        """Change the additional fields of the caller's session, and nothing else of it (SECURITY G12)."""
    @overload
    def update_session(
        self,
        *,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
        **columns: Any,
    ) -> Response:
        """Change the additional fields of the caller's session, and nothing else of it (SECURITY G12)."""
    @overload
    def update_session(
        self,
        *,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
        **columns: Any,
    ) -> Any:
        """Change the additional fields of the caller's session, and nothing else of it (SECURITY G12)."""
    @overload
    def update_user(
        self,
        *,
        name: str = ...,
        image: str | None = ...,
        user_id: str | int | UUID = ...,
        data: Mapping[str, Any] = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
        **columns: Any,
    ) -> dict[str, Any]:
        """Change the caller's name, image and additional fields; for the server, ``data`` of ``user_id``."""
    @overload
    def update_user(
        self,
        *,
        name: str = ...,
        image: str | None = ...,
        user_id: str | int | UUID = ...,
        data: Mapping[str, Any] = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
        **columns: Any,
    ) -> Response:
        """Change the caller's name, image and additional fields; for the server, ``data`` of ``user_id``."""
    @overload
    def update_user(
        self,
        *,
        name: str = ...,
        image: str | None = ...,
        user_id: str | int | UUID = ...,
        data: Mapping[str, Any] = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
        **columns: Any,
    ) -> Any:
        """Change the caller's name, image and additional fields; for the server, ``data`` of ``user_id``."""
    @overload
    def verify_email(
        self,
        *,
        token: str = ...,
        callback_url: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Follow a link that proves an address, or one that belongs to a change of it."""
    @overload
    def verify_email(
        self,
        *,
        token: str = ...,
        callback_url: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Follow a link that proves an address, or one that belongs to a change of it."""
    @overload
    def verify_email(
        self,
        *,
        token: str = ...,
        callback_url: str = ...,
        query: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Follow a link that proves an address, or one that belongs to a change of it."""
    @overload
    def verify_password(
        self,
        *,
        password: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[False] = ...,
    ) -> dict[str, Any]:
        """Tell whether a password is the caller's."""
    @overload
    def verify_password(
        self,
        *,
        password: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        as_response: Literal[True],
    ) -> Response:
        """Tell whether a password is the caller's."""
    @overload
    def verify_password(
        self,
        *,
        password: str = ...,
        body: _Fields = ...,
        headers: _Headers = ...,
        session: _Session = ...,
        return_headers: bool = ...,
        return_status: bool = ...,
    ) -> Any:
        """Tell whether a password is the caller's."""
