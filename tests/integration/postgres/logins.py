"""What the tests of quarantine logins share: a form that asks for them, people with stable ids, and what can be seen of logins."""

from typing import Any, NamedTuple

from tests.integration.postgres.house import HQ, House, Row, row, settings
from worker.domain.model import DirectorySettings, Logins, Removals


ADA, BOB, CLEO = "ada@example.com", "bob@example.com", "cleo@example.com"
WIDE = Removals(min_count=1000, max_count=1000)
"""What may leave at once, as long as it is not more than half."""


def asking(
    removals: Removals = WIDE,
    *,
    type: str = "active_directory",  # noqa: A002 - the form's word
    **logins: Any,
) -> DirectorySettings:
    """A form that asks for logins, of a directory that says which address is the primary one."""
    return settings(type=type, removals=removals, logins=Logins(create=True, **logins))


def person(name: str, *addresses: str, enabled: bool = True, kind: int = 0) -> list[Row]:
    """All rows of one entry, known by a name; the first address is the primary one."""
    return [
        row(address, name, is_primary=not place, enabled=enabled, kind=kind)
        for place, address in enumerate(addresses)
    ]


def crowd(count: int, **how: Any) -> list[Row]:
    """So many people of one address each, who make what happens to a few look small."""
    return [
        each
        for number in range(count)
        for each in person(f"p{number}", f"p{number}@example.com", **how)
    ]


OTHERS = crowd(20)


class Login(NamedTuple):
    """A login as others see it."""

    username: str
    state: str
    reason: str | None
    addresses: tuple[str, ...]


async def logins(house: House, directory: str | None = HQ) -> dict[str, Login]:
    """The logins of a directory (None: by hand) but those of the crowd, by user name."""
    found = await house.fetch(
        "SELECT * FROM api.login WHERE directory IS NOT DISTINCT FROM $1 ORDER BY username, since",
        directory,
    )
    return {
        each["username"]: Login(
            each["username"], each["state"], each["reason"], tuple(each["addresses"])
        )
        for each in found
        if not each["username"].startswith("p")
    }


async def id_of(house: House, username: str) -> Any:
    """The login of a name."""
    return await house.value("SELECT login FROM api.login WHERE username = $1", username)


async def conflicts(house: House) -> set[tuple[str, str]]:
    """Address and code of every claim that is not met."""
    found = await house.fetch("SELECT address, code FROM api.login_conflict")
    return {(each["address"], each["code"]) for each in found}


async def told(house: House) -> list[tuple[str, str, str | None]]:
    """Change, user name and the name before, of all that was told but of the crowd."""
    return [
        (each["change"], each["username"], each["was"])
        for event in await house.events("logins.changed")
        for each in event["data"]["changes"]
        if not each["username"].startswith("p")
    ]


def active(*addresses: str) -> Login:
    """A login in use; the first address is its name."""
    return Login(addresses[0], "active", None, tuple(sorted(addresses)))


def ended(reason: str, name: str, *addresses: str) -> Login:
    """A login that is not active."""
    return Login(name, "deactivated", reason, tuple(sorted(addresses)))
