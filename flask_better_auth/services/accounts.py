"""Accounts: the ways in which a user can sign in, and the password one of them holds."""

from __future__ import annotations

from ..context import Call, Record
from ..errors import APIError, CoreErrors
from . import records

#: The provider id of the account that holds a password.
CREDENTIAL = "credential"


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
