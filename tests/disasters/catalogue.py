"""The disasters as a table: each by its name, its story and what an admin has to be told of it."""

import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import timedelta

from tests.disasters import befallen, typed
from tests.disasters.scene import Scene


Story = Callable[[Scene], AsyncGenerator[timedelta]]


@dataclass(frozen=True, slots=True)
class Disaster:
    """A story, and what has to be told of it."""

    name: str
    story: Story
    told: frozenset[str] = frozenset()
    """Codes that an admin must be told, of reasons to hold and of findings; none: nobody may be bothered."""
    is_decided: bool = False
    """A person's own decision puts mail off: that is shown, and is no loss; a refusal would be one."""
    is_bounded: bool = False
    """It stays below the limits: what it takes has a bound."""

    @property
    def slug(self) -> str:
        """Its name for programs."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower())


def codes(*named: str) -> frozenset[str]:
    """Return codes as a set."""
    return frozenset(named)


TINY = codes("half_size", "domain_half", "domain_share")

CATALOGUE = (
    Disaster("honest life", typed.honest_life),
    Disaster("filter typo matching little", typed.filter_matches_little, TINY | {"scope_changed"}),
    Disaster(
        "filter typo matching nothing", typed.filter_matches_nothing, codes("read.nothing_found")
    ),
    Disaster(
        "negated filter on an unknown attribute",
        typed.filter_negates_unknown,
        codes("read.nothing_found"),
    ),
    Disaster("base moved in the form", typed.base_narrowed, codes("scope_changed", "domain_share")),
    Disaster("people moved out of the base", befallen.people_moved_away, codes("domain_share")),
    Disaster("rights revoked on half", befallen.rights_revoked, codes("domain_share")),
    Disaster("size limit introduced", befallen.size_limit, codes("read.size_limit")),
    Disaster("replica behind", befallen.replica_behind, codes("domain_share")),
    Disaster("replica freshly empty", befallen.replica_empty, codes("read.nothing_found")),
    Disaster("replica still filling", befallen.replica_filling, TINY),
    Disaster("old backup restored", befallen.backup_restored, codes("domain_share")),
    Disaster(
        "connection cut at each page", befallen.cut_at_each_page, codes("read.lost_connection")
    ),
    Disaster("page cookie lost", befallen.cookie_lost_at_each_page, TINY),
    Disaster("page cookie refused", befallen.cookie_refused, codes("read.cookie")),
    Disaster("OU renamed", befallen.unit_renamed),
    Disaster(
        "OU renamed that is the base",
        befallen.base_renamed,
        codes("base.not_found", "scope_changed"),
    ),
    Disaster("all ids regenerated", befallen.ids_regenerated),
    Disaster("domain renamed", befallen.domain_renamed, TINY | {"addresses.other_domains"}),
    Disaster(
        "another customer's settings",
        typed.another_customers_settings,
        codes("addresses.other_domains"),
    ),
    Disaster(
        "another customer's settings, knowing ours",
        typed.another_customers_contacts,
        TINY | {"scope_changed"},
    ),
    Disaster("two customers swapped", typed.customers_swapped, codes("addresses.other_domains")),
    Disaster(
        "two directories swapped", typed.directories_swapped, codes("scope_changed", "domain_share")
    ),
    Disaster("canary deleted", befallen.canary_deleted, codes("canary_missing")),
    Disaster("clock an hour ahead", befallen.clock_ahead),
    Disaster("clock an hour behind", befallen.clock_behind),
    Disaster(
        "deleted and saved again",
        typed.deleted_and_saved_again,
        codes("directory.deleted"),
        is_decided=True,
    ),
    Disaster(
        "deleted and saved again with a slip",
        typed.deleted_and_saved_with_a_slip,
        codes("directory.deleted", "replaced"),
        is_decided=True,
    ),
    Disaster("slow bleeding", befallen.slow_bleeding, codes("domain_share"), is_bounded=True),
)
