"""Username: signing up and in with a name of one's own beside the e-mail address."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from ..config import LONGEST_KEY, section
from ..context import Call, Record, Reply
from ..endpoint import Routes
from ..errors import APIError, ConfigError, CoreErrors, ErrorCode
from ..hooks import Hook, Hooks
from ..plugin import Column, Plugin
from ..services import sessions, sign_in, users
from ..views.results import SignInResult
from ..wire import Bool, Str, WireSchema, is_storable, js_length

Normalization = Callable[[str], str]
Validator = Callable[[str], bool]
Order = Literal["pre-normalization", "post-normalization"]

_PLAIN = re.compile(r"[a-zA-Z0-9_.]+", re.ASCII)


class UsernameErrors:
    """The error codes of the plugin."""

    INVALID_DISPLAY_USERNAME = ErrorCode("Display username is invalid", 400)
    INVALID_USERNAME = ErrorCode("Username is invalid", 422)
    INVALID_USERNAME_OR_PASSWORD = ErrorCode("Invalid username or password", 401)
    USERNAME_IS_ALREADY_TAKEN = ErrorCode("Username is already taken. Please try another.", 400)
    USERNAME_IS_IMMUTABLE = ErrorCode("Username cannot be updated", 400)
    USERNAME_TOO_LONG = ErrorCode("Username is too long", 422)
    USERNAME_TOO_SHORT = ErrorCode("Username is too short", 422)


@dataclass(frozen=True)
class ValidationOrder:
    """Whether a name is checked as it was typed, or as it is stored."""

    username: Order = "pre-normalization"
    display_username: Order = "pre-normalization"


@dataclass(frozen=True)
class UsernameOptions:
    """Settings of ``Username``.

    Args:
        min_username_length: the shortest username, in characters.
        max_username_length: the longest.
        username_validator: says whether a username is valid; by default letters, digits, ``_`` and ``.``.
        username_normalization: makes the form that is stored and looked up; by default lower case, ``False`` for none.
        display_username: keep the username as it was typed, in a column ``display_username``.
        display_username_validator: says whether that is valid; by default anything is.
        display_username_normalization: makes the form of it that is stored; by default none.
        immutable_username: a user who has a username keeps it.
        validation_order: see ``ValidationOrder``.
    """

    min_username_length: int = 3
    max_username_length: int = 30
    username_validator: Validator | None = None
    username_normalization: Normalization | bool = True
    display_username: bool = True
    display_username_validator: Validator | None = None
    display_username_normalization: Normalization | bool = False
    immutable_username: bool = False
    validation_order: ValidationOrder = field(default_factory=ValidationOrder)

    def normalized(self, username: str) -> str:
        """A username as it is stored."""
        return _apply(self.username_normalization, username)

    def normalized_display(self, display: str) -> str:
        """A display form as it is stored."""
        return _apply(self.display_username_normalization, display)

    def check(self, username: str, *, status: int | None = None) -> str:
        """A valid username as it is stored.

        Args:
            username: as it was typed.
            status: of the refusal, where it is not that of the code.

        Raises:
            APIError: ``USERNAME_TOO_SHORT``, ``USERNAME_TOO_LONG`` or ``INVALID_USERNAME``.
        """
        normalized_first = self.validation_order.username == "post-normalization"
        judged = self.normalized(username) if normalized_first else username
        if js_length(judged) < self.min_username_length:
            raise APIError(UsernameErrors.USERNAME_TOO_SHORT, status=status)
        if js_length(judged) > self.max_username_length:
            raise APIError(UsernameErrors.USERNAME_TOO_LONG, status=status)
        valid = self.username_validator or (lambda text: _PLAIN.fullmatch(text) is not None)
        if not (is_storable(judged) and valid(judged)):
            raise APIError(UsernameErrors.INVALID_USERNAME, status=status)
        return judged if normalized_first else self.normalized(username)

    def check_display(self, display: str) -> None:
        """Refuse a display form that is not valid.

        Raises:
            APIError: ``INVALID_DISPLAY_USERNAME``.
        """
        if self.validation_order.display_username == "post-normalization":
            display = self.normalized_display(display)
        if self.display_username_validator is not None and not self.display_username_validator(display):
            raise APIError(UsernameErrors.INVALID_DISPLAY_USERNAME)


def _apply(normalization: Normalization | bool, text: str) -> str:
    if callable(normalization):
        return normalization(text)
    return text.lower() if normalization else text


# ---------------------------------------------------------------- endpoints

routes = Routes()


class SignInUsernameBody(WireSchema):
    username = Str(required=True, opaque=True)
    password = Str(required=True, opaque=True)
    remember_me = Bool(load_default=True)
    callback_url = Str()


#: What a username may be refused with.
_WRONG = (UsernameErrors.USERNAME_TOO_SHORT, UsernameErrors.USERNAME_TOO_LONG, UsernameErrors.INVALID_USERNAME)


@routes.post(
    "/sign-in/username",
    body=SignInUsernameBody,
    returns=SignInResult,
    raises=[
        *_WRONG,
        UsernameErrors.INVALID_USERNAME_OR_PASSWORD,
        CoreErrors.PASSWORD_TOO_LONG,
        CoreErrors.EMAIL_NOT_VERIFIED,
        CoreErrors.FAILED_TO_CREATE_SESSION,
    ],
)
def sign_in_username(call: Call) -> Reply:
    """Sign in with a username and a password."""
    body, options = call.body, call.options(UsernameOptions)
    if not body["username"] or not body["password"]:
        raise APIError(UsernameErrors.INVALID_USERNAME_OR_PASSWORD)
    return sign_in.with_password(
        call,
        "username",
        options.check(body["username"]),
        body["password"],
        remember=body["remember_me"],
        callback_url=body.get("callback_url"),
        refusal=UsernameErrors.INVALID_USERNAME_OR_PASSWORD,
    )


class IsUsernameAvailableBody(WireSchema):
    username = Str(required=True, opaque=True)


class IsUsernameAvailableResult(WireSchema):
    available = Bool()


@routes.post("/is-username-available", body=IsUsernameAvailableBody, returns=IsUsernameAvailableResult, raises=_WRONG)
def is_username_available(call: Call) -> Reply:
    """Tell whether nobody has a username. This discloses which ones exist, by design; ``disabled_paths`` ends it."""
    username = call.body["username"]
    if not username:
        raise APIError(UsernameErrors.INVALID_USERNAME)
    found = users.find(call, "username", call.options(UsernameOptions).check(username))
    return Reply({"available": found is None})


# ---------------------------------------------------------------- where usernames are set


def _sets_username(call: Call) -> bool:
    return call.endpoint is not None and call.endpoint.name in ("sign_up_email", "update_user", "create_user")


def _check(call: Call) -> None:
    """Refuse usernames that are not valid or not free; what is no text at all is left to the column's type.

    Two requests at once are told apart by the database: the column is unique.
    """
    options, name = call.options(UsernameOptions), call.endpoint.name if call.endpoint else ""
    # where server code says more; from a client "data" is an unknown key
    more = {"create_user": call.body, "update_user": call.privileged}.get(name, {}).get("data")
    given = {**call.body, **more} if isinstance(more, Mapping) else call.body
    username, display = given.get("username", ...), given.get("display_username")
    shown = display if isinstance(display, str) else ""
    if name == "update_user":
        _check_change(call, options, username)
    else:
        _check_new(call, options, username, shown)
    if shown and options.display_username:
        options.check_display(shown)


def _check_new(call: Call, options: UsernameOptions, username: Any, display: str) -> None:
    if username is ... and display:
        with suppress(APIError):
            options.check(display)
            call.body["username"] = username = display  # what may be a username is one
    if isinstance(username, str):
        _check_free(call, options.check(username, status=400))
        if not display:
            call.body["display_username"] = username  # as it was typed


def _check_change(call: Call, options: UsernameOptions, username: Any) -> None:
    if username is not None and not isinstance(username, str):
        return
    hardening = call.config.hardening
    wanted = None if username is None else options.check(username, status=400)
    if call.privileged:
        return
    mine = call.signed_in[1] if sessions.load(call) else None
    if mine is None and hardening:
        return  # the guard refuses; who has which name is not for everybody
    if mine is not None and options.immutable_username and mine.username not in (None, wanted):
        if wanted is not None or hardening:  # else taking the name off would be a way to change it
            raise APIError(UsernameErrors.USERNAME_IS_IMMUTABLE)
    if wanted is not None:
        _check_free(call, wanted, mine)


def _check_free(call: Call, username: str, mine: Record | None = None) -> None:
    found = users.find(call, "username", username)
    if found is not None and (mine is None or found[0].id != mine.id):
        raise APIError(UsernameErrors.USERNAME_IS_ALREADY_TAKEN)


class Username(Plugin):
    """Usernames beside e-mail addresses (reference plugin ``username``).

    Args:
        options: see ``UsernameOptions``.
    """

    id = "username"
    routes = routes
    errors = UsernameErrors

    def __init__(self, **options: Any) -> None:
        self.options: UsernameOptions = section(UsernameOptions, options, "Username")
        if not 1 <= self.options.min_username_length <= self.options.max_username_length <= LONGEST_KEY:
            raise ConfigError(f"Username: 1 <= min_username_length <= max_username_length <= {LONGEST_KEY}")
        columns = {
            "username": Column(
                unique=True,
                input=True,
                taken=UsernameErrors.USERNAME_IS_ALREADY_TAKEN,
                transform=self.options.normalized,
            )
        }
        if self.options.display_username:
            columns["display_username"] = Column(input=True, transform=self.options.normalized_display)
        self.extends = {"user": columns}
        self.hooks = Hooks(before=Hook(_check, _sets_username))
