from dataclasses import replace

import orjson
import pytest

from worker.domain.answer import Case, answer, calls_for_survey, failed_by, kinds
from worker.domain.events import finding_payload
from worker.domain.failures import (
    BaseAsked,
    Denied,
    Finding,
    Misdirected,
    Stage,
    StageResult,
    StageState,
    Unfinished,
)
from worker.domain.findings import FINDINGS
from worker.domain.model import Credentials, DirectorySettings, Limits, Secret, Server
from worker.domain.plan import make_plan
from worker.domain.server import Profile, RootDse, ServerType
from worker.domain.sign_in import OF_OTHERS
from worker.domain.survey import (
    ADDRESSES_COUNT,
    CERTIFICATES_COUNT,
    AddressSeen,
    Certificate,
    Encryption,
    PortSeen,
    PortState,
    ServerSeen,
    Speech,
    Survey,
)


MESSAGE_BYTES = 256 * 1024
"""The contract's bound."""
ENVELOPE_BYTES = 32 * 1024
"""For all that is not the finding: counts, causes, reasons."""
SETTINGS = DirectorySettings("HQ", "openldap", (Server("dc1.example.com"),), "cn=sync,dc=x")
OPENLDAP = RootDse(object_classes=frozenset({"OpenLDAProotDSE"}))
SHUT = PortSeen(636, PortState.REFUSED, 1)
TLS = PortSeen(636, PortState.OPEN, 1, configured=False, speaks=Speech.TLS)
STARTTLS = PortSeen(389, PortState.OPEN, 1, configured=False, speaks=Speech.LDAP, starttls=True)
PLAIN = replace(STARTTLS, starttls=False)


def seen(*ports: PortSeen, names: tuple[str, ...] = ()) -> Survey:
    """What a look around at one server saw."""
    shown = (Certificate(f"sha256:{'0' * 64}", names=names),) if names else ()
    return Survey(
        (
            ServerSeen(
                "dc1.example.com:636", "ok", 1, (AddressSeen("192.0.2.1", "", ports),), 0, shown
            ),
        )
    )


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ((SHUT, STARTTLS, TLS), "correct the port (636 is open: choose LDAPS), or"),
        ((SHUT, STARTTLS), "correct the port (389 is open: choose STARTTLS), or"),
        ((SHUT, PLAIN), "correct the port, or"),
        ((SHUT,), "correct the port, or"),
    ],
)
def test_a_port_that_would_do_is_named(ports: tuple[PortSeen, ...], said: str) -> None:
    """Nobody has to draw the conclusion; and nobody is told to give up encryption."""
    assert said in answer("reach.refused", Case(SETTINGS, survey=seen(*ports))).fix


def test_the_name_to_enter_is_the_certificate_s() -> None:
    """One that can be entered: a wildcard is none."""
    named = seen(TLS, names=("*.x.local", "dc1.x.local"))
    bare = seen(TLS, names=("*.x.local", "Our LDAP server"))

    fixes = [answer("secure.wrong_name", Case(SETTINGS, survey=each)).fix for each in (named, bare)]

    assert fixes == [
        "Enter dc1.x.local as the name in the certificate, or use it as the server.",
        "Enter a name from the certificate as the name in the certificate, or use it as the server.",
    ]


def test_all_stages_are_told_of() -> None:
    """Whoever reads the answer finds every stage, in its order."""
    reach = StageResult(Stage.REACH, StageState.FAILED, 3, "reach.refused")
    name = StageResult(Stage.NAME, StageState.OK, 1)

    told = answer("reach.refused", Case(SETTINGS, stages=[name, reach]))
    unplanned = answer("settings.no_filter", Case(SETTINGS))

    assert [each.stage for each in told.stages] == list(Stage)
    assert [each.state for each in told.stages][:3] == ["ok", "ok", "failed"]
    assert [each.state for each in unplanned.stages] == ["failed", *["not_tried"] * 7]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("name.timed_out", True),
        ("reach.refused", True),
        ("secure.wrong_name", True),
        ("secure.bad_client_certificate", False),
        ("sign_in.locked", False),
        ("settings.no_filter", False),
        ("ok", False),
        ("internal", False),
    ],
)
def test_only_what_can_be_seen_from_outside_is_looked_into(code: str, *, expected: bool) -> None:
    """Nobody's server is looked around at without a reason."""
    assert calls_for_survey(code) is expected


