"""The core endpoints, a module per resource."""

from . import (
    account,
    cleanup,
    email,
    password,
    password_reset,
    session,
    sign_in,
    sign_out,
    sign_up,
    social,
    status,
    tokens,
    user,
)

#: The routes of the core, in the order in which Flask learns them.
CORE = (
    status.routes,
    sign_up.routes,
    sign_in.routes,
    sign_out.routes,
    session.routes,
    user.routes,
    password.routes,
    password_reset.routes,
    email.routes,
    social.routes,
    account.routes,
    tokens.routes,
    cleanup.routes,
)
