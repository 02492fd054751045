import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from worker.codec import decode
from worker.codec.inbound import read_form
from worker.domain.commands import (
    CheckDirectory,
    Received,
    Refused,
    RequestSync,
    SaveDirectory,
    SaveTenant,
    Sealed,
)
from worker.domain.model import DirectoryId, Kind, Mode, Secret, Security, Server, Trigger


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FORM: dict[str, Any] = {
    "directory": "hq",
    "type": "active_directory",
    "servers": ["dc1.example.com"],
    "bind_name": "sync@example.com",
    "password": " correct horse ",
}


def message(name: str, data: object, **attributes: object) -> bytes:
    """Return a CloudEvent of the platform's."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": "command-1",
            "source": "platform",
            "type": f"rollcall.{name}.v1",
            "subject": "tenant-17",
            "data": data,
        }
        | attributes
    )


def received(body: bytes) -> Received:
    """Decode what must be a command."""
    taken = decode(body)
    assert isinstance(taken, Received)
    return taken


def saved(**change: object) -> SaveDirectory:
    """Decode a form with some fields changed."""
    command = received(message("directory.save", FORM | change)).command
    assert isinstance(command, SaveDirectory)
    return command


def refused(body: bytes, **way: Any) -> Refused:
    """Decode what must be refused."""
    taken = decode(body, **way)
    assert isinstance(taken, Refused)
    return taken


def codes(taken: Refused) -> list[tuple[str, str]]:
    """Return what is wrong, and where."""
    return [(error.field, error.code) for error in taken.errors]


def test_a_request_needs_only_its_directory() -> None:
    """A button that says "sync now" has nothing else to say."""
    taken = received(message("sync.request", {"directory": "hq"}))

    assert taken.command == RequestSync(DirectoryId("hq"), Trigger.MANUAL, Mode.APPLY)
    assert (taken.envelope.source, taken.envelope.id) == ("platform", "command-1")


@pytest.mark.parametrize(
    ("entered", "meant"),
    [
        ("dc1.example.com", Server("dc1.example.com")),
        (" DC1.Example.com. ", Server("dc1.example.com")),
        ("dc1.example.com:3269", Server("dc1.example.com", 3269)),
        ("ldaps://dc1.example.com:636/", Server("dc1.example.com", 636)),
        ("LDAP://dc1", Server("dc1")),
        ("dc_1.example.com", Server("dc_1.example.com")),
        ("192.0.2.7:389", Server("192.0.2.7", 389)),
        ("[2001:DB8::1]:636", Server("2001:db8::1", 636)),
        ("[2001:db8::1]", Server("2001:db8::1")),
        ("2001:db8::1", Server("2001:db8::1")),
        ("bücher.example", Server("xn--bcher-kva.example")),
        ("\ufeffdc1.exam\u200bple.com:636\u00a0", Server("dc1.example.com", 636)),
        ("ldaps://[2001:db8::1]", Server("2001:db8::1")),
        ("[127.0.0.1]", Server("127.0.0.1")),
        ("ldap://[192.0.2.7]:389", Server("192.0.2.7", 389)),
        ('"dc1.example.com"', Server("dc1.example.com")),
        ("'ldaps://dc1.example.com:636'", Server("dc1.example.com", 636)),
    ],
)
def test_a_server_is_understood_however_it_is_written(entered: str, meant: Server) -> None:
    """People paste what another program showed them."""
    assert saved(servers=[entered]).settings.servers == (meant,)


@pytest.mark.parametrize(
    "entered",
    [
        "http://dc1.example.com",
        "dc1.example.com/path",
        "-dc1.example.com",
        "dc1..example.com",
        "a" * 64 + ".example.com",
        ".".join(["abcdefgh"] * 32),
        "1.2.3",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "[fe80::1%eth0]",
        "[dc1.example.com]",
        "[1.2.3]",
        '"dc1.example.com',
        "1:2:3",
        "user@dc1.example.com",
        "xn--\u00fc.example",
    ],
)
def test_what_is_no_server_is_refused(entered: str) -> None:
    """A number that a resolver would read as 127.0.0.1 is no host of a customer's."""
    assert codes(refused(message("directory.save", FORM | {"servers": [entered]}))) == [
        ("servers.0", "server.syntax")
    ]


