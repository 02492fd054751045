"""Spoils bytes: at random, but the same under the same seed."""

from collections.abc import Callable, Sequence
from random import Random


Mutation = Callable[[Random, bytes], bytes]
TELLING = (
    0x00,
    0x01,
    0x04,
    0x0A,
    0x30,
    0x31,
    0x61,
    0x64,
    0x65,
    0x73,
    0x78,
    0x79,
    0x7F,
    0x80,
    0x84,
    0xA0,
    0xFF,
)
"""Tags, and lengths at their bounds."""
TAGS = bytes(
    (0x02, 0x04, 0x0A, 0x30, 0x31, 0x61, 0x64, 0x65, 0x6F, 0x73, 0x78, 0x79, 0x8A, 0xA0, 0xA3)
)
SPAN = 24


def flip(rng: Random, data: bytes) -> bytes:
    """One bit turned."""
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def put(rng: Random, data: bytes) -> bytes:
    """One byte another."""
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.choice(TELLING)]) + data[at + 1 :]


def retag(rng: Random, data: bytes) -> bytes:
    """One byte that looks like a tag another such."""
    places = [at for at, byte in enumerate(data) if byte in TAGS]
    if not places:
        return data
    at = rng.choice(places)
    return data[:at] + bytes([rng.choice(TAGS)]) + data[at + 1 :]


def step(rng: Random, data: bytes) -> bytes:
    """One byte more or less by one: lengths and numbers just beside."""
    at = rng.randrange(len(data))
    return data[:at] + bytes([(data[at] + rng.choice((-1, 1))) % 256]) + data[at + 1 :]


def insert(rng: Random, data: bytes) -> bytes:
    """Some bytes more."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randint(1, 4)) + data[at:]


def drop(rng: Random, data: bytes) -> bytes:
    """A span less."""
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, SPAN) :]


def repeat(rng: Random, data: bytes) -> bytes:
    """A span twice."""
    at = rng.randrange(len(data))
    stop = at + rng.randint(1, 4 * SPAN)
    return data[:stop] + data[at:stop] + data[stop:]


def cut(rng: Random, data: bytes) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data))]


def swap(rng: Random, data: bytes) -> bytes:
    """Two spans change places."""
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


MUTATIONS: tuple[Mutation, ...] = (flip, put, retag, step, insert, drop, repeat, cut, swap)


def spoiled(rng: Random, data: bytes, mutations: Sequence[Mutation] = MUTATIONS) -> bytes:
    """Spoil once, mostly; seldom up to four times."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if data:
            data = rng.choice(mutations)(rng, data)
    return data


def cut_up(rng: Random, data: bytes) -> list[bytes]:
    """The same bytes as a network may bring them: in one piece, or in many."""
    if rng.random() < 0.5:
        return [data]
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randint(1, 6)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


ODD: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    2**53,
    2**64 - 1,
    -(2**63),
    1e308,
    0.1,
    "",
    " ",
    "\0",
    "x" * 5_000,
    "a" * 60 + ".",
    "\u202e\u0000\ufeff",
    "１２７．０．０．１",  # noqa: RUF001 -- full-width, as a form may get it
    "%s%n{0}",
    "(" * 2_000,
    "(&" * 500 + "(mail=*)" + ")" * 500,
    [],
    [[[[[]]]]],
    {},
    {"": {"": None}},
)
"""What a field may hold instead of what it should."""


def odd(rng: Random, told: object) -> object:
    """The same JSON with one of its values another, or gone, or twice."""
    if isinstance(told, dict) and told and rng.random() < 0.9:
        key = rng.choice(list(told))
        changed = dict(told)
        if rng.random() < 0.1:
            del changed[key]
        else:
            changed[key] = odd(rng, told[key])
        return changed
    if isinstance(told, list) and told and rng.random() < 0.8:
        at = rng.randrange(len(told))
        behind = told[at if rng.random() < 0.3 else at + 1 :]  # beside the old one, or in its place
        return [*told[:at], odd(rng, told[at]), *behind]
    return rng.choice(ODD)
