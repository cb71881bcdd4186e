"""Every error the package raises: API errors with their codes, and programmer mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from werkzeug.datastructures import Headers

#: Names the reference gives to statuses that Python calls otherwise, or calls differently from version to version.
_STATUS_NAMES = {
    413: "PAYLOAD_TOO_LARGE",
    414: "URI_TOO_LONG",
    416: "RANGE_NOT_SATISFIABLE",
    418: "I'M_A_TEAPOT",
    422: "UNPROCESSABLE_ENTITY",
}


def status_name(status: int) -> str:
    """The name of an HTTP status as the reference spells it, for example ``UNAUTHORIZED``."""
    return _STATUS_NAMES.get(status) or HTTPStatus(status).name


@dataclass(frozen=True)
class ErrorCode:
    """One error of the API: its text, its HTTP status, and its code (the name of the attribute that holds it)."""

    message: str
    status: int
    code: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "code", name)


class CoreErrors:
    """The error codes of the core endpoints. Code and attribute are the same word."""

    ACCESS_TOKEN_NOT_FOUND = ErrorCode("Access token not found", 400)
    ACCOUNT_NOT_FOUND = ErrorCode("Account not found", 400)
    BAD_REQUEST = ErrorCode("Invalid JSON in request body", 400)
    CHANGE_EMAIL_DISABLED = ErrorCode("Change email is disabled", 400)
    CREDENTIAL_ACCOUNT_NOT_FOUND = ErrorCode("Credential account not found", 400)
    CROSS_SITE_NAVIGATION_LOGIN_BLOCKED = ErrorCode(
        "Cross-site navigation login blocked. This request appears to be a CSRF attack.", 403
    )
    EMAIL_ALREADY_VERIFIED = ErrorCode("Email is already verified", 400)
    EMAIL_CAN_NOT_BE_UPDATED = ErrorCode("Email can not be updated", 400)
    EMAIL_MISMATCH = ErrorCode("Email mismatch", 400)
    EMAIL_NOT_VERIFIED = ErrorCode("Email not verified", 403)
    EMAIL_PASSWORD_DISABLED = ErrorCode("Email and password is not enabled", 400)
    EMAIL_PASSWORD_SIGN_UP_DISABLED = ErrorCode("Email and password sign up is not enabled", 400)
    FAILED_TO_CREATE_SESSION = ErrorCode("Failed to create session", 401)
    FAILED_TO_CREATE_USER = ErrorCode("Failed to create user", 400)
    FAILED_TO_DELETE_USER = ErrorCode("Failed to delete user", 400)
    FAILED_TO_GET_ACCESS_TOKEN = ErrorCode("Failed to get a valid access token", 400)
    FAILED_TO_GET_USER_INFO = ErrorCode("Failed to get user info", 404)
    FAILED_TO_REFRESH_ACCESS_TOKEN = ErrorCode("Failed to refresh access token", 400)
    FAILED_TO_UNLINK_LAST_ACCOUNT = ErrorCode("You can't unlink your last account", 400)
    FIELD_NOT_ALLOWED = ErrorCode("Field not allowed to be set", 400)
    ID_TOKEN_NOT_SUPPORTED = ErrorCode("id_token not supported", 404)
    INVALID_CALLBACK_URL = ErrorCode("Invalid callbackURL", 403)
    INVALID_EMAIL = ErrorCode("Invalid email", 400)
    INVALID_EMAIL_OR_PASSWORD = ErrorCode("Invalid email or password", 401)
    INVALID_ERROR_CALLBACK_URL = ErrorCode("Invalid errorCallbackURL", 403)
    INVALID_HOST = ErrorCode("This host is not one of BETTER_AUTH_ALLOWED_HOSTS", 421)
    INVALID_NEW_USER_CALLBACK_URL = ErrorCode("Invalid newUserCallbackURL", 403)
    INVALID_ORIGIN = ErrorCode("Invalid origin", 403)
    INVALID_PASSWORD = ErrorCode("Invalid password", 400)
    INVALID_REDIRECT_URL = ErrorCode("Invalid redirectURL", 403)
    INVALID_TOKEN = ErrorCode("Invalid token", 401)
    INVALID_USER = ErrorCode("Invalid user", 401)
    LINKING_DIFFERENT_EMAILS_NOT_ALLOWED = ErrorCode("Account not linked - different emails not allowed", 401)
    LINKING_FAILED = ErrorCode("Account not linked - unable to create account", 417)
    LINKING_NOT_ALLOWED = ErrorCode("Account not linked - linking not allowed", 401)
    METHOD_NOT_ALLOWED_DEFER_SESSION_REQUIRED = ErrorCode(
        "POST method requires deferSessionRefresh to be enabled in session config", 405
    )
    MISSING_FIELD = ErrorCode("Field is required", 400)
    MISSING_OR_NULL_ORIGIN = ErrorCode("Missing or null Origin", 403)
    NOT_FOUND = ErrorCode("Not found", 404)
    OAUTH_LINK_ERROR = ErrorCode("account not linked", 401)
    PASSWORD_ALREADY_SET = ErrorCode("User already has a password set", 400)
    PASSWORD_COMPROMISED = ErrorCode(
        "The password you entered has been compromised. Please choose a different password.", 400
    )
    PASSWORD_TOO_LONG = ErrorCode("Password too long", 400)
    PASSWORD_TOO_SHORT = ErrorCode("Password too short", 400)
    PAYLOAD_TOO_LARGE = ErrorCode("Request body is too large", 413)
    PREFETCH_NOT_ALLOWED = ErrorCode("This link must be opened, not prefetched", 403)
    PROVIDER_NOT_CONFIGURED = ErrorCode("Account is not associated with a configured social provider.", 400)
    PROVIDER_NOT_FOUND = ErrorCode("Provider not found", 404)
    PROVIDER_NOT_SUPPORTED = ErrorCode("Provider is not supported.", 400)
    RATE_LIMIT_EXCEEDED = ErrorCode("Too many requests. Please try again later.", 429)
    REFRESH_TOKEN_NOT_FOUND = ErrorCode("Refresh token not found", 400)
    RESET_PASSWORD_DISABLED = ErrorCode("Reset password isn't enabled", 400)
    SERVICE_UNAVAILABLE = ErrorCode("Service temporarily unavailable", 503)
    SESSION_EXPIRED = ErrorCode("Session expired. Re-authenticate to perform this action.", 400)
    SESSION_NOT_FRESH = ErrorCode("Session is not fresh", 403)
    SOCIAL_ACCOUNT_ALREADY_LINKED = ErrorCode("Social account already linked", 409)
    TOKEN_EXPIRED = ErrorCode("Token expired", 401)
    TOKEN_REFRESH_NOT_SUPPORTED = ErrorCode("Provider does not support token refreshing.", 400)
    UNAUTHORIZED = ErrorCode("Unauthorized", 401)
    UNSUPPORTED_MEDIA_TYPE = ErrorCode("Unsupported media type", 415)
    USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL = ErrorCode("User already exists. Use another email.", 422)
    USER_EMAIL_NOT_FOUND = ErrorCode("User email not found", 401)
    USER_ID_OR_SESSION_REQUIRED = ErrorCode("Either userId or session is required", 400)
    USER_NOT_FOUND = ErrorCode("User not found", 404)
    VALUE_ALREADY_TAKEN = ErrorCode("A value that must be unique is already taken", 422)
    VALIDATION_ERROR = ErrorCode("Validation Error", 400)
    VERIFICATION_EMAIL_NOT_ENABLED = ErrorCode("Verification email isn't enabled", 400)


class APIError(Exception):
    """An answer other than success, with the status, code and body that a client of the HTTP API sees.

    A view of the application may let it pass: Flask answers with the same JSON.

    Args:
        error: the code, text and status.
        message: another text for the same code.
        status: another HTTP status for the same code.
        headers: headers of the answer, for example ``Location``.
        without_code: leave ``code`` out of the body, as the reference does for a few errors.
    """

    def __init__(
        self,
        error: ErrorCode,
        *,
        message: str | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        without_code: bool = False,
    ) -> None:
        self.message: str = error.message if message is None else message
        self.code: str | None = None if without_code else error.code
        self.status_code: int = status or error.status
        self.status: str = status_name(self.status_code)
        self.headers = Headers(dict(headers or {}))
        self.body: dict[str, Any] | None = {"message": self.message}
        if self.code is not None:
            self.body["code"] = self.code
        super().__init__(self.message)

    @classmethod
    def bare(cls, status: int, headers: Mapping[str, str] | None = None) -> APIError:
        """A status without a body, as the reference answers where an endpoint is switched off."""
        error = cls(ErrorCode(HTTPStatus(status).phrase, status), headers=headers, without_code=True)
        error.body = None
        return error

    @classmethod
    def redirect(cls, location: str, headers: Mapping[str, str] | None = None) -> APIError:
        """A 302 to ``location``: status ``FOUND`` and a ``Location`` header, without a body."""
        return cls.bare(302, {"Location": location, **(headers or {})})


class ConfigError(Exception):
    """The extension was configured wrongly. Raised by ``BetterAuth(...)`` and ``init_app``, never by a request."""


class TransactionConflict(Exception):
    """The application holds a transaction that an own write of the extension would wait for, or would commit."""

    def __init__(self) -> None:
        super().__init__(
            "db.session has uncommitted changes on the connection or the rows that this call needs: "
            "commit first, or pass session=db.session to join its transaction"
        )
