"""A daemon that serves virtual HBAs to emulated guests, for a whole module, and the commands that they send."""

import os
from pathlib import Path
from typing import Any

from support.process import Tgtd

BLOCK = 512
READY, CAPACITY = bytes(6), b"\x25" + bytes(9)


def transfer(opcode: int, block: int, blocks: int) -> bytes:
    """READ (10) or WRITE (10)."""
    return bytes((opcode, 0)) + block.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"


class ServedHbas:
    """The daemon.

    :param transport: its plugin, which has a verb ``show`` of the same name.
    :param text: its configuration, with ``isolation = "none"`` for the transport, and what is in capitals in `places`.
    """

    def __init__(self, folder: Path, transport: str, text: str, isolation: str, **places: Path) -> None:
        self.folder = folder
        self._transport = transport
        how = f'"{isolation}"'
        if isolation == "process" and os.geteuid() == 0:
            how += '\nuser = "root"'
        text = text.replace('"none"', how, 1)
        for place, path in places.items():
            text = text.replace(place, str(path))
        (folder / "tgtd.toml").write_text(text)
        self.start()

    def start(self) -> None:
        """Start it."""
        self.tgtd = Tgtd("--config", self.folder / "tgtd.toml", "--json", cwd=self.folder, env=self.environment())

    def environment(self) -> dict[str, str]:
        """What is to be in its environment."""
        return {}

    def stop(self) -> None:
        """Stop it in an orderly way."""
        with self.tgtd:
            assert self.tgtd.stop() == 0, self.tgtd.log

    def show(self, hba: str) -> Any:
        """What ``tgtadm TRANSPORT show`` tells of a virtual HBA."""
        return self.tgtd.admin(self._transport, "show")[hba]
