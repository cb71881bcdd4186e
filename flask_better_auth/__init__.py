"""The Better Auth server as a native Flask extension."""

from . import signals
from .config import (
    AccountLinking,
    AccountOptions,
    AdditionalField,
    Advanced,
    ChangeEmail,
    CookieAttributes,
    CookieCache,
    CookieOverride,
    CrossSubDomainCookies,
    DeleteUser,
    EmailAndPassword,
    EmailVerification,
    IpAddress,
    Limit,
    OnAPIError,
    RateLimit,
    SessionOptions,
    UserOptions,
    VerificationOptions,
)
from .context import Call, Record, Reply
from .current import current_session, current_user, fresh_login_required, login_required
from .endpoint import Routes
from .errors import APIError, ConfigError, ErrorCode, TransactionConflict
from .extension import BetterAuth
from .hooks import Around, DatabaseHooks, Hook, Hooks, TableHooks
from .models import AccountMixin, SessionMixin, TableMixin, UserMixin, VerificationMixin
from .plugin import Column, Plugin
from .storage import RedisStorage, SecondaryStorage, StorageUnavailable
from .wire import WireSchema

__all__ = [
    "APIError",
    "AccountLinking",
    "AccountMixin",
    "AccountOptions",
    "AdditionalField",
    "Advanced",
    "Around",
    "BetterAuth",
    "Call",
    "ChangeEmail",
    "Column",
    "ConfigError",
    "CookieAttributes",
    "CookieCache",
    "CookieOverride",
    "CrossSubDomainCookies",
    "DatabaseHooks",
    "DeleteUser",
    "EmailAndPassword",
    "EmailVerification",
    "ErrorCode",
    "Hook",
    "Hooks",
    "IpAddress",
    "Limit",
    "OnAPIError",
    "Plugin",
    "RateLimit",
    "Record",
    "RedisStorage",
    "Reply",
    "Routes",
    "SecondaryStorage",
    "SessionMixin",
    "SessionOptions",
    "StorageUnavailable",
    "TableHooks",
    "TableMixin",
    "TransactionConflict",
    "UserMixin",
    "UserOptions",
    "VerificationMixin",
    "VerificationOptions",
    "WireSchema",
    "current_session",
    "current_user",
    "fresh_login_required",
    "login_required",
    "signals",
]
