"""Certificates for tests, good and bad, by the openssl command line (about 15 ms each).

Standard library only, because the private stack makes its own before the project's environment
exists. ``openssl ca`` rather than ``openssl x509``: only there OpenSSL 3.0 takes dates in the past.
"""

import hashlib
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from tests.servers.daemon import ServerError
from tests.servers.slapd import Certificate


LOOPBACK = ("localhost", "127.0.0.1")
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
SHORT_KEY = ("-newkey", "rsa:1024", "-nodes")
"""Of the last century: RSA with 1024 bits."""
MAY_ISSUE = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
LIFETIME = timedelta(days=90)
"""Longer than the time ahead of which an expiring certificate is warned of: nobody here is to be warned but on purpose."""
# openssl ca wants a file for everything it is asked
CA_CONF = """
[ca]
default_ca = lab
[lab]
database = {directory}/index.txt
new_certs_dir = {directory}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[req]
distinguished_name = asked
[asked]
"""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority in a directory of its own; ``ca`` is what clients are told to trust."""

    directory: Path

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        name: str = "Rollcall test CA",
        extensions: Sequence[str] = MAY_ISSUE,
        key: Sequence[str] = KEY,
    ) -> Self:
        """Make one; an existing one in that directory is replaced."""
        _prepare(directory)
        made = (
            "-keyout",
            directory / "ca.key",
            "-out",
            directory / "ca.pem",
            "-days",
            str(LIFETIME.days),
        )
        added = [each for line in extensions for each in ("-addext", line)]
        # without a configuration of Debian's, which would add extensions of its own
        conf = ("-config", directory / "ca.cnf")
        _openssl("req", "-x509", *conf, *key, *made, "-subj", f"/CN={name}", *added)
        (directory / "ca.key").chmod(0o600)
        return cls(directory)

    def subordinate(
        self, directory: Path, *, name: str, extensions: Sequence[str] = MAY_ISSUE
    ) -> Self:
        """Make an authority that this one vouches for."""
        _prepare(directory)
        shown = self.issue(name, hosts=[], extensions=extensions)
        shown.cert.replace(directory / "ca.pem")
        shown.key.replace(directory / "ca.key")
        return type(self)(directory)

    @property
    def ca(self) -> Path:
        """The authority's own certificate."""
        return self.directory / "ca.pem"

    def issue(
        self,
        name: str,
        *,
        hosts: Sequence[str] = LOOPBACK,
        valid_from: timedelta = timedelta(hours=-1),
        lasts: timedelta = LIFETIME,
        usage: str = "serverAuth",
        key: Sequence[str] = KEY,
        digest: str = "sha256",
        extensions: Sequence[str] | None = None,
    ) -> Certificate:
        """Issue ``<name>.pem`` with ``<name>.key`` for these host names and addresses.

        ``extensions`` stands instead of those that a server's certificate usually has.
        """
        cert, private, request, wanted = (
            self.directory / f"{name}.{suffix}" for suffix in ("pem", "key", "csr", "ext")
        )
        alternatives = ",".join(map(_alternative, hosts))
        lines = [f"subjectAltName={alternatives}"] if alternatives else []
        # Python 3.13 checks strictly and misses the key identifiers
        usual = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
        usual += [f"extendedKeyUsage={usage}", "basicConstraints=CA:FALSE"]
        lines += usual if extensions is None else extensions
        wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
        _openssl("req", *key, "-keyout", private, "-out", request, "-subj", f"/CN={name}")
        begin = datetime.now(UTC) + valid_from
        dates = ("-startdate", _asn1(begin), "-enddate", _asn1(begin + lasts))
        signer = ("-cert", self.ca, "-keyfile", self.directory / "ca.key")
        files = ("-in", request, "-out", cert, "-extfile", wanted)
        conf = ("-config", self.directory / "ca.cnf", "-md", digest)
        _openssl("ca", "-batch", "-notext", *conf, *signer, *files, *dates)
        private.chmod(0o600)
        return Certificate(cert=cert, key=private, ca=self.ca)

    def revoke(self, shown: Certificate) -> Path:
        """Take a certificate back; gives the list that says so."""
        listed, conf = self.directory / "revoked.pem", ("-config", self.directory / "ca.cnf")
        signer = ("-cert", self.ca, "-keyfile", self.directory / "ca.key")
        _openssl("ca", *conf, *signer, "-revoke", shown.cert)
        _openssl("ca", *conf, *signer, "-gencrl", "-crldays", "30", "-out", listed)
        return listed

    def expired(self) -> Certificate:
        """The right name, but its time ended yesterday."""
        return self.issue("expired", valid_from=timedelta(days=-10), lasts=timedelta(days=9))

    def wrong_name(self) -> Certificate:
        """In time, but for another host."""
        return self.issue("wrong-name", hosts=["dc1.elsewhere.example"])

    def client(self, name: str = "client") -> Certificate:
        """For a client to show."""
        return self.issue(name, hosts=[], usage="clientAuth")


