"""What one reading would make valid, told to people: counts, and the first addresses. Decides nothing."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from worker.domain.entries import KINDS
from worker.domain.model import Kind
from worker.domain.normalise import Normaliser
from worker.domain.reasons import Example


_NO_NAME = b"\\N"
_COPY_ESCAPES = ((b"\\t", b"\t"), (b"\\n", b"\n"), (b"\\r", b"\r"))


class Recipient(NamedTuple):
    """One address as it would be stored."""

    address: str
    kind: Kind
    primary: bool
    enabled: bool
    name: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """Values that became no recipient, for one reason."""

    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a whole reading came to."""

    server: str
    """``host:port`` that answered."""
    bases: tuple[str, ...]
    entries: int
    references: int
    addresses: int
    """Distinct ones."""
    by_domain: Mapping[str, int]
    """The largest first."""
    by_kind: Mapping[str, int]
    ignored: Mapping[str, Ignored]
    foreign_domains: Mapping[str, int]
    """Domains met that are not ours, with how many addresses each; at most 50."""
    recipients: tuple[Recipient, ...]
    """As many as were asked for, by address."""
    connect_s: float
    read_s: float


class Collector:
    """Gathers from the rows of each page what a preview tells. An address of several entries counts once."""

    def __init__(self, most: int | None, *, told_apart: int | None = None) -> None:
        """Keep the first so many addresses, or all; tell so many apart, and count what comes after as it comes.

        Whoever reads a stranger's directory has to say how many: each takes a hundred bytes.
        """
        self._most = most
        self._told_apart = told_apart
        self._seen: set[bytes] = set()
        self._more = 0
        self._kept: dict[bytes, Recipient] = {}
        self._by_domain: Counter[bytes] = Counter()
        self._by_kind: Counter[int] = Counter()

    def add(self, rows: bytes) -> None:
        """Take the rows of one page, as the normaliser packs them."""
        for line in rows.splitlines():
            address, _, kind, primary, enabled, name = line.split(b"\t", 5)
            if address not in self._seen:
                self._remember(address)
                self._by_domain[address.rpartition(b"@")[2]] += 1
                self._by_kind[int(kind)] += 1
                if self._most is None or len(self._kept) < self._most:
                    self._kept[address] = _recipient(address, kind, primary, enabled, name)
            elif primary == b"t" and address in self._kept and not self._kept[address].primary:
                self._kept[address] = _recipient(address, kind, primary, enabled, name)

    def _remember(self, address: bytes) -> None:
        if self._told_apart is None or len(self._seen) < self._told_apart:
            self._seen.add(address)
        else:
            self._more += 1

    @property
    def addresses(self) -> int:
        """How many distinct ones so far."""
        return len(self._seen) + self._more

    def preview(
        self,
        normaliser: Normaliser,
        *,
        server: str,
        bases: tuple[str, ...],
        references: int,
        seconds: tuple[float, float],
    ) -> Preview:
        """Return what a reading that has ended came to; ``seconds`` to connect, and to read."""
        examples = normaliser.examples
        return Preview(
            server=server,
            bases=bases,
            entries=normaliser.entries,
            references=references,
            addresses=self.addresses,
            by_domain={name.decode(): count for name, count in self._by_domain.most_common()},
            by_kind={KINDS[kind].value: count for kind, count in self._by_kind.most_common()},
            ignored={
                reason: Ignored(count, examples.get(reason, ()))
                for reason, count in normaliser.ignored.items()
            },
            foreign_domains=dict(normaliser.foreign_domains),
            recipients=tuple(self._kept[address] for address in sorted(self._kept)),
            connect_s=round(seconds[0], 3),
            read_s=round(seconds[1], 3),
        )


def _recipient(
    address: bytes, kind: bytes, primary: bytes, enabled: bytes, name: bytes
) -> Recipient:
    return Recipient(
        address.decode(), KINDS[int(kind)], primary == b"t", enabled == b"t", _name(name)
    )


def _name(text: bytes) -> str:
    """Undo what Postgres' COPY wants escaped."""
    if text == _NO_NAME:
        return ""
    parts = text.split(b"\\\\")
    for escaped, plain in _COPY_ESCAPES:
        parts = [part.replace(escaped, plain) for part in parts]
    return b"\\".join(parts).decode()
