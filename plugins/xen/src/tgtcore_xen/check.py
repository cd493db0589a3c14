"""What no single key shows to be wrong: HBAs that are there twice, or lead where this transport serves nothing."""

from collections.abc import Iterator
from typing import Any

from tgtcore_xen.options import XenOptions

Problem = tuple[tuple[str | int, ...], str]
"""The place, as keys from the top of the configuration, and what is wrong there."""

_PORTALS = ("transports", "xen", "portals")


def problems(config: Any) -> list[Problem]:
    """HBAs that are there twice, or lead to a target of another transport.

    One whose target is not there waits for it, as it does for its guest.
    """
    transport = config.transports.get("xen")
    options = transport.options if transport is not None else None
    return list(_problems(options, config)) if isinstance(options, XenOptions) else []


def _problems(options: XenOptions, config: Any) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, hba in enumerate(options.portals):
        if hba.address in seen:
            yield (*_PORTALS, index), f"virtual HBA {hba.address} is there already; name it once"
        seen.add(hba.address)
        target = config.targets.get(hba.target_name)
        if target is not None and target.transport != "xen":
            yield (
                (*_PORTALS, index),
                f'virtual HBA {hba.address} leads to target "{hba.target_name}", whose transport is {target.transport}, '
                "expected one with transport xen",
            )
