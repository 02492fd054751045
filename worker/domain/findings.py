"""The one table of findings: a code to the sentences a customer reads, and to when trying again can help.

Written for someone who runs a mail server and has never seen LDAP. Sentences are fixed: what a server said goes to
the run's private detail, what was seen goes to ``seen``. Codes are part of the contract and never change meaning.
Sources: RFC 4511 appendix A for result codes, OpenSSL's verify(1) for certificates, Microsoft's Win32 errors 1317
to 1909 for refused sign-ins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from worker.domain.failures import Finding, Retry, Stage, StageResult, StageState
from worker.domain.model import ClaimedRun, Trigger


OK = "ok"
"""The code of a test in which every stage went well."""

INTERNAL = "internal"
"""The code of a fault on our side, and of one that no row describes."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one code says. What stands in braces is filled in: see ``_UNSAID``."""

    headline: str
    checks: tuple[str, ...]
    fix: str
    retry: Retry = Retry.AFTER_CHANGE


_LATER = Retry.LATER

_UNSAID: Mapping[str, object] = MappingProxyType(
    {
        "egress": "the addresses that this service connects from (its operator can name them)",
        "until": "later",
        "port": "port",
        "named": "Enter a name from the certificate as the name in the certificate, or use it as the server.",
        "limit": "this service's limit",
        "address": "an address that is not on the public Internet",
        "encrypt": "Choose STARTTLS for this port, or use port 636 with LDAPS.",
        "ldaps": "Choose LDAPS with port 636, or install a certificate on the server.",
        "hidden": ", or the account may not see it",
        "or_let": ", or let the account read it",
        "base_typed": "Is the search base typed correctly, for example DC=example,DC=com?",
        "correct_base": "Correct the search base",
        "by_what": "a name and a password",
        "sign_in_allowed": "Are simple binds turned off on the server?",
        "sign_in_else": "Does the server demand a client certificate?",
        "allow": "Allow simple binds over an encrypted connection.",
        "speaks": "the server speaks plainly on this port",
        "encryption_choice": "Do encryption and port belong together? LDAPS goes with 636, STARTTLS and none with 389.",
        "whose": "of this account, or of one that may be the same,",
        "right": "Is the password the account's current one? Type it again.",
        "locked": "Is the account locked already? Then unlock it.",
    }
)
"""What stands in for a figure that is not known, or for a sentence that would need a look around."""

# --- checks that several rows share ------------------------------------------

_PORT = "Is the port right? The defaults are 389 for no encryption or STARTTLS and 636 for LDAPS."
_ONLINE = "Is the server online, and is its directory service running?"
_FIREWALL = (
    "Does your firewall let {egress} through to that port, and does it pass them on to the server?"
)
REACH_CHECKS = (_PORT, _ONLINE, _FIREWALL)
"""What to look at whenever a server cannot be reached, in this order."""

_NAME_TYPED = (
    "Is the server's name typed correctly, and is it the one used from outside your network?"
)
_PLACE_TYPED = "Is the server's name or address typed correctly, and is it the one used from outside your network?"
_CERTIFICATE_SEEN = (
    "Is this the server you mean? The certificate it showed is described under what was seen."
)
HAS_CERTIFICATE = "Has the server a certificate?"
_ENCRYPTION_CHOICE = (
    "Do encryption and port belong together? LDAPS goes with 636, STARTTLS and none with 389."
)
_NAME_FORM = "Is the account's name typed correctly and in full: a DN, or with Active Directory also user@domain or DOMAIN\\user? A bare user name seldom does."
_ACCOUNT_USED = "Can the account sign in elsewhere, for example with ldapsearch and the line below?"
_LOG = "What does the server's own log say at that moment?"
_RIGHTS = "May the account read the entries below the search base? An ordinary account usually may; look at access rules."
_SERVER_LOAD = "Is the server under load, or restarting?"
_BASE_TYPED = "{base_typed}"
BASE_BLANK = "Does it work with the search base left blank? Then the server is asked for it."
BASE_HIDDEN = "May the account see it? Active Directory and OpenLDAP say of what one may not see that it does not exist."

_MAINTENANCE = "Is the server in maintenance or read-only mode?"
_STRONGER = "Does the server demand a stronger kind of sign-in than a name and a password?"
_PROTOCOL_CHECKS = (
    "Is it an LDAP server, version 3?",
    "Does something stand in between, such as a proxy?",
)
_PROTOCOL_FIX = "Connect to the directory itself, without a proxy."

