"""Checks of single values: stray forms are forgiven where their meaning is plain, all else is ``FormError``.

Each check takes what JSON held and gives the value in its one normal form. None opens or asks anything.
"""

import base64
import binascii
import ipaddress
import re
import ssl

import idna

from worker.codec.mistakes import FormError
from worker.domain.commands import Sealed
from worker.domain.model import Secret, Server


HOST_MAX_CHARACTERS = 253
"""RFC 1035 section 2.3.4: 255 octets on the wire."""

TEXT_MAX_CHARACTERS = 4096
SECRET_MAX_CHARACTERS = 1024
PEM_MAX_CHARACTERS = 64 * 1024
SEALED_MAX_CHARACTERS = 128 * 1024
SEALED_MIN_BYTES = 49
"""A libsodium sealed box adds 48 bytes (32 ephemeral key, 16 tag) to a secret of at least one."""

PORT_MAX = 65_535

_QUOTED = re.compile(r"""\A(["'])\s*(?P<inside>.*?)\s*\1\Z""")
_SCHEME = re.compile(r"\Aldaps?://", re.IGNORECASE)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_ATTRIBUTE = re.compile(r"\A(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+)(?:;[A-Za-z0-9-]+)*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")
"""Zero-width space, word joiner, byte order mark: pages and documents put them into what is copied."""
_BEFORE_FINGERPRINT = re.compile(r"\Asha-?256(?: fingerprint)?\s*[:=]")
_PEM = re.compile(
    r"-----BEGIN (?P<label>[A-Z0-9 ]+)-----(?P<body>[A-Za-z0-9+/=\s]+)-----END (?P=label)-----"
)
_HOLDS_KEY = re.compile(r"-----\s*BEGIN [A-Z0-9 ]*PRIVATE KEY", re.IGNORECASE)
"""Any sort of private key, whole or not: RFC 7468 section 10 and 11, RFC 5915, OpenSSH's, PuTTY's export."""
_CERTIFICATE_LABELS = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
"""What OpenSSL reads as one (its manual, PEM_read_bio_X509)."""
_ONE_NAME = (
    "Enter one host name without a port, for example dc1.example.com; "
    "if the certificate is for *.example.com, any name that fits it."
)
_KEY_LABELS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")


def text(value: object, *, max_characters: int = TEXT_MAX_CHARACTERS) -> str:
    """Return a text without the spaces around it and the invisible characters in it; control characters are refused."""
    if not isinstance(value, str):
        raise FormError(code="value.wrong_type")
    refuse_key(value)
    stripped = _INVISIBLE.sub("", value).strip()
    if not stripped:
        raise FormError(code="value.blank")
    if len(stripped) > max_characters:
        raise FormError(code="value.too_long")
    if _CONTROL.search(stripped):
        raise FormError(code="value.control_character")
    return stripped


def refuse_key(value: str) -> None:
    """Refuse a private key in a field that is none for it: what such a field holds is stored as it stands."""
    if _HOLDS_KEY.search(_INVISIBLE.sub("", value)):
        raise FormError(code="key.misplaced")


def server(value: object) -> Server:
    """Read ``host``, ``host:port``, ``[v6]:port``, a bare IPv6 address, each also behind ``ldap(s)://``."""
    entered = _SCHEME.sub("", _QUOTED.sub(r"\g<inside>", text(value))).removesuffix("/")
    if "/" in entered:
        raise FormError(code="server.syntax")
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", entered)
    if bracketed:
        address = _ip_v6(bracketed[1]) if ":" in bracketed[1] else _ip_v4(bracketed[1])
        return Server(address, _port(bracketed[2]))
    if entered.count(":") > 1:
        return Server(_ip_v6(entered))
    name, colon, port = entered.partition(":")
    return Server(host(name), _port(port if colon else None))


def _port(entered: str | None) -> int | None:
    if entered is None:
        return None
    digits = entered.strip()
    if not re.fullmatch(r"[0-9]{1,5}", digits) or not 1 <= int(digits) <= PORT_MAX:
        raise FormError(code="server.port")
    return int(digits)


def _ip_v6(entered: str) -> str:
    # A zone ("fe80::1%eth0") would name an interface of ours, so it is no address of a customer's server.
    if "%" in entered:
        raise FormError(code="server.syntax")
    try:
        return str(ipaddress.IPv6Address(entered))
    except ValueError as exc:
        raise FormError(code="server.syntax") from exc


