"""The environment as one frozen, typed value, or a refusal that names every bad variable. Read when asked, never at import.

Nothing here prints a secret: keys and addresses that hold a password are ``Secret`` from the first, and a refusal
says what to enter, never what was entered.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from worker.domain.fleet import FleetLimits
from worker.domain.model import Limits, Secret


PREFIX = "ROLLCALL_"
KEY_BYTES = 32
OWN_QUEUES = "rollcall."
PORT_MAX = 65_535

_LIMITS = Limits()
_FLEET = FleetLimits()
_ABSENT = Secret("")


class SettingsError(ValueError):
    """Variables that cannot be used, one line each: its name and what to enter."""


def _setting(description: str, enter: str) -> FieldInfo:
    field: FieldInfo = Field(description=description, json_schema_extra={"enter": enter})
    return field


def _split(value: object) -> object:
    """Read a comma list, as an environment has no other; blanks around and between are forgiven."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _address_of(*schemes: str) -> Callable[[object], Secret]:
    def check(value: object) -> Secret:
        text = value.reveal() if isinstance(value, Secret) else str(value).strip()
        parts = urlsplit(text)
        if text and (parts.scheme not in schemes or not parts.hostname):
            raise ValueError
        return Secret(text)

    return check


def _key(value: object) -> Secret:
    text = value.reveal() if isinstance(value, Secret) else str(value)
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None  # the text is a key: it stays out of the chain
    if len(raw) != KEY_BYTES:
        raise ValueError
    return Secret(text)


def _secret(value: object) -> Secret:
    return value if isinstance(value, Secret) else Secret(str(value))


def _network(value: str) -> str:
    return str(ipaddress.ip_network(value, strict=False))


def _ip(value: str) -> str:
    return (
        str(ipaddress.ip_network(value, strict=False))
        if "/" in value
        else str(ipaddress.ip_address(value))
    )


def _amqp_prefix(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", value):
        raise ValueError
    return value


AmqpAddress = Annotated[Secret, PlainValidator(_address_of("amqp", "amqps"))]
DatabaseAddress = Annotated[Secret, PlainValidator(_address_of("postgres", "postgresql"))]
Keys = Annotated[
    tuple[Annotated[Secret, PlainValidator(_key)], ...], NoDecode, BeforeValidator(_split)
]
Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Ips = Annotated[tuple[Annotated[str, AfterValidator(_ip)], ...], NoDecode, BeforeValidator(_split)]
Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_split)
]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Pauses = Annotated[tuple[Seconds, ...], NoDecode, BeforeValidator(_split)]

_ENTER_SECONDS = "Enter seconds, more than 0 and at most 86400."


