"""The format ``overlay``: a disk that begins as another store and forgets what was written."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tgtcore import Aftermath, CommandFilter, Format, NoOptions, Store, action
from tgtcore_cow.options import OverlayOptions
from tgtcore_cow.overlay.layer import Layer

if TYPE_CHECKING:
    from tgtcore import Nexus


class Overlay(Layer, Format, CommandFilter):
    """Reads from its base what was never written, and keeps the rest until it is reset or closed.

    It never writes to its base, which several overlays may share.  It is a filter on commands too, to hear of logouts.

    :param base: what the disk begins as.
    :raises StoreError: there is no place for what is written.
    """

    Options = OverlayOptions
    writes_base = False
    persistent = False

    def __init__(self, base: Store, options: BaseModel) -> None:
        assert isinstance(options, OverlayOptions)
        Format.__init__(self, base, options)
        folder = None if options.data == "memory" else options.folder or Path(tempfile.gettempdir())
        Layer.__init__(self, base, options.limit, folder)
        self._reset_at_logout = options.reset == "logout"
        self._resets = 0

    @action("Forget everything that was written.", pauses=True, after=Aftermath.MEDIUM_CHANGED)
    def reset(self, _: NoOptions) -> dict[str, Any]:
        """Be what the base is again, and give back what was taken.

        :raises StoreError: there is no place for what will be written; nothing has changed.
        """
        forgotten_bytes = self.used_bytes
        self.empty()
        self._resets += 1
        return {"forgotten_bytes": forgotten_bytes}

    def base_changed(self) -> None:
        """As in the contract: what was written belongs to what is gone, so it is forgotten."""
        self.empty()

    def nexus_lost(self, nexus: "Nexus") -> None:
        """Reset if that was the last initiator, it has logged out, and that is wanted.

        One whose connection was lost may come back and go on: what it has written stays.
        """
        if self._reset_at_logout and nexus.logged_out and not self.place.lu.itls:
            self.request("reset")

    def figures(self) -> dict[str, Any]:
        """What it takes and may take, and how often it was reset."""
        return {"used_bytes": self.used_bytes, "limit_bytes": self.limit_bytes, "resets": self._resets}