def self_signed(directory: Path, *, hosts: Sequence[str] = LOOPBACK) -> Certificate:
    """A certificate that vouches for itself, as a directory makes one when nobody gave it any."""
    directory.mkdir(parents=True, exist_ok=True)
    cert, key = directory / "self-signed.pem", directory / "self-signed.key"
    names = "subjectAltName=" + ",".join(map(_alternative, hosts))
    files = ("-keyout", key, "-out", cert, "-days", str(LIFETIME.days))
    _openssl("req", "-x509", *KEY, *files, "-subj", "/CN=self-signed", "-addext", names)
    return Certificate(cert=cert, key=key, ca=cert)


def chain(shown: Certificate, *issuers: Authority) -> Certificate:
    """The same certificate, sent together with those of its issuers."""
    whole = shown.cert.with_suffix(".chain.pem")
    parts = [shown.cert, *(each.ca for each in issuers)]
    whole.write_text("".join(each.read_text(encoding="ascii") for each in parts), encoding="ascii")
    return Certificate(cert=whole, key=shown.key, ca=shown.ca)


def forged(shown: Certificate) -> Certificate:
    """The same certificate with another signature: its last bit is turned."""
    der = ssl.PEM_cert_to_DER_cert(shown.cert.read_text(encoding="ascii"))
    turned = ssl.DER_cert_to_PEM_cert(der[:-1] + bytes([der[-1] ^ 1]))
    path = shown.cert.with_suffix(".forged.pem")
    path.write_text(turned, encoding="ascii")
    return Certificate(cert=path, key=shown.key, ca=shown.ca)


def fingerprint(cert: Path) -> str:
    """SHA-256 of the certificate's DER form, in lower-case hex without colons."""
    der = ssl.PEM_cert_to_DER_cert(cert.read_text(encoding="utf-8"))
    return hashlib.sha256(der).hexdigest()


def expiry(cert: Path) -> datetime:
    """Until when it is valid, as openssl says."""
    arguments = ("x509", "-in", cert, "-noout", "-enddate")
    done = subprocess.run(
        ["/usr/bin/openssl", *map(str, arguments)], capture_output=True, text=True, check=True
    )
    seconds = ssl.cert_time_to_seconds(done.stdout.strip().removeprefix("notAfter="))
    return datetime.fromtimestamp(seconds, UTC)


def _prepare(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "index.txt").write_text("", encoding="utf-8")
    (directory / "ca.cnf").write_text(CA_CONF.format(directory=directory), encoding="utf-8")


def _alternative(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        return f"DNS:{host}"
    return f"IP:{host}"


def _asn1(moment: datetime) -> str:
    return moment.strftime("%Y%m%d%H%M%SZ")


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["/usr/bin/openssl", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ServerError(server=f"openssl {arguments[0]}", why=done.stderr[-1500:])
