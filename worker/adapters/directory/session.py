"""One connection to a directory server: sign in, prove the base, search. In LDAP's own terms.

Every answer is checked against the wire: bonsai 1.5.5 reports a referral, partial results and an
unfinished bind as success, a missing base as an empty list. It never passes a short list as whole.
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bonsai

from worker.adapters.directory.forwarder import Forwarder
from worker.adapters.directory.lean import NAME
from worker.adapters.directory.quiet import QuietConnection
from worker.adapters.directory.translate import SUB_CODES, Doing, refusal, translated
from worker.adapters.directory.wire import SEARCH_DONE, WireResult
from worker.domain.failures import Denied, DirectoryFailure, Misdirected, Stage, Unfinished
from worker.domain.model import Credentials, DirectorySettings, Limits, Security
from worker.domain.plan import ReadPlan
from worker.domain.server import RootDse, schema_names
from worker.ports.directory import Gate


NOBODY = frozenset({"", "anonymous", "dn:", "u:"})
ANONYMOUS_LOGON = "\\anonymous logon"
"""What Active Directory calls nobody, after the name of the authority."""
ROOT_ATTRIBUTES = (
    "defaultNamingContext",
    "namingContexts",
    "supportedControl",
    "supportedExtension",
    "supportedCapabilities",
    "supportedSASLMechanisms",
    "objectClass",
    "vendorName",
    "vendorVersion",
    "dnsHostName",
    "domainControllerFunctionality",
    "subschemaSubentry",
    "schemaNamingContext",
)
ROOT_NAMES = frozenset(name.lower() for name in ROOT_ATTRIBUTES)
SIDS = "tokenGroups"
SID_HEAD_BYTES = 8
PAGED_ENTRIES = 10_000
"""In one page, when pages of at most 1,000 or so are asked for: bonsai's cursor takes the square of their number."""
ANY = "(objectClass=*)"
SCHEMA_ATTRIBUTES = ("attributeTypes", "objectClasses")
DISPLAY_NAME = "lDAPDisplayName"
SCHEMA_VALUES = 20_000
"""Ten times the largest schema seen. Who sends more is not listened to: a million take the loop for seconds."""
SCHEMA_S = 15.0
"""For the schema: who looks at a directory waits for it, and can do without."""
SETTLE_S = 30.0
"""For recording a sign-in's answer, also when the run is being cancelled."""

RawEntry = dict[str, Any]
"""Attribute to values, and under ``lean.NAME`` the DN."""


