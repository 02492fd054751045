"""Random domain values, each as a checked command could hold it."""

from datetime import timedelta
from uuid import UUID

from hypothesis import strategies as st

from worker.domain.commands import (
    AddRecipients,
    ApproveHold,
    CancelSync,
    CheckDirectory,
    Command,
    DeleteDirectory,
    DeleteTenant,
    DiscardHold,
    Form,
    PauseDirectory,
    RemoveRecipients,
    RepublishRecipients,
    RequestSync,
    ResumeDirectory,
    SaveDirectory,
    SaveTenant,
    Sealed,
    UndoRun,
)
from worker.domain.model import (
    Address,
    DirectoryId,
    DirectorySettings,
    Domain,
    HoldId,
    Kind,
    LoginRole,
    Logins,
    Mode,
    RemovalPolicy,
    Removals,
    RunId,
    Schedule,
    Security,
    Server,
    Tier,
    Trigger,
    Trust,
)


ids = st.text("abzAZ09_-", min_size=1, max_size=64)
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
some_texts = st.lists(texts, max_size=3).map(tuple)
kinds = st.lists(st.sampled_from(Kind), min_size=1, unique=True).map(tuple)
revisions = st.none() | st.integers(0, 2**63 - 1)
sealed = st.none() | st.binary(min_size=49, max_size=80).map(Sealed)

domains = st.builds(
    Domain,
    name=texts,
    catch_all=st.booleans(),
    delimiter=st.none() | st.just("+"),
    alias_of=st.none() | texts,
    by_hand=st.booleans(),
)
servers = st.builds(Server, host=texts, port=st.none() | st.integers(1, 65_535))
removals = st.builds(
    Removals,
    policy=st.sampled_from(RemovalPolicy),
    max_share=st.floats(0, 1),
    min_count=st.integers(0, 1_000),
    max_count=st.integers(1, 1_000),
    grace=st.integers(0, 720).map(lambda hours: timedelta(hours=hours)),
    canaries=st.lists(texts.map(Address), max_size=3).map(tuple),
)
settings = st.builds(
    DirectorySettings,
    name=texts,
    type=texts,
    servers=st.lists(servers, min_size=1, max_size=5).map(tuple),
    bind_name=texts,
    security=st.sampled_from(Security),
    trust=st.builds(Trust, ca_pem=st.none() | texts, fingerprint=st.none() | texts),
    certificate_name=st.none() | texts,
    client_certificate=st.none() | texts,
    search_bases=some_texts,
    filter=st.none() | texts,
    address_attributes=st.none() | some_texts,
    kinds=kinds,
    leave_out=some_texts,
    removals=removals,
    schedule=st.builds(Schedule, st.booleans(), st.sampled_from([1, 3, 6, 12, 24])),
    logins=st.builds(Logins, st.booleans(), kinds, st.sampled_from(LoginRole), st.booleans()),
    notify=some_texts,
)
directories = ids.map(DirectoryId)
forms = st.builds(Form, settings=settings, password=sealed, client_key=sealed)

some_addresses = st.lists(texts.map(Address), min_size=1, max_size=3).map(tuple)
holds = st.uuids().map(HoldId)
versions = st.integers(1, 2**31 - 1)

named_commands: st.SearchStrategy[tuple[str, Command]] = st.one_of(
    st.tuples(
        st.just("tenant.save"),
        st.builds(
            SaveTenant,
            tier=st.sampled_from(Tier),
            domains=st.none() | st.lists(domains, max_size=3).map(tuple),
            reseller=st.none() | ids,
            revision=revisions,
        ),
    ),
    st.tuples(st.just("tenant.delete"), st.builds(DeleteTenant)),
    st.tuples(
        st.just("directory.save"),
        st.builds(
            SaveDirectory,
            directory=directories,
            settings=settings,
            password=sealed,
            client_key=sealed,
            sync=st.booleans(),
            force=st.booleans(),
            revision=revisions,
        ),
    ),
    st.tuples(
        st.just("directory.test"),
        st.builds(CheckDirectory, directory=st.none() | directories, form=st.none() | forms),
    ),
    st.tuples(
        st.just("directory.delete"),
        st.builds(DeleteDirectory, directory=directories, keep_by_hand=st.booleans()),
    ),
    st.tuples(st.just("directory.pause"), st.builds(PauseDirectory, directory=directories)),
    st.tuples(st.just("directory.resume"), st.builds(ResumeDirectory, directory=directories)),
    st.tuples(
        st.just("sync.request"),
        st.builds(
            RequestSync,
            directory=directories,
            trigger=st.sampled_from(Trigger),
            mode=st.sampled_from(Mode),
        ),
    ),
    st.tuples(
        st.just("sync.cancel"),
        st.builds(CancelSync, run=st.uuids().map(lambda run: RunId(UUID(str(run))))),
    ),
    st.tuples(st.just("hold.approve"), st.builds(ApproveHold, hold=holds, version=versions)),
    st.tuples(st.just("hold.discard"), st.builds(DiscardHold, hold=holds, version=versions)),
    st.tuples(st.just("run.undo"), st.builds(UndoRun, run=st.uuids().map(RunId))),
    st.tuples(
        st.just("recipient.add"),
        st.builds(
            AddRecipients, addresses=some_addresses, adopt=st.booleans(), protect=st.booleans()
        ),
    ),
    st.tuples(st.just("recipient.remove"), st.builds(RemoveRecipients, addresses=some_addresses)),
    st.tuples(st.just("recipients.republish"), st.builds(RepublishRecipients)),
)
