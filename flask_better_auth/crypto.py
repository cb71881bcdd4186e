"""Random identifiers, signatures and one-way forms of secrets, over the standard library's primitives."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import string

ALPHANUMERIC = string.ascii_letters + string.digits
_BASE64URL = re.compile(r"[\w-]*", re.ASCII)


def random_string(length: int = 32, alphabet: str = ALPHANUMERIC) -> str:
    """A random text of ``length`` characters; 32 alphanumeric ones hold 190 bits (ASVS 7.2.3 asks for 128)."""
    base = len(alphabet)
    number = secrets.randbelow(base**length)  # one draw: the system is asked once, and not for each character
    characters = []
    for _ in range(length):
        number, digit = divmod(number, base)
        characters.append(alphabet[digit])
    return "".join(characters)


def sign(secret: str, value: str) -> str:
    """The HMAC-SHA-256 of ``value`` in standard base64 with padding: 44 characters, as the reference signs cookies."""
    mac = hmac.digest(secret.encode(), value.encode(), "sha256")
    return base64.b64encode(mac).decode()


def verify(secret: str, value: str, signature: str) -> bool:
    """Whether ``signature`` was made by ``sign`` for ``value``, compared in constant time."""
    return hmac.compare_digest(sign(secret, value).encode(), signature.encode("utf-8", "surrogatepass"))


def one_way(text: str) -> str:
    """The hashed form of a random identifier at rest: base64url of SHA-256, without padding."""
    return base64url(hashlib.sha256(text.encode()).digest())


def base64url(data: bytes) -> str:
    """RFC 4648 section 5, without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_base64url(text: str) -> bytes:
    """What ``base64url`` made a text of.

    Raises:
        ValueError: it is no such text.
    """
    if not _BASE64URL.fullmatch(text):  # the decoder would pass over what it does not know
        raise ValueError("no base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def derive_key(secret: str, *, salt: str, info: str, length: int) -> bytes:
    """A key for one purpose (HKDF with SHA-256, RFC 5869), from which nobody finds the secret or another key."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt.encode(), info.encode()).derive(secret.encode())
