"""Renders a read plan as an ``ldapsearch`` line to paste: the same search, its password a variable.

Knows the command line of OpenLDAP's client, ldapsearch(1). Never sees a secret.
"""

import re
import shlex

from worker.domain.model import DirectorySettings, Security, Server
from worker.domain.plan import ReadPlan


NO_BASE = "YOUR-SEARCH-BASE"
"""Stands for a base that nobody knows: without one, ldapsearch searches where there is nothing."""
PLAIN_HOST = re.compile(r"[0-9A-Za-z_:][0-9A-Za-z_.:-]*\Z")


def ldapsearch_line(plan: ReadPlan, server: Server) -> str:
    """Return the command for one server; the first base, since ldapsearch takes one.

    Certificates become the environment variables ldap.conf(5) names: files the reader has to supply.
    """
    settings = plan.settings
    # the whole tree has to be said: ldapsearch would take a base of its own configuration
    bases = plan.bases or plan.preset.bases_in(())
    parts = [
        *environment(settings),
        "ldapsearch -LLL",
        *sign_in(plan),
        f"-H {shlex.quote(url(server, settings))}",
        *(["-ZZ"] if settings.security is Security.STARTTLS else []),
        f"-b {shlex.quote(bases[0] if bases else NO_BASE)}",
        "-s sub",
        f"-E pr={plan.limits.page_size}/noprompt",
        shlex.quote(plan.filter),
        *map(shlex.quote, plan.attributes),
    ]
    return " ".join(parts) + remark(server, settings)


def environment(settings: DirectorySettings) -> list[str]:
    """Return what names the certificates; ldapsearch cannot pin a fingerprint, so it then checks nothing."""
    if settings.security is Security.NONE:
        return []
    names = []
    if settings.trust.fingerprint is not None:
        names.append("LDAPTLS_REQCERT=never")
    elif settings.trust.ca_pem is not None:
        names.append("LDAPTLS_CACERT=ca.pem")
    if settings.client_certificate is not None:
        names += ["LDAPTLS_CERT=client.pem", "LDAPTLS_KEY=client.key"]
    return names


def sign_in(plan: ReadPlan) -> list[str]:
    """Return the options that sign in the same way; the password stays a variable."""
    if plan.credentials.password is None and plan.settings.client_certificate is not None:
        return ["-Y EXTERNAL"]
    return ["-x", f"-D {shlex.quote(plan.settings.bind_name)}", '-w "$LDAP_PASSWORD"']


def url(server: Server, settings: DirectorySettings) -> str:
    """Return the URL to connect to (RFC 4516), by the name that the certificate is to carry."""
    scheme = "ldaps" if settings.security is Security.LDAPS else "ldap"
    name = other_name(server, settings) or server.host
    host = f"[{name}]" if ":" in name else name
    return f"{scheme}://{host}:{server.port_for(settings.security)}"


def other_name(server: Server, settings: DirectorySettings) -> str | None:
    """Return the name in the certificate where it is not the server's own, and is checked.

    ldapsearch checks a certificate by the name it connects to, and has no option for another (ldap.conf(5), TLS OPTIONS).
    """
    name = settings.certificate_name or ""
    is_checked = settings.security is not Security.NONE and settings.trust.fingerprint is None
    if not is_checked or not PLAIN_HOST.match(name) or _bare(name) == _bare(server.host):
        return None
    return name


def remark(server: Server, settings: DirectorySettings) -> str:
    """Say behind a line what it takes to work: a comment to a shell, words without a sign that any shell acts upon."""
    name = other_name(server, settings)
    if name is None:
        return ""
    there = server.host if PLAIN_HOST.match(server.host) else "the server"
    return f"  # works where {name} leads to {there}: ldapsearch checks the certificate by the name it connects to"


def _bare(name: str) -> str:
    return name.lower().rstrip(".")
