"""What the demo says it saw, each compared with what must be so; the exit code rests on this."""

from collections.abc import Collection
from dataclasses import dataclass, field


SHOWN = 5


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence, and how what was seen differs from it."""

    text: str
    difference: str = ""


@dataclass(slots=True)
class Claims:
    """All that was compared so far."""

    made: list[Claim] = field(default_factory=list)

    @property
    def differences(self) -> list[Claim]:
        """Those that do not hold."""
        return [claim for claim in self.made if claim.difference]

    def equal(self, text: str, *, seen: object, wanted: object) -> None:
        """Claim that two values are the same."""
        difference = "" if seen == wanted else f"seen {seen!r}, wanted {wanted!r}"
        self.made.append(Claim(text, difference))

    def same(self, text: str, *, seen: Collection[str], wanted: Collection[str]) -> None:
        """Claim that two sets of addresses are the same, and not empty."""
        said = [
            *_some("seen and not wanted", set(seen) - set(wanted)),
            *_some("wanted and not seen", set(wanted) - set(seen)),
            *([] if wanted else ["nothing to compare"]),
        ]
        self.made.append(Claim(text, "; ".join(said)))


def _some(what: str, addresses: Collection[str]) -> list[str]:
    named = ", ".join(sorted(addresses)[:SHOWN])
    return [f"{len(addresses)} {what}: {named}"] if addresses else []
