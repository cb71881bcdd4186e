"""The forms in which other libraries have stored passwords: Django, Werkzeug, passlib, and with it Flask-Security."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from werkzeug.security import check_password_hash

_argon2 = PasswordHasher()


def is_known(stored: str) -> bool:
    """Whether a stored text has one of the forms."""
    return any(form.fullmatch(stored) for form, _ in _FORMS)


def verify(stored: str, password: bytes) -> bool | None:
    """Whether ``password`` is the one that ``stored`` was made of; nothing, if that is illegible."""
    found, check = next(((m, check) for form, check in _FORMS if (m := form.fullmatch(stored))), (None, None))
    if found is None or check is None:
        return None
    try:
        return check(password, **found.groupdict())
    except (ValueError, TypeError, OverflowError):  # the right form, with figures or letters that cannot be
        return None


def flask_security(password: str, salt: str) -> bytes:
    """What Flask-Security hashes in place of a password: its HMAC by ``SECURITY_PASSWORD_SALT``."""
    return base64.b64encode(hmac.digest(salt.encode(), password.encode(), "sha512"))


def argon2(password: bytes, hash: str) -> bool | None:
    """Whether a password fits an argon2 hash of any kind."""
    try:
        return _argon2.verify(hash, password)
    except VerifyMismatchError:
        return False
    except (InvalidHashError, VerificationError, ValueError):  # the last for letters that no hash has
        return None


# the length of a key is the function's and not the stored text's: a part of a key is the key of that length


def _pbkdf2(password: bytes, kind: str | None, rounds: str, salt: bytes, key: bytes) -> bool:
    return hmac.compare_digest(hashlib.pbkdf2_hmac(kind or "sha1", password, salt, int(rounds)), key)


def _django_pbkdf2(password: bytes, kind: str, rounds: str, salt: str, key: str) -> bool:
    return _pbkdf2(password, kind, rounds, salt.encode(), _base64(key))


def _passlib_pbkdf2(password: bytes, kind: str | None, rounds: str, salt: str, key: str) -> bool:
    return _pbkdf2(password, kind, rounds, _base64(salt), _base64(key))


def _scrypt(password: bytes, length: int, n: int, r: int, p: int, salt: bytes, key: bytes) -> bool:
    memory = 256 * r * (n + p)
    made = hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, dklen=length, maxmem=memory)
    return hmac.compare_digest(made, key)


def _django_scrypt(password: bytes, n: str, salt: str, r: str, p: str, key: str) -> bool:
    return _scrypt(password, 64, int(n), int(r), int(p), salt.encode(), _base64(key))


def _passlib_scrypt(password: bytes, log: str, r: str, p: str, salt: str, key: str) -> bool:
    return _scrypt(password, 32, 2 ** min(int(log), 32), int(r), int(p), _base64(salt), _base64(key))


def _werkzeug(password: bytes, hash: str) -> bool:
    return check_password_hash(hash, password.decode())


def _bcrypt(password: bytes, hash: str) -> bool | None:
    try:
        import bcrypt
    except ImportError:
        log = "better-auth: passwords are stored by bcrypt: install the extra, flask-better-auth[bcrypt]"
        logging.getLogger(__name__).error(log)
        return None
    return bcrypt.checkpw(password[:72], hash.encode())  # what is longer was never looked at


def _django_bcrypt(password: bytes, hash: str) -> bool | None:
    return _bcrypt(hashlib.sha256(password).hexdigest().encode(), hash)


def _passlib_bcrypt(password: bytes, kind: str, rounds: str, salt: str, key: str) -> bool | None:
    made = base64.b64encode(hmac.digest(salt.encode(), password, "sha256"))
    return _bcrypt(made, f"${kind}${int(rounds):02d}${salt}{key}")


def _old_passlib_bcrypt(password: bytes, kind: str, rounds: str, salt: str, key: str) -> bool | None:
    made = base64.b64encode(hashlib.sha256(password).digest())
    return _bcrypt(made, f"${kind}${int(rounds):02d}${salt}{key}")


def _base64(text: str) -> bytes:
    return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4), validate=True)


_B64 = r"[A-Za-z0-9+/.]+"
_N = r"[0-9]{1,10}"
_BCRYPT = r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}"
_TAIL = r"(?P<salt>[./A-Za-z0-9]{22})\$(?P<key>[./A-Za-z0-9]{31})"
#: How each form is read, by the parts of its text.
_FORMS: list[tuple[re.Pattern[str], Callable[..., bool | None]]] = [
    (re.compile(pattern), check)
    for pattern, check in (
        (rf"pbkdf2_(?P<kind>sha1|sha256)\$(?P<rounds>{_N})\$(?P<salt>[^$]+)\$(?P<key>{_B64}=*)", _django_pbkdf2),
        (rf"scrypt\$(?P<n>{_N})\$(?P<salt>[^$]+)\$(?P<r>{_N})\$(?P<p>{_N})\$(?P<key>{_B64}=*)", _django_scrypt),
        (r"argon2(?P<hash>\$argon2(?:id|i|d)\$.+)", argon2),
        (rf"bcrypt_sha256\$(?P<hash>{_BCRYPT})", _django_bcrypt),
        (rf"(?:bcrypt\$)?(?P<hash>{_BCRYPT})", _bcrypt),
        (r"(?P<hash>(?:scrypt|pbkdf2)(?::[a-z0-9]+)*\$[^$]+\$[0-9a-f]+)", _werkzeug),
        (
            rf"\$pbkdf2(?:-(?P<kind>sha256|sha512))?\$(?P<rounds>{_N})\$(?P<salt>{_B64})\$(?P<key>{_B64})",
            _passlib_pbkdf2,
        ),
        (
            rf"\$scrypt\$ln=(?P<log>{_N}),r=(?P<r>{_N}),p=(?P<p>{_N})\$(?P<salt>{_B64})\$(?P<key>{_B64})",
            _passlib_scrypt,
        ),
        (rf"\$bcrypt-sha256\$v=2,t=(?P<kind>2[aby]),r=(?P<rounds>{_N})\${_TAIL}", _passlib_bcrypt),
        (rf"\$bcrypt-sha256\$(?P<kind>2[aby]),(?P<rounds>{_N})\${_TAIL}", _old_passlib_bcrypt),
    )
]
