"""Verbs on a daemon in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio
from daemon.conftest import CONFIG, Running
from support.fakes import FakeStore, fake_plugins

from tgtcore.config import parse
from tgtcore.daemon import Daemon
from tgtcore.daemon.load import check_source
from tgtcore.management.verbs import run


class Managed(Running):
    """A running daemon that takes verbs."""

    async def __call__(self, verb: str, **arguments: Any) -> Any:
        return await run(self.daemon, verb, arguments)


@asynccontextmanager
async def managed(folder: Path, text: str, *plugins: ModuleType) -> AsyncIterator[Managed]:
    """A daemon that serves a configuration, and at the end has closed everything."""
    FakeStore.opened.clear()
    text = text.replace("STATE", str(folder / "state"))
    enabled = fake_plugins(*plugins)
    daemon = Daemon(enabled, check_source(parse(text.encode(), folder), enabled))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tgtcore.daemon.sessions._LOGOUT_S", 0.02)  # initiators are hardly waited for
        await daemon.start()
        yield Managed(daemon, text, folder)
        assert await daemon.stop() == []
        assert all(store.closed for store in FakeStore.opened)


@pytest_asyncio.fixture
async def manage(tmp_path: Path) -> AsyncIterator[Managed]:
    async with managed(tmp_path, CONFIG) as manage:
        yield manage
