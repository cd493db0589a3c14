"""Portals: how a transport's options name them, and which of them are drained."""

from typing import Any

from pydantic import BaseModel

from tgtcore.daemon.inventory import Inventory
from tgtcore.daemon.things import Kind, Thing
from tgtcore.transport import PortalInfo


async def open_portal(inventory: Inventory, transport: str, address: str) -> PortalInfo | None:
    """An open portal by its address, or by the one that the configuration has for it."""
    portals = await inventory.transports[transport].portals()
    return next((portal for portal in portals if address in (portal.address, portal.configured)), None)


def portal_thing(transport: str, portal: PortalInfo) -> Thing:
    """A portal, by the address that its configuration has."""
    return Thing(Kind.PORTAL, transport, portal.configured or portal.address)


def is_configured(inventory: Inventory, thing: Thing) -> bool:
    """Whether a portal is in the options of its transport, open or not."""
    portals = getattr(inventory.transports[thing.name].options, "portals", ())
    return any(address_of(one) == thing.part for one in portals)


def drained_portals(inventory: Inventory, transport: str) -> list[str]:
    """The addresses of those that are drained, as the configuration has them."""
    drained = [thing for thing in inventory.drained if thing.kind is Kind.PORTAL and thing.name == transport]
    return sorted(str(thing.part) for thing in drained)


def without_drained(inventory: Inventory, transport: str, options: BaseModel) -> BaseModel:
    """A transport's options, but for the portals that are drained."""
    drained = drained_portals(inventory, transport)
    if not drained:
        return options
    kept = tuple(portal for portal in _portals(options) if address_of(portal) not in drained)
    return options.model_copy(update={"portals": kept})


def addresses_of(options: BaseModel) -> set[str]:
    """The addresses of all portals in a transport's options."""
    return set(map(address_of, _portals(options)))


def _portals(options: BaseModel) -> tuple[Any, ...]:
    portals: tuple[Any, ...] = getattr(options, "portals", ())
    return portals


def address_of(portal: Any) -> str:
    """The address of one entry of ``portals`` in a transport's options."""
    return str(portal["address"] if isinstance(portal, dict) else portal.address)
