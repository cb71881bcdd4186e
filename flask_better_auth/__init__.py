"""The Better Auth server as a native Flask extension."""

from . import signals
from .config import (
    AccountOptions,
    AdditionalField,
    Advanced,
    CookieAttributes,
    CookieOverride,
    CrossSubDomainCookies,
    Database,
    EmailAndPassword,
    IpAddress,
    Limit,
    OnAPIError,
    RateLimit,
    SessionOptions,
    UserOptions,
    VerificationOptions,
    VersionedSecret,
)
from .context import Call, Record, Reply
from .current import current_session, current_user, fresh_login_required, login_required
from .endpoint import Routes
from .errors import APIError, ConfigError, ErrorCode, TransactionConflict
from .extension import BetterAuth
from .hooks import Around, DatabaseHooks, Hook, Hooks, TableHooks
from .models import AccountMixin, SessionMixin, TableMixin, UserMixin, VerificationMixin
from .plugin import Column, Plugin
from .wire import WireSchema

__all__ = [
    "APIError",
    "AccountMixin",
    "AccountOptions",
    "AdditionalField",
    "Advanced",
    "Around",
    "BetterAuth",
    "Call",
    "Column",
    "ConfigError",
    "CookieAttributes",
    "CookieOverride",
    "CrossSubDomainCookies",
    "Database",
    "DatabaseHooks",
    "EmailAndPassword",
    "ErrorCode",
    "Hook",
    "Hooks",
    "IpAddress",
    "Limit",
    "OnAPIError",
    "Plugin",
    "RateLimit",
    "Record",
    "Reply",
    "Routes",
    "SessionMixin",
    "SessionOptions",
    "TableHooks",
    "TableMixin",
    "TransactionConflict",
    "UserMixin",
    "UserOptions",
    "VerificationMixin",
    "VerificationOptions",
    "VersionedSecret",
    "WireSchema",
    "current_session",
    "current_user",
    "fresh_login_required",
    "login_required",
    "signals",
]
