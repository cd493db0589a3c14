"""A daemon in domain 0 with disks for one guest."""

import json
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from guest.xen.dom0 import Dom0
from guest.xen.inside import tgtd
from guest.xen.inside.tgtd import ENDED
from guest.xen.ways import Way

FOLDER = "/run/tgt"
JOURNAL = f"{FOLDER}/journal"
_FILE = f"{FOLDER}/tgtd.toml"

_CONFIGURATION = """
plugins = ["disk", "file", "cow", "filters", "xen"]

[daemon]
state_directory = "{folder}/state"
drain_s = 3

[transports.xen]
journal = "{journal}"
portals = [{{ address = "{guest}/0", target = "{target}" }}]
{isolation}

[logical_units.first]
device_type = "disk"
store = {{ type = "file", path = "{folder}/first.img", size = "64M", create = true }}

[logical_units.second]
device_type = "disk"
store = {{ type = "memory", size = "8M" }}
filters = [{{ type = "delay", name = "slow", commands = "reads", lba = "{slow}", seconds = 1 }}]

[logical_units.third]
device_type = "disk"
store = {{ type = "qcow2", size = "16M", create = true, base = {base} }}

[logical_units.spare]
device_type = "disk"
max_transfer_bytes = 262144
store = {{ type = "memory", size = "4M" }}

[logical_units.zeros]
device_type = "disk"
store = {{ type = "null", size = "4T" }}

[targets."{guest}"]
transport = "xen"
luns = ["first", "second", "third"]
allow = {{ initiators = ["{guest}"] }}
devices = {{{devices}}}

[targets.other]
transport = "xen"
luns = ["spare"]
allow = {{ initiators = ["{guest}"] }}

[targets.far]
transport = "xen"
luns = {{ 7 = "zeros" }}
devices = {{ "0:0:5:3" = 7 }}
allow = {{ initiators = ["{guest}"] }}
"""
SLOW_BLOCK = 1536
"""Of 4 KiB, of the second disk: reading it takes a second."""
_SLOW = f"{SLOW_BLOCK * 8}-{SLOW_BLOCK * 8 + 7}"
_BASE = f'{{ type = "file", path = "{FOLDER}/third.qcow2", size = "1M", create = true }}'
_RESTARTED_S = 100
_SUCCEEDED_S = 100
_ISOLATED = 'isolation = "process"\nuser = "root"'


class XenDaemon:
    """A context manager; the guest's virtual HBA, and the target that it leads to, are called like the guest."""

    program: tuple[str, ...] = (tgtd.__name__, tgtd.main.__name__)
    """Module, function and first arguments."""

    def __init__(self, dom0: Dom0, way: Way) -> None:
        self.dom0 = dom0
        self.target = way.guest
        self.hba = f"{way.guest}/0"
        self.pid = 0
        self._isolated = way.isolated
        self._isolation = _ISOLATED * way.isolated
        self._files: list[str] = []

    def __enter__(self) -> Self:
        guest = self.dom0.guest
        guest.run(f"rm -rf {FOLDER} && mkdir -p {FOLDER}")
        self.configure()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None:
            self.admin("xen", "detach", f"hba={self.hba}")
            self.stop()
            assert "Traceback" not in self.log, self.log[-6000:]
        else:
            with suppress(AssertionError):
                self.stop()
            print("the log of the daemons:", self.log[-20000:], sep="\n")

    def admin(self, *words: str) -> Any:
        """The answer of a management verb."""
        return self.dom0.admin(*words)

    @property
    def figures(self) -> dict[str, Any]:
        """Of the virtual HBA."""
        return dict(self.admin("xen", "show")[self.hba])

    @property
    def ring(self) -> str:
        """Where the front end has it: its grant and its event channel, as they stand in the store."""
        front = f"/local/domain/{self.figures['domid']}/device/vscsi/{self.hba.rpartition('/')[2]}"
        return self.dom0.guest.text(f"xenstore-read {front}/ring-ref {front}/event-channel")

    def configure(self, *, target: str = "", devices: str = "") -> None:
        """Write a configuration, for the next daemon or :meth:`apply`.

        :param target: that the virtual HBA leads to, if it is not the one of the guest's name.
        :param devices: of the target of the guest's name.
        """
        text = _CONFIGURATION.format(
            folder=FOLDER,
            journal=JOURNAL,
            guest=self.target,
            base=_BASE,
            isolation=self._isolation,
            target=target or self.target,
            devices=devices,
            slow=_SLOW,
        )
        self.dom0.guest.put(_FILE, text.encode())

    def apply(self) -> None:
        """Have what was configured served."""
        self.admin("apply", _FILE)

    def start(self) -> None:
        """Start it."""
        self.pid = self._begin()

    def _begin(self, *options: str) -> int:
        """Start one, and wait until it serves; its process."""
        name = self.dom0.start(*self.program, "--config", _FILE, "--json", *options)
        self._files.append(name)
        ready = self.dom0.guest.run(f"within 100 test -s {name}.out; cat {name}.out", check=False, timeout_s=110).text
        try:
            return int(json.loads(ready)["pid"])
        except (ValueError, KeyError):  # KeyError: it says why
            raise AssertionError(f"the daemon did not get ready: {ready} {self.log}") from None

    def take_over(self) -> None:
        """Have another one take the place of this one, which ends in order."""
        before, self.pid = self.pid, self._begin("--take-over")
        self._ended(before)

    def upgrade(self) -> None:
        """Have this one start its successor, and end in order."""
        before = self.pid
        self.dom0.guest.run(f"kill -USR2 {before}")
        self._ended(before)
        self.pid = self.admin("stat")["daemon"]["pid"]
        assert self.pid != before

    def stop(self) -> None:
        """Let it end in order."""
        self.dom0.guest.run(f"kill {self.pid}")
        self._ended(self.pid)

    def _ended(self, pid: int) -> None:
        """Wait until a daemon has ended, with nothing in use."""
        status = self.dom0.guest.text(
            f"within {_SUCCEEDED_S} gone {pid} && cat {ENDED}{pid}", timeout_s=_SUCCEEDED_S + 10
        )
        assert status == "0", f"process {pid} has ended with status {status}: {self.log}"

    def kill(self) -> None:
        """End it as a power cut would."""
        self.dom0.guest.run(f"kill -9 {self.pid} && within 10 gone {self.pid}")

    def kill_driver(self) -> None:
        """End the process of its isolated transport as a crash would; another takes its place."""
        pid = self._driver["pid"]
        self.dom0.guest.run(f"kill -9 {pid}")
        deadline = time.monotonic() + _RESTARTED_S
        while self._driver["pid"] in (pid, None) or self._driver["state"] != "serving":
            assert time.monotonic() < deadline, f"no driver process serves in {_RESTARTED_S} s: {self._driver}"
            time.sleep(0.2)

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return [self.pid, self._driver["pid"]] if self._isolated else [self.pid]

    @property
    def _driver(self) -> dict[str, Any]:
        """The process of the transport."""
        return dict(self.admin("stat")["transports"]["xen"]["process"])

    @property
    def log(self) -> str:
        """What the daemons wrote to their standard error."""
        files = " ".join(f"{name}.err" for name in self._files)
        return self.dom0.guest.text(f"cat {files}; cat /run/lab/awake*.err 2>/dev/null; true")
