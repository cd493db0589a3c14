"""The platforms that a configuration may choose."""

import asyncio
from collections.abc import Callable
from typing import Any

from tgtcore_xen.options import XenOptions
from tgtcore_xen.platform.contract import Platform

Made = Callable[[Any, asyncio.AbstractEventLoop], Platform]


def _emulated() -> Made:
    from tgtcore_xen.platform.emulated import Emulated

    return Emulated


def _hypervisor() -> Made:
    from tgtcore_xen.platform.hypervisor import Hypervisor

    return Hypervisor


_PLATFORMS: dict[str, Callable[[], Made]] = {"emulated": _emulated, "hypervisor": _hypervisor}


def make_platform(options: XenOptions, loop: asyncio.AbstractEventLoop) -> Platform:
    """The platform of a configuration; the code of the others is not loaded."""
    return _PLATFORMS[options.platform]()(options.platform_options, loop)
