from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from worker.codec import Stamp, render, render_raw
from worker.codec.inbound import decode
from worker.codec.outbound import SCHEDULER, UnorderedError, render_request
from worker.codec.payloads import PAYLOADS
from worker.codec.schemas import message_schema
from worker.domain import events
from worker.domain.commands import Envelope, FieldError, Received, Refused, RequestSync
from worker.domain.events import Event
from worker.domain.failures import Finding, Retry, Stage, StageResult, StageState
from worker.domain.model import (
    Change,
    DirectoryId,
    Domain,
    HoldId,
    Kind,
    Mode,
    RunId,
    TenantId,
    Tier,
    Trigger,
)


AT = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
TENANT = TenantId("tenant-17")
HQ = DirectoryId("hq")
RUN = events.RunRef(RunId(UUID(int=1)), HQ, ("command-1",), Trigger.MANUAL, Mode.APPLY)
FINDING = Finding(
    code="secure.expired",
    stage=Stage.SECURE,
    headline="The certificate has expired.",
    seen="2025-12-31",
    checks=("Is the clock right?",),
    fix="Renew the certificate.",
    retry=Retry.AFTER_CHANGE,
    stages=(StageResult(Stage.SECURE, StageState.FAILED, 12),),
)
FACTS = events.RunFacts(
    attempt=1,
    started_at=AT,
    finished_at=AT,
    verdict="hold",
    reasons=({"code": "canary_missing", "text": "ceo@example.com is missing.", "missing": 1},),
    hold=events.HoldRef(HoldId(UUID(int=2)), 3),
    counts=events.Counts(entries=3, addresses=2, added=2, ignored={"malformed": 1}),
    advice=(events.Advice("no_canary", "Name an address that never leaves."),),
    readiness=(
        {
            "domain": "example.com",
            "complete_runs": 7,
            "stable_since": AT,
            "addresses": 2,
            "kinds": {"mailbox": 2},
            "automatic": True,
        },
    ),
    notify=("it@example.com",),
    finding=FINDING,
)
ENVELOPE = Envelope("platform", "command-1", TENANT, "sync.request")
ERROR = FieldError("directory", "value.missing", "Enter the directory.")

EVERY_EVENT: tuple[Event, ...] = (
    events.tenant_saved(
        TENANT,
        causes=["command-1"],
        facts=events.TenantFacts(Tier.BASIC, None, 7, (Domain("example.com"),)),
    ),
    events.tenant_deleted(TENANT, causes=["command-1"]),
    events.directory_saved(TENANT, HQ, causes=["command-1"], revision=3, in_force=False),
    events.directory_deleted(TENANT, HQ, causes=["command-1"], keep_by_hand=True),
    events.directory_paused(TENANT, HQ, causes=["command-1"], reason="paused by hand"),
    events.directory_resumed(TENANT, HQ, causes=["command-1"]),
    events.directory_warning(
        TENANT, HQ, code="not_synced", text="Late.", at=AT, notify=["it@example.com"]
    ),
    events.directory_warning_cleared(TENANT, HQ, code="not_synced", text="Read.", notify=[]),
    events.directory_tested(
        TENANT, HQ, causes=["command-1"], notify=["it@example.com"], finding=FINDING
    ),
    events.sync_accepted(TENANT, RUN),
    events.sync_progress(TENANT, RUN, stage="read", entries=500, addresses=900),
    events.sync_completed(TENANT, RUN, FACTS),
    events.sync_held(TENANT, RUN, FACTS),
    events.sync_previewed(TENANT, RUN, FACTS),
    events.sync_failed(TENANT, RUN, FACTS),
    events.sync_cancelled(TENANT, RUN, events.RunFacts(0, None, AT)),
    events.recipients_changed(
        TENANT,
        events.Part(1, 1, RUN.run, HQ, ("command-1",)),
        changes=[events.AddressChange("jo@example.com", Change.ADDED, "valid", None, Kind.MAILBOX)],
    ),
    events.hold_approved(
        TENANT,
        HQ,
        causes=["command-1"],
        facts=events.ApprovalFacts(events.HoldRef(HoldId(UUID(int=2)), 3), 2, 1),
    ),
    events.hold_discarded(
        TENANT, HQ, causes=["command-1"], hold=events.HoldRef(HoldId(UUID(int=2)), 3), kept=2
    ),
    events.run_undone(
        TENANT,
        HQ,
        causes=["command-1"],
        run=RUN.run,
        facts=events.UndoFacts(
            events.Sample(1, ("jo@example.com",)),
            events.Sample(),
            (events.Untouched("decided", "A person took it away.", 1, ("al@example.com",)),),
        ),
    ),
    events.fleet_held(AT, events.FleetFigures(3600, 20, 5, 1, 6, (("name.timed_out", 5),))),
    events.fleet_released(AT, AT),
    events.command_rejected(ENVELOPE, [ERROR]),
    events.command_refused(Refused(errors=(ERROR,), size=3)),
)