_AGAIN = "Nothing needs to be changed yet: try again in a few minutes, as automatic syncs do by themselves. If it stays, ask whoever runs the server."
_NARROW = "Narrow the filter or the search base, or ask this service's operator to raise the limit."
_PAGES = "Does the server give its list in pages? One that does not sends all of it in one answer."

ANSWERABLE = frozenset({HAS_CERTIFICATE, BASE_HIDDEN, BASE_BLANK})
"""Checks that are left out where what was seen answers them."""

FINDINGS: Mapping[str, Row] = MappingProxyType(
    {
        OK: Row(
            "Everything works.",
            ("Are the numbers what you expect?",),
            "Nothing is to be done.",
            Retry.NEVER,
        ),
        INTERNAL: Row(
            "Something went wrong on our side.",
            ("Nothing is wrong with your directory as far as we can tell.",),
            "Nothing needs to be changed: try again in a few minutes, as automatic syncs do by themselves. If it stays, tell this service's operator.",
            _LATER,
        ),
        # --- settings ---
        "settings.unreadable_secret": Row(
            "The stored password can no longer be opened.",
            ("Were this service's keys changed lately? Its operator knows.",),
            "Enter the password again and save.",
        ),
        "settings.unsealed_secret": Row(
            "The stored password is damaged.",
            ("Was the directory saved by an older program?",),
            "Enter the password again and save.",
        ),
        "settings.unreadable": Row(
            "The stored settings can no longer be read.",
            ("Was the directory saved by an older or newer program?",),
            "Open the settings, look through them and save them again.",
        ),
        "settings.no_password": Row(
            "No password is stored for this directory.",
            ("Was the password left out when the directory was saved?",),
            "Enter the password of the account and save.",
        ),
        "settings.unknown_type": Row(
            "This type of directory is not known.",
            ("Was the directory saved by a newer program?",),
            "Choose one of the types offered and save.",
        ),
        "settings.no_filter": Row(
            "There is no filter to find entries with.",
            ("Is the type custom? Then the filter must be entered.",),
            "Enter a filter, for example (mail=*), and save.",
        ),
        "settings.no_address_attributes": Row(
            "It is not said which attributes hold mail addresses.",
            ("Is the type custom? Then the attributes must be entered.",),
            "Enter the attributes that hold addresses, for example mail, and save.",
        ),
        "settings.no_such_kind": Row(
            "This type of directory has none of the kinds of entry you chose.",
            ("Which kinds are ticked: mailboxes, groups, contacts, public folders?",),
            "Include mailboxes as well, or choose the type custom with a filter of your own.",
        ),
        "settings.not_tested": Row(
            "The test was not carried out in time.",
            ("Was this service under load, or restarted? Its operator knows.",),
            "Test again; nothing needs to be changed.",
            Retry.NEVER,
        ),
        "settings.changing": Row(
            "The settings or domains were changed again and again while the directory was read.",
            ("Is a program saving this directory all the time?",),
            "Let the settings rest for as long as a sync takes, then start it again.",
        ),
        # --- name ---
        "name.not_found": Row(
            "The server's name is not known on the Internet.",
            (
                _NAME_TYPED,
                "Is it a name that only your own network knows, such as dc1.corp.local? Then use one known outside.",
            ),
            "Enter the server's public name, or its public IP address.",
        ),
        "name.failed": Row(
            "The server's name could not be looked up: the name servers of its domain gave an error.",
            ("Do the name servers of that domain work?", _NAME_TYPED),
            _AGAIN,
            _LATER,
        ),
        "name.timed_out": Row(
            "The server's name could not be looked up in time.",
            ("Do the name servers of that domain answer?", _NAME_TYPED),
            _AGAIN,
            _LATER,
        ),
        "name.no_server": Row(
            "No server is entered.",
            ("Is the list of servers filled in?",),
            "Enter at least one server and save.",
        ),
        # --- reach ---
        "reach.refused": Row(
            "The server refused the connection.",
            REACH_CHECKS,
            "Start the directory service, correct the {port}, or open the firewall for these addresses.",
            _LATER,
        ),
        "reach.timed_out": Row(
            "The server did not answer.",
            REACH_CHECKS,
            "Most often a firewall drops the connection: open it for these addresses, or correct the {port}.",
            _LATER,
        ),
        "reach.reset": Row(
            "The connection was cut as soon as it stood.",
            (
                *REACH_CHECKS,
                "Has the server a certificate? Active Directory without one cuts connections to port 636.",
            ),
            "Install a certificate on the server, or see what stands between and cuts the connection.",
            _LATER,
        ),
        "reach.unroutable": Row(
            "There is no way from here to the server's address.",
            (*REACH_CHECKS, "Has the name an IPv6 address that does not work?"),
            "Enter an address that can be reached from the Internet.",
            _LATER,
        ),
        "reach.not_allowed": Row(
            "The server is at {address}; this service does not connect there.",
            (
                _PLACE_TYPED,
                "If it is a name, does it have a public address as well?",
                *REACH_CHECKS,
            ),
            "Enter a name or address that can be reached from the Internet.",
        ),
        # --- secure ---
        "secure.expired": Row(
            "The server's certificate has expired.",
            (_CERTIFICATE_SEEN, "Is the server's clock right?"),
            "Renew the certificate on the server.",
        ),
        "secure.not_yet_valid": Row(
            "The server's certificate is not valid yet.",
            (_CERTIFICATE_SEEN, "Was the clock right on the machine that issued it?"),
            "Wait until it is valid, or issue a new one.",
        ),
        "secure.wrong_name": Row(
            "The server's certificate is for another name.",
            (
                _CERTIFICATE_SEEN,
                "Does the certificate carry the server's internal name? With Active Directory it usually does.",
            ),
            "{named}",
        ),
        "secure.wrong_address": Row(
            "The server was entered as an IP address that its certificate does not name.",
            (
                _CERTIFICATE_SEEN,
                "Which names does the certificate carry? Most carry names only, no addresses.",
            ),
            "{named}",
        ),
        "secure.self_signed": Row(
            "The server's certificate was issued by the server itself, so it proves nothing to others.",
            (_CERTIFICATE_SEEN,),
            "Paste the certificate as own certificate authority, or pin its fingerprint.",
        ),
        "secure.missing_issuer": Row(
            "The server does not show who issued its certificate.",
            (
                "Does the server send the intermediate certificates too?",
                "Was the certificate issued by your own authority?",
            ),
            "Install the whole chain on the server, or paste your own authority's certificate in the settings.",
        ),
        "secure.untrusted_root": Row(
            "The server's certificate comes from an authority that is not publicly known.",
            (_CERTIFICATE_SEEN, "Was it issued by your own authority?"),
            "Paste your authority's root certificate in the settings, or pin the fingerprint of the server's.",
        ),
        "secure.untrusted": Row(
            "The server's certificate could not be verified.",
            (_CERTIFICATE_SEEN, "Does the server send the intermediate certificates too?"),
            "Install a certificate with its whole chain on the server, or paste your own authority's certificate.",
        ),
        "secure.bad_issuer": Row(
            "The server's certificate was issued by a certificate that may not issue any.",
            (_CERTIFICATE_SEEN,),
            "Issue the certificate anew with a proper authority.",
        ),
        "secure.bad_ca": Row(
            "The authority's certificate in the settings cannot be used.",
            ("Is it the root certificate of your authority, and complete?",),
            "Paste your authority's root certificate again.",
        ),
        "secure.revoked": Row(
            "The server's certificate has been revoked.",
            (_CERTIFICATE_SEEN,),
            "Install a new certificate on the server.",
        ),
        "secure.weak_key": Row(
            "The server's certificate is too weak by today's rules.",
            (
                _CERTIFICATE_SEEN,
                "Is its RSA key shorter than 2048 bits, or was it signed with SHA-1?",
            ),
            "Issue it anew with an RSA key of at least 2048 bits and SHA-256.",
        ),
        "secure.wrong_purpose": Row(
            "The server's certificate was not issued for servers.",
            (_CERTIFICATE_SEEN, "Does its extended key usage name server authentication?"),
            "Issue it anew for server authentication.",
        ),
        "secure.wrong_fingerprint": Row(
            "The server shows another certificate than the one you pinned.",
            (_CERTIFICATE_SEEN, "Was the certificate renewed lately?"),
            "If you changed the certificate, enter its new fingerprint; if not, find out who answers there.",
        ),
        "secure.starttls_refused": Row(
            "The server does not offer encryption on this port.",
            (_ENCRYPTION_CHOICE, HAS_CERTIFICATE),
            "{ldaps}",
        ),
        "secure.early_data": Row(
            "Somebody sent data before encryption began, as an attacker in between would.",
            (
                "What stands between the Internet and the server: a proxy, a load balancer, an inspecting firewall?",
            ),
            "Choose LDAPS with port 636, or remove what stands in between.",
        ),
        "secure.tls_on_plain_port": Row(
            "Encryption was expected, but {speaks}.",
            ("{encryption_choice}", HAS_CERTIFICATE),
            "{encrypt}",
        ),
        "secure.plain_on_tls_port": Row(
            "The server expects encryption from the start on this port.",
            (_ENCRYPTION_CHOICE,),
            "Choose LDAPS.",
        ),
        "secure.closed": Row(
            "The server cut the connection while encryption was being set up.",
            (
                _ENCRYPTION_CHOICE,
                "Has the server a certificate that it may use?",
                _FIREWALL,
            ),
            "Use LDAPS with port 636 or STARTTLS with port 389, and install a certificate on the server.",
        ),
        "secure.protocol_too_old": Row(
            "The server only knows kinds of encryption that are no longer safe.",
            ("Does the server know TLS 1.2 or newer? Windows Server 2008 R2 needs it turned on.",),
            "Turn on TLS 1.2 on the server, or bring it up to date.",
        ),
        "secure.timed_out": Row(
            "Setting up encryption took too long.",
            (_ENCRYPTION_CHOICE, _SERVER_LOAD, _FIREWALL),
            _AGAIN,
            _LATER,
        ),
        "secure.client_certificate": Row(
            "The server wants a certificate from us, and did not accept what it got.",
            (
                "Does the server demand client certificates?",
                "Is the client certificate in the settings valid, and does the key belong to it?",
            ),
            "Enter a client certificate and key that the server accepts, or stop demanding one.",
        ),
        "secure.bad_client_certificate": Row(
            "The client certificate in the settings cannot be used with its key. Nothing was sent.",
            (
                "Does the key belong to the certificate?",
                "Are both complete, and is the key without a passphrase?",
            ),
            "Paste the client certificate and the key that belongs to it again.",
        ),
        "secure.failed": Row(
            "Encryption could not be set up.",
            (_ENCRYPTION_CHOICE, _CERTIFICATE_SEEN, _LOG),
            "Try LDAPS with port 636; if it stays, look at the server's log.",
        ),
        # --- sign_in ---
        "sign_in.empty_password": Row(
            "No password was entered; a sign-in without one proves nothing, so it was not tried.",
            ("Is the password field filled in?",),
            "Enter the account's password and save.",
        ),
        "sign_in.anonymous": Row(
            "The server let us in as nobody instead of as the account.",
            (_NAME_FORM, "Is the password the account's current one?"),
            "Enter name and password of an account that may read the directory.",
        ),
        "sign_in.wrong_password": Row(
            "The server refused the name or the password.",
            (
                "Is the password the account's current one? Type it again.",
                _NAME_FORM,
                _ACCOUNT_USED,
            ),
            "Enter the right name and password and save: they are tried at once, unless there were two refusals within 30 minutes. To protect the account, nothing is tried by itself until then.",
        ),
        "sign_in.known_refused": Row(
            "The server has refused this password before, so it was not sent again.",
            ("Is the password the account's current one? Type it again.", _NAME_FORM),
            "Enter the right password and save: it is tried at once, unless there were two refusals within 30 minutes.",
        ),
        "sign_in.waiting": Row(
            "Two sign-ins {whose} were refused, or not answered, within 30 minutes. So as not to lock the account, no more is tried until {until}.",
            ("{right}", _NAME_FORM, "{locked}"),
            "Try again after {until}. Automatic syncs go on by themselves then, unless this very password was refused: then enter the right one and save.",
        ),
        "sign_in.unknown_user": Row(
            "The server does not know the account.",
            (_NAME_FORM, "Was the account renamed, moved or deleted?"),
            "Enter the account's name as the directory knows it.",
        ),
        "sign_in.disabled": Row(
            "The account is disabled.",
            ("Who disabled it, and why?",),
            "Enable the account, or enter another.",
        ),
        "sign_in.expired": Row(
            "The account has expired.",
            ("Until when was the account to be used?",),
            "Extend the account, or enter another.",
        ),
        "sign_in.password_expired": Row(
            "The account's password has expired.",
            ("Must the passwords of service accounts expire?",),
            "Set a new password, let it never expire, enter it and save.",
        ),
        "sign_in.must_change": Row(
            "The account must change its password at the next sign-in, which this service cannot do.",
            ("Is the box to change the password at the next logon ticked?",),
            "Clear that box, or set the password anew and enter it.",
        ),
        "sign_in.locked": Row(
            "The account is locked after too many wrong passwords.",
            ("Does another program still use the account's old password?",),
            "Unlock the account, or wait until the server does, often after 30 minutes; give every program the new password, then try again.",
        ),
        "sign_in.logon_hours": Row(
            "The account may not sign in at this hour.",
            ("Which logon hours are set for the account?",),
            "Allow the account all hours.",
        ),
        "sign_in.workstation": Row(
            "The account may sign in only from certain computers.",
            ("Which computers are listed under Log On To?",),
            "Clear that list for the account.",
        ),
        "sign_in.restricted": Row(
            "A policy keeps the account from signing in.",
            (
                "Is it in the group Protected Users, or is its password blank?",
                "Which policies apply to the account?",
            ),
            "Lift the restriction for the account, or enter another.",
        ),
        "sign_in.needs_tls": Row(
            "The server lets nobody sign in without encryption.",
            (_ENCRYPTION_CHOICE,),
            "Choose LDAPS, or else STARTTLS.",
        ),
        "sign_in.not_allowed": Row(
            "The account is not allowed to sign in this way.",
            ("May the account sign in over LDAP?", _LOG),
            "Allow the account to sign in over LDAP, or enter another.",
        ),
        "sign_in.method": Row(
            "The server does not allow signing in with {by_what}.",
            ("{sign_in_allowed}", "{sign_in_else}"),
            "{allow}",
        ),
        "sign_in.refused": Row(
            "The server is not willing to let the account sign in.",
            (
                "Is the account deactivated? 389 Directory Server, FreeIPA and eDirectory then answer so.",
                _MAINTENANCE,
                _NAME_FORM,
                _LOG,
            ),
            "Activate the account, or see the server's log for the reason.",
        ),
        "sign_in.referral": Row(
            "The account belongs to another server.",
            (
                _NAME_FORM,
                "Is the account in another domain of your forest? Each domain has servers of its own.",
            ),
            "Enter a server that holds the account, or an account of this server.",
        ),
        "sign_in.protocol_error": Row(
            "The server did not understand the sign-in.",
            _PROTOCOL_CHECKS,
            _PROTOCOL_FIX,
        ),
        "sign_in.channel_binding": Row(
            "The server demands a sign-in that is bound to the encrypted connection, and this one was not.",
            ("Is LDAP channel binding set to always on the server?",),
            "Use LDAPS without a proxy in between, or set channel binding to when supported.",
        ),
        "sign_in.bad_name": Row(
            "The server cannot make sense of the account's name.",
            (
                "Is it a DN, for example cn=sync,dc=example,dc=com? Only Active Directory and a few others take any other name.",
                "Is each part of it typed correctly, with a comma between two?",
            ),
            "Enter the account's distinguished name.",
        ),
        "sign_in.bad_password": Row(
            "The password holds a character that cannot be sent.",
            ("Was something else pasted into the password field?",),
            "Enter the password again and save.",
        ),
        "sign_in.under_way": Row(
            "Other sign-ins of this account were not answered yet, so no further one was made.",
            (
                "Is another sync or test of this directory running? Then wait for its answer.",
                _SERVER_LOAD,
            ),
            "Try again in two minutes; nothing needs to be changed.",
            _LATER,
        ),
        "sign_in.busy": Row(
            "The server was too busy to let us sign in.", (_SERVER_LOAD,), _AGAIN, _LATER
        ),
        "sign_in.unavailable": Row(
            "The server could not let anybody sign in.", (_SERVER_LOAD, _LOG), _AGAIN, _LATER
        ),
        "sign_in.lost_connection": Row(
            "The connection was lost while signing in.",
            (_SERVER_LOAD, *REACH_CHECKS),
            _AGAIN,
            _LATER,
        ),
        "sign_in.timed_out": Row(
            "The server took too long to let us sign in.", (_SERVER_LOAD, _LOG), _AGAIN, _LATER
        ),
        "sign_in.failed": Row(
            "The server did not let us sign in, for a reason it seldom gives.",
            (_NAME_FORM, _LOG),
            "See the server's log for the reason.",
        ),
        # --- base ---
        "base.not_found": Row(
            "The search base does not exist{hidden}.",
            (_BASE_TYPED, BASE_BLANK, BASE_HIDDEN),
            "{correct_base}{or_let}.",
        ),
        "base.not_allowed": Row(
            "The account may not read the search base.",
            (_RIGHTS, _BASE_TYPED),
            "Let the account read below the search base.",
        ),
        "base.bad_name": Row(
            "The search base is not a name the server understands.",
            (_BASE_TYPED, BASE_BLANK),
            "Enter a distinguished name, for example DC=example,DC=com, or leave it blank.",
        ),
        "base.referral": Row(
            "The search base belongs to another server.",
            (
                _BASE_TYPED,
                "Is it in another domain of your forest? Each domain has servers of its own.",
            ),
            "Enter a server that holds the search base, or another search base.",
        ),
        "base.ambiguous": Row(
            "The server holds several trees, and it is not clear which one to read.",
            ("Which of the trees under what was seen holds the people who get mail?",),
            "Enter that tree as the search base.",
        ),
        "base.unknown": Row(
            "The server does not say where its entries begin.",
            ("Which search base do other programs use, for example the mail server?", _RIGHTS),
            "Enter the search base, for example DC=example,DC=com.",
        ),
        "base.needs_tls": Row(
            "The server shows the search base only to those who are better protected.",
            (_ENCRYPTION_CHOICE, _STRONGER),
            "Choose LDAPS, or else STARTTLS.",
        ),
        "base.refused": Row(
            "The server is not willing to show the search base.",
            (_MAINTENANCE, _BASE_TYPED, _LOG),
            "See the server's log for the reason.",
        ),
        "base.protocol_error": Row(
            "The server did not understand how it was asked for the search base.",
            _PROTOCOL_CHECKS,
            _PROTOCOL_FIX,
        ),
        "base.busy": Row("The server was too busy to answer.", (_SERVER_LOAD,), _AGAIN, _LATER),
        "base.unavailable": Row(
            "The server could not answer just then.", (_SERVER_LOAD, _LOG), _AGAIN, _LATER
        ),
        "base.lost_connection": Row(
            "The connection was lost while looking for the search base.",
            (_SERVER_LOAD, *REACH_CHECKS),
            _AGAIN,
            _LATER,
        ),
        "base.timed_out": Row(
            "The server took too long to show the search base.",
            (_SERVER_LOAD, _LOG),
            _AGAIN,
            _LATER,
        ),
        "base.failed": Row(
            "The search base could not be read.", (_BASE_TYPED, _RIGHTS, _LOG), _AGAIN, _LATER
        ),
        # --- read ---
        "read.size_limit": Row(
            "The server stops after a number of entries, so the list is not whole. Nothing was changed.",
            ("Which size limit applies to the account? OpenLDAP's default is 500 entries.",),
            "Lift the size limit for the account on the server.",
        ),
        "read.admin_limit": Row(
            "The server broke the search off at a limit of its own, so the list is not whole. Nothing was changed.",
            (
                "Which look-through limit applies to the account? 389 Directory Server's default is 5,000 entries.",
                "May the account read in pages? OpenLDAP answers so if size.prtotal is disabled for it.",
                _RIGHTS,
            ),
            "Lift the limits for the account, and have the attributes of the filter indexed.",
        ),
        "read.time_limit": Row(
            "The server broke the search off because it took too long. Nothing was changed.",
            ("Are the attributes of the filter indexed on the server?", _SERVER_LOAD),
            "Have the attributes of the filter indexed, or lift the time limit for the account.",
            _LATER,
        ),
        "read.timed_out": Row(
            "The server took too long to give the next part of the list. Nothing was changed.",
            ("Are the attributes of the filter indexed on the server?", _SERVER_LOAD),
            _AGAIN,
            _LATER,
        ),
        "read.run_deadline": Row(
            "Reading the whole directory took longer than {limit}. Nothing was changed.",
            (
                "Are the attributes of the filter indexed on the server?",
                _SERVER_LOAD,
                "Is the search base too wide?",
            ),
            "Narrow the filter or the search base, or make the server faster.",
            _LATER,
        ),
        "read.busy": Row(
            "The server was too busy to give the list.", (_SERVER_LOAD,), _AGAIN, _LATER
        ),
        "read.unavailable": Row(
            "The server could not give the list just then.", (_SERVER_LOAD, _LOG), _AGAIN, _LATER
        ),
        "read.referral": Row(
            "The server says that the entries are on another server.",
            (
                _BASE_TYPED,
                "Is it in another domain of your forest? Each domain has servers of its own.",
            ),
            "Enter a server that holds the entries, or another search base.",
        ),
        "read.partial": Row(
            "The server gave a part of the list and names another server for the rest. Nothing was changed.",
            (_BASE_TYPED, "Is a part of the tree kept on another server?"),
            "Enter a server that holds all of it, or a directory for each part.",
        ),
        "read.lost_connection": Row(
            "The connection was lost in the middle of the list. Nothing was changed.",
            (_SERVER_LOAD, "Does a firewall in between end connections after some time?"),
            _AGAIN,
            _LATER,
        ),
        "read.disconnected": Row(
            "The server ended the connection in the middle of the list. Nothing was changed.",
            (_SERVER_LOAD, _LOG),
            _AGAIN,
            _LATER,
        ),
        "read.not_allowed": Row(
            "The account may not search the directory.",
            (_RIGHTS,),
            "Let the account search and read below the search base.",
        ),
        "read.bad_filter": Row(
            "The server does not understand the filter.",
            ("Is the filter typed correctly?", "Does the server know the attributes in it?"),
            "Correct the filter, or leave it blank to use the type's own.",
        ),
        "read.bad_attribute": Row(
            "The server does not know an attribute that was asked for.",
            ("Are the attributes with addresses typed correctly?",),
            "Correct the attributes, or leave them blank to use the type's own.",
        ),
        "read.no_paging": Row(
            "The server cannot give its list in pages.",
            ("Is paging (simple paged results) turned off for the account or the server?",),
            "Turn on paging on the server.",
        ),
        "read.cookie": Row(
            "The server lost its place in the middle of the list. Nothing was changed.",
            ("Does a load balancer spread one connection over several servers?", _SERVER_LOAD),
            _AGAIN,
            _LATER,
        ),
        "read.endless": Row(
            "The server goes round in circles: it gives the same part of the list again and again. Nothing was changed.",
            (
                "Does a load balancer or proxy stand between here and the server?",
                "Do other programs read the whole list from this server?",
                _LOG,
            ),
            "Connect to one directory server itself, without a proxy, or bring the server's software up to date.",
            _LATER,
        ),
        "read.unasked": Row(
            "The server sent answers that nobody asked for. Nothing was changed.",
            (
                "Is it a directory server, and does it answer other programs properly?",
                "Does something between here and the server mix up connections, such as a proxy or a load balancer?",
            ),
            "Connect to the directory server itself, without a proxy, or bring its software up to date.",
            _LATER,
        ),
        "read.too_many_references": Row(
            "The server names other servers instead of giving the entries itself, more than {limit}. Nothing was changed.",
            (
                _BASE_TYPED,
                "Does this server hold the entries itself, or only where to find them?",
            ),
            "Enter a server that holds the entries, or a search base whose entries it holds.",
        ),
        "read.miscounted": Row(
            "The number of entries that arrived is not the number that was sent. Nothing was changed.",
            ("Does something between here and the server change what passes through?",),
            _AGAIN,
            _LATER,
        ),
        "read.nothing_found": Row(
            "No entry was found. Nothing was changed.",
            (
                "Does the filter fit this directory? Left blank, the type's own is used: is the type of directory right?",
                "Are the people who get mail below the search base? There is such a base.",
                _RIGHTS,
            ),
            "Correct type, filter or search base, or let the account read the entries and their addresses.",
        ),
        "read.message_too_large": Row(
            "One answer of the server, most likely an entry, is larger than {limit}. Nothing was changed.",
            ("Does an entry hold a picture or a very long list in an attribute with addresses?",),
            "Leave that entry out by the filter, make it smaller, or ask this service's operator to raise the limit.",
        ),
        "read.too_many_entries": Row(
            "The list is longer than {limit}. Nothing was changed.",
            ("Does the filter find more than those who get mail?", _PAGES),
            _NARROW,
        ),
        "read.too_many_bytes": Row(
            "The list is larger than {limit}. Nothing was changed.",
            ("Does the filter find more than those who get mail?", _PAGES),
            _NARROW,
        ),
        "read.too_many_values": Row(
            "One entry has more values than {limit}. Nothing was changed.",
            ("Which entry has thousands of addresses, and should it?",),
            "Spread the addresses over several entries, leave the entry out by the filter, or ask this service's operator to raise the limit.",
        ),
        "read.range": Row(
            "The server gave a part of an entry's addresses and did not give the rest. Nothing was changed.",
            ("Was the entry changed or deleted at that moment?", _LOG),
            _AGAIN,
            _LATER,
        ),
        "read.server_error": Row(
            "The server met an error of its own. Nothing was changed.",
            (_LOG, _SERVER_LOAD),
            _AGAIN,
            _LATER,
        ),
        "read.needs_tls": Row(
            "The server gives its list only to those who are better protected.",
            (_ENCRYPTION_CHOICE, _STRONGER),
            "Choose LDAPS, or else STARTTLS.",
        ),
        "read.refused": Row(
            "The server is not willing to give the list. Nothing was changed.",
            (
                _MAINTENANCE,
                "May the account search a whole tree, and in pages?",
                _LOG,
            ),
            "See the server's log for the reason.",
        ),
        "read.protocol_error": Row(
            "The server did not understand what it was asked.",
            _PROTOCOL_CHECKS,
            _PROTOCOL_FIX,
        ),
        "read.malformed": Row(
            "What the server sent is not proper LDAP. Nothing was changed.",
            (
                "Is it an LDAP server?",
                "Does something between here and the server change what passes through?",
            ),
            _AGAIN,
            _LATER,
        ),
        "read.failed": Row(
            "The list could not be read. Nothing was changed.", (_LOG, _SERVER_LOAD), _AGAIN, _LATER
        ),
        # --- addresses ---
        "addresses.other_domains": Row(
            "Entries were found, but none of their addresses is in your mail domains.",
            (
                "Are your mail domains entered with this service? Those found are listed under what was seen.",
                "Do the attributes hold the addresses that people on the Internet write to?",
            ),
            "Add the missing domains, or correct the attributes with addresses.",
        ),
        "addresses.none_valid": Row(
            "Entries were found, but no valid mail address in them.",
            (
                "Do the attributes named in the settings hold the mail addresses?",
                "Is the type of directory right? Active Directory with Exchange keeps addresses in proxyAddresses.",
                "Do the settings leave them all out? What was not taken is counted under what was seen.",
                _RIGHTS,
            ),
            "Correct the type or the attributes with addresses, or let the account read them.",
        ),
    }
)
"""Every code there is; whatever else is raised is told as ``internal``."""


