"""Domain 0 with the program under test in it."""

import io
import json
import shlex
import tarfile
from itertools import count
from pathlib import Path
from typing import Any

from guest.lab.guest import Guest
from guest.lab.shell import Result
from guest.xen.inside import administrator
from guest.xen.inside.administrator import ANSWERED, ASKED
from guest.xen.program import OURS, files_below, files_of_ours

_TESTS = Path(__file__).parents[2]
LOADED = (
    *(name.replace("-", "_") for name in OURS),
    *(f"tgtcore.cli.{name}" for name in ("tgtd", "tgtadm")),
    "tgtcore_xen.platform.hypervisor",
)


class Dom0:
    """Processes of Python in a guest that has just begun."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self._names = (f"/run/lab/python{number}" for number in count())
        with (guest.work / "program").open("r+b") as disk, tarfile.open(fileobj=disk, mode="w") as archive:
            for name, content in (*files_of_ours(), *files_below(_TESTS / "guest/xen/inside", _TESTS)):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            mebibytes = -(-disk.tell() // (1 << 20))
        guest.run(
            f"""
            modprobe virtio_blk && dd if=/dev/vda of=/run/program bs=1M count={mebibytes} &&
            tar xf /run/program -C /opt && rm /run/program
            """,
            timeout_s=120,
        )
        self.python("nursery", "load", *LOADED, timeout_s=120)
        problems = guest.text("cat /var/log/nursery")
        assert not problems, problems
        guest.run(f"mkfifo {ASKED} {ANSWERED}")
        self.start(administrator.__name__, "main")

    def python(self, module: str, function: str, *arguments: str, timeout_s: float = 60) -> Result:
        """Call a function as a console script does; the status, and standard output and error."""
        words = shlex.join(["awake", module, function, *arguments])
        return self.guest.run(words, check=False, timeout_s=timeout_s)

    def start(self, module: str, function: str, *arguments: str) -> str:
        """The same in the background; the beginning of the names of the files with its output, ``.out`` and ``.err``."""
        name = next(self._names)
        request = shlex.quote(json.dumps([name, "/run/lab", module, function, arguments]))
        self.guest.run(f"touch {name}.out {name}.err; echo {request} >/run/nursery")
        return name

    def admin(self, *words: str) -> Any:
        """The answer of a management verb; AssertionError with its message where it fails."""
        asked = shlex.quote(json.dumps([*words, "--json"]))
        answer = f'read -r answer <{ANSWERED}; printf "%s\n" "$answer"'
        status, output = json.loads(self.guest.run(f"printf '%s\n' {asked} >{ASKED}; {answer}").text)
        assert status == 0, f"tgtadm {' '.join(words)}: exit status {status}: {output}"
        return json.loads(output)
