"""What the flow asks of a provider, and what providers tell of their users."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from .. import clock
from ..wire import is_storable

if TYPE_CHECKING:
    from ..context import AuthState, Call
    from .client import Client

#: What an identifier at a provider may measure: as much as an indexed column holds on every database.
_LONGEST_SUBJECT = 255
#: No token lives longer; one that claims to is a mistake of the provider.
_LONGEST_LIFE = timedelta(days=3650)


class ProviderError(Exception):
    """A provider, or what it sent, is not as it has to be. The text holds nothing secret, and nothing of the answer."""


@dataclass(frozen=True)
class Tokens:
    """What a token endpoint answered (RFC 6749 section 5.1)."""

    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    access_token_expires_at: datetime | None = None
    refresh_token_expires_at: datetime | None = None
    #: What was granted; nothing, where there was no answer that could tell.
    scopes: tuple[str, ...] | None = None
    #: The whole answer, for what a provider says beyond the standard.
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    #: They are from the account table: the ID token was verified when it came, and may be over since.
    stored: bool = False

    @classmethod
    def of(cls, answer: Mapping[str, Any], *, expires_in: timedelta | None = None) -> Tokens:
        """The tokens in an answer.

        Args:
            answer: the JSON object.
            expires_in: how long the access token lives, where the answer does not tell.
        """
        scope = answer.get("scope")
        listed = scope if isinstance(scope, list) else scope.split() if isinstance(scope, str) else []
        return cls(
            _text(answer.get("access_token")),
            _text(answer.get("refresh_token")),
            _text(answer.get("id_token")),
            _after(answer.get("expires_in")) or (clock.now() + expires_in if expires_in else None),
            _after(answer.get("refresh_token_expires_in")),
            tuple(s.strip() for s in listed if isinstance(s, str) and s.strip() and is_storable(s)),
            answer,
        )

    @property
    def scope(self) -> str | None:
        """The scopes as the account table holds them."""
        return None if self.scopes is None else ",".join(self.scopes)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value and is_storable(value) else None


def _after(seconds: object) -> datetime | None:
    try:
        life = timedelta(seconds=float(seconds))  # type: ignore[arg-type]  # whatever a provider sent
        return clock.now() + min(life, _LONGEST_LIFE) if life else None
    except (TypeError, ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class Profile:
    """Who signed in, in the words of the provider.

    Args:
        subject: the identifier of the user at the provider, which never changes.
        user: columns of the user table under Python names. ``email_verified`` is what the provider says; nothing but
            true and the text ``"true"`` counts (SECURITY I4).
        data: everything that the provider said.
    """

    subject: str
    user: Mapping[str, Any] = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)

    @property
    def email(self) -> str | None:
        """The address, in lower case; nothing, if there is none."""
        email = self.user.get("email")
        return email.lower() if isinstance(email, str) and email else None

    @property
    def email_verified(self) -> bool:
        """Whether the provider says that the address is the user's."""
        return is_true(self.user.get("email_verified"))


def is_true(value: object) -> bool:
    """Whether a provider says yes: by true or the text, and by no number (SECURITY I4)."""
    return value is True or value == "true"


def subject_of(value: object) -> str:
    """An identifier at a provider as the account table holds it (SECURITY I6).

    Raises:
        ProviderError: it is none: empty, a word that stands for nothing, or longer than anything that is one.
    """
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not text.strip() or text in ("undefined", "null", "None") or len(text) > _LONGEST_SUBJECT:
        raise ProviderError("the profile has no identifier that could tell its user from others")
    if not is_storable(text):
        raise ProviderError("the identifier in the profile is no text")
    return text


