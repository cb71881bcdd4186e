"""The configuration: frozen sections, built once per application from constructor arguments and ``BETTER_AUTH_*``."""

from __future__ import annotations

import contextlib
import difflib
import logging
import math
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import timedelta
from typing import Any, Literal

from flask import Request

from .errors import ConfigError

PREFIX = "BETTER_AUTH_"
#: What an indexed text column holds on every database, in characters.
LONGEST_KEY = 255


class _Section:
    """Remembers which arguments it was given: these win over configuration keys, even where they repeat the default."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        positional = [item.name for item in fields(typing.cast(Any, cls))][: len(args)]
        object.__setattr__(self, "given", (*positional, *kwargs))
        return self


@dataclass(frozen=True)
class AdditionalField:
    """A further column of a core table, as the reference's ``additionalFields``.

    Args:
        type: ``"string"``, ``"number"``, ``"boolean"``, ``"date"``, ``"json"``, ``"string[]"``, ``"number[]"``, or a
            tuple of the texts allowed.
        required: must be present when a row is created.
        default: the value, or a function that makes it, where none is given on create.
        input: clients may set it.
        returned: appears in answers.
        validator: called with the value; a ``ValueError`` refuses it with its text.
        transform: makes what is stored of a value that a request sets (reference ``transform.input``); not for null.
        unique: the database refuses a second row with the value.
        index: the database indexes the column.
        bigint: a number of 64 bits.
        on_update: makes the value that every change of the row sets, unless it sets another.
        field_name: what the column is called, if not after the field.
    """

    type: str | tuple[str, ...] = "string"
    required: bool = True
    default: Any = None
    input: bool = True
    returned: bool = True
    validator: Callable[[Any], object] | None = None
    transform: Callable[[Any], Any] | None = None
    unique: bool = False
    index: bool = False
    bigint: bool = False
    on_update: Callable[[], Any] | None = None
    field_name: str | None = None


AdditionalFields = Mapping[str, AdditionalField]


@dataclass(frozen=True)
class EmailAndPassword(_Section):
    """Signing up and in with an e-mail address and a password (reference option ``emailAndPassword``).

    Args:
        enabled: the endpoints answer.
        auto_sign_in: a sign-up opens a session; without it the answer does not tell whether the address was new.
        disable_sign_up: only the server can create users.
        min_password_length: in characters of UTF-16, as JavaScript counts.
        max_password_length: likewise; the bound is checked before anything is hashed.
        require_email_verification: nobody gets a session by a password before the address is verified; then a sign-up
            opens none, and its answer does not tell whether the address was new.
        send_reset_password: called with ``user``, ``url`` and ``token``; without it a reset is refused, in debug the
            link is logged.
        reset_password_token_expires_in: how long the link works.
        revoke_sessions_on_password_reset: a reset ends every session of the user.
        on_password_reset: called with ``user`` when a reset is done.
        on_existing_user_sign_up: called with ``user`` when the answer hides that the address was taken.
        custom_synthetic_user: makes the user of such an answer, of ``core_fields``, ``additional_fields`` and ``id``,
            where the application gives new users more than their defaults.
        is_compromised: called with a password that is to be set, for example to look it up at Have I Been Pwned; if it
            returns true, the password is refused. If it fails, the password is taken, which is logged and told by the
            signal ``password_check_failed``.
        refuse_common_passwords: refuse the 30,000 most common ones too, by the list of ``zxcvbn`` (extra
            ``common-passwords``).
    """

    enabled: bool = True
    auto_sign_in: bool = True
    disable_sign_up: bool = False
    min_password_length: int = 8
    max_password_length: int = 128
    require_email_verification: bool = False
    send_reset_password: Callable[..., object] | None = None
    reset_password_token_expires_in: timedelta = timedelta(hours=1)
    revoke_sessions_on_password_reset: bool = False
    on_password_reset: Callable[..., object] | None = None
    on_existing_user_sign_up: Callable[..., object] | None = None
    custom_synthetic_user: Callable[..., Mapping[str, Any]] | None = None
    is_compromised: Callable[[str], object] | None = None
    refuse_common_passwords: bool = False


@dataclass(frozen=True)
class EmailVerification(_Section):
    """Proving that an e-mail address is the user's, by a link (reference option ``emailVerification``).

    Args:
        send_verification_email: called with ``user``, ``url`` and ``token``; without it no links are sent, in debug
            they are logged.
        send_on_sign_up: send the link after a sign-up; by default where ``require_email_verification`` is on.
        send_on_sign_in: send it again when a sign-in is refused because the address is not verified.
        auto_sign_in_after_verification: the link opens a session.
        expires_in: how long a link works.
        before_email_verification: called with ``user`` before the address counts as verified; an ``APIError`` refuses.
        after_email_verification: called with ``user`` afterwards.
    """

    send_verification_email: Callable[..., object] | None = None
    send_on_sign_up: bool | None = None
    send_on_sign_in: bool = False
    auto_sign_in_after_verification: bool = False
    expires_in: timedelta = timedelta(hours=1)
    before_email_verification: Callable[..., object] | None = None
    after_email_verification: Callable[..., object] | None = None


@dataclass(frozen=True)
class ChangeEmail:
    """Changing one's e-mail address (reference option ``user.changeEmail``).

    Args:
        enabled: the endpoint answers.
        send_change_email_confirmation: called with ``user``, ``new_email``, ``url`` and ``token`` to ask at the old
            address first, where that one is verified.
        update_email_without_verification: where the old address is not verified, the new one counts at once.
        send_change_email_notice: called with ``user``, as they were before, and ``new_email`` to tell the old address
            that it was changed.
    """

    enabled: bool = False
    send_change_email_confirmation: Callable[..., object] | None = None
    update_email_without_verification: bool = False
    send_change_email_notice: Callable[..., object] | None = None


@dataclass(frozen=True)
class DeleteUser:
    """Users deleting themselves (reference option ``user.deleteUser``).

    Args:
        enabled: the endpoints answer.
        send_delete_account_verification: called with ``user``, ``url`` and ``token``; the link in the mail then has to
            be followed, whatever else was proven.
        delete_token_expires_in: how long the link works.
        before_delete: called with ``user`` before anything is deleted; an exception stops it, and an ``APIError`` is
            the answer. Of two requests at once both call it, and one deletes.
        after_delete: called with ``user`` after the commit.
    """

    enabled: bool = False
    send_delete_account_verification: Callable[..., object] | None = None
    delete_token_expires_in: timedelta = timedelta(days=1)
    before_delete: Callable[..., object] | None = None
    after_delete: Callable[..., object] | None = None


@dataclass(frozen=True)
class UserOptions(_Section):
    """The user table (reference option ``user``).

    Args:
        additional_fields: further columns, name -> ``AdditionalField`` or a dict of its arguments.
        change_email: see ``ChangeEmail``.
        delete_user: see ``DeleteUser``.
        validate_user_info: called with ``user``, what is known of them, and ``source``, a dict of ``action``
            (``"create-user"``, ``"sign-in"`` or ``"link-account"``), ``method`` and, of a provider, ``oauth``, whenever
            somebody signs up, or comes from a provider. An ``APIError`` that it raises is the answer.
    """

    additional_fields: AdditionalFields = field(default_factory=dict)
    change_email: ChangeEmail = field(default_factory=ChangeEmail)
    delete_user: DeleteUser = field(default_factory=DeleteUser)
    validate_user_info: Callable[..., object] | None = None


@dataclass(frozen=True)
class AccountLinking:
    """The ways of signing in that a user has (reference option ``account.accountLinking``).

    Args:
        enabled: accounts of providers are added to users that are there already.
        disable_implicit_linking: only ``link_social_account`` adds one, never a sign-in whose address a user has.
        require_local_email_verified: a sign-in adds one only to a user whose own address is proven. Without it the
            user whom it proves first loses what was there before: passwords, other accounts, and sessions.
        trusted_providers: identifiers of providers whose addresses count as proven though they do not say so, or a
            function of the request that returns such. Providers whose addresses anybody can choose never count.
        allow_different_emails: ``link_social_account`` adds one with another address than the user's.
        allow_unlinking_all: the last one may be unlinked too; nothing then signs the user in again.
        update_user_info_on_link: name, picture and additional fields become what the provider says.
    """

    enabled: bool = True
    disable_implicit_linking: bool = False
    require_local_email_verified: bool = True
    trusted_providers: tuple[str, ...] | Callable[[Request], Iterable[str]] = ()
    allow_different_emails: bool = False
    allow_unlinking_all: bool = False
    update_user_info_on_link: bool = False


@dataclass(frozen=True)
class AccountOptions(_Section):
    """The account table (reference option ``account``).

    Args:
        additional_fields: further columns.
        account_linking: see ``AccountLinking``.
        encrypt_oauth_tokens: what lets into a user's account at a provider is encrypted in the database.
        store_account_cookie: the browser keeps the account that it signed in with, encrypted, for five minutes; so
            ``get_access_token(use_account_cookie=True)`` needs no look-up.
        store_state_strategy: where a sign-in with a provider is kept until the browser is back: a row in
            ``"database"`` that is used up, or an encrypted ``"cookie"``.
        skip_state_cookie_check: a sign-in may be begun in one browser and ended in another. Whoever gets somebody to
            follow a link signs them in as whom they like then.
        update_account_on_sign_in: the tokens of the provider are stored anew with each sign-in.
    """

    additional_fields: AdditionalFields = field(default_factory=dict)
    account_linking: AccountLinking = field(default_factory=AccountLinking)
    encrypt_oauth_tokens: bool = False
    store_account_cookie: bool = False
    store_state_strategy: Literal["database", "cookie"] = "database"
    skip_state_cookie_check: bool = False
    update_account_on_sign_in: bool = True


#: How the identifier of a verification is stored; see ``VerificationOptions``.
StoreIdentifier = Literal["plain", "hashed"] | Callable[[str], str]


@dataclass(frozen=True)
class VerificationOptions(_Section):
    """The verification table (reference option ``verification``).

    Args:
        additional_fields: further columns.
        store_identifier: ``"plain"`` shares the table with a TypeScript server, ``"hashed"`` keeps a leaked database
            from yielding usable links; or a function of the identifier, whose text of at most 255 characters is stored.
        store_identifier_overrides: beginnings of identifiers, for example ``reset-password:`` -> the same for these;
            the first that fits counts.
        store_in_database: with ``secondary_storage``: keep them in the database too, where they are read.
    """

    additional_fields: AdditionalFields = field(default_factory=dict)
    store_identifier: StoreIdentifier = "plain"
    store_identifier_overrides: Mapping[str, StoreIdentifier] = field(default_factory=dict)
    store_in_database: bool = False


@dataclass(frozen=True)
class CookieCache(_Section):
    """A copy of session and user in a cookie, which shows who is signed in without a read (reference option
    ``session.cookieCache``).

    It is for showing alone: whatever changes or guards something reads the session itself. A session that was ended
    elsewhere may be shown until its copy is over.

    Args:
        enabled: copies are made and read.
        max_age: how long a copy counts.
        strategy: ``"compact"`` (signed), ``"jwt"`` (signed, a standard) or ``"jwe"`` (encrypted, a standard).
        version: a text, or a function of session and user that makes one; a copy of another version does not count.
        refresh_cache: with ``session.stateless``: renew a copy when so little of its time is left; ``True`` for a
            fifth of ``max_age``.
    """

    enabled: bool = False
    max_age: timedelta = timedelta(minutes=5)
    strategy: Literal["compact", "jwt", "jwe"] = "compact"
    version: str | Callable[[Mapping[str, Any], Mapping[str, Any]], str] = "1"
    refresh_cache: bool | timedelta = False


@dataclass(frozen=True)
class SessionOptions(_Section):
    """Sessions (reference option ``session``).

    Args:
        expires_in: the lifetime of a session, and of its cookie.
        update_age: a session is extended when it was last extended at least this long ago.
        fresh_age: how long after sign-in a session may do sensitive things; zero switches the check off.
        disable_session_refresh: sessions are never extended.
        defer_session_refresh: ``GET /get-session`` never writes, it tells whether ``POST /get-session`` is due.
        additional_fields: further columns.
        cookie_cache: see ``CookieCache``.
        store_session_in_database: with ``secondary_storage``: keep the rows in the database too, where what guards
            something reads them; the storage then only saves reads.
        preserve_session_in_database: with both: the row of a session that is ended stays, as one that is over.
        stateless: no sessions are stored: the cookie cache is the session. Nobody can end one before it is over.
    """

    expires_in: timedelta = timedelta(days=7)
    update_age: timedelta = timedelta(days=1)
    fresh_age: timedelta = timedelta(days=1)
    disable_session_refresh: bool = False
    defer_session_refresh: bool = False
    additional_fields: AdditionalFields = field(default_factory=dict)
    cookie_cache: CookieCache = field(default_factory=CookieCache)
    store_session_in_database: bool = False
    preserve_session_in_database: bool = False
    stateless: bool = False

    def __post_init__(self) -> None:
        if self.stateless:
            alone = {"enabled": True, "strategy": "jwe", "max_age": self.expires_in, "refresh_cache": True}
            object.__setattr__(self, "cookie_cache", CookieCache(**{**alone, **_given(self.cookie_cache)}))


@dataclass(frozen=True)
class CookieAttributes:
    """Attributes of a cookie; ``None`` leaves the weaker setting as it is (reference ``CookieOptions``).

    ``prefix`` is put before the name: ``"host"`` binds a cookie to the host that sets it (``__Host-``).
    """

    domain: str | None = None
    path: str | None = None
    max_age: timedelta | None = None
    http_only: bool | None = None
    secure: bool | None = None
    same_site: str | None = None
    partitioned: bool | None = None
    prefix: Literal["secure", "host"] | None = None


@dataclass(frozen=True)
class CookieOverride:
    """Another name and other attributes for one cookie (reference ``advanced.cookies.<key>``)."""

    name: str | None = None
    attributes: CookieAttributes = field(default_factory=CookieAttributes)


@dataclass(frozen=True)
class CrossSubDomainCookies:
    """Cookies shared by the subdomains of ``domain``, by default the host of the base URL."""

    enabled: bool = False
    domain: str | None = None


@dataclass(frozen=True)
class IpAddress:
    """How the address of a client is kept (reference ``advanced.ipAddress``); it always comes from the environ."""

    disable_ip_tracking: bool = False
    ipv6_subnet: int = 64


#: How identifiers are made; see ``Database``.
GenerateId = Literal["serial", "uuid", False] | Callable[..., str] | None


@dataclass(frozen=True)
class Database:
    """How rows are stored (reference ``advanced.database``).

    Args:
        generate_id: who makes identifiers: by default random texts of 32 characters; ``"uuid"`` UUIDs of version 4
            (PostgreSQL: in columns of that type), ``"serial"`` integers that the database counts, ``False`` the
            database by a default of its own, or a function, called with ``model="user"``. Clients see texts.
    """

    generate_id: GenerateId = None


@dataclass(frozen=True)
class Advanced(_Section):
    """Low-level settings (reference option ``advanced``).

    Args:
        use_secure_cookies: ``__Secure-`` names and ``Secure``; by default where the base URL is https, and without a
            base URL in production.
        cookie_prefix: the first part of every cookie's name.
        cookies: short name, for example ``session_token`` -> ``CookieOverride``.
        default_cookie_attributes: ``CookieAttributes`` of every cookie.
        cross_sub_domain_cookies: see ``CrossSubDomainCookies``.
        disable_csrf_check: no check of ``Origin`` and Fetch Metadata.
        disable_origin_check: no check of callback URLs, and none of origins either; or a list of paths to exempt.
        skip_trailing_slashes: routes answer with a slash at the end too.
        ip_address: see ``IpAddress``.
        database: see ``Database``.
    """

    use_secure_cookies: bool | None = None
    cookie_prefix: str = "better-auth"
    cookies: Mapping[str, CookieOverride] = field(default_factory=dict)
    default_cookie_attributes: CookieAttributes = field(default_factory=CookieAttributes)
    cross_sub_domain_cookies: CrossSubDomainCookies = field(default_factory=CrossSubDomainCookies)
    disable_csrf_check: bool | None = None
    disable_origin_check: bool | tuple[str, ...] = False
    skip_trailing_slashes: bool = False
    ip_address: IpAddress = field(default_factory=IpAddress)
    database: Database = field(default_factory=Database)


@dataclass(frozen=True)
class Limit:
    """So many requests and no more, until a while without one has passed.

    Args:
        max: how many, at least one.
        per: the while, in whole seconds.

    Raises:
        ConfigError: less than one of either.
    """

    max: int
    per: int

    def __post_init__(self) -> None:
        if self.max < 1 or self.per < 1:
            raise ConfigError(f"{self!r}: at least one request per second or more")


#: A limit for a path; ``False`` for none; or a function of the request and the limit that would apply, which returns
#: either, or nothing to leave it at that.
CustomRule = Limit | Literal[False] | Callable[[Request, Limit], Limit | Mapping[str, int] | Literal[False] | None]


@dataclass(frozen=True)
class RateLimit(_Section):
    """How often a client may ask (reference option ``rateLimit``).

    Args:
        enabled: requests over HTTP are limited; by default except in debug and testing.
        window: how long a client that has used up its requests must pause, where no special rule applies.
        max: how many requests each address has for a path, where no special rule applies.
        storage: where requests are counted: ``"memory"`` (each process by itself), ``"database"`` (a table
            ``rate_limit``), ``"secondary-storage"``, or a storage URI such as ``redis://localhost:6379/0``. By default
            the secondary storage, where there is one, else memory.
        custom_rules: path, or pattern with ``*``, ``**`` and ``?`` -> ``Limit``, ``False`` for none, or a function of
            the request and the limit that would apply. The first that fits counts.
        failures_per_account: wrong passwords in a row that an account bears, from wherever they come; ``None`` for any
            number.
        mails_per_recipient: messages that requests can send to one recipient; ``None`` for any number.
    """

    enabled: bool | None = None
    window: timedelta = timedelta(seconds=10)
    max: int = 100
    storage: str | None = field(default=None, repr=False)  # a URI may hold a password
    custom_rules: Mapping[str, CustomRule] = field(default_factory=dict)
    failures_per_account: Limit | None = Limit(100, per=3600)
    mails_per_recipient: Limit | None = Limit(5, per=3600)

    @property
    def default(self) -> Limit:
        """What applies to a path without a rule of its own."""
        return Limit(self.max, math.ceil(self.window.total_seconds()))


def as_limit(value: Any, where: str) -> Limit:
    """A limit as configuration and custom rules say it: a ``Limit``, or a dict of ``max`` and ``window`` (or ``per``).

    Raises:
        ConfigError: anything else.
    """
    if isinstance(value, Mapping) and "window" in value:
        value = {"per" if name == "window" else name: item for name, item in value.items()}
    try:
        limit: Limit = section(Limit, value, where)
    except TypeError:
        raise ConfigError(f"{where} needs max and window, not {value!r}") from None
    return limit


@dataclass(frozen=True)
class OnAPIError(_Section):
    """Errors (reference option ``onAPIError``).

    Args:
        error_url: the page that shows those of endpoints that redirect; by default ``/error`` below the base path.
        error_template: the application's Jinja template for ``/error``, rendered with ``error`` and
            ``error_description``.
        on_error: called with each error that a client gets, an ``APIError`` or what a view failed with, and the call.
        throw: what a view failed with is Flask's to handle, by the application's ``errorhandler``; clients get a 500.
    """

    error_url: str | None = None
    error_template: str | None = None
    on_error: Callable[..., object] | None = None
    throw: bool = False


#: An origin or a pattern that is trusted, or a function of the request that returns such; ``None`` is none.
Origin = str | Callable[[Request], Iterable[str | None]]


@dataclass(frozen=True)
class VersionedSecret:
    """One of the secrets of an application that changes them; see ``AuthConfig.secrets``."""

    version: int
    value: str = field(repr=False)


def _versioned(value: Any, where: str) -> tuple[VersionedSecret, ...]:
    """Secrets as a text, or as a list of pairs, dicts or objects.

    Raises:
        ConfigError: they are no such thing; the message holds none of them.
    """
    if isinstance(value, str):
        value = [part.strip().split(":", 1) for part in value.split(",")]
    try:
        made = tuple(map(_versioned_secret, value))
    except (TypeError, ValueError, KeyError):
        raise ConfigError(f"{where} must be like 2:abc,1:def, versions from 0 on and their secrets") from None
    versions = [each.version for each in made]
    if len(set(versions)) < len(versions) or versions[:1] != sorted(versions)[-1:]:
        # the first one encrypts: one that was retired must not come back by a slip (SECURITY G18)
        raise ConfigError(f"{where} must begin with the highest version, and have each once, not {versions}")
    return made


def _versioned_secret(item: Any) -> VersionedSecret:
    if isinstance(item, VersionedSecret):
        return item
    version, value = (item["version"], item["value"]) if isinstance(item, Mapping) else item
    number = int(str(version))
    if number < 0 or not isinstance(value, str) or not value:
        raise ValueError
    return VersionedSecret(number, value)


@dataclass(frozen=True)
class AuthConfig:
    """All of it. A field is a constructor argument and, in capitals behind ``BETTER_AUTH_``, a configuration key.

    Args:
        secret: signs cookies and encrypts what is stored; falls back to ``SECRET_KEY``. At least 32 characters.
        secrets: in place of it, or beside it for what it has encrypted: secrets with versions, the current one first,
            for example ``2:abc,1:def``. The others only read what is stored, as long as they are in the list.
        accept_rotated_cookies: cookies that one of the other secrets has signed keep their users signed in.
        url: the public origin, optionally with a path prefix, for example ``https://app.example.com``.
        app_name: what users know the application by, for example in their authenticator.
        base_path: where the routes are mounted.
        allowed_hosts: without ``url``: the hosts whose requests are answered, with their port unless it is the scheme's
            own, and perhaps with ``*``; in debug and testing, loopback.
        fallback_url: without ``url``: what stands for it where the host is none of these, for example in a script.
        protocol: without ``url``: ``"https"`` or ``"http"``, whatever the request came by, for links and cookies;
            ``"auto"`` is the request's own, and ``Secure`` cookies in production.
        trusted_origins: further origins or patterns that may call and be redirected to; among them or in place of them
            functions of the request that return such.
        disabled_paths: paths below ``base_path`` that answer 404, whatever the method.
        max_body: the largest request body, in bytes.
        max_hashes: how many passwords are hashed at once in this process; the others wait.
        database_uri: where the tables are, if the application has no Flask-SQLAlchemy of its own.
        bind_key: the Flask-SQLAlchemy bind of the tables, where there is no ``user_model`` that has one.
        table_prefix: put in front of the name of every table.
        naming: how columns are called: ``"snake_case"``, or ``"camelCase"`` as a TypeScript server made them.
        password_hash: ``"argon2id"``, ``"scrypt"`` (readable by a TypeScript server on the same database), an
            ``argon2.PasswordHasher``, or an object or dict with the functions ``hash`` (password -> stored text) and
            ``verify`` (stored text, password -> bool), which then has to read every stored text.
        flask_security_salt: the ``SECURITY_PASSWORD_SALT`` with which Flask-Security made the passwords in the table.
        secondary_storage: where sessions, verifications and limits are kept in place of the database: a URI such as
            ``redis://localhost:6379/0``, ``"memory"`` for this process alone, or an own ``SecondaryStorage``.
        login_url: where ``login_required`` sends browsers.
        logger: where failures are told, a ``logging.Logger``; by default the child ``better_auth`` of the application's
            own, ``logging.getLogger("<name of the application>.better_auth")``, whose level and handlers are yours.
        hardening: refusals beyond the reference that a client can see.
        additions: answers beyond the reference, for example a ``code`` in a 429.
        background: called with a function without arguments for each message to send, to run it elsewhere, for example
            the ``submit`` of a ``ThreadPoolExecutor``; by default it runs when the answer is sent.
        email_and_password: see ``EmailAndPassword``; likewise ``email_verification``, ``user``, ``session``,
            ``account``, ``verification``, ``advanced``, ``rate_limit`` and ``on_api_error``.
    """

    secret: str = field(default="", repr=False)
    secrets: tuple[VersionedSecret, ...] = ()
    accept_rotated_cookies: bool = False
    url: str | None = None
    app_name: str = "Better Auth"
    base_path: str = "/api/auth"
    allowed_hosts: tuple[str, ...] = ()
    fallback_url: str | None = None
    protocol: Literal["auto", "http", "https"] = "auto"
    trusted_origins: tuple[Origin, ...] = ()
    disabled_paths: tuple[str, ...] = ()
    max_body: int = 65536
    max_hashes: int | None = None
    database_uri: str = field(default="sqlite:///better_auth.db", repr=False)  # it may hold a password
    bind_key: str | None = None
    table_prefix: str = ""
    naming: Literal["snake_case", "camelCase"] = "snake_case"
    password_hash: Any = None
    flask_security_salt: str = field(default="", repr=False)
    secondary_storage: Any = field(default=None, repr=False)  # a URI may hold a password
    login_url: str | None = None
    logger: logging.Logger | None = None
    hardening: bool = True
    additions: bool = True
    background: Callable[[Callable[[], object]], object] | None = None
    email_and_password: EmailAndPassword = field(default_factory=EmailAndPassword)
    email_verification: EmailVerification = field(default_factory=EmailVerification)
    user: UserOptions = field(default_factory=UserOptions)
    session: SessionOptions = field(default_factory=SessionOptions)
    account: AccountOptions = field(default_factory=AccountOptions)
    verification: VerificationOptions = field(default_factory=VerificationOptions)
    advanced: Advanced = field(default_factory=Advanced)
    rate_limit: RateLimit = field(default_factory=RateLimit)
    on_api_error: OnAPIError = field(default_factory=OnAPIError)

    @property
    def additional_fields(self) -> dict[str, AdditionalFields]:
        """The further columns, by core table."""
        return {
            table: getattr(self, table).additional_fields for table in ("user", "session", "account", "verification")
        }


def build(
    arguments: Mapping[str, Any], settings: Mapping[str, Any], defaults: Sequence[Mapping[str, Any]] = ()
) -> AuthConfig:
    """Put the configuration together; a constructor argument wins over a configuration key, and that over a default.

    Args:
        arguments: keyword arguments of ``BetterAuth``.
        settings: ``app.config``.
        defaults: of plugins; an earlier one wins, trusted origins add up.

    Raises:
        ConfigError: a key nobody knows, or a value of the wrong type; the message names the key.
    """
    values, hints = _from_settings(settings), typing.get_type_hints(AuthConfig)
    for name, value in arguments.items():
        present = values.get(name)
        values[name] = _merged(hints[name], present, value) if isinstance(present, dict) else value
    for default in defaults:
        _fill_in(values, default)
    if not values.get("secrets"):
        values.setdefault("secret", settings.get("SECRET_KEY") or "")
    values.setdefault("secret", "")
    if isinstance(values["secret"], bytes):
        values["secret"] = values["secret"].decode("latin-1")
    config: AuthConfig = section(AuthConfig, values, "BetterAuth")
    return config


def _fill_in(values: dict[str, Any], default: Mapping[str, Any]) -> None:
    hints = typing.get_type_hints(AuthConfig)
    for name, value in default.items():
        _known(name, hints, f"a plugin's defaults[{name!r}]")
        present = values.get(name)
        if name == "trusted_origins":
            values[name] = (*_value(hints[name], present or (), name), *_value(hints[name], value, name))
        elif is_dataclass(hints[name]):
            values[name] = _merged(hints[name], _given(value), present or {})
        else:
            values.setdefault(name, value)


def _given(options: Any) -> Mapping[str, Any]:
    """What a section was told, as an object or as a dict, so that the deployment and plugins can set the rest."""
    if isinstance(options, Mapping):
        return options
    return {name: getattr(options, name) for name in options.given}


def _merged(cls: Any, weaker: Mapping[str, Any], stronger: Any) -> dict[str, Any]:
    """The options of a section over weaker ones, one by one, and so in the sections inside of it."""
    hints, merged = typing.get_type_hints(cls), dict(weaker)
    for name, value in _given(stronger).items():
        present = merged.get(name)
        if is_dataclass(hints.get(name)) and isinstance(present, dict) and isinstance(value, (Mapping, _Section)):
            value = _merged(hints[name], present, value)
        merged[name] = value
    return merged


def _from_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key in sorted(key for key in settings if key.startswith(PREFIX)):  # a section before what is said of it alone
        _read(values, AuthConfig, key[len(PREFIX) :].lower(), settings[key], key, PREFIX)
    return values


def _read(values: dict[str, Any], cls: Any, name: str, value: Any, key: str, prefix: str = "") -> None:
    """Put a setting where its name says that it belongs: ``session_cookie_cache_enabled`` is three levels deep.

    Args:
        values: of the section ``cls``.
        cls: the section.
        name: what of the key is left, in lower case.
        value: as the settings have it.
        key: the whole key, for messages.
        prefix: what of it was taken off; nothing, inside of a dict.
    """
    hints = typing.get_type_hints(cls)
    sections: dict[str, Any] = {option: hint for option, hint in hints.items() if is_dataclass(hint)}
    inside = max((option for option in sections if name.startswith(option + "_")), key=len, default="")
    if name in sections and not isinstance(value, sections[name]):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key} must be a dict, not {type(value).__name__}")
        for option, inner in value.items():
            # from_prefixed_env leaves the names inside of a section as they are in the environment
            into = values.setdefault(name, {})
            _read(into, sections[name], option.lower(), inner, f"{key}[{option!r}]")
    elif name in hints:
        values[name] = value if (cls, name) == (AuthConfig, "secret") else _value(hints[name], value, key)
    elif inside and prefix:
        into = values.setdefault(inside, {})
        _read(into, sections[inside], name[len(inside) + 1 :], value, key, f"{prefix}{inside.upper()}_")
    else:
        inner_names = (f"{option}_{n}" for option, hint in sections.items() for n in typing.get_type_hints(hint))
        _known(name, [*hints, *(inner_names if prefix else ())], key, prefix)


def _known(name: str, names: Collection[str], shown: str, prefix: str = "") -> None:
    if name in names:
        return
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0)
    nearest = prefix + (near[0].upper() if prefix else near[0])
    raise ConfigError(f"{shown} is no setting; the nearest one is {nearest}")


def section(cls: type[Any], values: Any, where: str) -> Any:
    """A dataclass of options from a mapping of them.

    Args:
        cls: the dataclass.
        values: option -> value, or an object of ``cls`` already.
        where: what to call it in messages.

    Raises:
        ConfigError: an option nobody knows, or a value of the wrong type.
    """
    if isinstance(values, cls):
        return values
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} must be a {cls.__name__} or a dict, not {values!r}")
    hints = typing.get_type_hints(cls)
    built = {}
    for name, value in values.items():
        _known(name, hints, f"{where}({name}=...)")
        built[name] = _value(hints[name], value, f"{where}({name}=...)")
    return cls(**built)


def _value(hint: Any, value: Any, where: str) -> Any:
    """``value`` as the type that ``hint`` asks for; texts are read as ``from_prefixed_env`` leaves them."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        failure: ConfigError | None = None
        for argument in arguments:
            try:
                if argument is not type(None):
                    return _value(argument, value, where)
            except ConfigError as error:
                failure = failure or error
        raise failure or ConfigError(where)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{where} must be one of {', '.join(map(repr, arguments))}, not {value!r}")
        return value
    if hint is Limit:
        return as_limit(value, where)
    if is_dataclass(hint):
        return section(typing.cast(type, hint), value, where)
    if hint == tuple[VersionedSecret, ...]:
        return _versioned(value, where)
    if origin is tuple:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        functions = arguments[0] == Origin
        value = [value] if functions and callable(value) else value
        if not isinstance(value, (list, tuple)) or not all(
            isinstance(item, str) or (functions and callable(item)) for item in value
        ):
            raise ConfigError(f"{where} must be a list of texts{' or functions' if functions else ''}, not {value!r}")
        return tuple(value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where} must be a dict, not {value!r}")
        return {key: _value(arguments[1], item, f"{where}[{key!r}]") for key, item in value.items()}
    if origin is not None and issubclass(origin, Callable):  # type: ignore[arg-type]  # an abstract class by protocol
        if not callable(value):
            raise ConfigError(f"{where} must be callable, not {value!r}")
        return value
    return _scalar(hint, value, where)


def _scalar(hint: type, value: Any, where: str) -> Any:
    if hint is timedelta:
        if isinstance(value, str):
            value = _number(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            with contextlib.suppress(OverflowError):  # refused below
                value = timedelta(seconds=value)
        if not isinstance(value, timedelta) or value < timedelta(0):
            raise ConfigError(f"{where} must be a timedelta or a number of seconds, not {value!r}")
        return value
    if hint is bool and isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    if hint is int and isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{where} must be of type {hint.__name__}, not {type(value).__name__}")  # it may be a secret
    return value


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