class Settings(BaseSettings):
    """Every setting of the worker. Each name in the environment is ``ROLLCALL_`` and the field in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        validate_default=False,
    )

    # --- where things are ----------------------------------------------------

    amqp_url: Annotated[
        AmqpAddress,
        _setting(
            "The broker, as an AMQP URL with its virtual host.",
            "Enter an address as amqp://user:password@host:5672/vhost, or amqps://.",
        ),
    ] = _ABSENT
    database_url: Annotated[
        DatabaseAddress,
        _setting(
            "The database, as a Postgres URL.",
            "Enter an address as postgresql://user:password@host:5432/database.",
        ),
    ] = _ABSENT
    amqp_prefix: Annotated[
        str,
        AfterValidator(_amqp_prefix),
        _setting(
            "The first word of every exchange and queue, so that several installations can share a broker.",
            "Enter 1 to 64 letters, digits, _ or -.",
        ),
    ] = "rollcall"
    keys: Annotated[
        Keys,
        _setting(
            "Private keys for stored secrets (made by `rollcall keys generate`): the first seals, each opens.",
            "Enter one or more keys in base64 with commas between; the first one seals.",
        ),
    ] = ()
    egress_ips: Annotated[
        Ips,
        _setting(
            "The addresses that directories see us come from; customers are told to let them through.",
            "Enter IP addresses or networks with commas between.",
        ),
    ] = ()
    allow_networks: Annotated[
        Networks,
        _setting(
            "Networks that may be dialled although they are private, reserved or our own.",
            "Enter networks as 10.0.0.0/8 with commas between.",
        ),
    ] = ()
    own_networks: Annotated[
        Networks,
        _setting(
            "Public networks of our own, which are never dialled; ROLLCALL_EGRESS_IPS are among them.",
            "Enter networks as 198.51.100.0/24 with commas between.",
        ),
    ] = ()
    reply_prefixes: Annotated[
        Texts,
        _setting(
            "What a reply queue's name must start with; none: no replies.",
            "Enter prefixes with commas between, none of which could name a queue of ours.",
        ),
    ] = ()

    password: Annotated[
        Secret,
        PlainValidator(_secret),
        _setting(
            "The directory account's password for `rollcall preview` and `rollcall check`; a worker never looks at it.",
            "Enter the password of the account that signs in to the directory.",
        ),
    ] = _ABSENT

    # --- bounds of one read --------------------------------------------------

    connect_s: Annotated[
        Seconds,
        _setting(
            "Longest time to resolve, connect and encrypt, per server, in seconds.", _ENTER_SECONDS
        ),
    ] = _LIMITS.connect_s
    bind_s: Annotated[Seconds, _setting("Longest time to sign in, in seconds.", _ENTER_SECONDS)] = (
        _LIMITS.bind_s
    )
    page_s: Annotated[
        Seconds, _setting("Longest time for one page, in seconds.", _ENTER_SECONDS)
    ] = _LIMITS.page_s
    run_s: Annotated[
        Seconds, _setting("Longest time for one whole run, in seconds.", _ENTER_SECONDS)
    ] = _LIMITS.run_s
    test_s: Annotated[
        Seconds,
        _setting(
            "Longest time for one whole test, in seconds; at most ROLLCALL_RUN_S counts.",
            _ENTER_SECONDS,
        ),
    ] = 300.0
    page_size: Annotated[
        int,
        Field(ge=1, le=10_000),
        _setting("Entries asked for in one page.", "Enter a whole number from 1 to 10000."),
    ] = _LIMITS.page_size
    message_bytes: Annotated[
        int,
        Field(ge=64 * 1024, le=256 * 1024 * 1024),
        _setting(
            "Largest LDAP message taken from a directory, in bytes.",
            "Enter a whole number from 65536 to 268435456.",
        ),
    ] = _LIMITS.message_bytes
    run_bytes: Annotated[
        int,
        Field(ge=1024 * 1024),
        _setting(
            "Most bytes taken from a directory in one run.",
            "Enter a whole number of at least 1048576.",
        ),
    ] = _LIMITS.run_bytes
    entries: Annotated[
        int,
        Field(ge=1),
        _setting(
            "Most entries taken from a directory in one run.", "Enter a whole number of at least 1."
        ),
    ] = _LIMITS.entries
    values_per_entry: Annotated[
        int,
        Field(ge=1),
        _setting("Most values taken of one entry.", "Enter a whole number of at least 1."),
    ] = _LIMITS.values_per_entry

    # --- how much at once ----------------------------------------------------

    concurrent_runs: Annotated[
        int,
        Field(ge=1, le=1_000),
        _setting("Runs of one process at once.", "Enter a whole number from 1 to 1000."),
    ] = 32
    runs_per_tenant: Annotated[
        int,
        Field(ge=1, le=1_000),
        _setting("Runs of one tenant at once.", "Enter a whole number from 1 to 1000."),
    ] = 4
    runs_per_reseller: Annotated[
        int,
        Field(ge=1, le=1_000),
        _setting("Runs of one reseller's tenants at once.", "Enter a whole number from 1 to 1000."),
    ] = 16
    concurrent_tests: Annotated[
        int,
        Field(ge=1, le=1_000),
        _setting(
            "Tests of directories (`directory.test`) of one process at once.",
            "Enter a whole number from 1 to 1000.",
        ),
    ] = 16
    tests_per_tenant: Annotated[
        int,
        Field(ge=1, le=1_000),
        _setting("Tests of one tenant at once.", "Enter a whole number from 1 to 1000."),
    ] = 2
    pool_size: Annotated[
        int,
        Field(ge=2, le=200),
        _setting(
            "Database connections of one process; a run holds none while it reads a directory.",
            "Enter a whole number from 2 to 200.",
        ),
    ] = 8
    prefetch: Annotated[
        int,
        Field(ge=1, le=10_000),
        _setting(
            "Messages taken from a queue before the first is acknowledged.",
            "Enter a whole number from 1 to 10000.",
        ),
    ] = 200

    # --- time ----------------------------------------------------------------

    lease_s: Annotated[
        Seconds,
        _setting(
            "How long a worker holds a directory without renewing, in seconds.", _ENTER_SECONDS
        ),
    ] = 60.0
    renew_s: Annotated[
        Seconds,
        _setting(
            "How often a lease is renewed, in seconds; at most half of it.",
            "Enter seconds, more than 0 and at most half of ROLLCALL_LEASE_S.",
        ),
    ] = 20.0
    drain_s: Annotated[
        Seconds,
        _setting(
            "How long running syncs may go on after a stop was asked for, in seconds.",
            _ENTER_SECONDS,
        ),
    ] = 20.0
    retry_s: Annotated[
        Pauses,
        _setting(
            "Pauses before a scheduled run that failed is tried again, in seconds.",
            "Enter seconds with commas between, for example 60,300.",
        ),
    ] = (60.0, 300.0)
    command_wait_s: Annotated[
        Seconds,
        _setting(
            "How long a command waits for a tenant or directory that is not known yet, in seconds.",
            _ENTER_SECONDS,
        ),
    ] = 60.0

    # --- when all removals wait for the operator -----------------------------

    fleet_customers: Annotated[
        int,
        Field(ge=2, le=1_000_000),
        _setting(
            "Customers whose directories fail or shrink at once before removals of all are held.",
            "Enter a whole number from 2 to 1000000.",
        ),
    ] = _FLEET.customers
    fleet_share: Annotated[
        float,
        Field(ge=0, le=1, allow_inf_nan=False),
        _setting(
            "The share of directories that must be in trouble at once for the same, from 0 to 1.",
            "Enter a number from 0 to 1, for example 0.2.",
        ),
    ] = _FLEET.share
    fleet_window_s: Annotated[
        Seconds, _setting("What counts as at once, in seconds.", _ENTER_SECONDS)
    ] = _FLEET.window.total_seconds()

    # --- how long it is kept -------------------------------------------------

    history_months: Annotated[
        int,
        Field(ge=2, le=120),
        _setting(
            "How many months what happened is kept: history of addresses, runs, holds that ended.",
            "Enter a whole number from 2 to 120.",
        ),
    ] = 13

    # --- how it is watched ---------------------------------------------------

    health_host: Annotated[
        str,
        Field(min_length=1),
        _setting(
            "Where liveness, readiness and metrics are answered.",
            "Enter an IP address or host name.",
        ),
    ] = "127.0.0.1"
    health_port: Annotated[
        int,
        Field(ge=0, le=PORT_MAX),
        _setting("The port of the same; 0 takes any free one.", "Enter a port from 0 to 65535."),
    ] = 8080
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        BeforeValidator(lambda value: value.strip().lower() if isinstance(value, str) else value),
        _setting("The least important log lines written.", "Enter debug, info, warning or error."),
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"],
        _setting("json for programs, console for people.", "Enter json or console."),
    ] = "json"
    spool_dir: Annotated[
        Path | None,
        BeforeValidator(lambda value: value or None),
        _setting(
            "Where snapshots are kept while they are read; default: the system's temporary directory.",
            "Enter the path of a directory that can be written to.",
        ),
    ] = None

    @field_validator("reply_prefixes")
    @classmethod
    def _reply_elsewhere(cls, prefixes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Refuse a prefix of our own queues' names, and one that begins like them: an answer is no command."""
        own = {OWN_QUEUES, f"{info.data.get('amqp_prefix', 'rollcall')}."}
        for prefix in prefixes:
            if any(prefix.startswith(name) or name.startswith(prefix) for name in own):
                raise ValueError
        return prefixes

    @field_validator("renew_s")
    @classmethod
    def _renew_in_time(cls, renew_s: float, info: ValidationInfo) -> float:
        """One renewal may be lost without the lease lapsing."""
        if renew_s > info.data.get("lease_s", renew_s * 2) / 2:
            raise ValueError
        return renew_s

    def limits(self) -> Limits:
        """Return the bounds of one read, as the spines take them."""
        return Limits(
            connect_s=self.connect_s,
            bind_s=self.bind_s,
            page_s=self.page_s,
            run_s=self.run_s,
            page_size=self.page_size,
            message_bytes=self.message_bytes,
            run_bytes=self.run_bytes,
            entries=self.entries,
            values_per_entry=self.values_per_entry,
            allow_networks=self.allow_networks,
            own_networks=(*self.own_networks, *self.egress_ips),
        )

    def test_limits(self) -> Limits:
        """Return the bounds of one test: a person waits for it."""
        limits = self.limits()
        return replace(limits, run_s=min(limits.run_s, self.test_s))

    def fleet_limits(self) -> FleetLimits:
        """Return how many directories in trouble at once are too many."""
        return FleetLimits(
            self.fleet_customers, self.fleet_share, timedelta(seconds=self.fleet_window_s)
        )


