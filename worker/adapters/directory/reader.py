"""The directory port: one complete read of a customer's directory, from the first server that can be reached.

Decides which server is tried, in which order things are proved, and when a listing is whole. It
never gives a short list for a whole one: whatever ends a listing early is raised.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from worker.adapters.directory.account import password_until
from worker.adapters.directory.dial import Connector, Dialler, Line, Names, Target, TcpConnector
from worker.adapters.directory.entries import Entries, in_turns
from worker.adapters.directory.forwarder import Forwarder
from worker.adapters.directory.lean import prepare
from worker.adapters.directory.secure import tls_context
from worker.adapters.directory.session import (
    Answer,
    Search,
    Session,
    check_credentials,
)
from worker.adapters.directory.stages import Progress
from worker.adapters.directory.wire import Bounds
from worker.domain.answer import fit_matters
from worker.domain.bases import default_bases
from worker.domain.detect import SCHEMA_NAMES
from worker.domain.failures import (
    BaseAsked,
    Denied,
    DirectoryFailure,
    Misdirected,
    Stage,
    StageResult,
    Unfinished,
    Unreachable,
    Untrusted,
)
from worker.domain.ldapsearch import ldapsearch_line
from worker.domain.model import Security, Server
from worker.domain.plan import ReadPlan
from worker.domain.server import Profile, RootDse
from worker.ports.directory import Gate, Page, Proof


log = structlog.get_logger()

NEXT_SERVER_STAGES = frozenset({"name", "reach", "secure"})
NEXT_SERVER_CODES = frozenset(
    {
        "sign_in.busy",
        "sign_in.unavailable",
        "sign_in.timed_out",
        "sign_in.lost_connection",
        "base.busy",
        "base.unavailable",
        "base.timed_out",
        "base.lost_connection",
    }
)
"""Faults of a server, not of the settings. A refused sign-in is never tried elsewhere: it counts towards a lockout."""

WRONG_PORT_SIGNS = frozenset({"sign_in.lost_connection", "read.malformed"})
PAGE_TOO_LARGE = frozenset({"read.size_limit", "read.admin_limit"})
SMALLEST_PAGE = 10
UNPAGED_ENTRIES = 50_000
"""A server without paging gives all at once, and all of it is in memory: that has an end."""
EMPTY_PAGES = 1_000
"""In a row; a server that walks a large tree for few entries sends some."""
ANSWER_BYTES = 128 * 1024 * 1024
"""Of one page: 500 entries of 256 KiB."""


class NotEndedError(RuntimeError):
    """A listing proves nothing before its end."""


class LdapReader:
    """Implements ``ports.DirectoryReader`` over bonsai."""

    def __init__(self, names: Names | None = None, connector: Connector | None = None) -> None:
        prepare()
        self._dialler = Dialler(names or Names(), connector or TcpConnector())

    @asynccontextmanager
    async def listing(
        self, plan: ReadPlan, *, gate: Gate, stages: list[StageResult]
    ) -> AsyncIterator["WholeListing"]:
        """Open a listing on the first server that can be reached; see the port.

        Raises a DirectoryFailure; when every server fails, the first one's, the others in its detail.
        """
        progress = Progress(stages)
        with progress.beforehand():
            check_credentials(plan.settings, plan.credentials)
            check_plan(plan)
        attempt = Attempt(plan, gate, progress, self._dialler)
        try:
            yield await attempt.open()
        finally:
            attempt.close()


class Attempt:
    """One reading, over as many servers as it takes. Owns what is open."""

    def __init__(self, plan: ReadPlan, gate: Gate, progress: Progress, dialler: Dialler) -> None:
        self._plan = plan
        self._gate = gate
        self._progress = progress
        self._dialler = dialler
        self._session: Session | None = None
        self._forwarder: Forwarder | None = None
        self._began = asyncio.get_running_loop().time()
        self._deadline = self._began + plan.limits.run_s

    async def open(self) -> "WholeListing":
        """Try the servers in order. Raises the first one's failure when none will do."""
        failures: list[tuple[Server, DirectoryFailure]] = []
        for server in self._plan.settings.servers:
            try:
                return await self._open_at(server)
            except DirectoryFailure as failure:
                self.close()
                failures.append((server, failure))
                if not another_may_do(failure):
                    raise
        raise first_of(failures)

    async def _open_at(self, server: Server) -> "WholeListing":
        began = asyncio.get_running_loop().time()
        self._progress.server = ""
        with self._progress.beforehand():
            target = target_for(self._plan, server)
        self._progress.server = target.label
        forwarder = self._forwarder = Forwarder(bounds(self._plan))
        line = await self._dialler.dial(target, forwarder.far, self._progress)
        session = self._session = Session(forwarder, self._plan, run_deadline=self._deadline)
        root = await self._sign_in(session, target, line)
        bases = await self._prove_bases(session, root)
        log.info(
            "directory.search", ldapsearch=ldapsearch_line(replace(self._plan, bases=bases), server)
        )
        return WholeListing(
            session,
            self._plan,
            self._progress,
            Opened(
                target.label,
                bases,
                asyncio.get_running_loop().time() - began,
                root,
                line.certificate_until,
            ),
        )

    async def _sign_in(self, session: Session, target: Target, line: Line) -> RootDse:
        with self._progress.stage(Stage.SIGN_IN) as step:
            try:
                await session.sign_in(self._gate)
                root = await session.root()
                await session.check_identity(root)
            except DirectoryFailure as failure:
                raise await self._explain(failure, target, line) from failure
            step.seen = self._plan.settings.bind_name
        return root

    async def _explain(
        self, failure: DirectoryFailure, target: Target, line: Line
    ) -> DirectoryFailure:
        """Say why a server hung up without a word, or answered gibberish: it is seldom the network.

        And who demands more than a password from somebody whose line is encrypted does not mean encryption.
        """
        if failure.code == "read.message_too_large":
            # nobody has asked for an entry yet: such a length is no LDAP
            failure = Unfinished("read.malformed", failure.detail)
        if failure.code == "sign_in.needs_tls" and target.context is not None:
            return Denied("sign_in.method", failure.detail)
        if failure.code not in WRONG_PORT_SIGNS or self._forwarder is None:
            return failure
        if target.context is not None and self._forwarder.bytes_received == 0:
            # a client certificate that is missing comes out after the handshake (RFC 8446 section 4.6.2)
            return Unreachable("secure.closed", "hung up after the handshake, before a word")
        if target.context is None and await self._dialler.speaks_tls(line.address, target.port):
            return Untrusted("secure.plain_on_tls_port", "the port answers a TLS handshake")
        return failure

    async def _prove_bases(self, session: Session, root: RootDse) -> tuple[str, ...]:
        asked = BaseAsked(root)
        with self._progress.stage(Stage.BASE) as step:
            try:
                bases = self._plan.bases or default_bases(root, self._plan.preset)
                for base in bases:
                    asked = BaseAsked(root, base)
                    if base:  # the empty base is the root of the tree: there is no such entry
                        await session.prove_base(base)
            except DirectoryFailure as failure:
                known = await schema_known(session, root) if fit_matters(failure.code) else None
                failure.asked = replace(asked, matched=failure.matched, known=known)
                raise
            step.seen = ", ".join(bases)
        return bases

    def close(self) -> None:
        """Drop whatever is open."""
        if self._session is not None:
            self._session.close()
            self._session = None
        if self._forwarder is not None:
            self._forwarder.close()
            self._forwarder = None


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known before the first page."""

    server: str
    bases: tuple[str, ...]
    connect_s: float
    root: RootDse
    certificate_until: datetime | None


class WholeListing:
    """Implements ``ports.Listing``: pages of every base, one after another, and then the proof."""

    def __init__(
        self, session: Session, plan: ReadPlan, progress: Progress, opened: Opened
    ) -> None:
        self._session = session
        self._plan = plan
        self._opened = opened
        self._entries = Entries(session, plan.attributes, values=plan.limits.values_per_entry)
        self._given = self._references = 0
        self._began = asyncio.get_running_loop().time()
        self._progress = progress
        self._proof: Proof | None = None
        self._profile = Profile(opened.root)

    @property
    def proof(self) -> Proof:
        """What was proved. Raises NotEndedError before the iteration has ended."""
        if self._proof is None:
            raise NotEndedError
        return self._proof

    @property
    def profile(self) -> Profile:
        """What the server says of itself."""
        return self._profile

    async def groups(self) -> tuple[str, ...]:
        """Ask who the account is, by Active Directory's SIDs; see the port."""
        return await self._session.groups()

    def __aiter__(self) -> AsyncIterator[Page]:
        return self._pages()

    async def _pages(self) -> AsyncIterator[Page]:
        """Give page after page; the one after is asked for before each is given."""
        with self._progress.stage(Stage.READ) as step:
            for base in self._opened.bases:
                answer, sense = await self._found(base), PageSense()
                while True:
                    page = await self._entries.page(answer)
                    sense.check(page)
                    asked = self._session.request_next(answer)
                    self._given += len(page)
                    self._references += answer.result.references
                    for place, part in enumerate(in_turns(page, answer.result.values)):
                        if place:
                            await asyncio.sleep(0)
                        if part:
                            yield part
                    if asked is None:
                        break
                    answer = await self._session.next_page(asked)
            if self._given == 0:
                raise Unfinished("read.nothing_found", "success, and no entry")
            self._session.check_line()
            step.seen = f"{self._given} entries"
        proof = self._prove()
        await self._learn_for_a_person()
        self._proof = replace(proof, password_until=await self._password_until())

    async def _password_until(self) -> datetime | None:
        """Ask until when our password is valid. A server that does not tell it is none the worse."""
        try:
            bind_name = self._plan.settings.bind_name
            return await password_until(self._session, bind_name, self._opened.root)
        except DirectoryFailure:
            return None

    async def _learn_for_a_person(self) -> None:
        if self._plan.asks_schema:
            await self.learn()

    async def learn(self) -> None:
        """Look through the schema, once; see the port."""
        if self._profile.known is None:
            known = await schema_known(self._session, self._opened.root)
            self._profile = replace(self._profile, known=known)

    def _prove(self) -> Proof:
        read_s = asyncio.get_running_loop().time() - self._began
        opened = self._opened
        return Proof(
            opened.server,
            opened.bases,
            self._given,
            self._references,
            opened.connect_s,
            read_s,
            self._session.entries_digest,
            certificate_until=opened.certificate_until,
        )

    async def _found(self, base: str) -> Answer:
        """Begin a search; a base that is not there is told as one, also where only the search shows it (an empty one)."""
        try:
            return await self._first(base)
        except DirectoryFailure as failure:
            if failure.code.startswith(f"{Stage.BASE}."):
                failure.asked = BaseAsked(self._opened.root, base, failure.matched)
            raise

    async def _first(self, base: str) -> Answer:
        """Begin a search. A server may allow only smaller pages and say so by a limit: then halve.

        OpenLDAP's ``size.pr`` answers 11, others 4, before any entry (slapd.conf(5), limits). A
        limit met after entries is the list's own and stands.
        """
        size = self._plan.limits.page_size if self._opened.root.can_page else 0
        search = Search(base, self._plan.filter, self._plan.attributes, size)
        while True:
            try:
                return await self._session.first_page(search)
            except Unfinished as failure:
                smaller = replace(search, page_size=search.page_size // 2)
                if (
                    failure.code not in PAGE_TOO_LARGE
                    or smaller.page_size < SMALLEST_PAGE
                    or self._session.entries_before_refusal
                ):
                    raise
                search = smaller


async def schema_known(session: Session, root: RootDse) -> frozenset[str] | None:
    """Look through the schema. A server that does not tell it is none the worse."""
    with contextlib.suppress(DirectoryFailure):
        return await session.known_names(root, SCHEMA_NAMES)
    return None


class PageSense:
    """Notices pages that lead nowhere, within one search.

    Not by the cookie: 389 Directory Server and Samba send the same one with every page of a search. But
    an entry is found once, so the same page again means a server that goes round, or lost its place.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._empty = 0

    def check(self, page: Page) -> None:
        """Take one page. Raises Unfinished ``read.endless``."""
        if not page:
            self._empty += 1
            if self._empty > EMPTY_PAGES:
                raise Unfinished("read.endless", f"{self._empty} pages without an entry")
            return
        self._empty = 0
        names = hash(tuple(name for name, _ in page))
        if names in self._seen:
            raise Unfinished("read.endless", f"a page that came before, from '{page[0][0]}'")
        self._seen.add(names)


def target_for(plan: ReadPlan, server: Server) -> Target:
    """Return what is dialled for one server of a plan. Raises Untrusted for unreadable certificates."""
    settings = plan.settings
    plain = settings.security is Security.NONE
    return Target(
        server.host,
        server.port_for(settings.security),
        settings.security,
        (settings.certificate_name or server.host).rstrip("."),
        plan.limits,
        None if plain else tls_context(settings, plan.credentials),
        settings.trust.fingerprint,
    )


def bounds(plan: ReadPlan) -> Bounds:
    """Return what a server may send at most."""
    limits = plan.limits
    return Bounds(
        limits.message_bytes,
        limits.run_bytes,
        limits.entries,
        limits.values_per_entry,
        min(ANSWER_BYTES, limits.run_bytes),
        max(UNPAGED_ENTRIES, limits.page_size),
    )


def check_plan(plan: ReadPlan) -> None:
    """Refuse what the library would cut at a NUL. Raises Misdirected ``base.bad_name``, ``read.bad_filter``."""
    if any("\0" in base for base in plan.bases):
        raise Misdirected("base.bad_name", "it contains a NUL character")
    if any("\0" in text for text in (plan.filter, *plan.attributes)):
        raise Misdirected("read.bad_filter", "it contains a NUL character")


def another_may_do(failure: DirectoryFailure) -> bool:
    """Tell whether the next server is worth trying after this failure. A refusal, the gate's too, is final."""
    if isinstance(failure, Denied):
        return False
    stage = failure.code.partition(".")[0]
    return stage in NEXT_SERVER_STAGES or failure.code in NEXT_SERVER_CODES


def first_of(failures: list[tuple[Server, DirectoryFailure]]) -> DirectoryFailure:
    """Return the first server's failure, the others' in its detail."""
    if not failures:
        return Misdirected("name.no_server", "no server is named")
    (_, first), *others = failures
    if not others:
        return first
    rest = "; ".join(f"{server}: {failure}" for server, failure in others)
    told = type(first)(first.code, f"{first.detail}; then {rest}", figure=first.figure)
    told.asked = first.asked
    return told