def test_what_the_server_says_outweighs_the_type_chosen() -> None:
    """A wrong type is a usual slip, and must not bring the wrong lines."""
    as_ad = replace(SETTINGS, type="active_directory")

    assert kinds(as_ad, OPENLDAP) == {ServerType.OPENLDAP}
    assert kinds(as_ad, None) == {ServerType.ACTIVE_DIRECTORY, ServerType.SAMBA_AD}
    assert kinds(as_ad, RootDse()) == kinds(as_ad, None)
    assert ServerType.DS389 in kinds(SETTINGS, None)
    assert ServerType.UNKNOWN not in kinds(replace(SETTINGS, type="custom"), None)


def test_a_server_that_was_read_outweighs_a_look_around() -> None:
    """Of several servers, the one that was read is the one to put right."""
    windows = RootDse(capabilities=frozenset({"1.2.840.113556.1.4.800"}))
    case = Case(SETTINGS, survey=Survey(root=windows), profile=Profile(OPENLDAP))

    labels = [each.label for each in answer("read.size_limit", case).commands]

    assert [label.partition(",")[0] for label in labels] == ["OpenLDAP"]


def test_the_line_searches_below_the_base_that_the_server_named() -> None:
    """Without one Active Directory finds nothing, and says that the base is wrong."""
    form = replace(SETTINGS, type="freeipa")
    root = RootDse(default_context="dc=corp,dc=example")
    case = Case(form, make_plan(form, Credentials(None), Limits()), profile=Profile(root))

    assert " -b cn=users,cn=accounts,dc=corp,dc=example " in answer("ok", case).ldapsearch


def test_rights_are_asked_for_what_the_server_knows() -> None:
    """OpenLDAP refuses a whole rule for one attribute that its schema has not."""
    form = replace(SETTINGS, type="zimbra")
    plan = make_plan(form, Credentials(None), Limits())
    profile = Profile(OPENLDAP, frozenset({"mail", "zimbramailalias"}))

    commands = answer("read.nothing_found", Case(form, plan, profile=profile)).commands

    (rule,) = (each.text for each in commands if "olcAccess" in each.text)
    assert ",displayName,zimbraMailAlias,entryUUID by " in rule


@pytest.mark.parametrize("base", ["", "no name", "dc=\x1b[2J", f"dc={'x' * 1_000}"])
def test_what_is_no_base_is_not_put_into_the_line(base: str) -> None:
    """A server may write anything."""
    root = RootDse(default_context=base)
    plan = make_plan(SETTINGS, Credentials(None), Limits())

    line = answer("ok", Case(SETTINGS, plan, profile=Profile(root))).ldapsearch

    assert " -b YOUR-SEARCH-BASE " in line


def test_of_several_trees_none_is_chosen_for_the_line() -> None:
    """The wrong one would find nobody, or somebody else."""
    root = RootDse(contexts=("dc=a", "dc=b"))
    plan = make_plan(SETTINGS, Credentials(None), Limits())

    line = answer("base.ambiguous", Case(SETTINGS, plan, profile=Profile(root))).ldapsearch

    assert " -b YOUR-SEARCH-BASE " in line


def test_a_name_that_need_not_be_entered_is_to_be_left_out() -> None:
    """The certificate is for the server as it is entered; it was the other name that was wrong."""
    form = replace(SETTINGS, certificate_name="dc9.example.com")
    shown = seen(TLS, names=("dc1.x.local", "DC1.example.com"))

    told = answer("secure.wrong_name", Case(form, survey=shown))

    assert told.fix.startswith("Leave the name in the certificate blank: ")


def test_nobody_is_asked_for_a_certificate_that_was_seen() -> None:
    """What is known is no check."""
    with_one, without = (
        answer("secure.tls_on_plain_port", Case(SETTINGS, survey=each)).checks
        for each in (seen(STARTTLS, names=("dc1.x.local",)), seen(PLAIN))
    )

    assert set(without) - set(with_one) == {"Has the server a certificate?"}


