import shlex
import subprocess
from base64 import b64decode

from hypothesis import given, strategies as st

from worker.domain import quoting


HOSTILE = st.text(max_size=60) | st.sampled_from(
    [
        "'; rm -rf ~; '",
        "$(reboot)",
        "`reboot`",
        '" by * write',
        "\u2019; Remove-Item C:\\ -Recurse; \u2019",
        "\u201a\u201b\u2018'",
        "x\ndn: cn=config",
        "x\r\nLDIF\nreboot",
        "*)(objectClass=*",
        "\u202egnp.exe",
        "-rf",
        "\x00\x1b[2J",
        "end\\",
    ]
)


QUOTES = "'\u2018\u2019\u201a\u201b"
"""What PowerShell takes for a single quote, stated a second time."""


def powershell_string(text: str) -> tuple[str, str]:
    """Read a single-quoted string as PowerShell does; return its value and what stands after it."""
    assert text[0] == "'"
    value, at = "", 1
    while at < len(text):
        if text[at] in QUOTES:
            if text[at + 1 : at + 2] and text[at + 1] in QUOTES:
                value, at = value + text[at], at + 2
                continue
            return value, text[at + 1 :]
        value, at = value + text[at], at + 1
    raise AssertionError(text)


def slapd_words(text: str) -> list[str]:
    """Split a value as slapd does in cn=config: a double quote begins and ends, whatever stands before it."""
    words, word, quoted = list[str](), "", False
    for sign in text:
        if sign == '"':
            quoted = not quoted
        elif sign in " \t" and not quoted:
            words, word = [*words, word], ""
        else:
            word += sign
    assert not quoted
    return [each for each in [*words, word] if each]


@given(HOSTILE)
def test_a_shell_takes_it_for_one_word(text: str) -> None:
    """A pasted line runs nothing but the command it shows."""
    assert shlex.split(f"echo {quoting.shell(text)} end") == ["echo", quoting.one_line(text), "end"]
    assert "\n" not in quoting.shell(text)


def test_a_real_shell_agrees() -> None:
    """The library and the shell mean the same by quotes."""
    hostile = '\'; echo hacked; $(echo hacked) `echo hacked` \\ "!!" *'

    done = subprocess.run(  # noqa: S603 - the reference
        ["/bin/sh", "-c", f"printf %s {quoting.shell(hostile)}"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == hostile


@given(HOSTILE)
def test_powershell_takes_it_for_one_string(text: str) -> None:
    """It ends a string at any of five characters that look like a quote."""
    value, rest = powershell_string(f"{quoting.powershell(text)} | end")

    assert rest == " | end"
    assert value == quoting.one_line(text)


@given(HOSTILE)
def test_a_filter_finds_that_value_and_no_other(text: str) -> None:
    """A star or a bracket in a name must not widen the search: what it finds is changed."""
    value = quoting.filter_value(text)

    assert not set("*()\0") & set(value)
    assert value.count("\\") == sum(sign in "*()\\" for sign in quoting.one_line(text))


@given(HOSTILE)
def test_slapd_takes_it_for_one_word(text: str) -> None:
    """A name must not add a right to the rule it stands in."""
    assert slapd_words(f"by dn.exact={quoting.slapd(text)} read") == [
        "by",
        "dn.exact=" + quoting.one_line(text).replace('\\"', "\\22").replace('"', "\\22"),
        "read",
    ]


@given(HOSTILE)
def test_ldif_takes_it_for_one_value(text: str) -> None:
    """A line break in a value would be an entry of its own."""
    line = quoting.ldif("dn", text)

    assert line.isprintable()
    name, _, value = line.partition(":")
    assert name == "dn"
    read = b64decode(value[1:].strip()).decode() if value[:1] == ":" else value.removeprefix(" ")
    assert read == quoting.one_line(text)
