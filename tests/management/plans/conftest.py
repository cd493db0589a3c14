"""A daemon in memory that plays plans."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from daemon.filters.conftest import CONFIG
from daemon.reload.conftest import real
from management.conftest import Managed, managed
from support.fake_filters import filtering


@pytest_asyncio.fixture
async def manage(tmp_path: Path) -> AsyncIterator[Managed]:
    async with managed(tmp_path, CONFIG, real(), filtering()) as manage:
        yield manage
