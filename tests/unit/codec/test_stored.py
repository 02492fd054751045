from dataclasses import replace

import orjson
import pytest
from hypothesis import given

from tests.proofs.telling import told
from tests.unit.codec import strategies
from worker.codec import decode_command, dump_settings, encode_command, load_settings
from worker.domain.commands import CheckDirectory, Command, Form, SaveDirectory
from worker.domain.failures import RequestFailure
from worker.domain.model import DirectoryId, DirectorySettings, Secret, Server


SAVE = SaveDirectory(
    directory=DirectoryId("hq"),
    settings=DirectorySettings("hq", "openldap", (Server("dc1.example.com"),), "cn=reader"),
    password=None,
    client_key=None,
    sync=True,
    force=False,
    revision=1,
)


@given(strategies.named_commands)
def test_a_stored_command_comes_back_as_it_was(named: tuple[str, Command]) -> None:
    """What was asked is what is carried out, whenever that is."""
    name, command = named

    assert decode_command(name, encode_command(command)) == command


@given(strategies.settings)
def test_stored_settings_come_back_as_they_were(settings: DirectorySettings) -> None:
    """A directory is read with the very settings that were saved."""
    assert load_settings(dump_settings(settings)) == settings


@pytest.mark.proves("settings.unsealed_secret")
@pytest.mark.parametrize("secret", ["password", "client_key"])
def test_a_secret_in_clear_is_never_stored(secret: str) -> None:
    """Whoever reads the database or its backup learns no password."""
    in_clear = Secret("correct horse")
    command = (
        replace(SAVE, password=in_clear)
        if secret == "password"
        else replace(SAVE, client_key=in_clear)
    )

    with pytest.raises(RequestFailure) as refused:
        encode_command(command)

    assert told(refused.value, ()).code == "settings.unsealed_secret"
    assert "correct horse" not in str(refused.value)


@pytest.mark.parametrize("secret", ["password", "client_key"])
def test_a_secret_in_clear_of_a_form_to_be_tested_is_never_stored(secret: str) -> None:
    """A form is typed in a hurry, and tested before anything is saved."""
    in_clear = Secret("correct horse")
    form = Form(SAVE.settings, None, None)
    form = (
        replace(form, password=in_clear)
        if secret == "password"
        else replace(form, client_key=in_clear)
    )

    with pytest.raises(RequestFailure) as refused:
        encode_command(CheckDirectory(None, form))

    assert refused.value.code == "settings.unsealed_secret"


def test_a_member_of_a_later_release_is_passed_over() -> None:
    """Two releases can run at once: the older one carries out what the newer one stored."""
    stored = orjson.loads(encode_command(SAVE))
    stored["later"] = 1
    stored["settings"]["later"] = 1

    assert decode_command("directory.save", orjson.dumps(stored)) == SAVE


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("directory.save", b"{}"),
        ("directory.save", b"[]"),
        ("directory.test", b"{}"),
        ("directory.test", b'{"directory": "hq", "form": {}}'),
        ("sync.request", b'{"directory": 1}'),
        ("sync.request", b"{"),
        ("unknown.name", b"{}"),
    ],
)
def test_what_cannot_be_read_back_is_a_named_failure(name: str, stored: bytes) -> None:
    """A damaged row stops one command with a code, not the worker."""
    with pytest.raises(RequestFailure) as refused:
        decode_command(name, stored)

    assert refused.value.code == "settings.unreadable"


def test_damaged_settings_are_a_named_failure() -> None:
    """A damaged row stops one directory with a code, not the worker."""
    with pytest.raises(RequestFailure) as refused:
        load_settings(b'{"name": 1}')

    assert refused.value.code == "settings.unreadable"


def test_a_private_key_in_settings_is_never_stored() -> None:
    """The form refuses it already; should it ever not, nothing is stored."""
    key = "-----BEGIN EC PRIVATE KEY-----\nQUJD\n-----END EC PRIVATE KEY-----\n"

    with pytest.raises(RequestFailure) as refused:
        encode_command(replace(SAVE, settings=replace(SAVE.settings, client_certificate=key)))

    assert refused.value.code == "settings.unsealed_secret"
