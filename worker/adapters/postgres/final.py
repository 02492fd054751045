"""The one final transaction of a run: check, stage, compare, judge (elsewhere), record.

Isolation: READ COMMITTED with row locks in the order tenant, directory, lease, run. The tenant's row shuts
out every other writer of its recipients, the lease's row shuts out a worker that lost it.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

import asyncpg

from worker.adapters.postgres import endings, pool as db
from worker.domain.failures import LeaseLost, Superseded
from worker.domain.guard import SAMPLE, WINDOW_DAYS, DomainCount, Evidence, Ruling
from worker.domain.model import Mode, RemovalPolicy
from worker.domain.outcomes import Counts, Ending, Outcome
from worker.ports import Snapshot


APART = timedelta(minutes=30)
"""Two complete runs count as two only this far apart (design: way out of the list)."""

ANALYZE_ABOVE = 10_000
"""Rows; below, statistics cost more than they save."""

CHANGES_PER_PART = 500
"""With addresses of at most 318 octets a part stays under 256 KiB whatever they are."""

PREVIEW_KEPT = timedelta(hours=24)
