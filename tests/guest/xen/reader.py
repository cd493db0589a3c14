"""Reads that are under way whenever one looks."""

from typing import Self

from guest.lab.shell import Shell
from guest.xen.daemon import SLOW_BLOCK, XenDaemon

from tgtcore.testing.waiting import until

READERS = 3
_BEGIN = f"""
rm -f /tmp/reader.*
for reader in $(seq {READERS}); do
    (until [ -e /tmp/reader.stop ]; do
        dd if={{disk}} of=/dev/null bs=4k count=1 skip={SLOW_BLOCK} iflag=direct 2>/tmp/reader.said$reader ||
            {{{{ cp /tmp/reader.said$reader /tmp/reader.failed; break; }}}}
        echo >>/tmp/reader.rounds$reader
    done; echo >/tmp/reader.over$reader) >/dev/null 2>&1 &
done
"""
_END = f"""
touch /tmp/reader.stop
over() {{ set -- /tmp/reader.over*; [ $# = {READERS} ] && [ -e "$1" ]; }}
within 60 over && [ ! -e /tmp/reader.failed ] || {{ cat /tmp/reader.said* /tmp/reader.failed; exit 1; }}
wc -l </tmp/reader.rounds1
"""


class SlowReaders:
    """Readers of a block that the daemon takes a second for, until the end, which wants that no read has failed.

    A context manager.

    :param disk: the second one of ``daemon``.
    """

    def __init__(self, guest: Shell, daemon: XenDaemon, disk: str) -> None:
        self._guest = guest
        self._daemon = daemon
        self._disk = disk

    def __enter__(self) -> Self:
        self._guest.run(_BEGIN.format(disk=self._disk))
        self.wait_under_way()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            assert int(self._guest.text(_END, timeout_s=100)) >= 1
        else:
            self._guest.run("touch /tmp/reader.stop", check=False)

    def wait_under_way(self) -> None:
        """Wait until the daemon has read requests that it has not answered."""
        until(lambda: self._daemon.figures["in_flight"] >= READERS, what=lambda: self._daemon.figures)