@pytest.mark.parametrize("entered", ["dc1:0", "dc1:65536", "dc1:", "dc1:ldap", "[::1]:x", "dc1:-1"])
def test_what_is_no_port_is_refused(entered: str) -> None:
    """The port is the first thing that is wrong in most forms."""
    assert codes(refused(message("directory.save", FORM | {"servers": [entered]}))) == [
        ("servers.0", "server.port")
    ]


@pytest.mark.parametrize(
    ("entered", "said"),
    [
        (
            {"type": "freeipa", "kinds": ["group", "contact"]},
            "Enter mailbox as well: the type freeipa has no other kinds. Or enter a filter of your own.",
        ),
        (
            {"type": "openldap", "kinds": ["public_folder"], "filter": " "},
            "Enter mailbox or group as well: the type openldap has no other kinds. Or enter a filter of your own.",
        ),
    ],
)
def test_kinds_that_the_type_does_not_have_are_refused(entered: dict[str, Any], said: str) -> None:
    """Each sync would fail, and the admin hear of it only then."""
    save = refused(message("directory.save", FORM | entered | {"servers": ["dc1:0"]}))
    form = {name: value for name, value in (FORM | entered).items() if name != "directory"}
    test = refused(message("directory.test", {"form": form}))

    assert codes(save) == [("servers.0", "server.port"), ("kinds", "kinds.none_of_type")]
    assert codes(test) == [("form.kinds", "kinds.none_of_type")]
    assert {save.errors[-1].message, test.errors[0].message} == {said}


@pytest.mark.parametrize(
    "entered",
    [
        {"type": "freeipa", "kinds": [each.value for each in Kind]},
        {"type": "openldap", "kinds": ["public_folder", "group"]},
        {"type": "openldap", "kinds": ["public_folder"], "filter": "(mail=*)"},
        {
            "type": "custom",
            "kinds": ["contact"],
            "filter": "(mail=*)",
            "address_attributes": ["mail"],
        },
        {"type": "openldap"},
    ],
    ids=["all", "one of them", "a filter of one's own", "custom", "left out"],
)
def test_kinds_of_which_there_are_some_are_taken(entered: dict[str, Any]) -> None:
    """Pages tick all of them, whatever the type."""
    assert saved(**entered).settings.type == entered["type"]


@pytest.mark.parametrize("kinds", [["folder"], ["public_folder", "x"], [], "group", [["x"]], [1]])
def test_kinds_that_are_none_are_told_once(kinds: object) -> None:
    """One field, one mistake."""
    taken = refused(message("directory.save", FORM | {"type": "openldap", "kinds": kinds}))

    assert "kinds.none_of_type" not in {code for _, code in codes(taken)}


@pytest.mark.parametrize("security", ["starttls", "none", " NONE "])
def test_a_server_written_ldaps_contradicts_another_encryption(security: str) -> None:
    """Passed over, it would send readable what the admin believes encrypted."""
    form = FORM | {"servers": ["dc2", " LDAPS://dc1.example.com"], "security": security}

    assert codes(refused(message("directory.save", form))) == [("servers.1", "server.scheme")]


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_field_contradicts_nothing(blank: str) -> None:
    """Pages send an empty text for a field that nobody filled in."""
    blanks = dict.fromkeys(
        ("password_sealed", "client_certificate", "client_key", "client_key_sealed"), blank
    )

    assert saved(**blanks) == saved()


def test_a_blank_filter_is_missing_where_one_is_needed() -> None:
    """A custom directory without a filter would be saved, and then fail at each sync."""
    form = FORM | {"type": "custom", "filter": " ", "address_attributes": ["mail"]}

    assert codes(refused(message("directory.save", form))) == [("filter", "filter.missing")]


def test_a_key_beside_a_blank_certificate_has_none() -> None:
    """The certificate has to be entered as well."""
    form = FORM | {"client_certificate": "", "client_key_sealed": "A" * 80}

    assert codes(refused(message("directory.save", form))) == [
        ("client_certificate", "key.without_certificate")
    ]


@pytest.mark.parametrize("security", [["none"], {"a": 1}, 7])
def test_an_encryption_that_is_none_contradicts_nothing(security: object) -> None:
    """One fault is told once."""
    form = FORM | {"servers": ["ldaps://dc1.example.com"], "security": security}

    assert codes(refused(message("directory.save", form))) == [("security", "value.not_allowed")]