SERVICE_NEEDS = ("amqp_url", "database_url", "keys")
"""What `rollcall run` cannot do without; reading a directory once needs none of it."""

SCHEDULER_NEEDS = ("amqp_url", "database_url")
"""What `rollcall scheduler` cannot do without: it opens no secret."""


def load(
    *, needs: Collection[str] = SERVICE_NEEDS, env_file: Path | None = Path(".env")
) -> Settings:
    """Read the environment, then ``env_file`` for what it leaves out; ``needs`` names fields that must be there.

    Raises SettingsError that names every bad or missing variable.
    """
    settings = _read(env_file)
    if not isinstance(settings, Settings):
        raise SettingsError(_refusal(settings))
    missing = [name for name in needs if getattr(settings, name) in {_ABSENT, ()}]
    if missing:
        raise SettingsError(_refusal(missing))
    return settings


def _read(env_file: Path | None) -> Settings | tuple[str, ...]:
    """Return the settings, or the names of the bad ones alone: pydantic's error holds what was entered."""
    try:
        return Settings(_env_file=env_file)
    except ValidationError as exc:
        return tuple(dict.fromkeys(str(error["loc"][0]) for error in exc.errors()))


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of the settings' table."""

    name: str
    default: str
    description: str


def settings_table() -> tuple[SettingRow, ...]:
    """Return every setting with its default, for `rollcall settings` and the README."""
    return tuple(_rows())


def variable(field: str) -> str:
    """Return the name that a field has in the environment."""
    return PREFIX + field.upper()


def _rows() -> Iterator[SettingRow]:
    for name, field in Settings.model_fields.items():
        default = "(required)" if name in SERVICE_NEEDS else _shown(field.default)
        yield SettingRow(variable(name), default, field.description or "")


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ",".join(map(_shown, default))
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, Secret):
        return ""
    return "" if default is None else str(default)


def _refusal(names: Collection[str]) -> str:
    return "\n".join(f"{variable(name)}: {_enter(name)}" for name in names)


def _enter(name: str) -> str:
    extra = Settings.model_fields[name].json_schema_extra
    return str(extra["enter"]) if isinstance(extra, dict) else ""