RENDERED_IN_BULK = {"recipients.snapshot", "logins.changed"}
"""By the database alone; its tests hold what it renders to the schema."""


def stamp_of(event: Event) -> Stamp:
    """Return a stamp that fits the event."""
    return Stamp("event-1", AT, 1, 412) if event.sequenced else Stamp("event-1", AT)


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.name)
def test_every_event_is_as_the_contract_says(event: Event) -> None:
    """Receivers generate code from the schemas: what is sent must fit them, and hold nothing else."""
    sent = orjson.loads(render(event, stamp_of(event)))

    Draft202012Validator(message_schema(event.name), format_checker=FormatChecker()).validate(sent)
    PAYLOADS[event.name].model_validate_json(orjson.dumps(sent["data"]))


def test_every_event_of_the_contract_can_be_made() -> None:
    """A promised event without a constructor is never sent."""
    assert {event.name for event in EVERY_EVENT} == set(PAYLOADS) - RENDERED_IN_BULK


def test_a_place_in_the_order_comes_with_each_state_event_and_no_other() -> None:
    """A receiver that counts sequences must be able to trust every gap."""
    told, sequenced = EVERY_EVENT[-1], EVERY_EVENT[0]

    with pytest.raises(UnorderedError):
        render(sequenced, Stamp("event-1", AT))
    with pytest.raises(UnorderedError):
        render(told, Stamp("event-1", AT, 1, 412))


def test_data_rendered_elsewhere_is_passed_on_as_it_is() -> None:
    """Thousands of changes are rendered by the database, once."""
    data = b'{"changes": [ {"address":"jo@example.com"} ]}'
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    plain = render_raw("recipients.changed", TENANT, data, Stamp("event-1", AT))
    placed = orjson.loads(
        render_raw("recipients.changed", TENANT, data, Stamp("event-1", AT, 2, 7, trace))
    )
    empty = orjson.loads(render_raw("tenant.deleted", TENANT, b"{ }", Stamp("event-1", AT, 2, 7)))

    assert plain.endswith(b'"data":' + data + b"}")
    assert placed["data"] == {"epoch": 2, "sequence": 7} | orjson.loads(data)
    assert placed["traceparent"] == trace
    assert empty["data"] == {"epoch": 2, "sequence": 7}


def test_an_event_is_routed_by_name_and_tenant() -> None:
    """A service binds to what it cares for; a refusal that names no tenant is nobody's in particular."""
    assert EVERY_EVENT[0].routing_key == "tenant.saved.tenant-17"
    assert EVERY_EVENT[-1].routing_key == "command.rejected"


def test_a_trigger_of_ours_is_read_as_anybody_s() -> None:
    """What the scheduler sends must pass the same door as what an outside scheduler sends."""
    body = render_request(TENANT, HQ, id="t-1", time=AT)

    read = decode(body)

    assert isinstance(read, Received)
    assert (read.envelope.source, read.envelope.id) == (SCHEDULER, "t-1")
    assert (read.envelope.tenant, read.envelope.name) == (TENANT, "sync.request")
    assert read.command == RequestSync(HQ, Trigger.SCHEDULED, Mode.APPLY)
    Draft202012Validator(message_schema("sync.request")).validate(orjson.loads(body))
