"""Random identifiers, signatures and one-way forms of secrets, over the standard library's primitives."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Mapping

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


class Secrets:
    """The secrets of one application: the current one signs and encrypts, the retired ones still read.

    Args:
        secret: the only one, or beside ``versions`` that from before there were any.
        versions: version -> secret, the current one first.
        accept_rotated: signatures by the others count too (SECURITY G18).
    """

    def __init__(self, secret: str, versions: Mapping[int, str] | None = None, *, accept_rotated: bool = False) -> None:
        self._legacy, self._versions = secret, dict(versions or {})
        self._version: int | None = next(iter(self._versions), None)
        self.current = secret if self._version is None else self._versions[self._version]
        others = [*self._versions.values(), secret] if accept_rotated else []
        #: Whose signatures count, the current one first.
        self.trusted = tuple(dict.fromkeys([self.current, *filter(None, others)]))

    def sign(self, value: str) -> str:
        """The signature of ``value`` by the current secret, as ``sign`` makes it."""
        return sign(self.current, value)

    def verify(self, value: str, signature: str) -> bool:
        """Whether one of the secrets whose signatures count made ``signature``."""
        return any(verify(secret, value, signature) for secret in self.trusted)

    def encrypt(self, text: str, *, purpose: str | None = None) -> str:
        """``text`` for storage: XChaCha20-Poly1305 in hex, behind ``$ba$<version>$`` where secrets have versions.

        Args:
            text: what nobody else shall read.
            purpose: for a key that fits this purpose alone, where the value may come back from a client.
        """
        from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as seal

        nonce = secrets.token_bytes(_NONCE)
        sealed = (nonce + seal(text.encode(), None, nonce, _key(self.current, purpose))).hex()
        return sealed if self._version is None else f"{_ENVELOPE}{self._version}${sealed}"

    def decrypt(self, stored: str, *, purpose: str | None = None) -> str:
        """What ``encrypt`` was given, whichever of the secrets there are made it.

        Raises:
            ValueError: none of them did; a version that is not in the list any more is none.
        """
        from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as unseal
        from nacl.exceptions import CryptoError

        version, secret, sealed = None, self._legacy, stored
        if stored.startswith(_ENVELOPE):
            version, _, sealed = stored.removeprefix(_ENVELOPE).partition("$")
            secret = self._versions.get(int(version), "") if version.isascii() and version.isdigit() else ""
        if not secret:
            raise ValueError("no secret is left that can read this")
        raw = bytes.fromhex(sealed)
        try:
            return unseal(raw[_NONCE:], None, raw[:_NONCE], _key(secret, purpose)).decode()
        except (CryptoError, TypeError):  # another key, or too short to be anything
            raise ValueError("this was encrypted by another secret, or changed since") from None


_ENVELOPE, _NONCE = "$ba$", 24


def _key(secret: str, purpose: str | None) -> bytes:
    """The key of a secret, as the reference derives it."""
    if purpose is not None:
        info = f"better-auth:{purpose}:v1"
        secret = derive_key(secret, salt="better-auth:oauth-encryption:v1", info=info, length=32).hex()
    return hashlib.sha256(secret.encode()).digest()


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
