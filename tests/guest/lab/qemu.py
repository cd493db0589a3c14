"""The QEMU process behind a guest: its command line, its sockets, its monitor (QMP)."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from guest.lab.kind import Images
from guest.lab.program import LabError

_KERNEL_ARGUMENTS = (
    "console=ttyS0 panic=-1 quiet mitigations=off nokaslr tsc=reliable random.trust_cpu=1"
    " sysctl.kernel.hung_task_timeout_secs=20"
)
_START_S = 20


def command(images: Images, work: Path) -> list[str]:
    """The arguments of a guest whose sockets and console log are in the work folder."""
    return [
        "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
        # Few processor features are quick to emulate; this model still has the CRC32C instruction.
        "-M", "q35", "-accel", "tcg", "-cpu", "Nehalem", "-m", "640", "-smp", "1",
        "-kernel", str(images.kernel), "-initrd", str(images.initramfs), "-append", _KERNEL_ARGUMENTS,
        "-serial", f"file:{work}/console.log",
        "-qmp", f"unix:{work}/qmp,server=on,wait=off",
        "-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
        "-device", "virtio-serial-pci,id=serial",
        "-chardev", f"socket,id=agent,path={work}/agent",
        "-device", "virtserialport,bus=serial.0,nr=1,chardev=agent,name=agent",
    ]  # fmt: skip


def version(program: str, package: str) -> str:
    """QEMU's own words about its version."""
    if not shutil.which(program):
        raise LabError(f"{program} is not installed (Debian package {package})")
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout


class Qemu:
    """One running QEMU; it ends with this process at the latest."""

    def __init__(self, arguments: list[str], work: Path) -> None:
        self._work = work
        self._errors = work / "qemu.err"
        path = work / "agent"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            listener.settimeout(_START_S)
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *arguments],
                    stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                )  # fmt: skip
            try:
                self.agent, _ = listener.accept()
            except TimeoutError:
                self.kill()
                raise LabError(f"qemu did not start: {self.errors}") from None
        path.unlink()

    @property
    def errors(self) -> str:
        """What QEMU printed."""
        return self._errors.read_text(errors="replace")[-2000:]

    def save(self, path: Path) -> None:
        """Write the machine's whole state to a file; the machine stands still afterwards."""
        part = path.with_suffix(".part")
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._work / "qmp"))
            monitor.settimeout(60)
            with monitor.makefile("rwb") as stream:
                stream.readline()
                _ask(stream, "qmp_capabilities")
                _ask(stream, "migrate-set-parameters", **{"max-bandwidth": 1 << 40})
                _ask(stream, "migrate", uri=f"exec:cat > '{part}'")
                deadline = time.monotonic() + 60
                while (status := _ask(stream, "query-migrate").get("status")) != "completed":
                    if status in ("failed", "cancelled") or time.monotonic() > deadline:
                        raise LabError(f"the guest's state could not be saved: {status}")
                    time.sleep(0.05)
        part.rename(path)

    def kill(self) -> None:
        """End the machine at once."""
        self._process.kill()
        self._process.wait(10)
        if hasattr(self, "agent"):
            self.agent.close()


def _ask(stream: Any, execute: str, **arguments: Any) -> dict[str, Any]:
    stream.write(json.dumps({"execute": execute, "arguments": arguments}).encode() + b"\n")
    stream.flush()
    while line := stream.readline():
        answer = json.loads(line)
        if "error" in answer:
            raise LabError(f"qemu refused {execute}: {answer['error']['desc']}")
        if "return" in answer:
            return dict(answer["return"])
    raise LabError(f"qemu closed its monitor at {execute}")
