"""What no single key of a configuration shows to be wrong: names of what is not there, things that are there twice."""

from collections.abc import Iterable, Iterator
from typing import Any

from tgtcore_iscsi.addresses import parse_address
from tgtcore_iscsi.names import canonical_name
from tgtcore_iscsi.options import IscsiOptions, IscsiTargetOptions

Problem = tuple[tuple[str | int, ...], str]
"""The place, as keys from the top of the configuration, and what is wrong there."""

_TRANSPORT = ("transports", "iscsi")


def problems(config: Any) -> list[Problem]:
    """Accounts and portal groups that are named and not there, portals and targets that are there twice."""
    transport = config.transports.get("iscsi")
    options = transport.options if transport is not None else None
    if not isinstance(options, IscsiOptions):
        return []
    targets = {name: one.options for name, one in config.targets.items() if isinstance(one.options, IscsiTargetOptions)}
    return [
        *_missing_accounts((*_TRANSPORT, "discovery_auth"), options.discovery_auth, config.accounts),
        *_missing_accounts((*_TRANSPORT, "discovery_mutual"), _named(options.discovery_mutual), config.accounts),
        *_portals_twice(options),
        *_targets_twice(targets),
        *(problem for name, own in targets.items() for problem in _of_target(name, own, options, config.accounts)),
    ]


def _of_target(name: str, own: IscsiTargetOptions, options: IscsiOptions, accounts: Iterable[str]) -> Iterator[Problem]:
    place = ("targets", name)
    yield from _missing_accounts((*place, "auth"), own.auth, accounts)
    yield from _missing_accounts((*place, "mutual"), _named(own.mutual), accounts)
    groups = sorted({portal.group for portal in options.portals})
    for group in own.portal_groups:
        if group not in groups:
            known = ", ".join(map(str, groups)) or "none, there are no portals"
            yield (*place, "portal_groups"), f"no portal is in group {group} (expected one of: {known})"


def _named(account: str | None) -> tuple[str, ...]:
    return () if account is None else (account,)


def _missing_accounts(place: tuple[str, ...], names: Iterable[str], accounts: Iterable[str]) -> Iterator[Problem]:
    known = sorted(accounts)
    for name in names:
        if name not in known:
            choice = f"expected one of: {', '.join(known)}" if known else f"expected a table [accounts.{name}]"
            yield place, f'there is no account called "{name}" ({choice})'


def _portals_twice(options: IscsiOptions) -> Iterator[Problem]:
    seen = set()
    for index, portal in enumerate(options.portals):
        address = parse_address(portal.address)
        if address in seen:
            yield (*_TRANSPORT, "portals", index), f"portal {address} is there already; name it once"
        if address.port:
            seen.add(address)


def _targets_twice(targets: Iterable[str]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name in targets:
        first = seen.setdefault(canonical_name(name), name)
        if first != name:
            yield ("targets", name), f'is the same name as "{first}": iSCSI names know no upper case (RFC 7143 4.2.7.1)'