def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of the application says in place of a provider; if it fails, so does the provider.

    Raises:
        ProviderError: it fails.
    """
    try:
        return function(*arguments)
    except Exception as error:
        raise ProviderError(f"{_name(function)} failed: {type(error).__name__}") from error


def dict_of(function: Callable[..., Any], *arguments: Any) -> Mapping[str, Any]:
    """The same of one that returns a dict.

    Raises:
        ProviderError: it fails, or returns something else.
    """
    answer = called(function, *arguments)
    if not isinstance(answer, Mapping):
        raise ProviderError(f"{_name(function)} gave no dict")
    return answer


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", "a function")


def tell(call: Call, provider: Provider, error: Exception) -> None:
    """Log what a provider did not do as it should."""
    call.state.logger.warning("better-auth: %s: %s", provider.id, error)


@dataclass(frozen=True)
class Start:
    """What an authorization request is made of."""

    state: str
    code_verifier: str = field(repr=False)
    redirect_uri: str
    nonce: str | None = None
    scopes: Sequence[str] = ()
    login_hint: str | None = None
    #: Parameters that the client wants to add.
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrival:
    """What a browser brought back from a provider, and what it left with."""

    code: str = field(repr=False)
    code_verifier: str = field(repr=False)
    redirect_uri: str
    nonce: str | None = None
    #: What VK sends beside the code.
    device_id: str | None = None
    #: What Apple sends of the user, once, as JSON.
    user: str | None = None


class Provider(ABC):
    """Somebody who knows who their users are. One object may serve several applications.

    Whatever asks the provider over HTTP does so by the ``Client`` that it is handed, and raises ``ProviderError``.
    """

    #: The provider's part in ``/callback/<id>``, and the ``provider_id`` of its accounts.
    id: str
    #: What people know it by.
    name: str
    #: Users, or their administrators, choose their address as they like (SECURITY I5).
    email_is_anybodys: bool = False
    #: An access token can be had anew by a refresh token.
    refreshes: bool = True
    #: Browsers that come without a ``state`` are sent to the provider, and not away.
    allow_idp_initiated: bool = False
    #: Signing out here may end the session there too.
    ends_sessions: bool = False
    #: Where the provider sends browsers whose session it ended, unless the client says.
    post_logout_redirect_uri: str | None = None
    disable_sign_up: bool = False
    disable_implicit_sign_up: bool = False
    override_user_info: bool = False
    require_email_verification: bool = False

    #: Origins that the configuration names, and not the catalogue: they may be in a private network.
    own_origins: Sequence[str] = ()

    def client(self, state: AuthState) -> Client:
        """What asks this provider for one application; to be had by ``state.once(provider.client)``."""
        from .client import Client

        return Client(self.own_origins, hardening=state.config.hardening)

    def issuer(self, client: Client) -> str | None:
        """What the ``iss`` of an authorization response must be, if there is one (RFC 9207)."""
        return None

    def binds_nonce(self, client: Client) -> bool:
        """Whether an ID token must carry the nonce of the request that it answers."""
        return False

    @abstractmethod
    def authorization_url(self, client: Client, start: Start) -> str:
        """Where to send the browser."""

    @abstractmethod
    def exchange(self, client: Client, arrival: Arrival) -> Tokens:
        """What an authorization code is worth."""

    def refresh(self, client: Client, refresh_token: str) -> Tokens:
        """New tokens."""
        raise ProviderError("this provider does not give new tokens")

    @abstractmethod
    def profile(self, client: Client, tokens: Tokens, *, nonce: str | None = None, user: Any = None) -> Profile:
        """Whose tokens these are.

        Args:
            client: asks.
            tokens: as they were got.
            nonce: what the ID token must hold, where there is one.
            user: what came beside the code, of providers that tell a name once and there.
        """

    @property
    def accepts_id_tokens(self) -> bool:
        """Whether a client may sign in by an ID token that it got from the provider itself."""
        return False

    def verify_id_token(self, client: Client, token: str, nonce: str | None) -> None:
        """Make sure that the provider made an ID token, for us.

        Raises:
            ProviderError: it did not.
        """
        raise ProviderError("this provider's tokens cannot be verified")

    def end_session_url(
        self, client: Client, *, id_token: str | None, redirect_uri: str | None, state: str | None
    ) -> str | None:
        """Where a browser ends its session at the provider too, if that can be done; asked if ``ends_sessions``.

        Args:
            client: asks.
            id_token: the last one of the account.
            redirect_uri: where the provider sends the browser then.
            state: what it adds to that.
        """
        return None


#: Called with the profile, returns columns of the user table under Python names.
MapProfile = Callable[[Mapping[str, Any]], Mapping[str, Any]]
