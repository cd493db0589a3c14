"""The platforms that a configuration may choose."""

import asyncio
from collections.abc import Callable

from pydantic import BaseModel

from tgtcore_ibmvio.options import IbmvioOptions
from tgtcore_ibmvio.platform import Platform

Made = Callable[[BaseModel, asyncio.AbstractEventLoop], Platform]


def _emulated() -> Made:
    from tgtcore_ibmvio.platform.emulated import Emulated

    return Emulated


_PLATFORMS: dict[str, Callable[[], Made]] = {"emulated": _emulated}


def make_platform(options: IbmvioOptions, loop: asyncio.AbstractEventLoop) -> Platform:
    """The platform of a configuration; the code of the others is not loaded."""
    return _PLATFORMS[options.platform]()(options.platform_options, loop)