class Session:
    """Owns the library's connection over one forwarder. Close it in any case."""

    def __init__(self, forwarder: Forwarder, plan: ReadPlan, *, run_deadline: float) -> None:
        self._forwarder = forwarder
        self._limits: Limits = plan.limits
        self._run_deadline = run_deadline
        self._is_encrypted = plan.settings.security is not Security.NONE
        self._raw = unique((*plan.attributes, *ROOT_ATTRIBUTES))
        self._client = bonsai.LDAPClient()
        self._client.set_raw_attributes(self._raw)
        identify(self._client, plan.settings, plan.credentials)
        self._connection: QuietConnection | None = None

    async def sign_in(self, gate: Gate) -> None:
        """Bind once, between the gate's leave and its record, within ``limits.bind_s``.

        Raises Denied ``sign_in.*``; Unfinished ``sign_in.busy``, ``sign_in.unavailable``;
        Unreachable when the connection broke or stayed silent. What the server may have counted without our
        hearing of it is not settled: the gate goes on counting it.
        """
        self._client.set_url(await self._forwarder.listen())
        await gate.admit()
        accepted: bool | None = None
        is_over = False
        try:
            await self._bind()
            accepted = is_over = True
        except DirectoryFailure as failure:
            accepted = False if failure.code in REFUSED_CREDENTIALS else None
            is_over = not self._may_be_counted(failure)
            raise
        finally:
            if is_over:
                await carried_out(gate.settle(accepted=accepted))

    def _may_be_counted(self, failure: DirectoryFailure) -> bool:
        """Tell whether a server may have looked at a password that it did not answer to.

        Who hangs up on plain LDAP without a word is most often a TLS port, which knows nothing of passwords.
        """
        is_lost = failure.code == "sign_in.lost_connection"
        return failure.code == "sign_in.timed_out" or (is_lost and self._is_encrypted)

    async def _bind(self) -> None:
        # held here alone: a connection whose bind failed has no close, it ends with its last reference
        self._connection = QuietConnection(self._client, self._forwarder)
        opening = self._connection.ask(self._connection.open)
        await self._await(opening, Doing(Stage.SIGN_IN), within_s=self._limits.bind_s)
        self._result(Stage.SIGN_IN)

    async def root(self) -> RootDse:
        """Read what the server says of itself; some do not say."""
        try:
            found = await self.look_up("", ROOT_ATTRIBUTES, stage=Stage.BASE)
        except (Denied, Misdirected):
            return RootDse()
        return root_dse(found or {})

    async def check_identity(self, root: RootDse) -> None:
        """Ask who we are, where that is offered. Raises Denied ``sign_in.anonymous``."""
        if not root.tells_who_we_are:
            return
        connection = self._open_connection()
        asking = connection.ask(connection.whoami)
        name: str = await self._await(asking, Doing(Stage.SIGN_IN), within_s=self._limits.bind_s)
        self._result(Stage.SIGN_IN)
        if name.lower() in NOBODY or name.lower().endswith(ANONYMOUS_LOGON):
            raise Denied("sign_in.anonymous", f"the server takes us for '{name}'")

    async def groups(self) -> tuple[str, ...]:
        """Read the SIDs in the token of whoever signed in: the rootDSE has them (MS-ADTS section 3.1.1.3.2)."""
        try:
            found = await self.look_up("", (SIDS,), stage=Stage.READ, raw=(SIDS,))
        except DirectoryFailure:  # a courtesy: most servers know nothing of it
            return ()
        values = (found or {}).get(SIDS, ())
        return tuple(sid for value in values if (sid := sid_text(value)))

    async def prove_base(self, base: str) -> None:
        """Read the base as an entry. Raises Misdirected ``base.*``, Denied ``base.not_allowed``."""
        found = await self.look_up(base, ("1.1",), stage=Stage.BASE)
        if found is None:  # success without the entry: it is there, but not for us
            raise Denied("base.not_allowed", f"'{base}' is not shown to this account")

    async def look_up(
        self, name: str, attributes: tuple[str, ...], *, stage: Stage, raw: tuple[str, ...] = ()
    ) -> RawEntry | None:
        """Read one entry; ``raw`` names further attributes that come back as bytes."""
        connection = self._open_connection()
        self._client.set_raw_attributes(unique((*self._raw, *raw)))
        asking = connection.ask(lambda: connection.search(name, 0, ANY, list(attributes)))
        found: list[RawEntry] = await self._await(
            asking, Doing(stage), within_s=self._limits.page_s
        )
        result = self._result(stage)
        self._client.set_raw_attributes(self._raw)
        check_count(result, len(found))
        return found[0] if found else None

    async def known_names(self, root: RootDse, wanted: Sequence[str]) -> frozenset[str] | None:
        """Say which of some attributes and classes the schema has, in lower case; None if the server does not tell.

        Raises a DirectoryFailure when it refuses, or takes longer than SCHEMA_S.
        """
        if root.schema_context:
            names = await self._entries_in_schema(root.schema_context, wanted)
        else:
            names = await self._defined_in(root.subschema) if root.subschema else frozenset()
        return names & {name.lower() for name in wanted} if names else None

    async def _entries_in_schema(self, base: str, wanted: Sequence[str]) -> frozenset[str]:
        """Ask Active Directory for the entries of some names: its aggregate of all is megabytes (MS-ADTS section 3.1.1.2)."""
        text = "".join(f"({DISPLAY_NAME}={name})" for name in wanted)
        found = await self._schema_search(base, 1, f"(|{text})", (DISPLAY_NAME,))
        return frozenset(value.decode(errors="replace").lower() for value in found)

    async def _defined_in(self, subschema: str) -> frozenset[str]:
        """Read the subschema entry (RFC 4512 section 4.2): some hundred kilobytes."""
        return frozenset(
            schema_names(await self._schema_search(subschema, 0, ANY, SCHEMA_ATTRIBUTES))
        )

    async def values(self, base: str, text: str, name: str) -> list[bytes]:
        """Return all values of one attribute below a base. Raises a DirectoryFailure, after SCHEMA_S at the latest."""
        return await self._schema_search(base, 2, text, (name,))

    async def entry(self, name: str, attributes: tuple[str, ...]) -> dict[str, list[bytes]]:
        """Return some attributes of one entry, those that it shows us. Raises a DirectoryFailure, after SCHEMA_S at the latest."""
        found = await self._small_search(name, 0, ANY, attributes)
        shown = {
            key.lower(): values for each in found for key, values in each.items() if key != NAME
        }
        return {key: shown[key.lower()] for key in attributes if shown.get(key.lower())}

    async def _schema_search(
        self, base: str, scope: int, text: str, names: tuple[str, ...]
    ) -> list[bytes]:
        """Return all values of some attributes, as the server sent them."""
        found = await self._small_search(base, scope, text, names)
        return [
            value
            for entry in found
            for name, values in entry.items()
            if name != NAME
            for value in values
        ]

    async def _small_search(
        self, base: str, scope: int, text: str, names: tuple[str, ...]
    ) -> list[RawEntry]:
        """Return what a search without pages finds; nothing if that is more than anybody would look for so."""
        connection = self._open_connection()
        self._client.set_raw_attributes(unique((*self._raw, *names)))
        asking = connection.ask(lambda: connection.search(base, scope, text, list(names)))
        within_s = min(self._limits.page_s, SCHEMA_S)
        found: list[RawEntry] = await self._await(asking, Doing(Stage.READ), within_s=within_s)
        result = self._result(Stage.READ)
        check_count(result, len(found))
        return [] if result.values > SCHEMA_VALUES else found

    async def first_page(self, search: "Search") -> "Answer":
        """Begin a search and return its first page, or all of it from a server without paging."""
        connection = self._open_connection()

        def begin() -> Awaitable[Any]:
            text, names = search.filter, list(search.attributes)
            if search.page_size == 0:
                return connection.search(search.base, 2, text, names)  # type: ignore[no-any-return]
            self._forwarder.expect_pages(of_entries=max(PAGED_ENTRIES, search.page_size))
            return connection.paged_search(search.base, 2, text, names, page_size=search.page_size)  # type: ignore[no-any-return]

        answer = await self._page(connection.ask(begin), is_first=True)
        if answer.result.cookie is None and len(answer.entries) == search.page_size:
            raise Unfinished("read.cookie", "a full page that does not say whether it is the last")
        return answer

    async def next_page(self, message_id: int) -> "Answer":
        """Return the page asked for by ``request_next``."""
        return await self._page(self._open_connection().answer(message_id), is_first=False)

    async def _page(self, operation: Awaitable[Any], *, is_first: bool) -> "Answer":
        doing = Doing(Stage.READ, is_first_page=is_first)
        found = await self._await(operation, doing, within_s=self._limits.page_s)
        result = self._result(Stage.READ, is_first_page=is_first)
        entries: list[RawEntry] = list(found)
        check_count(result, len(entries))
        if result.cookie and isinstance(found, list):
            raise Unfinished("read.cookie", "a page, though none was asked for")
        if not is_first and result.cookie is None:
            raise Unfinished("read.cookie", "a page that does not say whether it is the last")
        return Answer(entries, result, None if isinstance(found, list) else found)

    def request_next(self, answer: "Answer") -> int | None:
        """Ask for the page after this one without waiting for it: the server works meanwhile."""
        if not answer.result.cookie:
            return None
        try:
            message_id: int | None = answer.pages.acquire_next_page()
        except bonsai.LDAPError as exc:
            raise Unfinished("read.lost_connection", str(exc)) from exc
        if message_id is None:
            raise Unfinished("read.cookie", "the library lost the cookie that the server sent")
        return message_id

    def check_line(self) -> None:
        """Make sure that nothing came after the last answer. Raises Unfinished ``read.unasked``."""
        if self._forwarder.failure is not None:
            raise self._forwarder.failure

    @property
    def entries_digest(self) -> bytes:
        """16 bytes over all entries so far, as they came."""
        return self._forwarder.entries_digest

    @property
    def entries_before_refusal(self) -> int:
        """How many entries came with the last answer, whatever its code."""
        last = self._forwarder.last_result
        return last.entries if last else 0

    def close(self) -> None:
        """Drop the connection on both sides."""
        if self._connection is not None and not self._connection.closed:
            self._connection.close()
        self._connection = None
        self._forwarder.close()

    def _open_connection(self) -> QuietConnection:
        if self._connection is None or self._connection.closed:
            raise Unfinished("read.lost_connection", "the connection is closed")
        return self._connection

    async def _await(self, operation: Awaitable[Any], doing: Doing, *, within_s: float) -> Any:
        deadline = asyncio.get_running_loop().time() + within_s
        if deadline > self._run_deadline:
            doing, deadline = replace(doing, run_told=self._limits.run_told), self._run_deadline
        return await translated(operation, self._forwarder, doing, deadline=deadline)

    def _result(self, stage: Stage, *, is_first_page: bool = True) -> WireResult:
        """Take the wire's word for what the library has just called a success."""
        if self._forwarder.failure is not None:
            raise self._forwarder.failure
        result = self._forwarder.take_result()
        if result is None:
            raise Unfinished("read.malformed", "an answer without a result")
        if result.code != 0:
            raise refusal(result, stage, is_first_page=is_first_page)
        return result


