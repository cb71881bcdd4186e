"""The Better Auth server as a native Flask extension."""

from . import signals
from .config import (
    AccountOptions,
    AdditionalField,
    Advanced,
    CookieAttributes,
    CookieOverride,
    CrossSubDomainCookies,
    EmailAndPassword,
    IpAddress,
    Limit,
    OnAPIError,
    RateLimit,
    SessionOptions,
    UserOptions,
    VerificationOptions,
)
from .context import Call, Reply
from .current import current_session, current_user, fresh_login_required, login_required
from .errors import APIError, ConfigError, ErrorCode, TransactionConflict
from .extension import BetterAuth
from .hooks import Around, DatabaseHooks, Hook, Hooks, TableHooks
from .models import AccountMixin, SessionMixin, UserMixin, VerificationMixin

__all__ = [
    "APIError",
    "AccountMixin",
    "AccountOptions",
    "AdditionalField",
    "Advanced",
    "Around",
    "BetterAuth",
    "Call",
    "ConfigError",
    "CookieAttributes",
    "CookieOverride",
    "CrossSubDomainCookies",
    "DatabaseHooks",
    "EmailAndPassword",
    "ErrorCode",
    "Hook",
    "Hooks",
    "IpAddress",
    "Limit",
    "OnAPIError",
    "RateLimit",
    "Reply",
    "SessionMixin",
    "SessionOptions",
    "TableHooks",
    "TransactionConflict",
    "UserMixin",
    "UserOptions",
    "VerificationMixin",
    "VerificationOptions",
    "current_session",
    "current_user",
    "fresh_login_required",
    "login_required",
    "signals",
]
