"""What can go wrong between us and a directory, row by row: each with the findings it is told as and the test that shows it.

Sources: RFC 1035 and 2308 (names), the kernel's connect(2), OpenSSL 3.0's verify(1) for certificates and its own names
for what else a handshake meets, RFC 4511 appendix A for results, Microsoft's system error codes 1317 to 1909
(winerror.h) for what Active Directory adds to result 49.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


HERE = "tests/integration/directory/"
OK = "ok"
"""The code of a fault that is none: what is odd and accepted."""


class Fault(NamedTuple):
    """One thing that can go wrong."""

    row: str
    what: str
    code: str
    proof: str
    """A test, ``<file>::<function>`` under HERE."""


NAMES = "test_reaching.py"
CERTIFICATES = "test_certificates.py"
HANDSHAKES = "test_handshakes.py"
REAL = "test_refusals.py"
RESULTS_FILE = "test_results.py"
DOMAIN = "test_active_directory.py"


def _fault(row: str, what: str, code: str, file: str, test: str) -> Fault:
    return Fault(row, what, code, f"{HERE}{file}::{test}")


# fmt: off
BEFORE_LDAP = (
    _fault("NXDOMAIN", "a name that only the customer's own network knows, or a typing mistake", "name.not_found", NAMES, "test_a_name_that_nobody_knows"),
    _fault("no A or AAAA", "a name without an address", "name.not_found", NAMES, "test_a_name_that_nobody_knows"),
    _fault("SERVFAIL", "the name servers of the zone are in trouble", "name.failed", NAMES, "test_a_name_whose_servers_are_in_trouble"),
    _fault("REFUSED", "they do not answer us", "name.failed", NAMES, "test_a_name_whose_servers_are_in_trouble"),
    _fault("DNS silent", "they do not answer at all", "name.timed_out", NAMES, "test_a_name_whose_servers_are_silent"),
    _fault("private address", "internal names published, or somebody who wants into our network", "reach.not_allowed", NAMES, "test_a_name_that_leads_into_a_private_network"),
    _fault("ECONNREFUSED", "service down, wrong port, or a firewall that says no", "reach.refused", REAL, "test_a_closed_port_is_refused"),
    _fault("dropped packets", "a firewall that says nothing: our addresses are not allowed", "reach.timed_out", NAMES, "test_packets_that_are_dropped"),
    _fault("full backlog", "a server too busy to take connections", "reach.timed_out", "test_traps.py", "test_a_host_that_drops_packets_holds_nobody"),
    _fault("EHOSTUNREACH, ENETUNREACH", "no way to the address, or a router that forbids it", "reach.unroutable", NAMES, "test_an_address_without_a_way_to_it"),
    _fault("ECONNRESET on connect", "cut as soon as it stands: AD without a certificate, an inspecting firewall", "reach.reset", NAMES, "test_a_connection_reset_as_soon_as_it_stands"),
    _fault("stops mid-search", "an idle timer, a restart of the server", "read.lost_connection", REAL, "test_a_server_killed_between_two_pages"),
    _fault("falls silent mid-search", "the server hangs", "read.timed_out", "test_scripted.py", "test_a_page_that_takes_too_long_fails_the_listing"),
)
# fmt: on

# fmt: off
TLS = (
    _fault("verify 2", "only an intermediate was pasted: accepted, it may be the anchor", OK, CERTIFICATES, "test_an_intermediate_may_be_all_that_is_pasted"),
    _fault("verify 2", "the same where the anchor must be a root", "secure.missing_issuer", CERTIFICATES, "test_a_verify_code_is_told_whatever_brought_it_about[2]"),
    _fault("verify 6", "the issuer's key cannot be read", "secure.bad_issuer", CERTIFICATES, "test_a_verify_code_is_told_whatever_brought_it_about[6]"),
    _fault("verify 21", "20 in other builds of OpenSSL", "secure.missing_issuer", CERTIFICATES, "test_a_verify_code_is_told_whatever_brought_it_about[21]"),
    _fault("verify 24", "79 until OpenSSL 1.1.1", "secure.bad_issuer", CERTIFICATES, "test_a_verify_code_is_told_whatever_brought_it_about[24]"),
    _fault("verify 7", "a signature that is not the issuer's", "secure.untrusted", CERTIFICATES, "test_a_certificate_with_a_forged_signature"),
    _fault("verify 9", "not valid yet", "secure.not_yet_valid", CERTIFICATES, "test_a_certificate_of_tomorrow"),
    _fault("verify 10", "expired, the server's own or one above it", "secure.expired", CERTIFICATES, "test_a_certificate_of_yesterday"),
    _fault("verify 18", "self-signed", "secure.self_signed", CERTIFICATES, "test_a_certificate_that_vouches_for_itself"),
    _fault("verify 19", "a private root in the chain that nobody pasted", "secure.untrusted_root", CERTIFICATES, "test_a_chain_that_ends_in_a_private_root"),
    _fault("verify 20", "the server sends its own certificate only", "secure.missing_issuer", CERTIFICATES, "test_a_certificate_sent_without_its_issuer"),
    _fault("verify 23", "revoked, were lists looked at", "secure.revoked", CERTIFICATES, "test_a_certificate_that_was_taken_back"),
    _fault("verify 25", "more authorities below one another than is allowed", "secure.bad_issuer", CERTIFICATES, "test_a_chain_longer_than_its_authority_allows"),
    _fault("verify 26", "not issued for servers", "secure.wrong_purpose", CERTIFICATES, "test_a_certificate_for_clients"),
    _fault("verify 32, 79", "the issuer is no authority, or may not issue", "secure.bad_issuer", CERTIFICATES, "test_an_issuer_that_may_not_issue"),
    _fault("verify 62", "another name", "secure.wrong_name", CERTIFICATES, "test_a_certificate_for_another_name"),
    _fault("verify 64", "an IP address that is not in the certificate", "secure.wrong_address", CERTIFICATES, "test_a_certificate_that_does_not_name_the_address"),
    _fault("common name only", "no subject alternative names: accepted", OK, CERTIFICATES, "test_a_certificate_with_a_common_name_only_is_accepted"),
    _fault("verify 66", "the server's key is too short", "secure.weak_key", CERTIFICATES, "test_a_key_of_the_last_century"),
    _fault("verify 67", "the authority's key is too short", "secure.weak_key", CERTIFICATES, "test_an_authority_s_key_of_the_last_century"),
    _fault("verify 68", "signed with SHA-1", "secure.weak_key", CERTIFICATES, "test_a_digest_of_the_last_century"),
    _fault("verify 85, 89, 92", "what only a strict check minds: accepted", OK, CERTIFICATES, "test_what_only_a_strict_check_minds_is_accepted"),
    _fault("pasted authority", "it is no certificate", "secure.bad_ca", CERTIFICATES, "test_an_authority_that_is_none"),
    _fault("pinned certificate", "another is shown", "secure.wrong_fingerprint", REAL, "test_another_certificate_than_the_pinned_one"),
    _fault("WRONG_VERSION_NUMBER", "a service that greets first, or plain LDAP in answer", "secure.tls_on_plain_port", HANDSHAKES, "test_a_service_that_greets_in_plain_text"),
    _fault("EOF from a plain port", "OpenLDAP's plain port hangs up on a handshake", "secure.tls_on_plain_port", REAL, "test_tls_to_a_plain_port"),
    _fault("EOF", "hung up in the handshake, and no plain port either", "secure.closed", HANDSHAKES, "test_a_handshake_cut_short"),
    _fault("ECONNRESET", "reset in the handshake: AD without a certificate, a firewall", "secure.closed", HANDSHAKES, "test_a_handshake_cut_short"),
    _fault("plain on a TLS port", "the connection is closed without a word", "secure.plain_on_tls_port", REAL, "test_plain_to_a_tls_port"),
    _fault("UNSUPPORTED_PROTOCOL", "TLS 1.0 or 1.1 only, no cipher in common", "secure.protocol_too_old", HANDSHAKES, "test_a_server_of_long_ago"),
    _fault("client certificate", "demanded, and missing or not accepted", "secure.client_certificate", HANDSHAKES, "test_a_client_certificate_that_is_missing"),
    _fault("client key", "it belongs to another certificate", "secure.bad_client_certificate", REAL, "test_a_client_certificate_that_does_not_fit_its_key"),
    _fault("other alerts", "the server gives up for a reason of its own", "secure.failed", HANDSHAKES, "test_an_alert_that_says_little"),
    _fault("silence", "the handshake is never answered", "secure.timed_out", REAL, "test_a_handshake_that_is_not_answered"),
    _fault("StartTLS refused", "2, 53, or 52 from AD without a certificate", "secure.starttls_refused", "test_scripted.py", "test_starttls_that_is_not_offered"),
    _fault("StartTLS, early data", "plain text before the handshake", "secure.early_data", "test_scripted.py", "test_bytes_injected_before_the_handshake_are_refused"),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Result:
    """One result code, and what it is told as where it comes: at the sign-in, for the base, for the list."""

    number: int
    name: str
    why: str
    sign_in: str
    base: str
    read: str


def _result(number: int, name: str, why: str, **told: str) -> Result:
    """Return a row; where it is told as nothing special, it is ``failed``. A cause may name its stage."""
    codes = {"sign_in": "failed", "base": "failed", "read": "failed"} | told
    return Result(
        number,
        name,
        why,
        **{stage: code if "." in code else f"{stage}.{code}" for stage, code in codes.items()},
    )


# fmt: off
RESULTS = (
    _result(1, "operationsError", "AD and Samba: a search before a bind that counts", base="not_allowed", read="not_allowed"),
    _result(2, "protocolError", "no LDAPv3 server, or a proxy in the path", sign_in="protocol_error", base="protocol_error", read="protocol_error"),
    _result(3, "timeLimitExceeded", "attributes without an index", base="timed_out", read="time_limit"
    ),
    _result(4, "sizeLimitExceeded", "a part was delivered before it", read="size_limit"),
    _result(5, "compareFalse", "answers no question of ours"),
    _result(6, "compareTrue", "likewise"),
    _result(7, "authMethodNotSupported", "simple binds are turned off", sign_in="method"),
    _result(8, "strongerAuthRequired", "AD demands signing or TLS", sign_in="needs_tls", base="needs_tls", read="needs_tls"),
    _result(9, "partialResults", "LDAPv2's, reserved since: a part, and where the rest is", sign_in="referral", base="referral", read="partial"),
    _result(10, "referral", "it belongs to another server", sign_in="referral", base="referral", read="referral"),
    _result(11, "adminLimitExceeded", "389-DS: the look-through limit", read="admin_limit"),
    _result(12, "unavailableCriticalExtension", "no paging", read="no_paging"),
    _result(13, "confidentialityRequired", "OpenLDAP and 389-DS demand TLS", sign_in="needs_tls", base="needs_tls", read="needs_tls"),
    _result(14, "saslBindInProgress", "more steps than a simple bind has", sign_in="method"),
    _result(16, "noSuchAttribute", "a typing mistake in an attribute", read="bad_attribute"),
    _result(17, "undefinedAttributeType", "the server does not know the attribute", read="bad_attribute"
    ),
    _result(18, "inappropriateMatching", "a filter that its attribute cannot answer", read="bad_filter"
    ),
    _result(19, "constraintViolation", "389-DS and FreeIPA: too many wrong passwords", sign_in="locked"),
    _result(20, "attributeOrValueExists", "an answer to changes, of which we make none"),
    _result(21, "invalidAttributeSyntax", "a filter's value is none", read="bad_filter"),
    _result(32, "noSuchObject", "not there, or not visible; eDirectory: no such account", sign_in="unknown_user", base="not_found", read="base.not_found"),
    _result(33, "aliasProblem", "aliases are never followed"),
    _result(34, "invalidDNSyntax", "no distinguished name", sign_in="bad_name", base="bad_name", read="base.bad_name"),
    _result(36, "aliasDereferencingProblem", "aliases are never followed"),
    _result(48, "inappropriateAuthentication", "the account has no password, or nobody may be anonymous", sign_in="method", base="not_allowed", read="not_allowed"),
    _result(49, "invalidCredentials", "wrong name or password; AD says which", sign_in="wrong_password"),
    _result(50, "insufficientAccessRights", "access rules", sign_in="not_allowed", base="not_allowed", read="not_allowed"),
    _result(51, "busy", "load", sign_in="busy", base="busy", read="busy"),
    _result(52, "unavailable", "shutting down", sign_in="unavailable", base="unavailable", read="unavailable"),
    _result(53, "unwillingToPerform", "deactivated account, read-only mode", sign_in="refused", base="refused", read="refused"),
    _result(54, "loopDetect", "servers that refer to each other"),
    _result(64, "namingViolation", "an answer to changes, of which we make none"),
    _result(65, "objectClassViolation", "likewise"),
    _result(66, "notAllowedOnNonLeaf", "likewise"),
    _result(67, "notAllowedOnRDN", "likewise"),
    _result(68, "entryAlreadyExists", "likewise"),
    _result(69, "objectClassModsProhibited", "likewise"),
    _result(71, "affectsMultipleDSAs", "likewise"),
    _result(80, "other", "a fault of the server's own", read="server_error"),
    _result(123, "", "a number that no RFC gives a meaning"),
)
# fmt: on
"""RFC 4511 appendix A, whole: success apart, and the two that older protocols used."""


@dataclass(frozen=True, slots=True)
class SubCode:
    """What Active Directory means by ``data <hex>`` in the diagnostic of result 49."""

    data: str
    win32: int
    what: str
    code: str


# fmt: off
SUB_CODES = (
    SubCode("525", 1317, "no such user", "sign_in.unknown_user"),
    SubCode("52e", 1326, "wrong password, which also masks other states", "sign_in.wrong_password"),
    SubCode("52f", 1327, "an account restriction: a blank password, Protected Users", "sign_in.restricted"),
    SubCode("530", 1328, "outside the logon hours", "sign_in.logon_hours"),
    SubCode("531", 1329, "not from this workstation", "sign_in.workstation"),
    SubCode("532", 1330, "the password has expired", "sign_in.password_expired"),
    SubCode("533", 1331, "the account is disabled", "sign_in.disabled"),
    SubCode("701", 1793, "the account has expired", "sign_in.expired"),
    SubCode("773", 1907, "the password must be changed first", "sign_in.must_change"),
    SubCode("775", 1909, "locked out", "sign_in.locked"),
    SubCode("80090346", 0, "SEC_E_BAD_BINDINGS: not bound to the TLS channel", "sign_in.channel_binding"
    ),
)
# fmt: on

# fmt: off
REAL_RESULTS = (
    _fault("8 from Samba AD", "a password in clear is refused", "sign_in.needs_tls", DOMAIN, "test_a_password_in_clear_is_not_looked_at"),
    _fault("8 over TLS", "a password is not enough", "sign_in.method", RESULTS_FILE, "test_a_server_that_demands_more_than_a_password"),
    _fault("13 from OpenLDAP", "a password in clear is refused", "sign_in.needs_tls", REAL, "test_a_server_that_demands_tls_for_passwords"),
    _fault("34 from OpenLDAP", "user@domain where a DN is wanted", "sign_in.bad_name", REAL, "test_a_bind_name_that_is_no_name"),
    _fault("49 from OpenLDAP", "a wrong password", "sign_in.wrong_password", REAL, "test_a_wrong_password_goes_to_no_other_server"),
    _fault("53 from OpenLDAP", "sign-ins are turned off", "sign_in.refused", RESULTS_FILE, "test_a_server_in_maintenance"),
    _fault("empty password", "never sent: a server would call it success as nobody", "sign_in.empty_password", REAL, "test_an_empty_password_is_refused_before_anything_is_dialled"),
    _fault("success as nobody", "AD, given an empty or ignored password", "sign_in.anonymous", "test_scripted.py", "test_a_sign_in_that_ended_as_nobody_is_refused"),
    _fault("10 for a base", "a base of another server", "base.referral", REAL, "test_a_base_in_another_directory"),
    _fault("32 for a base", "a base that is not there", "base.not_found", REAL, "test_a_base_that_is_not_there"),
    _fault("32 from Samba AD", "likewise", "base.not_found", DOMAIN, "test_a_base_that_is_wrong_is_told"),
    _fault("34 for a base", "a base that is no DN", "base.bad_name", REAL, "test_a_base_that_is_no_name"),
    _fault("50 for a base", "it is known and not shown", "base.not_allowed", RESULTS_FILE, "test_a_base_that_is_known_and_not_shown"),
    _fault("53 for a base", "searches are turned off", "base.refused", RESULTS_FILE, "test_a_server_that_answers_no_searches"),
    _fault("4 for a list", "a size limit", "read.size_limit", REAL, "test_a_size_limit_is_not_the_end_of_the_list"),
    _fault("11 for a list", "a limit on what may be looked through, or no pages for the account", "read.admin_limit", RESULTS_FILE, "test_a_limit_on_what_may_be_looked_through"),
    _fault("12 past the first page", "a cookie that another server gave", "read.cookie", "test_scripted.py", "test_a_cookie_the_server_no_longer_knows_fails_the_listing"),
    _fault("0 and no entry", "rights that hide everybody", "read.nothing_found", REAL, "test_rights_that_show_the_base_and_nobody_in_it"),
    _fault("notice of disconnection", "the server closes of its own accord", "read.disconnected", "test_scripted.py", "test_a_notice_of_disconnection_is_heard"),
    _fault("notice at the sign-in", "likewise, told by the code it carries", "sign_in.unavailable", RESULTS_FILE, "test_a_notice_of_disconnection_is_told_where_it_comes"),
)
# fmt: on


def _of_results() -> Iterator[Fault]:
    for each in RESULTS:
        for code, test in (
            (each.sign_in, "test_a_result_is_told_by_its_number"),
            (each.base, "test_a_result_for_the_base_is_told_by_its_number"),
            (each.read, "test_a_result_for_the_list_is_told_by_its_number"),
        ):
            proof = f"{HERE}{RESULTS_FILE}::{test}[{each.number}]"
            yield Fault(f"{each.number} {each.name}".strip(), each.why, code, proof)


def _of_sub_codes() -> Iterator[Fault]:
    proof = f"{HERE}test_scripted.py::test_active_directory_says_why_a_sign_in_failed"
    for each in SUB_CODES:
        yield Fault(f"49 from AD, data {each.data}", each.what, each.code, proof)


FAULTS = (*BEFORE_LDAP, *TLS, *_of_results(), *_of_sub_codes(), *REAL_RESULTS)