@dataclass(frozen=True, slots=True)
class Search:
    """One subtree search; ``page_size`` 0 asks for everything at once."""

    base: str
    filter: str
    attributes: tuple[str, ...]
    page_size: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One page, and what the wire said of it. ``pages`` is the library's cursor, None when unpaged."""

    entries: list[RawEntry]
    result: WireResult
    pages: Any


def sid_text(value: object) -> str:
    """Return a SID (MS-DTYP section 2.4.2.2) as text, or nothing if it is none."""
    if not isinstance(value, bytes) or len(value) < SID_HEAD_BYTES:
        return ""
    count, rest = value[1], value[SID_HEAD_BYTES:]
    if len(rest) != 4 * count:
        return ""
    parts = (int.from_bytes(rest[at : at + 4], "little") for at in range(0, len(rest), 4))
    return "-".join(["S", str(value[0]), str(int.from_bytes(value[2:8], "big")), *map(str, parts)])


def root_dse(entry: RawEntry) -> RootDse:
    """Read the rootDSE's values as text; what is none is replaced."""
    said = {
        name.lower(): tuple(value.decode(errors="replace") for value in values)
        for name, values in entry.items()
        if name.lower() in ROOT_NAMES
    }

    def first(name: str) -> str:
        return next(iter(said.get(name, ())), "")

    def all_of(name: str) -> frozenset[str]:
        return frozenset(said.get(name, ()))

    return RootDse(
        default_context=first("defaultnamingcontext"),
        contexts=said.get("namingcontexts", ()),
        controls=all_of("supportedcontrol"),
        extensions=all_of("supportedextension"),
        capabilities=all_of("supportedcapabilities"),
        mechanisms=all_of("supportedsaslmechanisms"),
        object_classes=all_of("objectclass"),
        vendor_name=first("vendorname"),
        vendor_version=first("vendorversion"),
        host_name=first("dnshostname"),
        functionality=first("domaincontrollerfunctionality"),
        subschema=first("subschemasubentry"),
        schema_context=first("schemanamingcontext"),
    )


