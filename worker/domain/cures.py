"""Lines to copy for a finding: a table of codes and kinds of server, filled in with what the form says.

Lines for a kind of server are shown only where the server may be of that kind. They look, or they put right just what the
finding names; none holds a password. Sources, by command: Microsoft's reference of the ActiveDirectory, DnsClient and
NetSecurity modules, dsacls and certutil (learn.microsoft.com); samba-tool(8); OpenLDAP's slapd-config(5), slapd.access(5)
and Admin Guide, chapter Limits; 389 Directory Server's dsidm and Red Hat Directory Server's pages on resource limits and
ACIs; FreeIPA's ipa(1); openssl-s_client(1), openssl-x509(1). OpenLDAP's limits and rights were tried on 2.5.13.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from worker.domain import quoting
from worker.domain.ldapsearch import NO_BASE, PLAIN_HOST, environment, other_name, remark
from worker.domain.model import DirectorySettings, Security, Server
from worker.domain.plan import ReadPlan
from worker.domain.server import RootDse, ServerType
from worker.domain.syntax import bare_login, normal_dn
from worker.domain.told import Command


PLAIN_ATTRIBUTE = re.compile(r"[A-Za-z][0-9A-Za-z-]*\Z")
FILLED = re.compile(r"\[\[([a-z_]+)\]\]")
NO_HOST = "YOUR-SERVER"
NO_DN = "DN-OF-THE-ACCOUNT"
NO_ADMIN = "DN-OF-THE-ADMINISTRATOR"
NO_NAME = "NAME-OF-THE-ACCOUNT"
NO_TRUSTEE = "DOMAIN\\NAME-OF-THE-ACCOUNT"


@dataclass(frozen=True, slots=True)
class Cure:
    """Lines for some codes: ``codes`` name a code, or a stage with a full stop. ``types`` empty: for any server."""

    codes: frozenset[str]
    types: frozenset[ServerType]
    label: str
    text: str
    needs_egress: bool = False
    is_grant: bool = False
    """Whether it gives rights."""

    def is_for(self, code: str, types: frozenset[ServerType]) -> bool:
        """Whether to show it for a code at a server that may be of these types."""
        is_meant = code in self.codes or (
            code not in OF_THE_FORM and f"{code.partition('.')[0]}." in self.codes
        )
        return is_meant and (not self.types or bool(self.types & types))


@dataclass(frozen=True, slots=True)
class Place:
    """What the lines are filled in with."""

    settings: DirectorySettings
    server: Server
    base: str = ""
    attributes: tuple[str, ...] = ()
    """That hold addresses."""
    egress: tuple[str, ...] = ()


def cures(
    code: str, place: Place, types: frozenset[ServerType], *, may_grant: bool = True
) -> tuple[Command, ...]:
    """Return the lines to copy for a code, those for any server first; ``may_grant``: also those that give rights."""
    values = _values(place, code)
    fitting = [cure for cure in CURES if cure.is_for(code, types)]
    return tuple(
        Command(cure.label, FILLED.sub(lambda found: values[found.group(1)], cure.text))
        for cure in fitting
        if (place.egress or not cure.needs_egress) and (may_grant or not cure.is_grant)
    )


def place_of(
    settings: DirectorySettings,
    plan: ReadPlan | None,
    root: RootDse | None,
    egress: tuple[str, ...],
) -> Place:
    """Return what the lines are filled in with; the first server, since it is the one preferred."""
    contexts = root.data_contexts if root is not None else ()
    bases = (plan.bases if plan is not None else settings.search_bases) or contexts
    attributes = tuple(each.name for each in plan.preset.addresses) if plan is not None else ()
    return Place(settings, settings.servers[0], bases[0] if bases else "", attributes, egress)


# --- what is filled in ---------------------------------------------------------


SPOKEN = {
    "secure.tls_on_plain_port": Security.STARTTLS,
    "secure.plain_on_tls_port": Security.LDAPS,
}
"""How to ask for a certificate where the port turned out to speak otherwise than the settings say."""


def _values(place: Place, code: str) -> Mapping[str, str]:
    settings, server = place.settings, place.server
    host = server.host if PLAIN_HOST.match(server.host) else NO_HOST
    bracketed = _bracketed(host)
    port = server.port_for(settings.security)
    scheme = "ldaps" if settings.security is Security.LDAPS else "ldap"
    name = settings.certificate_name or ""
    dn = settings.bind_name if normal_dn(settings.bind_name) else NO_DN
    base = place.base if normal_dn(place.base) else NO_BASE
    account = _account_filter(settings.bind_name)
    return {
        "host_sh": quoting.shell(host),
        "host_ps": quoting.powershell(host),
        "port": str(port),
        "at_sh": quoting.shell(f"{bracketed}:{port}"),
        "url_sh": quoting.shell(
            f"{scheme}://{_bracketed(other_name(server, settings) or host)}:{port}"
        ),
        "remark": remark(server, settings),
        "starttls": " -starttls ldap"
        if SPOKEN.get(code, settings.security) is Security.STARTTLS
        else "",
        "trust": "".join(f"{each} " for each in environment(settings)),
        "zz": " -ZZ" if settings.security is Security.STARTTLS else "",
        "servername": f" -servername {quoting.shell(name)}" if PLAIN_HOST.match(name) else "",
        "base_sh": quoting.shell(base),
        "base_ps": _native(base, NO_BASE),
        "dn_sh": quoting.shell(dn),
        "account_sh": quoting.shell(account),
        "account_ps": quoting.powershell(account),
        "login_sh": quoting.shell(_login_filter(settings.bind_name)),
        "user_sh": quoting.shell(_user(settings.bind_name)),
        "trustee_ps": _native(f"{_trustee(settings.bind_name)}:GR", f"{NO_TRUSTEE}:GR"),
        "egress_ps": ",".join(map(quoting.powershell, place.egress)),
        "limits": quoting.ldif("olcLimits", f"{{0}}dn.exact={quoting.slapd(dn)} {UNLIMITED}"),
        "access": quoting.ldif("olcAccess", _access(dn, base, place.attributes)),
        "aci": quoting.ldif("aci", _aci(dn, place.attributes)),
        "dn_ldif": quoting.ldif("dn", dn),
        "base_ldif": quoting.ldif("dn", base),
    }


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _native(text: str, otherwise: str) -> str:
    """Return a word for a program that PowerShell starts: a double quote in it would split it (PowerShell up to 7.2)."""
    return quoting.powershell(otherwise if '"' in text else text)


def _account_filter(bind_name: str) -> str:
    """Return what finds the account, in whatever form its name was entered."""
    if normal_dn(bind_name):
        return f"(distinguishedName={quoting.filter_value(bind_name)})"
    if "@" in bind_name:
        return f"(userPrincipalName={quoting.filter_value(bind_name)})"
    return f"(sAMAccountName={quoting.filter_value(bind_name.rpartition(chr(92))[2])})"


def _user(bind_name: str) -> str:
    """Return the bare name of an account, as FreeIPA's tools want it."""
    parts = normal_dn(bind_name)
    uid = next((value for kind, value in parts[0] if kind == "uid"), "") if parts else ""
    name = uid if parts else bare_login(bind_name)
    return name if name and not name.startswith("-") else NO_NAME


