"""Which user an identity at a provider is, and whether it may become another way of being that user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy.exc import IntegrityError

from .. import clock, signals, wire
from ..context import Call, Record, Reply
from ..errors import APIError, CoreErrors
from ..services import accounts, email_links, fields, records, sign_in, users
from .provider import Profile, Provider, Tokens
from .state import Link


class Refusal(Exception):
    """An identity was proven, and lets nobody in.

    Args:
        code: why, as redirects say it.
        description: more, for the page that shows it.
    """

    def __init__(self, code: str, description: str | None = None) -> None:
        self.code, self.description = code, description
        super().__init__(code)

    @property
    def words(self) -> str:
        """Why, as answers say it."""
        return self.code.replace("_", " ")


class Reason(Enum):
    """Why an account of a provider is not added to a user."""

    DISABLED = "linking is disabled"
    ONLY_EXPLICIT = "a sign-in adds no accounts"
    ADDRESS_NOT_PROVEN = "the provider does not vouch for the address"
    USER_NOT_PROVEN = "the user's own address is not proven"
    OTHER_ADDRESS = "the address is another than the user's"


def objection(call: Call, provider: Provider, profile: Profile, user: Record, *, explicit: bool) -> Reason | None:
    """Why an account of a provider may not be added to a user; nothing, if it may (SECURITY I).

    Args:
        call: the call.
        provider: whose account.
        profile: of the account.
        user: who would get it.
        explicit: the user is signed in and asks for it; else it is the address alone that speaks for it.
    """
    options = call.config.account.account_linking
    proven = profile.email_verified or _is_trusted(call, provider)
    if not options.enabled:
        return Reason.DISABLED
    if not proven:
        return Reason.ADDRESS_NOT_PROVEN
    if explicit:
        same = profile.email == user.email.lower()
        return None if same or options.allow_different_emails else Reason.OTHER_ADDRESS
    if options.disable_implicit_linking:
        return Reason.ONLY_EXPLICIT
    if options.require_local_email_verified and not user.email_verified:
        return Reason.USER_NOT_PROVEN  # whoever made it may not be who has the mailbox (SECURITY I1)
    return None


def _is_trusted(call: Call, provider: Provider) -> bool:
    """Whether the addresses of a provider count though it does not say that they are proven."""
    named = call.config.account.account_linking.trusted_providers
    if provider.id not in (named(call.request) if callable(named) else named):
        return False
    return not (provider.email_is_anybodys and call.config.hardening)


# ---------------------------------------------------------------- signing in

#: Makes what the client is told of the session, the user, and whether they are new.
Answer = Callable[[Record, Record, bool], Reply]


@dataclass(frozen=True)
class Identity:
    """An identity at a provider that was proven, and what came with the proof."""

    provider: Provider
    tokens: Tokens
    profile: Profile
    #: No user is made of it.
    sign_up_disabled: bool = False
    #: What the provider says takes the place of what the user table holds.
    overrides: bool = False
    #: Where links in mails lead.
    callback_url: str | None = None


def enter(call: Call, identity: Identity, answer: Answer) -> Reply:
    """Sign in as the user that an identity is, or becomes.

    Args:
        call: the call.
        identity: who was proven to be there.
        answer: makes the answer.

    Returns:
        The answer, or what a plugin wants first.

    Raises:
        Refusal: it lets nobody in.
        APIError: a hook or a plugin refuses.
    """
    email = identity.profile.email
    if email is None or not wire.is_email(email):
        raise Refusal("email_not_found")
    for _ in range(3):  # again, while others are faster with the same identity or its address (SECURITY J14)
        try:
            reply = _enter(call, identity, email, answer)
        except records.Outdated:
            continue
        if reply is None:  # the user is there, and gets in by the link in the mail
            raise Refusal("email_not_verified")
        return reply
    raise Refusal("unable_to_link_account")


def _enter(call: Call, identity: Identity, email: str, answer: Answer) -> Reply | None:
    provider, profile = identity.provider, identity.profile
    owned = accounts.of_provider(call, provider.id, profile.subject)
    if owned is not None:
        account, owner = owned
        if owner is None:
            raise Refusal("unable_to_link_account")
        return _return(call, identity, account, owner, answer)
    found = users.find(call, "email", email)
    if found is None:
        return _sign_up(call, identity, email, answer)
    reason = objection(call, provider, profile, found[0], explicit=False)
    if reason is not None:
        call.state.logger.info("better-auth: no account of %s for a user who is there: %s", provider.id, reason.value)
        raise Refusal("account_not_linked")
    return _join(call, identity, found[0], answer)


def _return(call: Call, identity: Identity, account: Record, user: Record, answer: Answer) -> Reply | None:
    """Sign in who has the account already."""
    _validate(call, identity.provider, identity.profile, "sign-in", user.id)
    with records.unit(call):
        tokens = _columns(call, identity.tokens) if call.config.account.update_account_on_sign_in else {}
        stored = records.update(call, "account", account, tokens) if tokens else account
        if stored is None:
            raise Refusal("unable_to_update_account")
        user = _updated(call, identity, user, _said(identity, user))
        return _finish(call, identity, user, stored, answer, is_new=False)


def _join(call: Call, identity: Identity, user: Record, answer: Answer) -> Reply | None:
    """Add the account to the user who has the address, and sign them in."""
    _validate(call, identity.provider, identity.profile, "link-account", user.id)
    on_link = call.config.account.account_linking.update_user_info_on_link
    with records.unit(call):
        if not user.email_verified and identity.profile.email_verified and call.config.hardening:
            users.forget_unproven(call, user)
        # who adds the same account at once waits here, and then finds it
        if not records.lock(call, "user", id=user.id, email=user.email, email_verified=user.email_verified):
            raise records.Outdated
        account = _add(call, identity.provider, identity.profile, identity.tokens, user)
        said = {**(_shown_by(call, identity.profile) if on_link else {}), **_said(identity, user)}
        user = _updated(call, identity, user, said)
        return _finish(call, identity, user, account, answer, is_new=False)


def _sign_up(call: Call, identity: Identity, email: str, answer: Answer) -> Reply | None:
    """Make a user of the identity, and sign them in."""
    if identity.sign_up_disabled:
        raise Refusal("signup_disabled")
    profile = identity.profile
    _validate(call, identity.provider, profile, "create-user", None)
    data = {
        "image": None,
        **_shown_by(call, profile, creating=True),
        "name": profile.user.get("name") or "",
        "email": email,
        "email_verified": profile.email_verified,
    }
    try:
        with records.unit(call):
            user = users.create(call, data, None)
            account = _add(call, identity.provider, profile, identity.tokens, user)
            return _finish(call, identity, user, account, answer, is_new=True)
    except APIError as error:
        if error.code == CoreErrors.USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL.code:
            raise records.Outdated from error
        if error.code == CoreErrors.FAILED_TO_CREATE_USER.code:
            raise Refusal("unable_to_create_user") from error
        raise


def _finish(
    call: Call, identity: Identity, user: Record, account: Record, answer: Answer, *, is_new: bool
) -> Reply | None:
    """Open the session; nothing, if the user has to prove the address first."""
    provider, verification = identity.provider, call.config.email_verification
    if not user.email_verified:
        required, wanted = provider.require_email_verification, verification.send_on_sign_up
        send = (required if wanted is None else wanted) if is_new else required and verification.send_on_sign_in
        if send:
            email_links.verify(call, user, identity.callback_url)
        if required:
            return None
    call.keep_account(account)
    try:
        return sign_in.complete(
            call, user, lambda session: answer(session, user, is_new), method="oauth", remember=True
        )
    except APIError as error:
        if error.code == CoreErrors.FAILED_TO_CREATE_SESSION.code:
            raise Refusal("unable_to_create_session") from error
        raise


# ---------------------------------------------------------------- adding accounts


def add(call: Call, provider: Provider, tokens: Tokens, profile: Profile, link: Link) -> None:
    """Add the account of an identity to the user who asked for it in a session that still lives.

    Raises:
        Refusal: nothing is added.
    """
    asked = _session_of(call, link)
    if asked is None:
        raise Refusal("unable_to_link_account")
    session, user = asked
    try:
        _validate(call, provider, profile, "link-account", user.id)
    except APIError as error:
        if error.code is None:
            raise
        raise Refusal(error.code, error.message) from error
    reason = objection(call, provider, profile, user, explicit=True)
    if reason is not None:
        call.state.logger.info("better-auth: no account of %s for who asked for it: %s", provider.id, reason.value)
        raise Refusal("email_does_not_match" if reason is Reason.OTHER_ADDRESS else "unable_to_link_account")
    attach(call, provider, tokens, profile, session, user)


def owner_id(call: Call, provider: Provider, profile: Profile) -> str | None:
    """The user whose the account of an identity is, if it is anybody's."""
    owned = accounts.of_provider(call, provider.id, profile.subject)
    return None if owned is None else str(owned[0].user_id)


