"""The vault: sealed boxes over a list of keys, newest first, and digests that tell nothing without a key.

A sealed box (libsodium ``crypto_box_seal``: X25519, XSalsa20-Poly1305) is made with the public key alone, so
the platform can seal a password that only the worker opens. The first key seals, each opens: a new one stands
behind the old until every worker has it, then in front. Nothing here may print a key or a secret.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from worker.domain.commands import Sealed
from worker.domain.failures import RequestFailure
from worker.domain.model import Secret


DIGEST_BYTES = 16
KEY_BYTES = 32
_DIGEST_PURPOSE = b"rollcall:digest1"
"""BLAKE2b's personalisation, 16 bytes (RFC 7693 section 2.5 leaves it to us): a digest key is no box key."""


class KeyFormError(ValueError):
    """A key is not 32 bytes in base64."""


def generate_key() -> str:
    """Return a new private key, base64."""
    return base64.b64encode(bytes(PrivateKey.generate())).decode("ascii")


def public_key(private_key: Secret) -> str:
    """Return the public half of a private key, base64: what a platform seals with. Raises KeyFormError."""
    return base64.b64encode(bytes(_private(private_key).public_key)).decode("ascii")


class SealedVault:
    """The Vault port on PyNaCl."""

    def __init__(self, keys: Sequence[Secret]) -> None:
        """Take private keys, base64, newest first, at least one. Raises KeyFormError."""
        if not keys:
            raise KeyFormError
        self._boxes = tuple(SealedBox(_private(key)) for key in keys)
        self._newest = SealedBox(_private(keys[0]).public_key)
        self._digest_keys = tuple(_digest_key(_private(key)) for key in keys)

    def seal(self, secret: Secret) -> Sealed:
        """Seal for the newest key."""
        return Sealed(self._newest.encrypt(secret.reveal().encode()))

    def unseal(self, sealed: Sealed) -> Secret:
        """Open with whichever key fits. Raises RequestFailure ``settings.unreadable_secret``."""
        for box in self._boxes:
            try:
                return Secret(box.decrypt(bytes(sealed)).decode())
            except (CryptoError, UnicodeDecodeError):
                continue  # sealed for another of our keys, or for none
        raise RequestFailure(code="settings.unreadable_secret")

    def is_current(self, sealed: Sealed) -> bool:
        """Tell whether the newest key opens it: what does not is sealed again when keys are rotated."""
        try:
            self._boxes[0].decrypt(bytes(sealed))
        except CryptoError:
            return False
        return True

    def digests(self, value: bytes) -> tuple[bytes, ...]:
        """16-byte keyed digests of a value, the newest key's first."""
        return tuple(_digest(value, key) for key in self._digest_keys)


def seal_for(public: str, secret: Secret) -> Sealed:
    """Seal as a platform would, with a public key in base64. Raises KeyFormError."""
    return Sealed(SealedBox(PublicKey(_decoded(public))).encrypt(secret.reveal().encode()))


def _private(key: Secret) -> PrivateKey:
    return PrivateKey(_decoded(key.reveal()))


def _decoded(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise KeyFormError from None  # the text is a key: it stays out of the chain
    if len(raw) != KEY_BYTES:
        raise KeyFormError
    return raw


def _digest_key(key: PrivateKey) -> bytes:
    return hashlib.blake2b(
        b"", key=bytes(key), person=_DIGEST_PURPOSE, digest_size=KEY_BYTES
    ).digest()


def _digest(value: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(value, key=key, digest_size=DIGEST_BYTES).digest()