def _login_filter(bind_name: str) -> str:
    """Return what finds an account by the name that people type."""
    parts = normal_dn(bind_name)
    name = quoting.filter_value(parts[0][0][1] if parts else bare_login(bind_name))
    mail = f"(mail={quoting.filter_value(bind_name)})" if "@" in bind_name and not parts else ""
    return f"(|(uid={name})(cn={name}){mail})"


def _trustee(bind_name: str) -> str:
    """Return an account as Windows' tools name it; they take no DN."""
    is_named = not normal_dn(bind_name) and ("@" in bind_name or "\\" in bind_name)
    return bind_name if is_named else NO_TRUSTEE


def _readable(attributes: tuple[str, ...]) -> list[str]:
    usual = ["objectClass", "uid", "cn", "displayName"]
    named = [name for name in attributes if PLAIN_ATTRIBUTE.match(name)]
    return list(dict.fromkeys([*usual, *named, "entryUUID"]))


def _access(dn: str, base: str, attributes: tuple[str, ...]) -> str:
    names = ",".join(["entry", "children", *_readable(attributes)])
    return (
        f"{{0}}to dn.subtree={quoting.slapd(base)} attrs={names} "
        f"by dn.exact={quoting.slapd(dn)} read by * break"
    )


def _aci(dn: str, attributes: tuple[str, ...]) -> str:
    # in an ACI the name stands in a URL within quotes: what would end either is written as RFC 4516 has it
    quoted = "".join(f"%{ord(sign):02x}" if sign in '"%?\\ ' else sign for sign in dn)
    names = " || ".join(_readable(attributes))
    return (
        f'(targetattr="{names}")(version 3.0; acl "mail filter reads recipients"; '
        f'allow (read,search,compare) userdn="ldap:///{quoted}";)'
    )


