"""Verbs on a daemon in memory."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

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


@pytest_asyncio.fixture
async def manage(tmp_path: Path) -> AsyncIterator[Managed]:
    FakeStore.opened.clear()
    text = CONFIG.replace("STATE", str(tmp_path / "state"))
    plugins = fake_plugins()
    daemon = Daemon(plugins, check_source(parse(text.encode(), tmp_path), plugins))
    await daemon.start()
    yield Managed(daemon, text, tmp_path)
    assert await daemon.stop() == []
    assert all(store.closed for store in FakeStore.opened)
