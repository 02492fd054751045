"""Options and files to the form of a directory, checked as ``directory.save`` is; a password to where it belongs.

Every fault is told at once. A password is never an argument.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

from worker.codec import read_form
from worker.codec.envelope import parse
from worker.codec.mistakes import mistake
from worker.domain.addresses import normal_domain
from worker.domain.commands import FieldError, SaveDirectory
from worker.domain.model import Credentials, Kind, Secret, Security
from worker.domain.presets import PRESETS
from worker.flows.diagnose import Asked
from worker.settings import Settings


Text = str | None
Texts = list[str] | None
File = Path | None

CONNECTION = "The connection"
READING = "What to read"
NAME = "here"
"""Stands for the name a platform gives a directory."""

PASSWORD_MAX_BYTES = 8_192

NO_PASSWORD = FieldError(
    "password",
    "value.missing",
    "Give the password by --password-file, --password-stdin or ROLLCALL_PASSWORD; on a terminal you are asked.",
)
SEALED = FieldError(
    "password_sealed",
    "secret.sealed",
    "Give the password itself: only a worker opens a sealed one.",
)
SEALED_KEY = FieldError(
    "client_key_sealed", "secret.sealed", "Give the key itself: only a worker opens a sealed one."
)
TWO_PASSWORDS = FieldError(
    "password", "secret.two_ways", "Use either --password-file or --password-stdin, not both."
)

OPTIONS: Mapping[str, str] = {
    "type": "--type",
    "servers": "--server",
    "security": "--security",
    "trust": "--ca-file, --fingerprint",
    "certificate_name": "--certificate-name",
    "client_certificate": "--client-certificate",
    "client_key": "--client-key",
    "bind_name": "--bind-name",
    "password": "--password-file",
    "search_bases": "--base",
    "filter": "--filter",
    "address_attributes": "--attribute",
    "kinds": "--kind",
    "leave_out": "--leave-out",
    "domains": "--domain",
}
"""Which option fills a field of the form."""


def _option(
    name: str, says: str, *, panel: str, metavar: str | None = None
) -> typer.models.OptionInfo:
    made: typer.models.OptionInfo = typer.Option(
        name, help=says, rich_help_panel=panel, metavar=metavar
    )
    return made


def _file(name: str, says: str, *, panel: str = CONNECTION) -> typer.models.OptionInfo:
    made: typer.models.OptionInfo = typer.Option(
        name, help=says, rich_help_panel=panel, exists=True, dir_okay=False, readable=True
    )
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class FormOptions:
    """A directory as the command line describes it; what is not given is as in the form."""

    file: Annotated[
        File, _file("--file", "The form as JSON, as directory.save has it; options go before it.")
    ] = None
    type: Annotated[
        Text,
        _option(
            "--type",
            f"{', '.join(PRESETS)}.",
            panel=CONNECTION,
            metavar="TYPE",
        ),
    ] = None
    server: Annotated[
        Texts,
        _option(
            "--server",
            "host or host:port; several in order of preference.",
            panel=CONNECTION,
            metavar="HOST[:PORT]",
        ),
    ] = None
    security: Annotated[
        Security | None,
        _option(
            "--security", "How the connection is encrypted; ldaps if left out.", panel=CONNECTION
        ),
    ] = None
    ca_file: Annotated[File, _file("--ca-file", "Your own certificate authority, as PEM.")] = None
    fingerprint: Annotated[
        Text,
        _option(
            "--fingerprint",
            "Trust exactly the certificate with this SHA-256.",
            panel=CONNECTION,
            metavar="SHA256",
        ),
    ] = None
    certificate_name: Annotated[
        Text,
        _option(
            "--certificate-name",
            "The name in the certificate, if not the host's.",
            panel=CONNECTION,
            metavar="NAME",
        ),
    ] = None
    client_certificate: Annotated[
        File, _file("--client-certificate", "A certificate to show to the server, as PEM.")
    ] = None
    client_key: Annotated[File, _file("--client-key", "Its private key, as PEM.")] = None
    bind_name: Annotated[
        Text,
        _option(
            "--bind-name",
            "The account: a DN, user@domain or DOMAIN\\user.",
            panel=CONNECTION,
            metavar="NAME",
        ),
    ] = None
    password_file: Annotated[
        File, _file("--password-file", "A file with the password in its first line.")
    ] = None
    password_stdin: Annotated[
        bool,
        typer.Option(
            "--password-stdin",
            help="Read the password from standard input. Or set ROLLCALL_PASSWORD; or be asked.",
            rich_help_panel=CONNECTION,
        ),
    ] = False
    base: Annotated[
        Texts,
        _option(
            "--base",
            "Where to search; if left out, the server is asked.",
            panel=READING,
            metavar="DN",
        ),
    ] = None
    filter: Annotated[
        Text,
        _option("--filter", "Instead of the type's own filter.", panel=READING, metavar="FILTER"),
    ] = None
    attribute: Annotated[
        Texts,
        _option(
            "--attribute",
            "Attributes with addresses, instead of the type's own.",
            panel=READING,
            metavar="NAME",
        ),
    ] = None
    kind: Annotated[
        list[Kind] | None, _option("--kind", "Only these kinds of entry.", panel=READING)
    ] = None
    leave_out: Annotated[
        Texts,
        _option(
            "--leave-out",
            "Addresses to leave out; * stands for anything.",
            panel=READING,
            metavar="PATTERN",
        ),
    ] = None
    domain: Annotated[
        Texts,
        _option(
            "--domain",
            "Your mail domains; if left out, every domain found counts.",
            panel=READING,
            metavar="DOMAIN",
        ),
    ] = None


def read_options(
    options: FormOptions, settings: Settings, *, most: int | None
) -> Asked | tuple[FieldError, ...]:
    """Return what is to be looked at, or everything that is wrong with it."""
    form = _form(options)
    if isinstance(form, FieldError):
        return (form,)
    wrong = _sealed(form)
    password = _password(options, settings, form)
    if isinstance(password, FieldError):
        wrong = (*wrong, password)
    elif password is not None:
        form["password"] = password.reveal()
    domains = _domains(options.domain)
    wrong = (*wrong, *(each for each in domains if isinstance(each, FieldError)))
    read = read_form("directory.save", {"directory": NAME} | form)
    if isinstance(read, tuple) or wrong:
        return (*(read if isinstance(read, tuple) else ()), *wrong)
    named = tuple(each for each in domains if isinstance(each, str))
    return _asked(read, named or None, most)


def _asked(read: object, domains: tuple[str, ...] | None, most: int | None) -> Asked:
    if not isinstance(read, SaveDirectory):
        raise TypeError(type(read).__name__)
    password, key = read.password, read.client_key
    credentials = Credentials(
        password if isinstance(password, Secret) else None,
        key if isinstance(key, Secret) else None,
    )
    return Asked(read.settings, credentials, domains, most)


def _form(options: FormOptions) -> dict[str, object] | FieldError:
    """Return the form's fields as JSON would hold them: the file's, and what the options say otherwise."""
    given: dict[str, object] = {}
    if options.file is not None:
        read = parse(options.file.read_bytes())
        if isinstance(read, FieldError):
            return FieldError("--file", read.code, read.message)
        given = read
    trust = {"ca_pem": _text(options.ca_file), "fingerprint": options.fingerprint}
    said = {
        "type": options.type,
        "servers": options.server,
        "security": options.security,
        "trust": trust if any(trust.values()) else None,
        "certificate_name": options.certificate_name,
        "client_certificate": _text(options.client_certificate),
        "client_key": _text(options.client_key),
        "bind_name": options.bind_name,
        "search_bases": options.base,
        "filter": options.filter,
        "address_attributes": options.attribute,
        "kinds": options.kind,
        "leave_out": options.leave_out,
    }
    return given | {name: value for name, value in said.items() if value not in (None, [])}


def _text(path: Path | None) -> str | None:
    """Return a file as text; what is none is no PEM, and the form says so."""
    return None if path is None else path.read_text(encoding="ascii", errors="replace")


def _sealed(form: Mapping[str, object]) -> tuple[FieldError, ...]:
    return tuple(each for each in (SEALED, SEALED_KEY) if form.get(each.field) is not None)


def _domains(names: list[str] | None) -> list[str | FieldError]:
    return [
        normal_domain(name.strip()) or mistake(f"domains.{place}", "domain.syntax")
        for place, name in enumerate(names or ())
    ]


def _password(
    options: FormOptions, settings: Settings, form: Mapping[str, object]
) -> Secret | FieldError | None:
    """Find the password; None if the form has it, or a client certificate stands for it."""
    given = _given_password(options)
    if given is not None:
        return given
    if {"password", "password_sealed"} & form.keys():
        return None
    if settings.password.reveal():
        return settings.password
    return None if form.get("client_certificate") is not None else _ask(form.get("bind_name"))


def _given_password(options: FormOptions) -> Secret | FieldError | None:
    if options.password_file is not None and options.password_stdin:
        return TWO_PASSWORDS
    if options.password_file is not None:
        with options.password_file.open(encoding="utf-8", errors="replace") as lines:
            return _first_line(lines.read(PASSWORD_MAX_BYTES))
    return _first_line(sys.stdin.read(PASSWORD_MAX_BYTES)) if options.password_stdin else None


def _first_line(text: str) -> Secret:
    return Secret(text.partition("\n")[0].removesuffix("\r"))


def _ask(bind_name: object) -> Secret | FieldError:
    """Ask on a terminal, without showing what is typed."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return NO_PASSWORD
    return Secret(getpass(f"Password of {bind_name}: ", stream=sys.stderr))
