"""Users: finding, creating, authenticating and changing them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError

from .. import clock, signals
from ..context import AuthState, Call, Record
from ..crypto import random_string
from ..errors import APIError, CoreErrors, ErrorCode
from ..plugin import Column
from . import accounts, fields, records, sessions, verifications


@cache
def _by(column: str) -> Callable[[AuthState], Any]:
    """Makes the statement that reads the user of a value, and the credential account beside it."""

    def build(state: AuthState) -> Any:
        user, account = state.tables["user"], state.tables["account"]
        return (
            select(*user.columns.values(), account.columns["id"], account.columns["password"])
            .select_from(user.model)
            .outerjoin(account.model, accounts.holds_password(state, user.columns["id"]))
            .where(user.columns[column] == bindparam("value"))
        )

    return build


def find(call: Call, column: str, value: str) -> tuple[Record, Record] | None:
    """The user who has ``value`` in a unique column, and the credential account: its id and hash, ``None`` if there is
    none. An address must be in lower case."""
    found = records.rows(call, call.state.once(_by(column)), {"value": value})
    for row in map(tuple, found):
        user = call.state.tables["user"].record(row[:-2])
        if user[column] == value:  # some databases compare without regard to case, accents or trailing spaces
            return user, Record(id=row[-2], user_id=user.id, password=row[-1])
    return None


def _by_id(state: AuthState) -> Any:
    columns = state.tables["user"].columns
    return select(*columns.values()).where(columns["id"] == bindparam("id"))


def find_by_id(call: Call, user_id: str) -> Record | None:
    """The user of an identifier."""
    found = map(call.state.tables["user"].record, records.rows(call, call.state.once(_by_id), {"id": user_id}))
    # some databases compare without regard to trailing spaces
    return next((user for user in found if user.id == user_id), None)


def get(call: Call, user_id: str) -> Record:
    """The user of an identifier.

    Raises:
        APIError: ``USER_NOT_FOUND``.
    """
    user = find_by_id(call, user_id)
    if user is None:
        raise APIError(CoreErrors.USER_NOT_FOUND)
    return user


def validate(
    call: Call, user: Mapping[str, Any], *, action: str, method: str, oauth: Mapping[str, Any] | None = None
) -> None:
    """Let the application refuse a user (``user.validate_user_info``); if it fails, they are refused.

    Args:
        call: the call.
        user: what is known of them, under Python names.
        action: ``"create-user"``, ``"sign-in"`` or ``"link-account"``.
        method: how they came, for example ``"email-password"`` or ``"oauth"``.
        oauth: the provider and what it says.

    Raises:
        APIError: what the application raises, or ``validation_failed``.
    """
    ask = call.config.user.validate_user_info
    if ask is None:
        return
    source = {"action": action, "method": method, **({"oauth": oauth} if oauth is not None else {})}
    try:
        ask(user=dict(user), source=source)
    except APIError:
        raise
    except Exception as error:
        call.state.logger.exception("better-auth: validate_user_info failed, the user was refused")
        raise APIError(_VALIDATION_FAILED) from error


_VALIDATION_FAILED = ErrorCode("User validation failed", 403, "validation_failed")


def create(call: Call, data: Mapping[str, Any], password_hash: str | None) -> Record:
    """Create a user, and the credential account if there is a password.

    Args:
        call: with an open unit.
        data: the columns; the address in lower case.
        password_hash: what ``Passwords.hash`` made.

    Raises:
        APIError: ``USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL``, also for the loser of two at once;
            ``VALUE_ALREADY_TAKEN`` for another column whose values are unique; ``FAILED_TO_CREATE_USER`` if a hook
            cancelled it.
    """
    try:
        user = records.create(call, "user", {"email_verified": False, **data})
    except IntegrityError as error:
        raise _refusal(call, error) from error
    if user is None:
        raise APIError(CoreErrors.FAILED_TO_CREATE_USER)
    if password_hash is not None:
        accounts.create_credential(call, user, password_hash)
    state, shown = call.state, call.state.tables["user"].shown(user)
    records.after_commit(call, lambda: signals.user_signed_up.send(state.app, user=shown))
    return user


def update(call: Call, user: Record, data: Mapping[str, Any], *given: Any) -> Record | None:
    """Change a user that was read before. With the address, links to set a password that went to the old one die.

    Args:
        call: with an open unit.
        user: as it was read.
        data: the columns that change.
        given: conditions, see ``records.update``.

    Raises:
        APIError: ``USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL``, or ``VALUE_ALREADY_TAKEN`` for another column whose values
            are unique.
    """
    try:
        changed = records.update(call, "user", user, data, *given)
    except IntegrityError as error:
        raise _refusal(call, error) from error
    if changed is not None and changed.email != user.email:
        verifications.revoke(call, verifications.RESET_PASSWORD, user.id)  # SECURITY H2
        state, shown, previous = call.state, call.state.tables["user"].shown(changed), user.email
        records.after_commit(call, lambda: signals.email_changed.send(state.app, user=shown, previous=previous))
    return changed


def forget_unproven(call: Call, user: Record) -> None:
    """Take away what was there before the first proof that the mailbox is the user's: whoever put it there need not be
    who has the mailbox (SECURITY I1, I2).

    Args:
        call: with an open unit, in which the mailbox is proven.
        user: as they were read, with an address that was not proven.
    """
    records.delete_all(call, "account", call.state.tables["account"].columns["user_id"] == user.id)
    records.lock(call, "user", id=user.id)
    for kind in (verifications.RESET_PASSWORD, verifications.DELETE_ACCOUNT):
        verifications.revoke(call, kind, user.id)
    sessions.revoke_all(call, user_id=user.id)


def delete(call: Call, user: Record, *, account: Record | None = None, token: str | None = None) -> None:
    """Delete a user that was read before, and all that is theirs.

    Locks are taken in the order in which other writes take them: account, user, verification, session.

    Args:
        call: with an open unit. The session by which it was allowed, if it is one of the user's own, must not have
            ended meanwhile (SECURITY H11).
        user: who goes.
        account: the credential account with the password that allowed it, which must not have changed.
        token: the secret in the link that allowed it, which is used up.

    Raises:
        APIError: ``UNAUTHORIZED``; ``FAILED_TO_DELETE_USER`` if they are gone already, or if a hook cancelled it.
        Outdated: the password has changed, or the secret was used.
    """
    if account is not None:
        accounts.hold(call, account)
    records.delete_all(call, "account", call.state.tables["account"].columns["user_id"] == user.id)
    records.lock(call, "user", id=user.id)
    if token is not None and verifications.consume(call, verifications.DELETE_ACCOUNT, token) != user.id:
        raise records.Outdated
    for kind in (verifications.RESET_PASSWORD, verifications.DELETE_ACCOUNT):
        verifications.revoke(call, kind, user.id)
    if call.user is not None and call.user.id == user.id:
        sessions.revoke_own(call)
    else:
        sessions.revoke_all(call, user_id=user.id)
    if not records.delete(call, "user", user):
        raise APIError(CoreErrors.FAILED_TO_DELETE_USER)
    state, shown = call.state, call.state.tables["user"].shown(user)
    records.after_commit(call, lambda: signals.user_deleted.send(state.app, user=shown))


def _refusal(call: Call, error: IntegrityError) -> Exception:
    """What a violated constraint means to the client; one that is not about uniqueness is a failure of ours."""
    violated = records.violated_uniqueness(error)
    if violated is None:
        return error
    spec = call.state.tables["user"]
    columns = {name: getattr(spec.model, name).property.columns[0].name for name in spec.columns}
    # constraints are named after their column: the longest name in it is meant, contact_email and not email
    named = max((name for name in columns if columns[name] in violated), key=lambda n: len(columns[n]), default="")
    if named == "email":
        return APIError(CoreErrors.USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL)
    column = call.state.additional_fields("user").get(named)
    return APIError((isinstance(column, Column) and column.taken) or CoreErrors.VALUE_ALREADY_TAKEN)


def synthetic(call: Call, data: Mapping[str, Any]) -> Record:
    """A user that does not exist, in the shape of one that was just created (reference: anti-enumeration)."""
    now, spec = clock.now(), call.state.tables["user"]
    made = {"email_verified": False, "created_at": now, "updated_at": now, **data}
    if spec.new_id is not None:
        made["id"] = spec.new_id()
    made = fields.with_defaults(call, "user", made)
    user = Record((name, made.get(name)) for name in spec.columns)
    if spec.new_id is None:
        # counted like that of any new user: the gap, or its absence, would tell (SECURITY E)
        try:
            user["id"] = records.next_id(call, "user", Record({**user, "email": f"{random_string()}@invalid"}))
        except IntegrityError as error:
            raise _refusal(call, error) from error  # as for a new user
    customize = call.config.email_and_password.custom_synthetic_user
    if customize is not None:
        added = call.state.additional_fields("user")
        core = {name: value for name, value in user.items() if name != "id" and name not in added}
        extra = {name: user[name] for name in added}
        user.update(customize(core_fields=core, additional_fields=extra, id=user.id))
    return user
