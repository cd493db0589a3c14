"""How a daemon gives its place to another one, without a refused connection.

The successor asks at the management socket, after it has checked its configuration, and gets every listening socket.  Nothing has
changed until it says *go*.  Then the predecessor drains and closes everything; its sockets go on listening, because both hold them,
and whoever connects waits.  It says *yours* and what must not be forgotten, the successor opens its stores and says *serving*, and
the predecessor ends.  Whichever of the two dies or fails on the way, the other one serves.
"""

from tgtcore.handover.giving import Successor, listening
from tgtcore.handover.messages import VERB, Gone, wait_exit
from tgtcore.handover.taking import Predecessor

__all__ = ["VERB", "Gone", "Predecessor", "Successor", "listening", "wait_exit"]
