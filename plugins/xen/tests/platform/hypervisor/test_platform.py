"""Opening the platform of the hypervisor where something is missing."""

import asyncio
import errno
import gc
import os
from pathlib import Path

import pytest
from pydantic import ValidationError
from tgtcore_xen.platform.emulated import EmulatedXen
from tgtcore_xen.platform.hypervisor import Hypervisor, HypervisorOptions
from tgtcore_xen.platform.hypervisor import platform as platform_module

from tgtcore.testing.waiting import until_async

from .kernel import StoreSocket


async def refused(**options: object) -> OSError:
    platform = Hypervisor(HypervisorOptions.model_validate(options), asyncio.get_running_loop())
    gc.collect()  # what an earlier test has left
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError) as info:
        await platform.open()
    # the server's end notices after a while
    await until_async(lambda: sorted(os.listdir("/proc/self/fd")) == before, what=lambda: "it has left something open")
    await platform.close()
    return info.value


@pytest.mark.asyncio
async def test_a_machine_without_xen(monkeypatch) -> None:
    monkeypatch.setattr(platform_module, "STORES", (Path("/nowhere/socket"),))
    error = await refused()
    assert error.errno == errno.ENOENT
    assert "no xenstore here: none of /nowhere/socket" in str(error)


@pytest.mark.asyncio
async def test_a_store_that_is_not_there(tmp_path) -> None:
    error = await refused(xenstore=tmp_path / "socket")
    assert (error.errno, error.filename) == (errno.ENOENT, str(tmp_path / "socket"))
    assert "the xenstore can't be reached" in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize("missing", ["gntdev", "evtchn"])
async def test_a_device_that_is_not_there_is_named(tmp_path, missing: str) -> None:
    machine = EmulatedXen.named("tested")
    server = await machine.loop.create_unix_server(lambda: StoreSocket(machine, 0), tmp_path / "socket")
    there = tmp_path / "there"
    there.touch()
    devices = {"gntdev": there, "evtchn": there, missing: tmp_path / "gone"}
    error = await refused(xenstore=tmp_path / "socket", **devices)
    assert (error.errno, error.filename) == (errno.ENOENT, str(tmp_path / "gone"))
    server.close()


@pytest.mark.parametrize("options", [{"gntdev": "dev"}, {"xenstore": "socket"}, {"domain": -1}, {"domain": 40000}])
def test_keys_that_are_wrong(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HypervisorOptions.model_validate(options)
