"""What a logical unit must remember over a restart (persistent reservations with APTPL), one file for each."""

import json
import logging
from pathlib import Path
from typing import Any

from tgtcore.config import make_folder, sync_folder, write_atomically

_log = logging.getLogger(__name__)
_VERSION = 1
_BYTES_MAX = 4 * 1024 * 1024


class SavedState:
    """The file of one logical unit.

    :param directory: the daemon's state directory.
    :param unique_id: names the file, so that a logical unit keeps its state when it is renamed.
    :param handed_over: what the former daemon knew at its end; that is what it had saved, and more.
    """

    def __init__(self, directory: Path, unique_id: bytes, handed_over: dict[str, Any] | None = None) -> None:
        self._handed_over = handed_over
        self._path = directory / "reservations" / f"{unique_id.hex()}.json"

    def __str__(self) -> str:
        return str(self._path)

    def load(self) -> dict[str, Any]:
        """What was handed over, else what was saved last; empty when nothing was.

        :raises OSError: the file is there and can't be read: to go on would forget reservations.
        """
        if self._handed_over is not None:
            return self._handed_over
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            content = json.loads(data[: _BYTES_MAX + 1])
            if content["version"] != _VERSION or not isinstance(content["state"], dict):
                raise ValueError("not of this version")
        except (ValueError, KeyError, TypeError) as error:
            raise OSError(None, f"{self._path}: saved reservations can't be read: {error}") from None
        state: dict[str, Any] = content["state"]
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replace what was saved; durable on return.

        :raises OSError: it can't be written; the command that asked for it must fail.
        """
        if not state:
            self._remove()
            return
        make_folder(self._path.parent)
        write_atomically(self._path, json.dumps({"version": _VERSION, "state": state}).encode(), 0o600)

    def _remove(self) -> None:
        try:
            self._path.unlink()
        except FileNotFoundError:
            return
        sync_folder(self._path.parent)  # or it could be back after a power failure
