"""A mail server somewhere, speaking SMTP to the door: what does it get to hear about a recipient?"""

import asyncio
import smtplib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


WITHIN_S = 25
SENDER = "sender@elsewhere.example"


class Answer(NamedTuple):
    """The reply to RCPT TO: the three digits, and what follows them."""

    code: int
    text: str


class Speaker(smtplib.SMTP):
    """A client that sends addresses as they are: quoted, in any case, in UTF-8 or in no encoding at all."""

    def ask(self, address: bytes) -> Answer:
        """One recipient."""
        self.send(b"RCPT TO:<" + address + b">\r\n")
        code, text = self.getreply()
        return Answer(code, text.decode("utf-8", "backslashreplace"))


@dataclass(frozen=True, slots=True)
class Door:
    """Where Postfix listens."""

    port: int

    async def ask(self, address: str | bytes) -> Answer:
        """Knock for one recipient, in a session of its own."""
        (answer,) = await self.ask_all([address])
        return answer

    async def ask_all(self, addresses: Sequence[str | bytes]) -> list[Answer]:
        """Knock for several in one session, in order."""
        return await asyncio.to_thread(self._ask, addresses)

    def _ask(self, addresses: Sequence[str | bytes]) -> list[Answer]:
        octets = [each.encode() if isinstance(each, str) else each for each in addresses]
        with Speaker(
            "127.0.0.1", self.port, local_hostname="elsewhere.example", timeout=WITHIN_S
        ) as speaker:
            speaker.ehlo()
            options = [] if all(map(bytes.isascii, octets)) else ["SMTPUTF8"]
            speaker.mail(SENDER, options)
            return [speaker.ask(each) for each in octets]
