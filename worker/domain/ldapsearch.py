"""Renders a read plan as an ``ldapsearch`` line to paste: the same search, its password a variable.

Knows the command line of OpenLDAP's client, ldapsearch(1). Never sees a secret.
"""

import shlex

from worker.domain.model import DirectorySettings, Security, Server
from worker.domain.plan import ReadPlan


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
        *([f"-b {shlex.quote(bases[0])}"] if bases else []),
        "-s sub",
        f"-E pr={plan.limits.page_size}/noprompt",
        shlex.quote(plan.filter),
        *map(shlex.quote, plan.attributes),
    ]
    return " ".join(parts)


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
    """Return the server's URL (RFC 4516); a name in the certificate that differs is not known to it."""
    scheme = "ldaps" if settings.security is Security.LDAPS else "ldap"
    host = f"[{server.host}]" if ":" in server.host else server.host
    return f"{scheme}://{host}:{server.port_for(settings.security)}"
