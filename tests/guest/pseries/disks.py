"""A daemon whose client is the guest's own driver of virtual SCSI."""

import os
import shutil
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
credits = 32
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
_CONSOLE = Path(__file__).with_name("console_plugin.py")
_LEASES_S = 5
_SOON_S = 20
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

    def restart(self, *, in_order: bool = False) -> None:
        """Kill the daemon, or ask it to end, and start it again."""
        if in_order:
            status = self.daemon.stop()
            assert status == 0, f"tgtd ended with status {status}: {self.daemon.log[-3000:]}"
        self.daemon.kill()
        self.daemon = self._start()

    def change(self, old: str, new: str) -> None:
        """Change the daemon's configuration file."""
        path = self.daemon.configuration
        before = path.read_text()
        assert before.count(old) == 1, before
        path.write_text(before.replace(old, new))

    def wait_for_unit(self, name: str) -> None:
        """Wait until there is a logical unit."""
        for _ in range(_SOON_S * 10):
            if name in {unit["name"] for unit in self.daemon.admin("lu", "list")}:
                return
            time.sleep(0.1)
        raise AssertionError(f"no logical unit {name}: {self.daemon.log[-3000:]}")

    def state(self) -> tuple[str, int, int]:
        """State and sessions of the adapter, and the memory that the transport holds for its clients."""
        figures = self.daemon.admin("stat")["transports"]["ibmvio"]
        (adapter,) = figures["adapters"].values()
        return adapter["state"], adapter["sessions"], figures["memory"]["held_bytes"]

    def console(self, what: str, *more: str) -> bool:
        """Let something happen to the guest, as ``console_plugin`` says; whether the server is ready for a suspension."""
        return bool(self.daemon.admin("run", "console", "guest", f"what={what}", *more)["suspendable"])

    def wait_until_suspendable(self) -> None:
        """Wait until the server has said that nothing of the guest is under way."""
        for _ in range(_SOON_S * 10):
            if self.console("nothing"):
                return
            time.sleep(0.1)
        raise AssertionError(f"it can't be suspended: {self.state()}: {self.daemon.log[-3000:]}")

    def _start(self) -> Served:
        paths = os.pathsep.join(filter(None, (str(self._installed_console()), os.environ.get("PYTHONPATH"))))
        under = ("env", f"PYTHONPATH={paths}")
        return Served.configured(self._work, self._configuration, under, ("ibmvio", "filters", "console"))

    def _installed_console(self) -> Path:
        """A folder in which Python finds the plugin, as if it were installed."""
        folder = self._work / "plugins"
        about = folder / "console-1.dist-info"
        about.mkdir(parents=True, exist_ok=True)
        shutil.copy(_CONSOLE, folder / "guest_console.py")
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: console\nVersion: 1\n")
        (about / "entry_points.txt").write_text("[tgtcore.plugins]\nconsole = guest_console\n")
        return folder

    def _path(self, device: str) -> str:
        found = f"/sys/bus/scsi/devices/*:{device}/block/*"
        self.guest.run(f"within 60 exists '{found}'", timeout_s=70)
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
