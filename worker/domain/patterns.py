"""Addresses to leave out: exact ones, and patterns in which ``*`` stands for anything."""

import re
import unicodedata
from collections.abc import Callable, Iterable

from worker.domain.addresses import normal_address, normal_domain


class Patterns:
    """Many patterns asked at once. Whatever they are, an answer takes time in proportion to their length."""

    def __init__(self, patterns: Iterable[str]) -> None:
        normal = {form for pattern in patterns for form in _normal_forms(pattern)}
        self._exact = frozenset(form.encode() for form in normal if "*" not in form)
        self._domains = frozenset(
            form[2:].encode() for form in normal if form.startswith("*@") and "*" not in form[1:]
        )
        rest = sorted(
            form for form in normal if "*" in form and form[2:].encode() not in self._domains
        )
        self._others = (
            re.compile("|".join(map(_expression, rest)).encode()).fullmatch if rest else None
        )

    @property
    def match(self) -> Callable[[bytes], bool] | None:
        """The question whether a normal address is meant; None when nothing is."""
        return self._matches if self._exact or self._domains or self._others else None

    def _matches(self, address: bytes) -> bool:
        return (
            address in self._exact
            or address.rpartition(b"@")[2] in self._domains
            or (self._others is not None and self._others(address) is not None)
        )


def _normal_forms(pattern: str) -> tuple[str, ...]:
    """Return a pattern as normal addresses are written; without ``@`` it is meant for the local part or the whole."""
    if "*" not in pattern and (address := normal_address(pattern)):
        return (address,)
    text = unicodedata.normalize("NFC", pattern.strip()).lower()
    local, at, domain = text.rpartition("@")
    if not at:
        return (text, f"{text}@*")
    return (f"{local}@{normal_domain(domain) or domain}",)


def _expression(pattern: str) -> str:
    """Return an expression that never tries twice: taking each piece at its first place is right for a glob."""
    first, *middle, last = map(re.escape, pattern.split("*"))
    return first + "".join(f"(?>.*?{piece})" for piece in middle if piece) + f".*{last}"
