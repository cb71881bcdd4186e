"""One blinker signal per security event, sent after the commit with the application as sender."""

from __future__ import annotations

from blinker import Namespace

_signals = Namespace()

#: A user was created. Keyword: ``user``, a dict.
user_signed_up = _signals.signal("user-signed-up")
#: A user was deleted, with all that was theirs. Keyword: ``user``, a dict.
user_deleted = _signals.signal("user-deleted")
#: A session was made for a user. Keywords: ``user`` and ``session``, dicts without secrets, and ``method``, for example
#: ``"credential"``.
user_signed_in = _signals.signal("user-signed-in")
#: A sign-in was refused. Keywords: ``method`` and ``reason``, an error code. Neither address nor password is passed on.
sign_in_failed = _signals.signal("sign-in-failed")
#: A password was set or changed. Keyword: ``user``, a dict without secrets.
password_changed = _signals.signal("password-changed")
#: A user proved that the e-mail address is theirs. Keyword: ``user``, a dict.
email_verified = _signals.signal("email-verified")
#: The e-mail address of a user was changed. Keywords: ``user``, a dict, and ``previous``, the address before.
email_changed = _signals.signal("email-changed")
#: An account of a provider was added to a user, also by signing up with it. Keywords: ``user``, a dict, and
#: ``provider_id``.
account_linked = _signals.signal("account-linked")
#: ``is_compromised`` failed, and the password was taken unseen. Keyword: ``error``, the exception.
password_check_failed = _signals.signal("password-check-failed")
#: A session was ended before its time. Keyword: ``session``, a dict.
session_revoked = _signals.signal("session-revoked")