def finding(
    code: str,
    *,
    seen: str = "",
    stages: Sequence[StageResult] = (),
    ldapsearch: str = "",
    egress: Sequence[str] = (),
    **figures: str | int,
) -> Finding:
    """Return what a customer is told of a code.

    ``seen`` is shown apart from the fixed sentences. ``egress`` are the addresses we connect from; ``figures`` fill what
    stands in braces: values of ours and names out of certificates, never a server's words. A code that no row describes is ``internal``.
    """
    known = code if code in FINDINGS else INTERNAL
    row = FINDINGS[known]
    said = {**_UNSAID, **({"egress": ", ".join(egress)} if egress else {}), **figures}
    return Finding(
        code=known,
        stage=_stage(code, stages),
        headline=row.headline.format_map(said),
        seen=seen,
        checks=tuple(check.format_map(said) for check in row.checks),
        fix=row.fix.format_map(said),
        retry=row.retry,
        ldapsearch=ldapsearch,
        stages=tuple(stages),
    )


def is_tried_again(run: ClaimedRun, code: str, *, retries: int) -> bool:
    """Whether a run that failed so is tried again by itself before anybody is told; ``retries``: how often at most."""
    if run.trigger is Trigger.MANUAL or run.attempt > retries:
        return False
    return retry_of(code) is Retry.LATER


def retry_of(code: str) -> Retry:
    """Return when trying again can help."""
    return FINDINGS.get(code, FINDINGS[INTERNAL]).retry


def _stage(code: str, stages: Sequence[StageResult]) -> Stage:
    """Return the stage a code names, else the one that failed; of a test without a fault it is the last."""
    prefix = code.partition(".")[0]
    if prefix in set(Stage):
        return Stage(prefix)
    failed = (result.stage for result in stages if result.state is StageState.FAILED)
    return next(failed, Stage.ADDRESSES if code == OK else Stage.SETTINGS)