UNLIMITED = (
    "size.soft=unlimited size.hard=unlimited size.prtotal=unlimited time.soft=300 time.hard=300"
)

# --- the table -----------------------------------------------------------------

_MICROSOFT = frozenset({ServerType.ACTIVE_DIRECTORY})
_SAMBA = frozenset({ServerType.SAMBA_AD})
_OPENLDAP = frozenset({ServerType.OPENLDAP, ServerType.ZIMBRA, ServerType.UCS, ServerType.IREDMAIL})
_DS389 = frozenset({ServerType.DS389})
_FREEIPA = frozenset({ServerType.FREEIPA})
_REDHAT = _DS389 | _FREEIPA

OF_THE_FORM = frozenset({"secure.bad_client_certificate"})
"""Faults of what was entered: nothing is to be seen of them at the server."""
_NAME = frozenset({"name."})
_REACH = frozenset({"reach.refused", "reach.timed_out", "reach.reset", "reach.unroutable"})
_SECURE = frozenset({"secure."})
_ISSUER = frozenset(
    {
        "secure.missing_issuer",
        "secure.untrusted_root",
        "secure.untrusted",
        "secure.self_signed",
        "secure.bad_ca",
    }
)
_PASSWORD = frozenset(
    {
        "sign_in.wrong_password",
        "sign_in.known_refused",
        "sign_in.waiting",
        "sign_in.unknown_user",
        "sign_in.anonymous",
    }
)
_WHO = frozenset({"sign_in.bad_name", "sign_in.unknown_user"})
_BASE = frozenset(
    {
        "base.not_found",
        "base.bad_name",
        "base.ambiguous",
        "base.unknown",
        "base.referral",
        "read.referral",
        "read.nothing_found",
    }
)
_RIGHTS = frozenset(
    {
        "base.not_allowed",
        "base.not_found",
        "read.not_allowed",
        "read.nothing_found",
        "addresses.none_valid",
    }
)
_LIMITS = frozenset({"read.size_limit", "read.admin_limit", "read.time_limit"})

_DC = "Active Directory, in PowerShell"
_SAMBA_LABEL = "Samba Active Directory, on the server"
_OPENLDAP_LABEL = "OpenLDAP, on the server as root (its database is often {1}mdb)"
_DS389_LABEL = "389 Directory Server"
_FREEIPA_LABEL = "FreeIPA, on the server"
_FIND = "Get-ADUser -LDAPFilter [[account_ps]]"
_LISTENING = "ss -ltn 'sport = :[[port]]'"


def _here(change: str, *, by: str) -> str:
    """Return a change as a document that a shell hands on untouched."""
    return f"ldapmodify {by} <<'LDIF'\n{change}\nLDIF"


_BY_ROOT = "-Q -Y EXTERNAL -H ldapi:///"
_BY_MANAGER = "-x -H ldap://localhost -D 'cn=Directory Manager' -W"


def _account(cause: str, doing: str, samba: str = "") -> tuple[Cure, ...]:
    """Return what puts an account of Active Directory right, by PowerShell and by samba-tool."""
    codes = frozenset({f"sign_in.{cause}"})
    made = Cure(codes, _MICROSOFT, _DC, f"{_FIND} | {doing}")
    if not samba:
        return (made,)
    line = f"samba-tool user {samba}"
    return (made, Cure(codes, _SAMBA, _SAMBA_LABEL, line))