def host(value: object) -> str:
    """Return a host name as lower-case A-labels (RFC 5891), or an IP address; underscores are let through.

    Windows lets hosts have underscores. A name whose last label is a number is taken for an address and must
    be a plain dotted one: resolvers read ``0x7f.1`` and ``2130706433`` as addresses too (inet_aton).
    """
    name = text(value).removesuffix(".").lower()
    ascii_name = name if name.isascii() else _a_labels(name, code="server.syntax")
    labels = ascii_name.split(".")
    if len(ascii_name) > HOST_MAX_CHARACTERS or not all(map(_LABEL.fullmatch, labels)):
        raise FormError(code="server.syntax")
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):
        return _ip_v4(ascii_name)
    return ascii_name


def _ip_v4(entered: str) -> str:
    try:
        return str(ipaddress.IPv4Address(entered))
    except ValueError as exc:
        raise FormError(code="server.syntax") from exc


def certificate_name(value: object) -> str:
    """Return the one host name or IP address that a certificate is to carry: no port, no pattern."""
    entered = text(value)
    try:
        return _ip_v6(entered.strip("[]")) if entered.count(":") > 1 else host(entered)
    except FormError as exc:
        raise FormError(code="server.syntax", message=_ONE_NAME) from exc


def _a_labels(name: str, *, code: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except idna.IDNAError as exc:
        raise FormError(code=code) from exc


def fingerprint(value: object) -> str:
    """Return 64 lower-case hex digits; ``sha256:``, colons, spaces and what ``openssl x509`` writes before are forgiven."""
    digits = re.sub(r"[:\s]", "", _BEFORE_FINGERPRINT.sub("", text(value).lower()))
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise FormError(code="fingerprint.syntax")
    return digits


def _pem(value: object, *, code: str) -> str:
    """Return a text that may be PEM (RFC 7468), without the spaces around it."""
    entered = value.strip() if isinstance(value, str) else ""
    if len(entered) > PEM_MAX_CHARACTERS:
        raise FormError(code=code)
    return entered


def _check_base64(block: re.Match[str], *, code: str) -> None:
    try:
        base64.b64decode("".join(block["body"].split()), validate=True)
    except binascii.Error as exc:
        raise FormError(code=code) from exc


def certificate(value: object) -> str:
    """Return PEM text of one or more certificates that OpenSSL can read, without what stands around them.

    Exports write subjects, bag attributes and at times the private key beside a certificate: the text is stored as
    it stands, so nothing but the certificates is kept, and a key is refused.
    """
    entered = _pem(value, code="certificate.not_pem")
    refuse_key(entered)
    blocks = [each for each in _PEM.finditer(entered) if each["label"] in _CERTIFICATE_LABELS]
    if not blocks:
        raise FormError(code="certificate.not_pem")
    for block in blocks:
        _check_base64(block, code="certificate.not_pem")
    pem = "".join(f"{block[0]}\n" for block in blocks)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
    except ssl.SSLError as exc:
        raise FormError(code="certificate.not_pem") from exc
    return pem


def private_key(value: object) -> Secret:
    """Return a private key without a passphrase, as PEM text."""
    if isinstance(value, str) and "ENCRYPTED" in value:
        raise FormError(code="key.encrypted")
    entered = _pem(value, code="key.not_pem")
    block = _PEM.search(entered)
    if block is None or block["label"] not in _KEY_LABELS:
        raise FormError(code="key.not_pem")
    _check_base64(block, code="key.not_pem")
    return Secret(f"{entered}\n")


def password(value: object) -> Secret:
    """Return a password exactly as entered, spaces and all; an empty one binds anonymously (RFC 4513 5.1.2)."""
    if not isinstance(value, str):
        raise FormError(code="value.wrong_type")
    if not value:
        raise FormError(code="password.empty")
    refuse_key(value)
    if len(value) > SECRET_MAX_CHARACTERS:
        raise FormError(code="value.too_long")
    if "\0" in value:
        raise FormError(code="value.control_character")
    return Secret(value)


def sealed(value: object) -> Sealed:
    """Return the bytes of a sealed box, its base64 on one line or many; whether a key opens it is seen when it is opened."""
    on_one_line = "".join(value.split()) if isinstance(value, str) else value
    if isinstance(value, str):
        refuse_key(value)
    entered = text(on_one_line, max_characters=SEALED_MAX_CHARACTERS)
    try:
        box = base64.b64decode(entered, validate=True)
    except ValueError as exc:  # binascii's own error, and what is no ASCII
        raise FormError(code="secret.not_sealed") from exc
    if len(box) < SEALED_MIN_BYTES:
        raise FormError(code="secret.not_sealed")
    return Sealed(box)


def attribute(value: object) -> str:
    """Return an attribute description: a name or OID, with options (RFC 4512 section 2.5)."""
    name = text(value)
    if not _ATTRIBUTE.match(name):
        raise FormError(code="attribute.syntax")
    return name
