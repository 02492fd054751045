"""Spoiled bytes through what is pure: the framer, the answer to StartTLS, the messages of the platform."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random

import orjson

from tests.contract.examples import invalid_examples, valid_examples
from tests.fuzz.case import Fault
from tests.fuzz.mutations import cut_up, odd, spoiled
from tests.fuzz.oracle import NotLdapError, elements, inside, octets, page, take
from tests.fuzz.streams import SEARCH_ID, START_TLS, Conversation, conversations
from worker.adapters.directory.dial import start_tls_answered
from worker.adapters.directory.wire import Bounds, Framer
from worker.codec.command_forms import FORMS
from worker.codec.inbound import decode, read_form
from worker.codec.stored import decode_command, encode_command
from worker.domain.commands import Received, Refused
from worker.domain.failures import Failure, RequestFailure


BOUNDS = Bounds(1 << 20, 1 << 22, 10_000, 1_000, 1 << 22, 10_000)
HANG_S = 2.0
"""For one case that takes less than a millisecond: a machine may be busy."""
EXTENDED_RESPONSE = 0x78

Judged = tuple[str, str | None]
"""What came of it, and what is wrong with that."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Makes the bytes of a case, in one or more parts, and tries them."""

    make: Callable[[Random], tuple[bytes, ...]]
    judge: Callable[[tuple[bytes, ...]], Judged]


@dataclass(slots=True)
class Tally:
    """What came of many cases."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """How many."""
        return self.outcomes.total()


def run(name: str, trial: Trial, *, seed: int, cases: int, seconds: float) -> Tally:
    """Try until either bound; each case has a seed of its own, so that it can be had again."""
    tally, end = Tally(), time.monotonic() + seconds
    for number in range(cases):
        began = time.monotonic()
        if began > end:
            break
        parts = trial.make(Random(f"{seed}/{name}/{number}"))  # noqa: S311 -- no secret hangs on it
        outcome, what = tried(trial, parts)
        if time.monotonic() - began > HANG_S:
            what = f"took {time.monotonic() - began:.1f} s"
        tally.outcomes[outcome] += 1
        if what is not None:
            tally.faults.append(Fault(name, what, parts))
    return tally


def tried(trial: Trial, parts: tuple[bytes, ...]) -> Judged:
    """Try one."""
    try:
        return trial.judge(parts)
    except Exception as bug:  # noqa: BLE001 -- that is what is looked for
        return "broke", f"{type(bug).__name__}: {bug}"


def framed(pieces: Sequence[bytes]) -> tuple[str, Framer]:
    """How the framer takes these pieces."""
    framer = Framer(BOUNDS)
    try:
        for piece in pieces:
            framer.feed(piece)
    except Failure as failure:
        return failure.code, framer
    return "taken", framer


def a_page(rng: Random) -> tuple[bytes, ...]:
    """The number of a page, and its bytes in pieces."""
    number, said = rng.choice(
        [each for talk in known() for each in enumerate(talk.pages, start=SEARCH_ID)]
    )
    return (bytes([number]), *cut_up(rng, spoiled(rng, said)))


def framing(parts: tuple[bytes, ...]) -> Judged:
    """A page, whole and in pieces: the same verdict, and the oracle's count."""
    (number,), pieces = parts[0], parts[1:]
    data = b"".join(pieces)
    (whole, framer), (cut, other) = framed([data]), framed(pieces)
    if (whole == "taken") is not (cut == "taken"):
        return whole, f"whole: {whole}, in pieces: {cut}"
    return whole, miscounted(data, number, framer, other) if whole == "taken" else None


def miscounted(data: bytes, number: int, framer: Framer, other: Framer) -> str | None:
    """What does not agree about a page that was taken, or None."""
    if list(framer.results) != list(other.results) or framer.entries_digest != other.entries_digest:
        return "other results in pieces"
    try:
        found, cookie, _ = page(data, number)
    except NotLdapError:
        return None  # another number, say: that is for others to see
    result = framer.results[0]
    if (result.entries, result.cookie) != (len(found), cookie):
        return f"{result.entries} entries counted, the oracle has {len(found)}"
    return None