def attach(call: Call, provider: Provider, tokens: Tokens, profile: Profile, session: Record, user: Record) -> None:
    """Add the account of an identity to a user, or store the new tokens of one that is theirs already.

    Args:
        call: the call.
        provider: whose account.
        tokens: what comes with it.
        profile: of the account.
        session: in which it was asked for; it must live until it is done (SECURITY I7).
        user: whose session that is.

    Raises:
        Refusal: the account is somebody else's, or the session has ended.
    """
    with records.unit(call):
        owned = accounts.of_provider(call, provider.id, profile.subject)
        if owned is not None and owned[0].user_id != user.id:
            raise Refusal("account_already_linked_to_different_user")
        if owned is not None:
            merged = ",".join(dict.fromkeys((*accounts.scopes(owned[0]), *(tokens.scopes or ()))))
            columns = {**_columns(call, tokens), **({"scope": merged} if merged else {})}
            records.update(call, "account", owned[0], columns)
        if not records.lock(call, "user", id=user.id):
            raise Refusal("unable_to_link_account")
        if owned is None:
            if accounts.of_provider(call, provider.id, profile.subject) is not None:  # somebody was faster
                raise Refusal("unable_to_link_account")
            _add(call, provider, profile, tokens, user)
        if call.config.account.account_linking.update_user_info_on_link:
            users.update(call, user, _shown_by(call, profile))
        if not call.state.sessions.hold(call, session):
            raise Refusal("unable_to_link_account")


