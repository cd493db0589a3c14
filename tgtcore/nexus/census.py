"""How many I_T_L nexuses there are, of all sessions with all logical units."""

import logging

from tgtcore.errors import Crowded
from tgtcore.limits import ITL_NEXUSES_MAX

_log = logging.getLogger(__name__)


class Census:
    """Counts the I_T_L nexuses of a daemon, since memory is what a crowd of sessions with thousands of LUNs takes.

    :param most: more are not made because an initiator addresses a LUN.
    """

    __slots__ = ("_most", "_warned", "count")

    def __init__(self, most: int = ITL_NEXUSES_MAX) -> None:
        self._most = most
        self._warned = False
        self.count = 0

    def check_room(self) -> None:
        """Refuse one more.

        :raises Crowded: there are as many as there may be.
        """
        if self.count < self._most:
            self._warned = False
            return
        if not self._warned:
            self._warned = True
            _log.warning("initiators use %d LUNs together; commands for further ones are answered BUSY", self.count)
        raise Crowded(f"initiators use {self.count} LUNs together, and no more than {self._most} may be in use")