@pytest.mark.parametrize(
    ("entered", "kept"),
    [
        (
            "CN = sync , OU=Service  Accounts,\r\n  DC=example ,DC= com",
            "CN=sync,OU=Service  Accounts,DC=example,DC=com",
        ),
        ("cn=a\\, b , dc=example", "cn=a\\, b,dc=example"),
        ("cn=ends in a space\\  ,dc=example", "cn=ends in a space\\ ,dc=example"),
        ("cn=ends in a backslash\\\\ ,dc=example", "cn=ends in a backslash\\\\,dc=example"),
        ("uid=a + cn = b,dc=example", "uid=a+cn=b,dc=example"),
    ],
)
def test_a_name_is_kept_without_the_spaces_around_its_parts(entered: str, kept: str) -> None:
    """It is pasted from pages and mails that break lines."""
    settings = saved(bind_name=entered, search_bases=[entered]).settings

    assert settings.bind_name == kept
    assert settings.search_bases == (kept,)


@pytest.mark.parametrize(
    "entered", ["dn:: T1U9QsO8cm8sREM9ZXhhbXBsZQ==", "DN::T1U9QsO8cm8s\n REM9ZXhhbXBsZQ=="]
)
def test_a_name_of_ldif_may_be_encoded(entered: str) -> None:
    """Tools write a name so as soon as it has an umlaut (RFC 2849)."""
    settings = saved(bind_name=entered, search_bases=[entered]).settings

    assert settings.bind_name == "OU=B\u00fcro,DC=example"
    assert settings.search_bases == ("OU=B\u00fcro,DC=example",)


@pytest.mark.parametrize("entered", ["dn:: QUJ", "dn:: /w==", "dn:: QUJD"])
def test_what_is_no_encoded_name_is_refused(entered: str) -> None:
    """It was stored as a name that begins with a colon."""
    taken = refused(message("directory.save", FORM | {"search_bases": [entered]}))

    assert codes(taken) == [("search_bases.0", "dn.syntax")]


@pytest.mark.parametrize(
    "entered", ["dc=a\ndc=b", "dc=a,dc=b\r\n  OU=c , dc=b", "dn: dc=a\n\ndn: dc=b"]
)
def test_several_names_in_one_field_are_refused(entered: str) -> None:
    """They became one name that no server has."""
    taken = refused(message("directory.save", FORM | {"search_bases": [entered]}))

    assert codes(taken) == [("search_bases.0", "dn.syntax")]
    assert "by itself" in taken.errors[0].message


@pytest.mark.parametrize("blank", [[""], ["  ", ""], [None]])
def test_an_empty_line_among_bases_is_none(blank: list[str | None]) -> None:
    """A page sends the line that nobody filled in."""
    assert saved(search_bases=blank).settings.search_bases == ()
    assert saved(search_bases=["dc=a", *blank]).settings.search_bases == ("dc=a",)


@pytest.mark.parametrize(
    ("entered", "meant"),
    [("LDAPS", Security.LDAPS), (" StartTLS ", Security.STARTTLS), ("none", Security.NONE)],
)
def test_an_encryption_is_understood_in_any_case(entered: str, meant: Security) -> None:
    """People write it as they have read it."""
    assert saved(security=entered).settings.security is meant


@pytest.mark.parametrize(
    ("entered", "kept"),
    [
        (" CORP \\ svc-mailsync ", "CORP\\svc-mailsync"),
        ("svc mailsync @ corp.example", "svc mailsync@corp.example"),
        ("sync@corp.example", "sync@corp.example"),
        ('"CORP\\svc-mailsync"', "CORP\\svc-mailsync"),
        ("dn: CN=sync,DC=example,DC=com", "CN=sync,DC=example,DC=com"),
        ('"CN=sync, DC=example"', "CN=sync,DC=example"),
    ],
)
def test_an_account_s_name_is_understood_however_it_is_spaced(entered: str, kept: str) -> None:
    """The server would call it a wrong password, and count it."""
    assert saved(bind_name=entered).settings.bind_name == kept