def _session_of(call: Call, link: Link) -> tuple[Record, Record] | None:
    """The session in which a link was asked for, and its user, if it still lives (SECURITY I7)."""
    for session, user in call.state.sessions.find(call, link.session_token or ""):
        same = (session.token, session.user_id) == (link.session_token, link.user_id)
        if same and session.expires_at > clock.now():
            return session, user
    return None


def _add(call: Call, provider: Provider, profile: Profile, tokens: Tokens, user: Record) -> Record:
    data = {
        "user_id": user.id,
        "provider_id": provider.id,
        "account_id": profile.subject,
        "scope": tokens.scope,
        **_columns(call, tokens),
    }
    try:
        account = records.create(call, "account", data)
    except IntegrityError as error:
        if records.violated_uniqueness(error) is None:
            raise
        raise records.Outdated from error
    if account is None:
        raise Refusal("unable_to_link_account")
    state, shown = call.state, call.state.tables["user"].shown(user)
    records.after_commit(call, lambda: signals.account_linked.send(state.app, user=shown, provider_id=provider.id))
    return account


def _columns(call: Call, tokens: Tokens) -> dict[str, Any]:
    """What the account table holds of tokens; nothing of what a provider did not send."""
    columns = {
        "access_token": accounts.sealed(call, tokens.access_token),
        "refresh_token": accounts.sealed(call, tokens.refresh_token),
        "id_token": tokens.id_token,
        "access_token_expires_at": tokens.access_token_expires_at,
        "refresh_token_expires_at": tokens.refresh_token_expires_at,
    }
    return {name: value for name, value in columns.items() if value is not None}


# ---------------------------------------------------------------- what a provider says of a user


def _shown_by(call: Call, profile: Profile, *, creating: bool = False) -> dict[str, Any]:
    """Name, picture and those additional fields that a client may set (SECURITY J13)."""
    allowed = {name for name, field in call.state.additional_fields("user").items() if field.input}
    extra = {name: value for name, value in profile.user.items() if name in allowed}
    core = {name: profile.user[name] for name in ("name", "image") if name in profile.user}
    return {**core, **fields.read(call, "user", extra, creating=creating)}


def _said(identity: Identity, user: Record) -> dict[str, Any]:
    """What becomes of the user by the word of the provider alone."""
    profile = identity.profile
    proven = profile.email_verified and profile.email == user.email and not user.email_verified
    return {"email_verified": True} if proven else {}


def _updated(call: Call, identity: Identity, user: Record, said: Mapping[str, Any]) -> Record:
    """The user with what the provider said, in the open unit."""
    profile, changes = identity.profile, dict(said)
    if identity.overrides:
        changes |= {**_shown_by(call, profile), "name": profile.user.get("name") or ""}
        if profile.email and profile.email != user.email and users.find(call, "email", profile.email) is None:
            changes |= {"email": profile.email, "email_verified": profile.email_verified}
    if all(user[name] == value for name, value in changes.items()):
        return user
    unchanged = call.state.tables["user"].columns["email"] == user.email
    try:
        changed = users.update(call, user, changes, unchanged)
    except APIError as error:  # the address was taken since it was looked up
        raise records.Outdated from error
    if changed is None:
        raise records.Outdated
    if changed.email_verified and not user.email_verified and changed.email == user.email:
        state, shown = call.state, call.state.tables["user"].shown(changed)
        records.after_commit(call, lambda: signals.email_verified.send(state.app, user=shown))
    return changed


def _validate(call: Call, provider: Provider, profile: Profile, action: str, user_id: str | None) -> None:
    """Let the application refuse (SECURITY J15)."""
    said = {**profile.user, "email": profile.email, "email_verified": profile.email_verified}
    oauth = {"provider_id": provider.id, "profile": profile.data}
    users.validate(call, {**said, **({"id": user_id} if user_id else {})}, action=action, method="oauth", oauth=oauth)
