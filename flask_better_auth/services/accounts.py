"""Accounts: the ways in which a user can sign in, and the password one of them holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import String, and_, bindparam, cast, func, select

from .. import signals
from ..context import AuthState, Call, Record
from ..errors import APIError, CoreErrors
from . import attempts, records, sessions, verifications

#: The provider id of the account that holds a password.
CREDENTIAL = "credential"
_HEX = re.compile(r"[0-9a-fA-F]+")


def holds_password(state: AuthState, user_id: Any) -> Any:
    """The condition that a row of the account table is the one that may hold the password of a user.

    Args:
        state: the application's.
        user_id: a column or a parameter.
    """
    spec = state.tables["account"]
    account = spec.columns
    return and_(
        account["user_id"] == user_id,
        account["provider_id"] == CREDENTIAL,
        # a row that some other flow planted must not be able to hold a password
        account["account_id"] == user_id if "user_id" not in spec.texts else _same_text(account),
    )


def _same_text(account: Mapping[str, Any]) -> Any:
    """Whether an account's identifier is that of its user, which is no text in the database."""
    # some databases spell a UUID without hyphens
    own, users = account["account_id"], cast(account["user_id"], String(36))
    return func.replace(own, "-", "") == func.replace(users, "-", "")


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


def _by_key(state: AuthState) -> Any:
    account, user = state.tables["account"], state.tables["user"]
    c = account.columns
    return (
        select(*c.values(), *user.columns.values())
        .select_from(account.model)
        .outerjoin(user.model, user.columns["id"] == c["user_id"])
        .where(c["provider_id"] == bindparam("provider_id"), c["account_id"] == bindparam("account_id"))
    )


def of_provider(call: Call, provider_id: str, account_id: str) -> tuple[Record, Record | None] | None:
    """The account of an identity at a provider, and the user whose it is, if they are still there.

    Raises:
        APIError: ``SERVICE_UNAVAILABLE``; there are two, which somebody has to repair.
    """
    account, user = call.state.tables["account"], call.state.tables["user"]
    rows = records.rows(call, call.state.once(_by_key), {"provider_id": provider_id, "account_id": account_id})
    width = len(account.columns)
    found = [(account.record(row[:width]), user.record(row[width:])) for row in map(tuple, rows)]
    # some databases compare without regard to trailing spaces
    exact = [pair for pair in found if (pair[0].provider_id, pair[0].account_id) == (provider_id, account_id)]
    if len(exact) > 1:
        call.state.logger.error("better-auth: two accounts of %s for one identity: nobody is signed in", provider_id)
        raise APIError(CoreErrors.SERVICE_UNAVAILABLE)
    return next(((a, u if u.id is not None else None) for a, u in exact), None)


def scopes(account: Mapping[str, Any]) -> list[str]:
    """What an account was granted at its provider."""
    return [name for name in map(str.strip, (account["scope"] or "").split(",")) if name]


def sealed(call: Call, token: str | None) -> str | None:
    """A token of a provider as it is stored (``account.encrypt_oauth_tokens``, SECURITY J12)."""
    if not token or not call.config.account.encrypt_oauth_tokens:
        return token
    return call.state.secrets.encrypt(token)


def revealed(call: Call, stored: str | None) -> str | None:
    """The token that was stored; one from before tokens were encrypted is as it was.

    Raises:
        ValueError: it was encrypted by a secret that is gone.
    """
    if not stored or not call.config.account.encrypt_oauth_tokens:
        return stored
    looks_sealed = stored.startswith("$ba$") or (len(stored) % 2 == 0 and _HEX.fullmatch(stored))
    return call.state.secrets.decrypt(stored) if looks_sealed else stored


def verified(call: Call, user: Record, password: str) -> Record:
    """The credential account of a user, if the password is right; its length is bounded before anything is hashed.

    Raises:
        APIError: ``PASSWORD_TOO_LONG``, ``CREDENTIAL_ACCOUNT_NOT_FOUND``, ``INVALID_PASSWORD``, or what
            ``attempts.counted`` raises.
    """
    call.state.passwords.check_bound(password)
    account = credential(call, user)
    if account is None or not account.password:
        raise APIError(CoreErrors.CREDENTIAL_ACCOUNT_NOT_FOUND)
    with attempts.counted(call, user):
        if not call.state.passwords.verify(account.password, password):
            raise APIError(CoreErrors.INVALID_PASSWORD)
    return account


def hold(call: Call, account: Record) -> None:
    """Let the password that was verified not change before the unit is committed.

    Args:
        call: with an open unit.
        account: the credential account as it was read.

    Raises:
        Outdated: it has changed.
    """
    if not records.lock(call, "account", id=account.id, password=account.password):
        raise records.Outdated


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
    records.lock(call, "user", id=user.id)
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
    if not records.lock(call, "user", id=user.id):
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
    records.lock(call, "user", id=user.id)  # no index says that a user has one credential account
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


def _of_user(state: AuthState) -> Any:
    account = state.tables["account"].columns
    ours = account["user_id"] == bindparam("user_id")
    return select(*account.values()).where(ours).order_by(account["created_at"], account["id"])


def list_all(call: Call, user: Record) -> list[Record]:
    """The accounts of a user, oldest first."""
    found = records.rows(call, call.state.once(_of_user), {"user_id": user.id})
    return [call.state.tables["account"].record(row) for row in found]


def unlink(call: Call, user: Record, account_id: str) -> None:
    """Take one way of signing in away from the caller; of many at once, one stays (SECURITY I8, S15).

    Args:
        call: the call.
        user: the caller.
        account_id: the ``id`` of one of their accounts.

    Raises:
        APIError: ``FAILED_TO_UNLINK_LAST_ACCOUNT``, also where the account is not theirs; ``ACCOUNT_NOT_FOUND``, also
            if a hook cancelled it.
    """
    keeps_one = not call.config.account.account_linking.allow_unlinking_all
    theirs = list_all(call, user)
    if keeps_one and len(theirs) == 1:
        raise APIError(CoreErrors.FAILED_TO_UNLINK_LAST_ACCOUNT)
    account = next((account for account in theirs if account.id == account_id), None)
    if account is None:
        raise APIError(CoreErrors.ACCOUNT_NOT_FOUND)
    with records.unit(call):
        if not records.delete(call, "account", account):
            raise APIError(CoreErrors.ACCOUNT_NOT_FOUND)
        records.lock(call, "user", id=user.id)  # who else unlinks waits here, and counts what is left then
        if keeps_one and not list_all(call, user):
            raise APIError(CoreErrors.FAILED_TO_UNLINK_LAST_ACCOUNT)
        sessions.hold(call)


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
