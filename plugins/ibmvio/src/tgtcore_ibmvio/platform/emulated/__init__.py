"""Emulated partitions: a client partition is any program on this machine, and shared memory the hypervisor.

``docs/reference/ibmvio-emulated.md`` tells how to write one in any language; :mod:`tgtcore_ibmvio.platform.emulated.client` is one.
"""

from tgtcore_ibmvio.platform.emulated.options import EmulatedOptions
from tgtcore_ibmvio.platform.emulated.platform import Emulated

__all__ = ["Emulated", "EmulatedOptions"]