REFUSED_CREDENTIALS = frozenset({*SUB_CODES.values(), "sign_in.not_allowed"})
"""Result 49 in all its meanings, and 50: may count towards a lockout. Other answers say nothing of the password."""


def check_count(result: WireResult, given: int) -> None:
    """Compare the wire with the library. Raises Unfinished ``read.miscounted``."""
    if result.operation != SEARCH_DONE or result.entries != given:
        raise Unfinished("read.miscounted", f"{result.entries} on the wire, {given} given")


def identify(
    client: bonsai.LDAPClient, settings: DirectorySettings, credentials: Credentials
) -> None:
    """Set how to sign in: a simple bind, or EXTERNAL when a client certificate stands alone."""
    if credentials.password is None and settings.client_certificate is not None:
        client.set_credentials("EXTERNAL")
        return
    password = credentials.password.reveal() if credentials.password else ""
    client.set_credentials("SIMPLE", settings.bind_name, password)


def check_credentials(settings: DirectorySettings, credentials: Credentials) -> None:
    """Refuse what a server would take for an anonymous bind (RFC 4513 section 5.1.2), before any connection.

    libldap ends a password at its first NUL, so one that begins with it is empty too.
    Raises Denied ``sign_in.empty_password``, ``sign_in.bad_name``, ``sign_in.bad_password``.
    """
    if credentials.password is None and settings.client_certificate is not None:
        return
    password = credentials.password.reveal() if credentials.password else ""
    if not password:
        raise Denied("sign_in.empty_password")
    if "\0" in password:
        raise Denied("sign_in.bad_password", "it contains a NUL character")
    if not settings.bind_name or "\0" in settings.bind_name:
        raise Denied("sign_in.bad_name", "it is empty or contains a NUL character")


def unique(names: tuple[str, ...]) -> list[str]:
    """Return the names without repeats; case does not count in attribute names."""
    return list({name.lower(): name for name in names}.values())


async def carried_out(work: Coroutine[Any, Any, None]) -> None:
    """See work to its end under a deadline, also when cancelled meanwhile; the cancellation follows after."""

    async def bounded() -> None:
        async with asyncio.timeout(SETTLE_S):
            await work

    cancelled: asyncio.CancelledError | None = None
    try:
        async with asyncio.TaskGroup() as owner:
            task = owner.create_task(bounded())
            while not task.done():
                try:
                    await asyncio.wait({task})
                except asyncio.CancelledError as exc:
                    cancelled = exc
    except ExceptionGroup as group:
        raise group.exceptions[0] from group
    if cancelled is not None:
        raise cancelled
