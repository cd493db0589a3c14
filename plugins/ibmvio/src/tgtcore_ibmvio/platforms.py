"""The platforms that a configuration may choose."""

import asyncio
from collections.abc import Callable
from typing import Any

from tgtcore_ibmvio.options import IbmvioOptions
from tgtcore_ibmvio.platform import Platform

Made = Callable[[Any, asyncio.AbstractEventLoop], Platform]


def _emulated() -> Made:
    from tgtcore_ibmvio.platform.emulated import Emulated

    return Emulated


def _qemu_pseries() -> Made:
    from tgtcore_ibmvio.platform.qemu_pseries import QemuPseries

    return QemuPseries


_PLATFORMS: dict[str, Callable[[], Made]] = {"emulated": _emulated, "qemu_pseries": _qemu_pseries}


def make_platform(options: IbmvioOptions, loop: asyncio.AbstractEventLoop) -> Platform:
    """The platform of a configuration; the code of the others is not loaded."""
    return _PLATFORMS[options.platform]()(options.platform_options, loop)
