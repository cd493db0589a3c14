"""A daemon whose client is the guest's own driver of virtual SCSI."""

import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from guest.lab.guest import Guest
from guest.pseries.machine import UNIT_ADDRESS
from oracle.served import Served

TARGET = "guest"

_CONFIGURATION = """
[transports.ibmvio]
platform = "qemu_pseries"
portals = [{{ address = "{unit:x}" }}]
{more}

[transports.ibmvio.qemu_pseries]
gdb = "{guest}/gdb"
ram = "{guest}/ram"
kernel = "{kernel}"

[logical_units.first]
device_type = "disk"
store = {{ type = "file", path = "{work}/first.img", size = "64M", create = true }}

[logical_units.second]
device_type = "disk"
store = {{ type = "memory", size = "8M" }}

[logical_units.third]
device_type = "disk"
store = {{ type = "memory", size = "4M" }}

[targets."{target}"]
transport = "ibmvio"
adapters = ["{unit:x}"]
luns = ["first", "second", "third"]
devices = {{ "0:0:0" = 0, "0:0:1" = 1, "0:1:0" = 2 }}
allow = {{ initiators = ["guest"] }}
"""
_LEASES_S = 5
DEVICES = ("0:0:0", "0:0:1", "0:1:0")
_LOAD = "modprobe -a sd_mod sg ext4 && modprobe ibmvscsi max_id=3 max_channel=0"


class VirtualDisks:
    """The daemon with three disks on two virtual targets, and the driver in the guest; a context manager."""

    def __init__(self, guest: Guest, work: Path, more: str = "") -> None:
        """`more`: keys of the transport."""
        self.guest = guest
        self._work = work
        self._configuration = _CONFIGURATION.format(
            unit=UNIT_ADDRESS, guest=guest.work, kernel=guest.kernel.image, work=work, target=TARGET, more=more
        )
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        with self._ends:
            self.daemon = self._start()
            self._ends.push(lambda *error: self.daemon.__exit__(*error))
            self._ends.callback(self._unload)
            self.guest.run(_LOAD, timeout_s=100)
            self.paths = {device: self._path(device) for device in DEVICES}
            self._ends = self._ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._ends.__exit__(kind, error, where)

    def __getitem__(self, device: str) -> str:
        """The path of the disk at bus, target and LUN."""
        return self.paths[device]

    def restart(self) -> None:
        """Kill the daemon, and start it again."""
        self.daemon.kill()
        self.daemon = self._start()

    def _start(self) -> Served:
        return Served.configured(self._work, self._configuration, plugins=("ibmvio", "filters"))

    def _path(self, device: str) -> str:
        found = f"/sys/bus/scsi/devices/*:{device}/block/*"
        self.guest.run(f"within 60 sh -c '[ -e {found} ]'", timeout_s=70)
        return "/dev/" + self.guest.text(f"basename {found}")

    def _unload(self) -> None:
        """Take the driver out of the guest, after which nothing is in use."""
        self.guest.run("rmmod ibmvscsi", timeout_s=100)
        for _ in range(_LEASES_S * 10):
            leases = self.daemon.admin("stat")["leases"]
            if not leases:
                return
            time.sleep(0.1)
        raise AssertionError(f"still in use: {leases}")
