"""Verified I/O of several initiators while anything is taken away from the daemon, and given back, every few milliseconds."""

import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chaos.unrest import Unrest
from chaos.worker import Worker
from oracle import harsh_stores
from oracle.served import Served
from support import memory
from support.growth import grown
from tgtcore_iscsi.addresses import Address

from tgtcore.management.client import Client

pytestmark = pytest.mark.oracle

_SECONDS = float(os.environ.get("TGTCORE_CHAOS_SECONDS", "60"))
"""Of each case."""
_EVERY_S = 0.05
_HANDS = 12
"""How many do something at once; together they do something every `_EVERY_S`, as far as the daemon lets them."""
_INITIATORS = 4
_TARGETS = ("iqn.2025-01.example.tgtcore:one", "iqn.2025-01.example.tgtcore:two")
_REGION_BLOCKS = 4096
_IMAGE = "16M"
_FILES_MORE = 4

_UNIT = """
[logical_units.lu{number}]
device_type = "disk"
store = {{ type = "file", path = "{path}", size = "{size}", create = true }}
"""
_TARGET = """
[targets."{name}"]
transport = "iscsi"
luns = {luns}
allow = {{ initiators = ["*"] }}
"""
_CONFIGURATION = """
plugins = ["iscsi", "disk", "file", "filters", "memory"]

[daemon]
socket = "{work}/tgtd.sock"
state_directory = "{work}/state"
drain_s = 1
log_level = "warning"

[transports.iscsi]
portals = [{portals}]
isolation = "{isolation}"
"""


@pytest.mark.parametrize("isolation", ["none", "process"])
@pytest.mark.timeout(_SECONDS + 300)
def test_anything_may_be_removed_at_any_time(tmp_path: Path, isolation: str) -> None:
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    text = _configuration(tmp_path, addresses, isolation)
    path = tmp_path / "tgtd.toml"
    path.write_text(text)
    environment = harsh_stores.environment(tmp_path, {memory.NAME: memory.__name__})
    with Served(tmp_path, "--config", path, environment=environment) as served:
        workers = _workers(served)
        unrest = Unrest(Path(served.socket), text, _TARGETS, addresses, isolated=isolation == "process")
        _run(workers, unrest, _SECONDS / 4)
        before = _used(served)  # by now every buffer has been large once, and every thread has had its memory
        _run(workers, unrest, _SECONDS * 3 / 4)
        wrong = [*unrest.wrong, *(one for worker in workers for one in worker.counts.wrong)]
        print(
            isolation,
            dict(unrest.done),
            "refused",
            dict(unrest.refused),
            *(worker.counts for worker in workers),
            sep="\n",
        )
        assert wrong == []
        assert all(worker.counts.accounted for worker in workers)
        assert sum(unrest.done.values()) > _SECONDS * 3, unrest.done
        assert all(worker.counts.good > _SECONDS for worker in workers)
        after = _used(served)
        print(before, after)
        assert grown(before, after) == {}
        assert after["files"] < before["files"] + _FILES_MORE
    assert "vanished" not in served.log
    assert "still in use" not in served.log


def _configuration(work: Path, addresses: list[str], isolation: str) -> str:
    portals = ", ".join(f'{{ address = "{address}" }}' for address in addresses)
    parts = [_CONFIGURATION.format(work=work, portals=portals, isolation=isolation)]
    parts += [_UNIT.format(path=work / f"lu{number}.img", number=number, size=_IMAGE) for number in range(8)]
    for index, name in enumerate(_TARGETS):
        parts.append(_TARGET.format(name=name, luns=[f"lu{index * 4 + lun}" for lun in range(4)]))
    return "".join(parts)


def _workers(served: Served) -> list[Worker]:
    """Each initiator has a session with each target and a region of its own on each LUN."""
    return [
        Worker(
            Address(*served.portal),
            target,
            f"iqn.2025-01.example.chaos:{number}",
            range(4),
            number * _REGION_BLOCKS,
            _REGION_BLOCKS,
            seed=number * 2 + index,
        )
        for number in range(_INITIATORS)
        for index, target in enumerate(_TARGETS)
    ]


def _run(workers: list[Worker], unrest: Unrest, seconds: float) -> None:
    """Work and unrest for a while; in the end everything is there again, and as it should be."""
    until = time.monotonic() + seconds
    jobs: list[tuple[Callable[[], None], list[str]]] = [
        (partial(worker.work, until), worker.counts.wrong) for worker in workers
    ]
    jobs += [(partial(unrest.go_on, until, _EVERY_S * _HANDS, seed), unrest.wrong) for seed in range(_HANDS)]
    threads = [threading.Thread(target=_guarded, args=job, daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 120)
        assert not thread.is_alive(), "somebody does not come to an end"
    unrest.give_everything_back()
    for worker in workers:
        worker.read_back()


def _guarded(job: Callable[[], None], wrong: list[str]) -> None:
    try:
        job()
    except Exception as error:  # handed to the thread that waits
        wrong.append(repr(error))


def _used(served: Served) -> dict[str, int]:
    """What the daemon's own process has in use, when nobody wants anything of it."""
    _settled(served)
    status = Path(f"/proc/{served.pid}/status").read_text().split("VmRSS:")[1].split()[0]
    files = len(os.listdir(f"/proc/{served.pid}/fd"))
    with Client(Path(served.socket)) as client:
        return {"untidied": int(status) << 10, "files": files, **client.call(memory.VERB)}


def _settled(served: Served) -> None:
    """Nothing is in use any more, and each command of each logical unit has ended."""
    deadline = time.monotonic() + 20
    while True:
        found: dict[str, Any] = served.admin("stat")
        units = found["logical_units"].values()
        if not found["leases"] and all(unit["accepted"] == unit["ended"] and not unit["tasks"] for unit in units):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