def an_answer(rng: Random) -> tuple[bytes, ...]:
    """An answer to StartTLS."""
    return (spoiled(rng, rng.choice(START_TLS)),)


def start_tls(parts: tuple[bytes, ...]) -> Judged:
    """An answer to StartTLS is taken for yes only when it is one, with nothing behind it."""
    (data,) = parts
    try:
        answered = start_tls_answered(data)
    except Failure as failure:
        return failure.code, None
    if not answered:
        return "not yet", None
    return "yes", None if says_yes(data) else "was taken for a yes"


def says_yes(data: bytes) -> bool:
    """The oracle's opinion: one message, an extended response, success."""
    try:
        ((tag, body),) = elements(data)
        _, (operation, inner), *_ = take(body, 2)
        code, matched, words, *_ = take(inner, 3)
        octets(matched)
        octets(words)
        said = inside(code, 0x0A)
    except (NotLdapError, ValueError):
        return False
    return (tag, operation, said) == (0x30, EXTENDED_RESPONSE, b"\0")


def a_message(rng: Random) -> tuple[bytes, ...]:
    """A message of the platform."""
    return (spoiled_json(rng, rng.choice(examples())),)


def spoiled_json(rng: Random, data: bytes) -> bytes:
    """Spoil a text as bytes or, more telling, as what it says."""
    if rng.random() < 0.3:
        return spoiled(rng, data)
    try:
        return orjson.dumps(odd(rng, orjson.loads(data)))
    except orjson.JSONDecodeError:
        return spoiled(rng, data)


def message(parts: tuple[bytes, ...]) -> Judged:
    """A message is a command or a refusal; what is kept of a command is the command."""
    got = decode(parts[0], reply_prefixes=("platform.",))
    if isinstance(got, Refused):
        return "refused", None if got.errors else "refused without a reason"
    return "received", kept(got)


def kept(got: Received) -> str | None:
    """What is wrong with a command's stored form, or None. One with a secret in clear is never stored."""
    try:
        stored = encode_command(got.command)
    except RequestFailure:
        return None
    if decode_command(got.envelope.name, stored) != got.command:
        return "another command came back from the store"
    return None


def a_form(rng: Random) -> tuple[bytes, ...]:
    """The data of one command, under its name or another's."""
    name, data = rng.choice(forms())
    other, _ = rng.choice(forms())
    return rng.choice((name, name, other)).encode(), spoiled_json(rng, data)


def form(parts: tuple[bytes, ...]) -> Judged:
    """A form reads its data or names what is wrong with it."""
    name, data = parts
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        return "no JSON", None
    got = read_form(name.decode(), told)
    if isinstance(got, tuple):
        return "refused", None if got else "refused without a reason"
    return "read", None


@cache
def known() -> Sequence[Conversation]:
    """The conversations, read once."""
    return conversations()


@cache
def examples() -> Sequence[bytes]:
    """What integrators read: commands, events, and messages that are refused."""
    return [
        each.body
        for each in (*valid_examples(), *invalid_examples())
        if 0 < len(each.body) < 20_000
    ]


@cache
def forms() -> Sequence[tuple[str, bytes]]:
    """The data of each valid command, by its name."""
    told = (orjson.loads(each.body) for each in valid_examples())
    named = ((each["type"].removeprefix("rollcall.").removesuffix(".v1"), each) for each in told)
    return [(name, orjson.dumps(each.get("data", {}))) for name, each in named if name in FORMS]


TRIALS = {
    "framing": Trial(a_page, framing),
    "start_tls": Trial(an_answer, start_tls),
    "message": Trial(a_message, message),
    "form": Trial(a_form, form),
}