def test_a_password_is_taken_exactly_as_entered() -> None:
    """A space at its end is part of a password."""
    assert saved().password == Secret(" correct horse ")


def test_a_server_named_twice_is_tried_once() -> None:
    """The second try of the same server would only cost time."""
    assert len(saved(servers=["dc1.example.com", "DC1.example.com."]).settings.servers) == 1


def test_a_directory_without_a_name_is_called_by_its_id() -> None:
    """A list of directories has something to show for each."""
    assert saved().settings.name == "hq"


def test_blank_and_null_mean_left_out() -> None:
    """Pages send an empty text or null for a field that nobody filled in."""
    assert saved(filter=" ", certificate_name="", search_bases=None) == saved()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"filter": "mail=*"}, "(mail=*)"),
        ({"filter": "(&(a=b)(c=d))"}, "(&(a=b)(c=d))"),
    ],
)
def test_brackets_around_a_filter_may_be_left_out(change: dict[str, str], field: str) -> None:
    """Many programs show filters without the outer pair."""
    assert saved(**change).settings.filter == field


def test_a_sign_that_cannot_be_seen_is_named() -> None:
    """What one should enter looks just like what was entered."""
    (error,) = refused(message("directory.save", FORM | {"name": "Head\toffice"})).errors

    assert error.code == "value.control_character"
    assert "cannot be seen" in error.message


def test_a_filter_may_be_pasted_with_its_lines_broken() -> None:
    """Pages and mails break long ones."""
    assert saved(filter="(&(a=b)\r\n   (c=d))").settings.filter == "(&(a=b) (c=d))"


@pytest.mark.parametrize(
    "before", ["", "sha256:", "SHA256 Fingerprint=", "sha256 Fingerprint=", "SHA-256: "]
)
def test_a_fingerprint_is_understood_as_openssl_prints_it(before: str) -> None:
    """The line to copy for a certificate prints it so."""
    form = saved(trust={"fingerprint": before + ":".join(["AB"] * 32)})

    assert form.settings.trust.fingerprint == "ab" * 32


