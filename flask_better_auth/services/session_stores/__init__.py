"""Where sessions are kept: in the database, in the secondary storage, in both, or in the cookie alone."""

from __future__ import annotations

from ...context import AuthState
from ...errors import ConfigError
from .base import SessionStore
from .cookie import InCookie
from .database import InDatabase
from .storage import InBoth, InStorage

__all__ = ["SessionStore", "build"]


def build(state: AuthState) -> SessionStore:
    """The store that the configuration of an application asks for.

    Raises:
        ConfigError: it asks for two that exclude each other.
    """
    options = state.config.session
    if options.stateless:
        if state.storage is not None:
            raise ConfigError("BETTER_AUTH_SESSION_STATELESS stores no sessions, BETTER_AUTH_SECONDARY_STORAGE does")
        return InCookie()
    if state.storage is None:
        return InDatabase()
    return (InBoth if options.store_session_in_database else InStorage)(state.storage, options)