def test_a_filter_of_one_s_own_is_looked_at_before_the_type() -> None:
    """The type's own filter was not asked for, so the type does not explain that nobody was found."""
    windows = RootDse(capabilities=frozenset({"1.2.840.113556.1.4.800"}))
    own = replace(SETTINGS, filter="(mial=*)")
    plans = [make_plan(form, Credentials(None), Limits()) for form in (SETTINGS, own)]

    typed, filtered = (
        answer("read.nothing_found", Case(plan.settings, plan, profile=Profile(windows)))
        for plan in plans
    )

    assert typed.checks[0].startswith("This server is Active Directory")
    assert filtered.checks == typed.checks[1:]


def test_the_lines_are_for_the_server_that_answers() -> None:
    """The preferred one may be down, and a sign-in is tried where there is somebody to ask."""
    form = replace(SETTINGS, servers=(Server("down.example"), Server("up.example")))
    down, up = (seen(port).servers[0] for port in (SHUT, replace(TLS, suits=True)))
    plan = make_plan(form, Credentials(None), Limits())

    found = answer("base.unknown", Case(form, plan, survey=Survey((down, up))))

    assert " -H ldaps://up.example:636 " in found.ldapsearch
    assert " -H ldaps://up.example:636 " in found.commands[0].text


def test_nobody_is_sent_to_a_port_that_is_shut() -> None:
    """It was looked at: the sentence must not say what is known to be wrong."""
    mine = replace(PLAIN, configured=True)
    shut, open_ = (replace(each, configured=False) for each in (SHUT, TLS))

    fixes = [
        answer(code, Case(SETTINGS, survey=seen(mine, other))).fix
        for code in ("secure.tls_on_plain_port", "secure.starttls_refused")
        for other in (shut, open_)
    ]

    assert (
        fixes[::2]
        == [
            (
                "Install a certificate on the server: port 389 offers no STARTTLS, and port 636 refused the connection. "
                "Then choose STARTTLS for that port, or LDAPS with port 636."
            )
        ]
        * 2
    )
    assert fixes[1::2] == ["Use port 636 with LDAPS."] * 2


def base_not_found(base: str, matched: str = "") -> Finding:
    """What is told of a base that OpenLDAP says is not there."""
    failure = Misdirected("base.not_found", "result 32")
    root = replace(OPENLDAP, contexts=("dc=example,dc=org",))
    failure.asked = BaseAsked(root, base, matched)
    form = replace(SETTINGS, search_bases=(base,))
    case = Case(form, make_plan(form, Credentials(None), Limits()))
    return answer(failure.code, failed_by(failure, case))


def test_a_base_that_is_surely_wrong_brings_no_rights() -> None:
    """Rules for a base that does not exist help nobody."""
    typed = base_not_found("ou=Peple,dc=example,dc=org", "dc=example,dc=org")

    assert typed.headline == "The search base does not exist."
    assert typed.fix == "Correct the search base."
    assert typed.seen == "the server has dc=example,dc=org, and shows no ou=Peple in it"
    assert not [each for each in typed.checks if "see it" in each]
    assert [each.label for each in typed.commands] == [
        "Linux or macOS: where the server's entries begin"
    ]


def test_a_base_that_may_be_hidden_brings_rights_last() -> None:
    """OpenLDAP and Active Directory say of what is hidden that it is not there; a mistyped name is more usual."""
    hidden = base_not_found("ou=People,dc=example,dc=org")

    assert hidden.headline == "The search base does not exist, or the account may not see it."
    assert "typed correctly" in hidden.checks[0]
    assert "May the account see it?" in hidden.checks[-1]
    assert "olcAccess" in hidden.commands[-1].text
    assert hidden.detected is not None


def test_the_limit_that_was_hit_is_told() -> None:
    """With its unit."""
    failure = Unfinished("read.too_many_bytes", "more than 4 GiB", figure="4 GiB")

    told = answer(failure.code, failed_by(failure, Case(SETTINGS)))

    assert told.headline == "The list is larger than 4 GiB. Nothing was changed."


