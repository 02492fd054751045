"""One TLS context per directory, and what each fault of a handshake means.

TLS never goes through libldap: its certificate policy is one setting for the whole process, so
one tenant's choice would become another's (bonsai 1.5.5 ``set_cert_policy`` sets it globally).
"""

import hashlib
import os
import ssl

from typing_extensions import override

from worker.domain.failures import DirectoryFailure, Unreachable, Untrusted
from worker.domain.model import Credentials, DirectorySettings


CERTIFICATE_CODES = {
    # OpenSSL's X509_V_ERR_*, as ssl.SSLCertVerificationError.verify_code gives them
    2: "secure.missing_issuer",  # unable to get issuer certificate
    6: "secure.bad_issuer",  # its public key cannot be read
    9: "secure.not_yet_valid",
    10: "secure.expired",
    18: "secure.self_signed",
    19: "secure.untrusted_root",  # a private root sent in the chain
    20: "secure.missing_issuer",  # the server sends its own certificate only, or a private chain
    21: "secure.missing_issuer",  # the same in other builds of OpenSSL
    23: "secure.revoked",
    24: "secure.bad_issuer",  # no issuer's key; until OpenSSL 1.1.1: the issuer is no certificate authority
    25: "secure.bad_issuer",  # a chain longer than its authority allows
    26: "secure.wrong_purpose",  # no serverAuth
    32: "secure.bad_issuer",  # its key usage does not allow to issue
    62: "secure.wrong_name",
    64: "secure.wrong_address",  # an IP address that is not in the certificate
    66: "secure.weak_key",
    67: "secure.weak_key",
    68: "secure.weak_key",  # a digest as weak as a key
    79: "secure.bad_issuer",  # the issuer is no certificate authority
}

REASONS = {
    # OpenSSL's reasons, as ssl.SSLError.reason gives them
    "WRONG_VERSION_NUMBER": "secure.tls_on_plain_port",
    "PACKET_LENGTH_TOO_LONG": "secure.tls_on_plain_port",
    "HTTP_REQUEST": "secure.tls_on_plain_port",
    "UNSUPPORTED_PROTOCOL": "secure.protocol_too_old",
    "NO_PROTOCOLS_AVAILABLE": "secure.protocol_too_old",
    "TLSV1_ALERT_PROTOCOL_VERSION": "secure.protocol_too_old",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "secure.protocol_too_old",
    "NO_SHARED_CIPHER": "secure.protocol_too_old",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "secure.protocol_too_old",
    "DH_KEY_TOO_SMALL": "secure.weak_key",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "secure.client_certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "secure.client_certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "secure.client_certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "secure.client_certificate",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "secure.client_certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "secure.client_certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "secure.client_certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "secure.client_certificate",
    "TLSV1_ALERT_DECRYPT_ERROR": "secure.client_certificate",
}


HANDSHAKE_REFUSED = "SSLV3_ALERT_HANDSHAKE_FAILURE"


class RefusedAfterAgreeingError(ssl.SSLError):
    """The server gave up after protocol and cipher were agreed: it misses our certificate (RFC 5246 section 7.4.6)."""


class Handshake(ssl.SSLObject):
    """Tells apart what TLS 1.2 answers with one alert: no cipher in common, and no certificate from us."""

    @override
    def do_handshake(self) -> None:
        """Go on with the handshake."""
        try:
            super().do_handshake()
        except ssl.SSLError as exc:
            if exc.reason == HANDSHAKE_REFUSED and self.cipher() is not None:
                raise RefusedAfterAgreeingError(*exc.args) from exc
            raise


def tls_context(settings: DirectorySettings, credentials: Credentials) -> ssl.SSLContext:
    """Return the context of one directory: TLS 1.2 or later, its own trust, its own certificate.

    With a pinned fingerprint nothing else is checked here: compare it before the first byte is
    sent. Raises Untrusted ``secure.bad_ca``, ``secure.bad_client_certificate``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslobject_class = Handshake
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.trust.fingerprint is not None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.trust.ca_pem is not None:
        load_authority(context, settings.trust.ca_pem)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if settings.client_certificate is not None:
        key = credentials.client_key.reveal() if credentials.client_key else ""
        load_identity(context, f"{settings.client_certificate}\n{key}\n")
    return context


def load_authority(context: ssl.SSLContext, pem: str) -> None:
    """Trust this authority alone. An intermediate may be the anchor: customers often have no more."""
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as exc:
        raise Untrusted("secure.bad_ca", str(exc)) from exc


def load_identity(context: ssl.SSLContext, pem: str) -> None:
    """Load certificate and key from memory: the standard library takes only paths, so no disk is behind it."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb") as memory:
            memory.write(pem.encode())
            memory.flush()
            # an encrypted key would otherwise ask for its password on the terminal
            context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as exc:
        raise Untrusted("secure.bad_client_certificate", "it cannot be read with its key") from exc


def handshake_failure(exc: BaseException) -> DirectoryFailure:
    """Translate a fault of the handshake, by type, verify code and reason; the words only go along."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        code = CERTIFICATE_CODES.get(exc.verify_code, "secure.untrusted")
        return Untrusted(code, exc.verify_message)
    if isinstance(exc, RefusedAfterAgreeingError):
        return Untrusted("secure.client_certificate", HANDSHAKE_REFUSED)
    if isinstance(exc, ssl.SSLError):
        return Untrusted(REASONS.get(exc.reason or "", "secure.failed"), str(exc.reason))
    return Unreachable("secure.closed", str(exc))


def is_alert(exc: BaseException | None) -> bool:
    """Tell whether a connection was lost because the server refused our certificate (TLS 1.3 says so late)."""
    return (
        isinstance(exc, ssl.SSLError)
        and REASONS.get(exc.reason or "") == "secure.client_certificate"
    )


def check_fingerprint(certificate: bytes | None, expected: str) -> None:
    """Compare the server certificate (DER) with the pinned SHA-256. Raises Untrusted ``secure.wrong_fingerprint``."""
    seen = hashlib.sha256(certificate or b"").hexdigest()
    if seen != expected:
        raise Untrusted("secure.wrong_fingerprint", f"the server shows {seen}")
