"""A guest of the Xen machine, made and destroyed with xl as its owner would."""

import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from guest.lab.console import Console
from guest.lab.shell import Shell
from guest.xen.dom0 import Dom0
from guest.xen.machine import CHANNEL, SAVED, SAVED_DISK
from guest.xen.nested import KERNEL_ARGUMENTS

HOOKS = Path(__file__).parents[3] / "contrib/xen"
_BOOT_S = 100
_SAVE_S = 150
_CONFIGURATION = """
name = "{name}"
type = "pv"
kernel = "/dev/vdb"
ramdisk = "/dev/vdc"
extra = "{arguments}"
memory = 192
vcpus = {processors}
"""
_CONNECT = """
port=$(dirname "$(grep -lx {channel} /sys/class/virtio-ports/*/name)")
tty=$(xenstore-read /local/domain/$(xl domid {name})/console/tty) || exit
( cat <&3 >&4 & cat <&4 >&3 & ) 3<>/dev/${{port##*/}} 4<>$tty 2>/dev/null
"""


class DomU(Shell):
    """A context manager: it runs, and is destroyed at the end unless that was done before.

    Its agent is behind its console, so only text is sent there: Linux takes Ctrl-O for a magic key.

    :param processors: with one Linux's front end hangs as domain 0 would; with two everything takes twice as long.
    """

    def __init__(self, dom0: Dom0, name: str, processors: int = 1) -> None:
        self.name = name
        self.configuration = f"/etc/xen/{name}.cfg"
        self._processors = processors
        self._dom0 = dom0.guest
        self._channel: socket.socket | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._end(check=False)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._end(check=kind is None)

    @property
    def console(self) -> str:
        """Nothing: what a kernel that dies says comes with the output of the script."""
        return ""

    def start(self) -> None:
        """Make it with its virtual HBA, as ``contrib/xen`` says, and let it run."""
        dom0 = self._dom0
        dom0.put("/usr/bin/xl-start", (HOOKS / "xl-start").read_bytes())
        dom0.run("chmod +x /usr/bin/xl-start")
        dom0.put(
            self.configuration,
            _CONFIGURATION.format(name=self.name, arguments=KERNEL_ARGUMENTS, processors=self._processors).encode(),
        )
        dom0.run(f"xl-start {self.configuration} {self.name}/0", timeout_s=100)
        self.connect()

    def connect(self) -> None:
        """Speak with its agent from now on."""
        self._call()
        self._console.wait_ready(_BOOT_S)

    def _call(self) -> None:
        self._hang_up()
        self._channel = socket.socket(socket.AF_UNIX)
        self._channel.connect(str(self._dom0.work / CHANNEL))
        self._dom0.run(_CONNECT.format(channel=CHANNEL, name=self.name))
        self._console = Console(self._channel)

    @property
    def domid(self) -> int:
        """Its number."""
        return int(self._dom0.text(f"xl domid {self.name}"))

    def checkpoint(self) -> None:
        """Save it, and let it go on where it is."""
        self._save("-c")

    def save(self) -> None:
        """Save and end it; returns when the hypervisor has nothing of it."""
        self._save("")
        self._ended()

    def _save(self, option: str) -> None:
        self._dom0.run(
            f"""
            [ -d {SAVED} ] || {{ mkfs.ext4 -q -F -O ^has_journal {SAVED_DISK} && mkdir {SAVED} && mount {SAVED_DISK} {SAVED}; }}
            rm -f {self.saved}; xl save {option} {self.name} {self.saved}
            """,
            timeout_s=_SAVE_S,
        )

    @property
    def saved(self) -> str:
        """The file that it is saved to."""
        return f"{SAVED}/{self.name}"

    def restore(self, command: str) -> None:
        """Let it go on as it was saved: another domain.

        :param command: that does it.
        """
        self._dom0.put("/usr/bin/xl-restore", (HOOKS / "xl-restore").read_bytes())
        self._dom0.run(f"chmod +x /usr/bin/xl-restore; {command}", timeout_s=_SAVE_S)
        self._call()

    def destroy(self) -> None:
        """End it as a power cut would; returns when the hypervisor has nothing of it."""
        self._dom0.run(f"xl destroy {self.name}")
        self._ended()

    def power_off(self) -> None:
        """Let it end itself; returns when the hypervisor has nothing of it."""
        self.run("(usleep 200000; poweroff -f) >/dev/null 2>&1 &")
        self._ended()

    def _ended(self) -> None:
        self._dom0.run("within 30 sh -c '[ $(xl list | wc -l) = 2 ]'")
        self._hang_up()

    def _end(self, *, check: bool) -> None:
        if self._dom0.run(f"xl domid {self.name}", check=False).status == 0:
            self._dom0.run(f"xl destroy {self.name}", check=check)
        self._hang_up()

    def _hang_up(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
