"""A daemon in domain 0 whose guest is domain 0 itself, with Linux's own front end."""

import json
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from guest.xen.dom0 import Dom0

HBA = "Domain-0/0"
TARGET = "guest"
FOLDER = "/run/tgt"
BACK, FRONT = "/local/domain/0/backend/vscsi/0", "/local/domain/0/device/vscsi"

_CONFIGURATION = """
plugins = ["disk", "file", "cow", "filters", "xen"]

[daemon]
socket = "{folder}/socket"
state_directory = "{folder}/state"

[transports.xen]
journal = "{folder}/journal"
portals = [{{ address = "{hba}", target = "{target}" }}]
{more}

[logical_units.first]
device_type = "disk"
store = {{ type = "file", path = "{folder}/first.img", size = "64M", create = true }}

[logical_units.second]
device_type = "disk"
store = {{ type = "memory", size = "8M" }}

[logical_units.third]
device_type = "disk"
store = {{ type = "qcow2", size = "16M", create = true, base = {base} }}

[logical_units.spare]
device_type = "disk"
store = {{ type = "memory", size = "4M" }}

[targets."{target}"]
transport = "xen"
luns = ["first", "second", "third"]
allow = {{ initiators = ["Domain-0"] }}
"""


class XenDisks:
    """The daemon with three disks on a virtual HBA; a context manager."""

    def __init__(self, dom0: Dom0, more: str = "") -> None:
        """`more`: keys of the transport."""
        self.dom0 = dom0
        self.guest = dom0.guest
        base = f'{{ type = "file", path = "{FOLDER}/third.qcow2", size = "1M", create = true }}'
        self._configuration = _CONFIGURATION.format(folder=FOLDER, hba=HBA, target=TARGET, base=base, more=more)
        self._ends = ExitStack()
        self._files: list[str] = []
        self.pid = 0

    def __enter__(self) -> Self:
        with self._ends:
            self.guest.run(f"rm -rf {FOLDER} && mkdir -p {FOLDER} && modprobe -a xen-scsifront")
            self.guest.put(f"{FOLDER}/tgtd.toml", self._configuration.encode())
            self.start()
            self._ends.push(self._stop)
            for lun in range(3):
                self[lun]
            self._ends = self._ends.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._ends.__exit__(kind, error, where)

    def __getitem__(self, lun: int) -> str:
        """The path of the disk, which is waited for."""
        found = f"/sys/bus/scsi/devices/*:0:0:{lun}/block/*"
        return "/dev/" + self.guest.text(f"within 30 sh -c '[ -e {found} ]' && basename {found}")

    def gone(self, lun: int) -> None:
        """Wait until the disk is not there."""
        self.guest.run(f"within 30 sh -c '! [ -e /sys/bus/scsi/devices/*:0:0:{lun} ]'")

    def admin(self, *words: str) -> Any:
        """The answer of a management verb."""
        return self.dom0.admin("--socket", f"{FOLDER}/socket", *words)

    @property
    def figures(self) -> dict[str, Any]:
        """Of the virtual HBA."""
        return dict(self.admin("xen", "show")[HBA])

    def start(self) -> None:
        """Start the daemon."""
        name = self.dom0.start("tgtcore.cli.tgtd", "main", "--config", f"{FOLDER}/tgtd.toml", "--json")
        self._files.append(name)
        ready = self.guest.run(f"within 100 test -s {name}.out; cat {name}.out", check=False, timeout_s=110).text
        try:
            self.pid = json.loads(ready)["pid"]
        except ValueError:
            raise AssertionError(f"the daemon did not get ready: {ready} {self.log}") from None

    def kill(self) -> None:
        """End the daemon as a power cut would."""
        self.guest.run(f"kill -9 {self.pid} && within 10 sh -c '! kill -0 {self.pid}'")

    @property
    def log(self) -> str:
        """What the daemons wrote to their standard error."""
        return self.guest.text(" ; ".join(f"cat {name}.err" for name in self._files))

    def _stop(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            print("the log of the daemons:", self.log[-20000:], sep="\n")
        self.guest.run(f"kill {self.pid} && within 30 sh -c '! kill -0 {self.pid}'", check=kind is None)
        if kind is None:
            log = self.log
            assert "Traceback" not in log, log[-6000:]
