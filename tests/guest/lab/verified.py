"""Writes in the guest that go on in the background and are read back: what multipath and removal tests stand on."""

import time
from typing import Self

from guest.lab.shell import Shell

_WRITER = """
round=0
while [ ! -e /tmp/stop ]; do
    round=$((round + 1))
    file={folder}/file$((round % 8))
    dd if=/dev/urandom of=/tmp/block bs=64k count=4 2>/dev/null
    {{ dd if=/tmp/block of=$file bs=64k conv=fsync && echo 1 >/proc/sys/vm/drop_caches && cmp /tmp/block $file; }} \\
        >/tmp/last 2>&1 || {{ cp /tmp/last /tmp/failed; break; }}
    echo $round >/tmp/rounds.new && mv /tmp/rounds.new /tmp/rounds
done
"""
_START = """
rm -f /tmp/stop /tmp/failed
echo 0 >/tmp/rounds
sh /tmp/writer.sh >/dev/null 2>&1 &
echo $! >/tmp/writer.pid
"""
_ROUNDS = """
read -r rounds </tmp/rounds
[ ! -e /tmp/failed ] || rounds=failed
echo $rounds
"""


class VerifiedWriter:
    """A background loop: write, make durable, read back, compare; a context manager whose end wants that all went well."""

    def __init__(self, guest: Shell, folder: str) -> None:
        self._guest = guest
        guest.put("/tmp/writer.sh", _WRITER.format(folder=folder).encode())

    def __enter__(self) -> Self:
        self._guest.run(_START)
        self.wait_progress()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._stop()
            assert self.rounds
        else:
            self._guest.run("kill $(cat /tmp/writer.pid)", check=False)

    @property
    def rounds(self) -> int:
        """How many rounds have been verified; AssertionError: a write or a comparison went wrong."""
        found = self._guest.text(_ROUNDS)
        assert found != "failed", self._guest.text("cat /tmp/failed")
        return int(found)

    def wait_progress(self, rounds: int = 3, timeout_s: float = 60) -> float:
        """Wait until this many more rounds are verified; returns the seconds that it took."""
        start, goal = time.monotonic(), self.rounds + rounds
        while self.rounds < goal:
            assert time.monotonic() - start < timeout_s, f"no {rounds} rounds in {timeout_s} s"
            time.sleep(0.2)
        return time.monotonic() - start

    def _stop(self) -> None:
        """End the loop after the round that it is in."""
        self._guest.run("touch /tmp/stop; within 90 gone $(cat /tmp/writer.pid)", timeout_s=100)
