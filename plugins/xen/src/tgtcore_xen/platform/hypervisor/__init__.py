"""The real thing: the xenstore's server, and Linux's devices of grants and event channels.  The only room that touches Xen."""

from tgtcore_xen.platform.hypervisor.options import HypervisorOptions
from tgtcore_xen.platform.hypervisor.platform import Hypervisor

__all__ = ["Hypervisor", "HypervisorOptions"]
