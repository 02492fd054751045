"""A house a test: a fresh database and all adapters on it; what always holds is checked when the test is over."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.postgres.house import House, check
from worker.adapters.postgres.pool import Pool, open_pool
from worker.adapters.secrets import SealedVault, generate_key
from worker.domain.model import Secret
from worker.ports import Vault


@pytest.fixture(scope="session")
def vault() -> Vault:
    """One key for all tests."""
    return SealedVault([Secret(generate_key())])


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """Connections to the test's own database."""
    opened = await open_pool(database, size=6)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def house(pool: Pool, vault: Vault) -> AsyncIterator[House]:
    """Nothing is known yet; the clock stands at the full hour."""
    opened = await House.open(pool, vault)
    with opened.stack:
        yield opened
        await check(opened)
