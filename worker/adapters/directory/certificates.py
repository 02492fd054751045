"""A certificate's DER form to what can be told of it. Proves nothing: trust is the handshake's.

By ``cryptography``: the standard library reads only certificates that it has verified, and the ones to be told of
are those that were not.
"""

import hashlib
import ssl
import warnings
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import NameOID

from worker.domain.survey import NAMES_SHOWN_COUNT, Certificate, clean


UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension)
"""What the library raises for a certificate that is none, or of a kind it does not know."""


def shown(tls: ssl.SSLObject) -> Certificate | None:
    """Return the certificate that the other side of a handshake showed."""
    der = tls.getpeercert(binary_form=True)
    return certificate(der, chain_length=chain_length(tls)) if der else None


def certificate(der: bytes, *, chain_length: int | None = None) -> Certificate:
    """Return what can be read of it; of one that cannot be read, its fingerprint."""
    fingerprint = f"sha256:{hashlib.sha256(der).hexdigest()}"
    try:
        with (
            warnings.catch_warnings()
        ):  # the library complains of numbers that are against the rules
            warnings.simplefilter("ignore")
            return _read(der, fingerprint, chain_length)
    except UNREADABLE:
        return Certificate(fingerprint, chain_length=chain_length)


def _read(der: bytes, fingerprint: str, chain_length: int | None) -> Certificate:
    read = x509.load_der_x509_certificate(der)
    return Certificate(
        fingerprint,
        subject=clean(read.subject.rfc4514_string()),
        names=tuple(clean(name) for name in _names(read)[:NAMES_SHOWN_COUNT]),
        issuer=clean(read.issuer.rfc4514_string()),
        valid_from=read.not_valid_before_utc,
        valid_until=read.not_valid_after_utc,
        self_signed=_is_self_signed(read),
        chain_length=chain_length,
        key=_key(read),
    )


def _names(read: x509.Certificate) -> list[str]:
    """Return the names it is for (RFC 6125); without any, its common name, which some still go by."""
    try:
        alternatives = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return [
            str(each.value) for each in read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ]
    names: list[str] = alternatives.get_values_for_type(x509.DNSName)
    return names + [str(each) for each in alternatives.get_values_for_type(x509.IPAddress)]


def _is_self_signed(read: x509.Certificate) -> bool:
    if read.subject != read.issuer:
        return False
    try:
        read.verify_directly_issued_by(read)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _key(read: x509.Certificate) -> str:
    try:
        key = read.public_key()
    except UNREADABLE:
        return ""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "Ed448"
    return ""


def chain_length(tls: ssl.SSLObject) -> int | None:
    """Return how many certificates were sent. Public from Python 3.13 on; before, one level down."""
    source: Any = tls if hasattr(tls, "get_unverified_chain") else getattr(tls, "_sslobj", None)
    ask = getattr(source, "get_unverified_chain", None)
    return len(ask() or ()) if ask is not None else None
