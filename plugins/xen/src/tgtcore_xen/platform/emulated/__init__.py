"""An emulated machine in one process: a xenstore, grants, event channels, and guests with front ends.

:meth:`EmulatedXen.named` finds the machine; :class:`Emulated` is the platform of its back end.
"""

from tgtcore_xen.platform.emulated.faults import Faults
from tgtcore_xen.platform.emulated.guest import EmulatedGuest, GuestState, Page
from tgtcore_xen.platform.emulated.machine import EmulatedXen, InUse
from tgtcore_xen.platform.emulated.options import EmulatedOptions
from tgtcore_xen.platform.emulated.platform import Emulated

__all__ = ["Emulated", "EmulatedGuest", "EmulatedOptions", "EmulatedXen", "Faults", "GuestState", "InUse", "Page"]
