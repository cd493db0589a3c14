"""What no single key of a configuration shows to be wrong: adapters that are not there, or lead to two targets."""

from collections.abc import Iterator, Mapping
from typing import Any

from tgtcore_ibmvio.options import AdapterOptions, IbmvioOptions, IbmvioTargetOptions

Problem = tuple[tuple[str | int, ...], str]
"""The place, as keys from the top of the configuration, and what is wrong there."""

_PORTALS = ("transports", "ibmvio", "portals")


def problems(config: Any) -> list[Problem]:
    """Adapters that are there twice, are named and not there, or are named by two targets."""
    transport = config.transports.get("ibmvio")
    options = transport.options if transport is not None else None
    if not isinstance(options, IbmvioOptions):
        return []
    targets = {
        name: one.options for name, one in config.targets.items() if isinstance(one.options, IbmvioTargetOptions)
    }
    return [*_twice(options), *_of_targets(options, targets)]


def _twice(options: IbmvioOptions) -> Iterator[Problem]:
    seen = set()
    for index, adapter in enumerate(options.portals):
        for name in filter(None, (adapter.address, adapter.location)):
            if name in seen:
                yield (*_PORTALS, index), f"adapter {name} is there already; name it once"
            seen.add(name)


def _of_targets(options: IbmvioOptions, targets: Mapping[str, IbmvioTargetOptions]) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for target, own in targets.items():
        for name in own.adapters:
            adapter = _find(options, name)
            place = ("targets", target, "adapters")
            if adapter is None:
                known = ", ".join(one.address for one in options.portals) or "none, there are no portals"
                yield place, f"there is no adapter {name} (expected one of: {known})"
            elif taken.setdefault(adapter.address, target) != target:
                yield place, f'adapter {name} leads to target "{taken[adapter.address]}" already'


def _find(options: IbmvioOptions, name: str) -> AdapterOptions | None:
    return next((adapter for adapter in options.portals if adapter.has(name)), None)