@pytest.mark.parametrize(
    ("entered", "kept"),
    [
        (" DC1.example.com. ", "dc1.example.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_a_certificate_may_be_for_a_name_or_an_address(entered: str, kept: str) -> None:
    """Whatever the doctor says to enter can be entered."""
    assert saved(certificate_name=entered).settings.certificate_name == kept


@pytest.mark.parametrize("entered", ["dc1.example.com:636", "*.example.com", "1:2:3"])
def test_a_name_in_the_certificate_is_one_without_a_port(entered: str) -> None:
    """The answer says so: the servers' own would ask for a port."""
    (error,) = refused(message("directory.save", FORM | {"certificate_name": entered})).errors

    assert (error.field, error.code) == ("certificate_name", "server.syntax")
    assert error.message.startswith("Enter one host name without a port, ")


@pytest.mark.parametrize(
    ("field", "entered", "code"),
    [
        ("filter", "mail", "filter.syntax"),
        ("filter", "(a=b)(c=d)", "filter.syntax"),
        ("filter", "(a=b))", "filter.syntax"),
        ("filter", "(" * 40 + "a=b" + ")" * 40, "filter.syntax"),
        ("bind_name", "CN=sync,example", "dn.syntax"),
        ("certificate_name", "dc1 example", "server.syntax"),
        (
            "client_certificate",
            "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----",
            "certificate.not_pem",
        ),
        (
            "client_certificate",
            "-----BEGIN CERTIFICATE-----\nQ\n-----END CERTIFICATE-----",
            "certificate.not_pem",
        ),
        ("password", 7, "value.wrong_type"),
        ("password", "a\0b", "value.control_character"),
        ("password", "a" * 1025, "value.too_long"),
        ("password_sealed", "not base64!", "secret.not_sealed"),
        ("name", 7, "value.wrong_type"),
    ],
)
def test_a_field_is_refused_by_a_code_of_its_own(field: str, entered: object, code: str) -> None:
    """What to enter instead differs from field to field."""
    form = {key: value for key, value in FORM.items() if key != "password"} | {field: entered}

    assert codes(refused(message("directory.save", form))) == [(field, code)]


@pytest.mark.parametrize(
    "entered", ["it", "@example.com", "a b@example.com", "it@example", "it@-a.de", "it@a.1"]
)
def test_what_is_no_address_is_refused(entered: str) -> None:
    """A warning sent nowhere warns nobody."""
    taken = refused(message("directory.save", FORM | {"notify": [entered]}))

    assert codes(taken) == [("notify.0", "address.syntax")]


def test_a_certificate_and_its_key_are_taken_together() -> None:
    """Some directories let in only who shows a certificate."""
    folder = Path(__file__).parents[3] / "schemas" / "examples" / "valid"
    pem = orjson.loads((folder / "directory.save-custom-own-ca.json").read_bytes())["data"]["trust"]
    key = "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----"

    command = saved(client_certificate=pem["ca_pem"], client_key=key)

    assert command.settings.client_certificate == pem["ca_pem"]
    assert command.client_key == Secret(key + "\n")
    wrong = FORM | {
        "client_certificate": pem["ca_pem"],
        "client_key": key.replace("PRIVATE", "PUBLIC"),
    }
    assert codes(refused(message("directory.save", wrong))) == [("client_key", "key.not_pem")]


EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples" / "valid"
CERTIFICATE = str(
    orjson.loads((EXAMPLES / "directory.save-custom-own-ca.json").read_bytes())["data"]["trust"][
        "ca_pem"
    ]
)
KEY = "-----BEGIN PRIVATE KEY-----\nQUJD\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        KEY.replace("PRIVATE", "RSA PRIVATE"),
        KEY.replace("PRIVATE", "ENCRYPTED PRIVATE"),
        KEY.replace("PRIVATE", "OPENSSH PRIVATE"),
        KEY.replace("\n", "\r\n"),
        KEY.replace("\n", " ").strip(),
        KEY.replace("PRIVATE", "PRI\u200bVATE").replace("\n", " "),
        KEY.replace("\n", "\\n"),
        KEY.partition("-----END")[0],
    ],
    ids=range(9),
)
@pytest.mark.parametrize(
    "field",
    [
        "client_certificate",
        "trust.ca_pem",
        "name",
        "bind_name",
        "password",
        "filter",
        "servers.0",
        "certificate_name",
        "search_bases.0",
        "leave_out.0",
        "password_sealed",
    ],
)
@pytest.mark.parametrize("place", ["before", "after", "alone"])
def test_a_private_key_is_refused_where_it_would_be_stored_in_clear(
    key: str, field: str, place: str
) -> None:
    """The usual combined file holds key and certificate; only client_key is sealed."""
    beside = CERTIFICATE if field in {"client_certificate", "trust.ca_pem"} else ""
    text = {"before": key + beside, "after": beside + key, "alone": key}[place]
    outer, _, inner = field.partition(".")
    value = {"": text, "0": [text], "ca_pem": {"ca_pem": text}}[inner]
    form = {key: each for key, each in FORM.items() if key != "password"} | {outer: value}

    taken = refused(message("directory.save", form))

    assert [error.field for error in taken.errors] == [field]
    assert taken.errors[0].code == "key.misplaced"
    assert "client_key" in taken.errors[0].message


def test_a_sealed_box_may_be_wrapped() -> None:
    """Plain base64 breaks its lines at 76 columns."""
    form = {key: each for key, each in FORM.items() if key != "password"}
    box = bytes(range(256))

    taken = received(
        message("directory.save", form | {"password_sealed": base64.encodebytes(box).decode()})
    )

    assert isinstance(taken.command, SaveDirectory)
    assert taken.command.password == Sealed(box)


@pytest.mark.parametrize(
    ("entered", "code"),
    [
        (7, "value.wrong_type"),
        ("A" * (128 * 1024 + 1), "value.too_long"),
        ("QUJD\0", "value.control_character"),
        ("QUJD", "secret.not_sealed"),
        ("é" * 80, "secret.not_sealed"),
    ],
)
def test_of_a_sealed_box_is_said_what_is_wrong_with_it(entered: object, code: str) -> None:
    """One sentence for every fault sends people the wrong way."""
    form = {key: each for key, each in FORM.items() if key != "password"}

    taken = refused(message("directory.save", form | {"password_sealed": entered}))

    assert codes(taken) == [("password_sealed", code)]


@pytest.mark.parametrize("attribute", ["id", "source", "type"])
def test_a_private_key_is_not_kept_of_the_envelope(attribute: str) -> None:
    """What could be read of it is kept beside a refusal."""
    taken = refused(message("tenant.delete", {}, **{attribute: KEY.replace("\n", " ")}))

    assert (attribute, "key.misplaced") in codes(taken)
    assert "PRIVATE" not in repr(replace(taken, body=b""))


def test_of_a_certificate_nothing_but_the_certificate_is_kept() -> None:
    """OpenSSL writes bag attributes and subjects around it, and people comments."""
    around = "Bag Attributes\n    friendlyName: koala\nsubject=CN = client\n\n"

    both = saved(
        client_certificate=f"{around}{CERTIFICATE}", trust={"ca_pem": CERTIFICATE + around * 2}
    )
    chain = saved(client_certificate=f"{CERTIFICATE}{around}{CERTIFICATE}# end")

    assert both.settings.client_certificate == CERTIFICATE
    assert both.settings.trust.ca_pem == CERTIFICATE
    assert chain.settings.client_certificate == CERTIFICATE * 2


@pytest.mark.parametrize("data", [[], "text", 7])
def test_data_that_is_no_object_is_refused(data: object) -> None:
    """There is no field to point at."""
    assert codes(refused(message("sync.request", data))) == [("data", "value.wrong_type")]


def test_a_type_that_is_no_text_is_told_once() -> None:
    """The envelope's own check says it already."""
    assert codes(refused(message("sync.request", {}, type=7))) == [("type", "value.wrong_type")]


def test_canaries_and_domains_are_kept_in_their_normal_form() -> None:
    """They are compared with addresses that are normal."""
    canaries = saved(removals={"canaries": ["CEO@Bücher.example."]}).settings.removals.canaries
    tenant = received(
        message("tenant.save", {"plan": "basic", "domains": [{"name": "@Bücher.Example"}]})
    ).command

    assert canaries == ("ceo@xn--bcher-kva.example",)
    assert isinstance(tenant, SaveTenant)
    assert tenant.domains is not None
    assert tenant.domains[0].name == "xn--bcher-kva.example"


def test_no_answer_and_no_repr_holds_a_secret() -> None:
    """Answers are shown on pages, kept in logs and in the parked table."""
    form = FORM | {
        "client_key": "hunter2",
        "password_sealed": "hunter2",
        "password": "hunter2" * 200,
    }

    taken = refused(message("directory.save", form))

    assert len(taken.errors) == 5
    assert "hunter2" not in repr(taken)
    assert "correct horse" not in repr(received(message("directory.save", FORM)))


def test_a_refusal_keeps_what_could_be_read_of_the_envelope() -> None:
    """The sender is answered even when its message made no sense."""
    taken = refused(message("sync.request", {}, subject="tenant 17"))

    assert (taken.source, taken.id, taken.tenant, taken.name) == (
        "platform",
        "command-1",
        None,
        "sync.request",
    )
    assert codes(taken) == [("subject", "value.not_allowed"), ("directory", "value.missing")]


def test_a_mistake_in_the_envelope_hides_none_in_the_data() -> None:
    """One round of corrections is enough."""
    taken = refused(message("sync.request", {"directory": "a b"}, id=None, specversion="0.3"))

    assert codes(taken) == [
        ("specversion", "value.not_allowed"),
        ("id", "value.missing"),
        ("directory", "value.not_allowed"),
    ]


def test_an_answer_goes_only_where_the_operator_allows() -> None:
    """A reply must not come back in as a command, nor fill another service's queue."""
    body = message("sync.request", {"directory": "hq"})
    way = {"correlation_id": "c-1", "reply_prefixes": ["platform.", "roll", ""]}

    good = decode(body, reply_to="platform.answers", **way)  # type: ignore[arg-type]  # mixed values
    bad = refused(body, reply_to="rollcall.commands", **way)
    other = refused(body, reply_to="billing", **way)

    assert isinstance(good, Received)
    assert (good.envelope.reply_to, good.envelope.correlation_id) == ("platform.answers", "c-1")
    assert codes(bad) == codes(other) == [("reply_to", "reply_to.not_allowed")]
    assert (bad.reply_to, bad.correlation_id) == (None, "c-1")


@pytest.mark.parametrize(
    ("header", "attribute", "kept"),
    [(TRACE, None, TRACE), (None, TRACE, TRACE), ("nonsense", None, None), ("x", TRACE, TRACE)],
)
def test_a_trace_goes_on_if_it_is_one(
    header: str | None, attribute: str | None, kept: str | None
) -> None:
    """A broken trace header is no reason to refuse a command (W3C Trace Context 4.3)."""
    body = message("sync.request", {"directory": "hq"}, traceparent=attribute)

    taken = decode(body, traceparent=header)

    assert isinstance(taken, Received)
    assert taken.envelope.traceparent == kept


def test_the_order_of_keys_makes_no_other_command() -> None:
    """The same command from another serialiser is a repeat, not a reuse of its id."""
    one = received(message("sync.request", {"directory": "hq", "mode": "apply"}))
    two = received(message("sync.request", {"mode": "apply", "directory": "hq"}, time="later"))
    other = received(message("sync.request", {"directory": "hq", "mode": "preview"}))

    assert one.body == two.body
    assert one.body != other.body


@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_depth_is_counted_outside_of_texts(bracket: str) -> None:
    """A message that would exhaust the stack is refused before it is parsed; brackets in a text do no harm."""
    deep = bracket * 33
    text = message("sync.request", {"directory": "hq", "note": "[{" * 50 + '\\"['})

    assert codes(refused(deep.encode())) == [("", "message.too_deep")]
    assert isinstance(decode(text), Received)


@pytest.mark.timeout(5)
def test_a_text_that_never_ends_costs_one_pass() -> None:
    """One hostile message must not stop the intake of all."""
    body = b'["' + b'\\"' * 130_000 + b"[" * 40

    assert codes(refused(body[: 256 * 1024])) == [("", "message.not_json")]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_makes_it_raise(body: bytes) -> None:
    """Whatever comes in is stored or parked; intake goes on."""
    assert isinstance(decode(body), Refused)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from([*FORM, "trust", "removals", "kinds", "notify", "sync"]), JSON)
)
def test_no_form_makes_it_raise(data: dict[str, object]) -> None:
    """Each wrong field is named by where it lies in the form; none is named twice for one fault."""
    try:
        body = message("directory.save", data)
    except orjson.JSONEncodeError:  # an integer beyond 64 bits is no JSON that orjson writes
        return

    taken = decode(body)

    if isinstance(taken, Refused):
        assert len({(error.field, error.code) for error in taken.errors}) == len(taken.errors)


