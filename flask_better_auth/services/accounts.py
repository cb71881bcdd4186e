"""Accounts: the ways in which a user can sign in, and the password one of them holds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, bindparam, select

from .. import signals
from ..context import AuthState, Call, Record
from ..errors import APIError, CoreErrors
from . import records, verifications

#: The provider id of the account that holds a password.
CREDENTIAL = "credential"


def holds_password(state: AuthState, user_id: Any) -> Any:
    """The condition that a row of the account table is the one that may hold the password of a user.

    Args:
        state: the application's.
        user_id: a column or a parameter.
    """
    account = state.tables["account"].columns
    return and_(
        account["user_id"] == user_id,
        account["provider_id"] == CREDENTIAL,
        # a row that some other flow planted must not be able to hold a password
        account["account_id"] == user_id,
    )


def _credential(state: AuthState) -> Any:
    columns = state.tables["account"].columns.values()
    return select(*columns).where(holds_password(state, bindparam("user_id")))


def credential(call: Call, user: Record) -> Record | None:
    """The account that may hold the password of a user."""
    found = records.rows(call, call.state.once(_credential), {"user_id": user.id})
    return next(map(call.state.tables["account"].record, found), None)


def _providers(state: AuthState) -> Any:
    account = state.tables["account"].columns
    mine = (account["user_id"] == bindparam("user_id"), account["provider_id"] != CREDENTIAL)
    return select(account["id"]).where(*mine).limit(1)


def has_provider(call: Call, user: Record) -> bool:
    """Whether a user can sign in otherwise than by a password."""
    return bool(records.rows(call, call.state.once(_providers), {"user_id": user.id}))


def change_password(call: Call, user: Record, account: Record, password_hash: str) -> bool:
    """Store another password, unless it was changed since ``account`` was read (compare and swap, SECURITY S12).

    Args:
        call: with an open unit.
        user: whose it is.
        account: the credential account as it was read.
        password_hash: what ``Passwords.hash`` made.

    Returns:
        Whether it was stored.
    """
    unchanged = call.state.tables["account"].columns["password"].is_not_distinct_from(account.password)
    if records.update(call, "account", account, {"password": password_hash}, unchanged) is None:
        return False
    records.lock(call, "user", user)
    password_changed(call, user)
    return True


def replace_password(call: Call, user: Record, account: Record | None, password_hash: str) -> None:
    """Store a password in the place of any other; ``password_changed`` follows.

    Account and user are locked then, in this order, as a sign-in does: whoever makes links of the user void waits for
    that, and not for a link that the other one holds.

    Args:
        call: with an open unit.
        user: who gets it.
        account: the credential account as it was read, if there was one.
        password_hash: what ``Passwords.hash`` made.

    Raises:
        APIError: ``USER_NOT_FOUND`` if the user is gone, ``INVALID_TOKEN`` if they got their first password meanwhile,
            or a hook cancelled the change; ``FAILED_TO_CREATE_USER`` if one cancelled the account.
    """
    data = {"password": password_hash}
    stored = account is not None and records.update(call, "account", account, data) is not None
    if not records.lock(call, "user", user):
        raise APIError(CoreErrors.USER_NOT_FOUND, status=400)
    if stored:
        return
    # under the lock: no index says that a user has one credential account
    if credential(call, user) is not None:
        raise APIError(CoreErrors.INVALID_TOKEN, status=400)
    create_credential(call, user, password_hash)


def set_password(call: Call, user: Record, password_hash: str) -> None:
    """Give a password to a user who has none; of two at once, one does.

    Args:
        call: with an open unit.
        user: who gets it.
        password_hash: what ``Passwords.hash`` made.

    Raises:
        APIError: ``PASSWORD_ALREADY_SET``, or ``FAILED_TO_CREATE_USER`` if a hook cancelled it.
    """
    records.lock(call, "user", user)  # no index says that a user has one credential account
    account = credential(call, user)
    if account is None:
        create_credential(call, user, password_hash)
        password_changed(call, user)
    elif account.password or not change_password(call, user, account, password_hash):
        raise APIError(CoreErrors.PASSWORD_ALREADY_SET)


def password_changed(call: Call, user: Record) -> None:
    """Do what follows a change of the password: links that set one die, and the application is told.

    Args:
        call: with an open unit, in which the user is locked.
        user: whose it is.
    """
    verifications.revoke(call, verifications.RESET_PASSWORD, user.id)  # a link that is still on its way (SECURITY H2)
    state, shown = call.state, call.state.tables["user"].shown(user)
    records.after_commit(call, lambda: signals.password_changed.send(state.app, user=shown))


def create_credential(call: Call, user: Record, password_hash: str) -> Record:
    """Give a user a password.

    Raises:
        APIError: ``FAILED_TO_CREATE_USER`` if a hook cancelled it.
    """
    data = {"user_id": user.id, "account_id": user.id, "provider_id": CREDENTIAL, "password": password_hash}
    account = records.create(call, "account", data)
    if account is None:
        raise APIError(CoreErrors.FAILED_TO_CREATE_USER)
    return account


def rehash(call: Call, account: Record, password: str) -> None:
    """Store the password in the current form, unless it was changed meanwhile (compare and swap, SECURITY F9).

    Args:
        call: the call.
        account: the credential account with the hash that ``password`` was verified against.
        password: in the clear.
    """
    password_hash = call.state.passwords.hash(password)
    column = call.state.tables["account"].columns["password"]
    with records.unit(call):
        records.update(call, "account", account, {"password": password_hash}, column == account.password)
