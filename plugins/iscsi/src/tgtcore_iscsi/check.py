"""What is wrong with a configuration that no key by itself shows: names of things that are not there."""

from collections.abc import Iterable, Iterator
from typing import Any

from tgtcore_iscsi.options import IscsiOptions, IscsiTargetOptions


def problems(config: Any) -> list[str]:
    """One sentence for each account and portal group that is named and does not exist."""
    found: list[str] = []
    options = config.transports.get("iscsi")
    if not isinstance(options, IscsiOptions):
        return found
    found += _missing("transports.iscsi: discovery_auth", options.discovery_auth, config.accounts)
    found += _missing("transports.iscsi: discovery_mutual", _named(options.discovery_mutual), config.accounts)
    groups = {portal.group for portal in options.portals}
    for name, target in config.targets.items():
        own = target.options
        if not isinstance(own, IscsiTargetOptions):
            continue
        found += _missing(f'targets."{name}": auth', own.auth, config.accounts)
        found += _missing(f'targets."{name}": mutual', _named(own.mutual), config.accounts)
        found += [
            f'targets."{name}": portal_groups: no portal is in group {group}'
            for group in own.portal_groups
            if group not in groups
        ]
    return found


def _named(account: str | None) -> tuple[str, ...]:
    return () if account is None else (account,)


def _missing(where: str, names: Iterable[str], accounts: Iterable[str]) -> Iterator[str]:
    known = sorted(accounts)
    for name in names:
        if name not in known:
            yield f'{where}: there is no account called "{name}" (expected one of: {", ".join(known) or "none are configured"})'