@given(st.dictionaries(st.sampled_from([*FORM, "trust", "removals", "kinds", "notify"]), JSON))
def test_a_form_is_checked_alike_whether_it_is_tested_or_saved(data: dict[str, object]) -> None:
    """What is found good by a test can be saved; what cannot is told in the same words."""
    try:
        saved = read_form("directory.save", {**data, "directory": "hq"})
        tested = read_form("directory.test", {"form": data})
    except orjson.JSONEncodeError:  # an integer beyond 64 bits is no JSON that orjson writes
        return

    if isinstance(saved, tuple):
        assert tested == tuple(replace(error, field=f"form.{error.field}") for error in saved)
    else:
        assert isinstance(saved, SaveDirectory)
        assert isinstance(tested, CheckDirectory)
        assert tested.form is not None
        assert replace(tested.form.settings, name="hq") == replace(saved.settings, name="hq")


@pytest.mark.parametrize("form", [[], "hq", 7, True])
def test_a_form_that_is_no_object_is_named_as_such(form: object) -> None:
    """Whatever was sent in its place is answered, not tripped over."""
    wrong = read_form("directory.test", {"directory": "hq", "form": form})

    assert isinstance(wrong, tuple)
    assert [(error.field, error.code) for error in wrong] == [("form", "value.wrong_type")]


@pytest.mark.parametrize("data", [{}, {"directory": None}, {"form": None}, {"other": 1}])
def test_a_test_of_nothing_is_named_as_such(data: dict[str, object]) -> None:
    """Null means left out, here as everywhere."""
    wrong = read_form("directory.test", data)

    assert isinstance(wrong, tuple)
    assert [(error.field, error.code) for error in wrong] == [("form", "test.of_nothing")]
