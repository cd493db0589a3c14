"""Front ends, for tests, simulation and development: the other end of a virtual HBA, in a guest of the emulated machine.

:class:`FrontEnd` behaves as Linux's xen-scsifront does; :class:`BlockingFrontEnd` is the same for programs without an event loop.
"""

from tgtcore_xen.frontend.blocking import BlockingFrontEnd
from tgtcore_xen.frontend.front import FrontEnd
from tgtcore_xen.frontend.queue import Outcome, Pending
from tgtcore_xen.frontend.ring import Broken

__all__ = ["BlockingFrontEnd", "Broken", "FrontEnd", "Outcome", "Pending"]