CURES: tuple[Cure, ...] = (
    # --- name ---
    Cure(
        _NAME,
        frozenset(),
        "Linux or macOS",
        "dig +short [[host_sh]] A; dig +short [[host_sh]] AAAA",
    ),
    Cure(_NAME, frozenset(), "Windows PowerShell", "Resolve-DnsName [[host_ps]]"),
    # --- reach ---
    Cure(
        _REACH,
        frozenset(),
        "Linux or macOS, from outside your network",
        "nc -vz -w 5 [[host_sh]] [[port]]",
    ),
    Cure(
        _REACH,
        frozenset(),
        "Windows PowerShell, from outside your network",
        "Test-NetConnection [[host_ps]] -Port [[port]]",
    ),
    Cure(
        _REACH,
        _MICROSOFT,
        "Active Directory, in PowerShell on the domain controller",
        "Get-Service NTDS; Get-NetTCPConnection -State Listen -LocalPort [[port]]",
    ),
    Cure(
        _REACH,
        _MICROSOFT,
        "Active Directory, in PowerShell on the domain controller: let these addresses in",
        "New-NetFirewallRule -DisplayName 'LDAP for the mail filter' -Direction Inbound -Protocol TCP "
        "-LocalPort [[port]] -RemoteAddress [[egress_ps]] -Action Allow",
        needs_egress=True,
    ),
    Cure(_REACH, _SAMBA, _SAMBA_LABEL, f"systemctl status samba-ad-dc; {_LISTENING}"),
    Cure(_REACH, _OPENLDAP, "OpenLDAP, on the server", f"systemctl status slapd; {_LISTENING}"),
    Cure(_REACH, _DS389, _DS389_LABEL, f"systemctl status 'dirsrv@*'; {_LISTENING}"),
    Cure(_REACH, _FREEIPA, _FREEIPA_LABEL, f"ipactl status; {_LISTENING}"),
    # --- secure ---
    Cure(
        _SECURE,
        frozenset(),
        "Linux or macOS: see the certificate",
        "openssl s_client -connect [[at_sh]][[starttls]][[servername]] </dev/null"
        " | openssl x509 -noout -subject -issuer -dates -fingerprint -sha256 -ext subjectAltName",
    ),
    Cure(
        _SECURE,
        _MICROSOFT,
        "Active Directory, in PowerShell on the domain controller",
        "Get-ChildItem Cert:\\LocalMachine\\My | Format-List Subject, DnsNameList, Issuer, NotAfter, EnhancedKeyUsageList",
    ),
    Cure(
        _ISSUER,
        _MICROSOFT,
        "Active Directory Certificate Services, on the certification authority: its certificate, to be pasted into the settings",
        "certutil -ca.cert ca.cer; certutil -encode ca.cer ca.pem; Get-Content ca.pem",
    ),
    Cure(
        _SECURE,
        _SAMBA,
        _SAMBA_LABEL,
        "openssl x509 -in /var/lib/samba/private/tls/cert.pem -noout -subject -issuer -dates -ext subjectAltName",
    ),
    Cure(
        _ISSUER,
        _SAMBA,
        f"{_SAMBA_LABEL}: its authority, to be pasted into the settings",
        "cat /var/lib/samba/private/tls/ca.pem",
    ),
    Cure(
        _SECURE,
        _OPENLDAP,
        "OpenLDAP, on the server as root: which files it uses",
        "ldapsearch -Q -LLL -Y EXTERNAL -H ldapi:/// -b cn=config -s base"
        " olcTLSCertificateFile olcTLSCertificateKeyFile olcTLSCACertificateFile",
    ),
    Cure(_SECURE, _DS389, _DS389_LABEL, "certutil -L -d /etc/dirsrv/slapd-YOUR-INSTANCE"),
    Cure(_SECURE, _FREEIPA, _FREEIPA_LABEL, "getcert list"),
    Cure(
        OF_THE_FORM,
        frozenset(),
        "Linux or macOS: a key belongs to a certificate if both lines show the same",
        "openssl x509 -in client.pem -noout -pubkey | openssl sha256; openssl pkey -in client.key -pubout | openssl sha256",
    ),
    Cure(
        _ISSUER,
        _FREEIPA,
        f"{_FREEIPA_LABEL}: its authority, to be pasted into the settings",
        "cat /etc/ipa/ca.crt",
    ),
    # --- sign_in ---
    Cure(
        _PASSWORD,
        _MICROSOFT,
        f"{_DC}: how the account stands",
        f"{_FIND} -Properties LockedOut, PasswordExpired, PasswordLastSet, AccountExpirationDate"
        " | Format-List DistinguishedName, UserPrincipalName, SamAccountName, Enabled, LockedOut,"
        " PasswordExpired, PasswordLastSet, AccountExpirationDate",
    ),
    Cure(
        _PASSWORD,
        _MICROSOFT,
        f"{_DC}: a new password",
        f"{_FIND} | Set-ADAccountPassword -Reset -NewPassword (Read-Host -AsSecureString 'New password')",
    ),
    Cure(
        _PASSWORD,
        _SAMBA,
        f"{_SAMBA_LABEL}: a new password",
        "samba-tool user setpassword --filter=[[account_sh]]",
    ),
    Cure(
        _WHO,
        _OPENLDAP,
        "OpenLDAP, on the server as root: the account's DN",
        "ldapsearch -Q -LLL -Y EXTERNAL -H ldapi:/// -b [[base_sh]] [[login_sh]] 1.1",
    ),
    Cure(
        _PASSWORD,
        _OPENLDAP,
        # not as root: by Debian's own rules root may change the configuration, but no password
        "OpenLDAP, on the server: a new password, set by its administrator",
        f"ldappasswd -x -H ldapi:/// -D {NO_ADMIN} -W -S [[dn_sh]]",
    ),
    Cure(
        _PASSWORD,
        _DS389,
        f"{_DS389_LABEL}: how the account stands",
        "dsidm YOUR-INSTANCE -b [[base_sh]] account entry-status [[dn_sh]]",
    ),
    Cure(
        _PASSWORD,
        _FREEIPA,
        f"{_FREEIPA_LABEL}: how the account stands, and a new password",
        "ipa user-status [[user_sh]]; ipa passwd [[user_sh]]",
    ),
    *_account("locked", "Unlock-ADAccount", "unlock --filter=[[account_sh]]"),
    *_account("disabled", "Enable-ADAccount", "enable --filter=[[account_sh]]"),
    *_account(
        "expired", "Clear-ADAccountExpiration", "setexpiry --noexpiry --filter=[[account_sh]]"
    ),
    *_account(
        "password_expired",
        "Set-ADUser -PasswordNeverExpires $true",
        "setexpiry --noexpiry --filter=[[account_sh]]",
    ),
    *_account(
        "must_change",
        "Set-ADUser -ChangePasswordAtLogon $false",
        "setpassword --filter=[[account_sh]]",
    ),
    *_account("logon_hours", "Set-ADUser -Clear logonHours"),
    *_account("workstation", "Set-ADUser -Clear userWorkstations"),
    *_account("restricted", "Get-ADPrincipalGroupMembership | Select-Object Name"),
    Cure(
        frozenset({"sign_in.channel_binding", "sign_in.needs_tls"}),
        _MICROSOFT,
        "Active Directory, in PowerShell on the domain controller: what it demands",
        "Get-ItemProperty 'HKLM:\\SYSTEM\\CurrentControlSet\\Services\\NTDS\\Parameters'"
        " | Select-Object LdapEnforceChannelBinding, LDAPServerIntegrity",
    ),
    # --- base ---
    Cure(
        _BASE,
        frozenset(),
        "Linux or macOS: where the server's entries begin",
        "[[trust]]ldapsearch -LLL -x -H [[url_sh]][[zz]] -s base -b '' namingContexts defaultNamingContext[[remark]]",
    ),
    Cure(
        _BASE,
        _MICROSOFT,
        _DC,
        "Get-ADRootDSE | Format-List defaultNamingContext, rootDomainNamingContext",
    ),
    # --- rights ---
    Cure(
        _RIGHTS,
        _MICROSOFT,
        "Active Directory: let the account read (only if the domain was hardened; an ordinary account usually may)",
        "dsacls [[base_ps]] /I:T /G [[trustee_ps]]",
        is_grant=True,
    ),
    Cure(
        _RIGHTS,
        _OPENLDAP,
        f"{_OPENLDAP_LABEL}: let the account read",
        _here(
            "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcAccess\n[[access]]",
            by=_BY_ROOT,
        ),
        is_grant=True,
    ),
    Cure(
        _RIGHTS,
        _REDHAT,
        "389 Directory Server and FreeIPA: let the account read",
        _here("[[base_ldif]]\nchangetype: modify\nadd: aci\n[[aci]]", by=_BY_MANAGER),
        is_grant=True,
    ),
    # --- limits ---
    Cure(
        _LIMITS,
        _OPENLDAP,
        f"{_OPENLDAP_LABEL}: lift the limits for the account",
        _here(
            "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nadd: olcLimits\n[[limits]]",
            by=_BY_ROOT,
        ),
    ),
    Cure(
        _LIMITS,
        _REDHAT,
        "389 Directory Server and FreeIPA: lift the limits for the account",
        _here(
            "[[dn_ldif]]\nchangetype: modify\n"
            + "\n-\n".join(
                f"replace: {name}\n{name}: -1"
                for name in (
                    "nsSizeLimit",
                    "nsPagedSizeLimit",
                    "nsLookThroughLimit",
                    "nsPagedLookThroughLimit",
                    "nsTimeLimit",
                )
            ),
            by=_BY_MANAGER,
        ),
    ),
)
