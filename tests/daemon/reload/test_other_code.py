"""What is reloaded besides stores: device types, amended commands, and all plugins of a distribution together."""

import gc
import weakref
from typing import Any

import pytest
from daemon.conftest import Running
from daemon.reload.conftest import CONFIG, Host, Serve, X, attentions, version
from support.site import Site, file_store

from tgtcore.errors import PluginError
from tgtcore.scsi import asc
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import forget_attentions

pytestmark = pytest.mark.asyncio

DISK = """
    from tgtcore import hookimpl
    from tgtcore_disk import Disk

    class Other(Disk):
        version = VERSION

    @hookimpl
    def tgt_register_device_types(registry):
        registry.device_type("other", Other)
"""


async def test_a_device_type_is_reloaded_with_its_state(serve: Serve, site: Site) -> None:
    site.install("acme-store", "acme", file_store(1))
    site.install("acme-disk", "other", DISK.replace("VERSION", "1"))
    running = await serve(CONFIG.replace('"acme"]', '"acme", "other"]').replace('"disk"', '"other"'))
    host = Host(running)
    await host.write(X)
    device: Any = running.daemon.inventory.units["a"].lu.device
    assert (await host.run("1b 00 00 00 00")).status == Status.GOOD
    reads, gone = device.writes, weakref.ref(type(device))
    del device
    site.install("acme-disk", "other", DISK.replace("VERSION", "2"), "2.0")
    await running.daemon.reload_plugin("other")
    device = running.daemon.inventory.units["a"].lu.device
    assert (device.version, device.writes, version(running)) == (2, reads, 1)
    assert attentions(host) == [asc.MICROCODE_HAS_BEEN_CHANGED]
    forget_attentions(host.nexus)
    read = await host.run("28 00 00000000 00 0001")
    assert tuple(read.sense[12:14]) == asc.LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED
    assert (await host.run("1b 00 00 00 01")).status == Status.GOOD
    assert await host.read() == X
    gc.collect()
    assert gone() is None


VERB = """
    @hookimpl
    def tgt_register_admin(commands):
        commands.add("acme two", lambda _: VERSION, help="-")
"""

MORE = """
    from tgtcore import hookimpl

    @hookimpl
    def tgt_vpd_pages(transport, lu):
        return {}
"""


async def test_plugins_of_one_distribution_are_reloaded_together(running: Running, host: Host, site: Site) -> None:
    body = file_store(2) + VERB.replace("VERSION", "2")
    site.install("acme-store", "acme", body, "2.0", acme_more=MORE)
    points = next(site.folder.glob("acme_store-2.0.dist-info")) / "entry_points.txt"
    points.write_text(points.read_text() + "more = acme_more\n")
    await running.daemon.reload_plugin("acme")
    await running.apply(('"acme"]', '"acme", "more"]'))
    steps = await running.daemon.reload_plugin("more")
    assert [step.name for step in steps] == ["acme", "more", "a", "b"]
    assert running.daemon.plugins.names == ["fake", "real", "acme", "more"]
    assert list(running.daemon.plugins.admin.found()) == ["acme two"]


AMENDS = """
    from tgtcore import BoundCommand, hookimpl

    def answer(device, task):
        task.data_in = bytes([VERSION])

    @hookimpl
    def tgt_amend_commands(transport, lu, commands):
        old = commands.slots[0x12]
        commands.replace(BoundCommand(old.command, answer, None))
"""


async def test_commands_are_amended_anew(running: Running, host: Host, site: Site) -> None:
    site.install("acme-amend", "amend", AMENDS.replace("VERSION", "1"))
    enabled = ('"acme"]', '"acme", "amend"]')
    answers = []
    await running.apply(enabled)
    answers.append((await host.run("12 00 00 00 24")).data_in)
    site.install("acme-amend", "amend", AMENDS.replace("VERSION", "2"), "2.0")
    await running.daemon.reload_plugin("amend")
    answers.append((await host.run("12 00 00 00 24")).data_in)
    site.install("acme-amend", "amend", AMENDS.replace("old = ", "old = 1 / 0 or "), "3.0")
    with pytest.raises(PluginError, match=r"tgt_amend_commands\(\) failed: ZeroDivisionError"):
        await running.daemon.reload_plugin("amend")
    answers.append((await host.run("12 00 00 00 24")).data_in)
    assert answers == [b"\1", b"\2", b"\2"]
    await running.apply()
    assert len((await host.run("12 00 00 00 24")).data_in) == 36
