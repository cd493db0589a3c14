"""A front end that does anything at all to its back end, as a seed wants."""

from tgtcore_xen.frontend.hostile.front import HostileFrontEnd

__all__ = ["HostileFrontEnd"]