def test_the_largest_answer_fits_into_a_message() -> None:
    """A farm of servers with many addresses must not cost anybody the answer."""
    sign, long = "\U0001f600", f"cn={'x' * 4000},dc=x"
    certificates = tuple(
        Certificate(f"sha256:{number:064}", sign * 100, (sign * 100,) * 10, sign * 100)
        for number in range(CERTIFICATES_COUNT)
    )
    versions = dict.fromkeys(("TLS 1.3", "TLS 1.2", "TLS 1.1", "TLS 1.0"))
    port = replace(TLS, tls=Encryption("secure.wrong_name", "TLS 1.3", versions, "x" * 71))
    addresses = (AddressSeen("2001:db8::ffff:ffff:ffff:ffff", "", (port,) * 4),) * ADDRESSES_COUNT
    server = ServerSeen("x" * 253, "ok", 1, addresses, 0, certificates)
    settings = replace(SETTINGS, type="custom", bind_name=long, search_bases=(long,))

    for code in FINDINGS:
        told = answer(code, Case(settings, survey=Survey((server,) * 5)))
        assert len(orjson.dumps(finding_payload(told))) < MESSAGE_BYTES - ENVELOPE_BYTES


def test_a_server_s_words_are_shown_only_where_they_are_ours() -> None:
    """A server may write anything."""
    ours = answer("base.ambiguous", Case(SETTINGS, detail="dc=a, dc=b"))
    theirs = answer("sign_in.locked", Case(SETTINGS, detail="call 555-EVIL"))

    assert ours.seen == "dc=a, dc=b"
    assert "EVIL" not in repr(theirs)


def test_who_has_to_wait_for_another_s_refusals_is_not_accused() -> None:
    """By decision 0023 names that may be one account count together."""
    failure = Denied("sign_in.waiting", "14:05 UTC", figure=OF_OTHERS)
    mine, theirs = (
        answer(failure.code, failed_by(each, Case(SETTINGS)))
        for each in (Denied("sign_in.waiting", "14:05 UTC"), failure)
    )

    assert mine.headline.startswith("Two sign-ins of this account, or of one that may be the same,")
    assert theirs.headline.startswith("Two sign-ins of another account that may be the same")
    assert "password the account's current one" not in repr(theirs.checks)
    for each in (mine, theirs):
        assert each.fix.startswith("Try again after 14:05 UTC. Automatic syncs go on by themselves")


def test_a_certificate_that_is_refused_is_not_told_as_a_password() -> None:
    """Nothing was said of a name and a password; simple binds have nothing to do with it."""
    form = replace(SETTINGS, client_certificate="PEM")
    alone, beside = (
        answer("sign_in.method", Case(form, make_plan(form, credentials, Limits())))
        for credentials in (Credentials(None), Credentials(Secret("secret")))
    )

    assert "client certificate alone (SASL EXTERNAL)" in alone.headline
    assert "simple bind" not in " ".join((*alone.checks, alone.fix)).lower()
    assert "a name and a password" in beside.headline


def test_another_service_on_the_port_is_not_told_as_a_plain_directory() -> None:
    """A mail or web server speaks no LDAP, with or without encryption."""
    mine = PortSeen(25, PortState.OPEN, 1, speaks=Speech.OTHER)

    other = answer("secure.tls_on_plain_port", Case(SETTINGS, survey=seen(mine)))
    plain = answer(
        "secure.tls_on_plain_port", Case(SETTINGS, survey=seen(replace(PLAIN, configured=True)))
    )

    assert other.headline.endswith("what answers on this port speaks no LDAP.")
    assert [each.partition("?")[0] for each in other.checks] == ["Is the port right"]
    assert "STARTTLS" not in other.fix
    assert plain.headline.endswith("the server speaks plainly on this port.")


def test_a_key_of_another_certificate_brings_no_lines_about_the_server() -> None:
    """Nothing was dialled: the two files are to be compared."""
    found = answer("secure.bad_client_certificate", Case(SETTINGS))

    assert [each.text.count("client.") for each in found.commands] == [2]
