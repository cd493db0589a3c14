"""An initiator that writes, reads back, and takes the time, until its standard input ends: ``python -m oracle.neighbour URL``."""

import json
import select
import sys
import time

from oracle.commands import read16, write16
from oracle.contents import block
from oracle.libiscsi import Session

_BLOCKS = 8
_PLACES = 64


def main(url: str) -> None:
    """Say ``ready``, work, and say what was found."""
    commands, longest_s, wrong = 0, 0.0, ""
    with Session(url, name="iqn.2025-01.example.libiscsi:neighbour") as session:
        session.ready()
        print("ready", flush=True)
        last = time.monotonic()
        while not wrong and not select.select([sys.stdin], [], [], 0)[0]:
            lba = commands // 2 % _PLACES * _BLOCKS
            data = b"".join(block(lba + number, commands + 1) for number in range(_BLOCKS))
            written = session.command(write16(lba, _BLOCKS), data_out=data)
            read = session.command(read16(lba, _BLOCKS), read=len(data))
            if not written.good or read.data_in != data:
                wrong = f"LBA {lba}: {written}, {read.status}"
            commands += 2
            now = time.monotonic()
            longest_s, last = max(longest_s, now - last), now
    print(json.dumps({"commands": commands, "longest_s": longest_s, "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
