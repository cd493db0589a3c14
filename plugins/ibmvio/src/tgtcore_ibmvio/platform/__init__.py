"""Platforms: what stands below a virtual I/O server in the place of PowerVM's hypervisor."""

from tgtcore_ibmvio.platform.contract import Adapter, Listener, Partner, Platform
from tgtcore_ibmvio.platform.hcall import Hcall

__all__ = ["Adapter", "Hcall", "Listener", "Partner", "Platform"]
