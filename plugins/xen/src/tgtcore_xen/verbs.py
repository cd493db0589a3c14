"""The verbs of Xen's virtual SCSI in ``tgtadm``."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from tgtcore import ConfigError, DrainTimeout, NotThere, Options, TgtError
from tgtcore_xen.options import HbaOptions, hba_address
from tgtcore_xen.show import WAITS_FOR_NODES

if TYPE_CHECKING:
    from tgtcore.transport import Driver

Edit = Callable[[Callable[[dict[str, Any]], None]], Awaitable[list[dict[str, str]]]]
"""What the daemon gives to verbs that change the configuration in force."""

Figures = dict[str, dict[str, Any]]
_Address = Annotated[str, BeforeValidator(hba_address)]

_LOOK_S = 0.05
_SPARE_S = 10.0
"""What the end may take beside the time that the guest has: that of a command which is under way."""

_WAITING = {
    "leads nowhere": "waits for target {target}, which is not there",
    "held": "waits for target {target}, which takes nobody",
    "refused": "is refused: {refused}",
    "waiting for old commands": "waits until commands that its guest has sent before have ended",
}
_SLOW = "has no nodes yet: the xenstore is slow; they come when it has answered"
"""Why an HBA has no nodes, by its state; in any other one it is about to have them."""


class ShownHba(Options):
    """Arguments of ``xen show``."""

    hba: Annotated[str | None, BeforeValidator(lambda value: None if value is None else hba_address(value))] = Field(
        default=None, description="only this virtual HBA, such as web1/0"
    )


class NewHba(Options):
    """Arguments of ``xen attach``."""

    hba: _Address = Field(description="guest and number of the virtual HBA, such as web1/0")
    target: str | None = Field(
        default=None,
        min_length=1,
        description="the target that it leads to; by default that which is called like the guest",
    )
    group: int | None = Field(default=None, ge=1, le=65535, description="target port group of its port")


class OldHba(Options):
    """Arguments of ``xen detach``."""

    hba: _Address = Field(description="guest and number of the virtual HBA, such as web1/0")
    deadline: float | None = Field(
        default=None, ge=0, le=3600, description="how many seconds the guest has to let go of it; by default close_s"
    )


async def show(wanted: ShownHba, driver: "Driver") -> Figures:
    """The virtual HBAs with the states of both ends, by guest and number.

    :raises NotThere: there is no such HBA.
    """
    hbas = await _hbas(driver)
    if wanted.hba is None:
        return hbas
    _check_there(wanted.hba, hbas)
    return {wanted.hba: hbas[wanted.hba]}


async def attach(new: NewHba, driver: "Driver", edit: Edit) -> dict[str, Any]:
    """Offer a virtual HBA to a guest; returns when its nodes are written.

    One that was closed, or was refused, is offered anew; one that is connected stays.

    :raises ConfigError: the guest has one of this number, which leads elsewhere, or was attached by another name of the guest.
    :raises NotThere: the guest is not there, or the nodes that somebody else is to make; the HBA waits for it.
    :raises TgtError: its target takes nobody, and it waits for that; or the xenstore is slow, and its nodes will come.
    :raises DrainTimeout: its guest has not let go of the one that was refused; when it has, or has had its time, it begins anew.
    """
    hbas = await _hbas(driver)
    _check_not_there(new.hba, hbas)
    shown = hbas.get(new.hba)
    if shown is not None and shown["state"] in ("refused", "closed"):
        portals: list[dict[str, Any]] = []
        await edit(lambda document: portals.append(_taken_out(document, new)))
        gone = await _gone(driver, new.hba, driver.options.close_s + _SPARE_S)  # type: ignore[attr-defined]
        await edit(lambda document: _portals(document).append(portals[-1]))
        if not gone:
            raise DrainTimeout(
                f"virtual HBA {new.hba} is attached, but its guest has not let go of it so far, or its last command has not "
                "ended; it begins anew after that"
            )
    else:
        await edit(lambda document: _add(document, new))
    shown = (await _hbas(driver)).get(new.hba)
    if shown is None:
        raise TgtError(f"virtual HBA {new.hba} is attached, but the process of its transport is not at work")
    if shown["state"] == WAITS_FOR_NODES:
        raise NotThere(f"virtual HBA {new.hba} waits for its nodes, which somebody in domain 0 has to make")
    if shown["domid"] is None:
        raise NotThere(f"there is no guest {new.hba.rpartition('/')[0]}; virtual HBA {new.hba} waits for it")
    if not shown["back_end"]:
        raise TgtError(f"virtual HBA {new.hba} " + _WAITING.get(shown["state"], _SLOW).format_map(shown))
    return {"hba": new.hba, "domid": shown["domid"], "state": shown["state"]}


async def detach(old: OldHba, driver: "Driver", edit: Edit) -> dict[str, Any]:
    """Take a virtual HBA from its guest; returns when nothing is left of it.

    :raises NotThere: there is no such HBA.
    :raises DrainTimeout: its last command does not end.
    :raises TgtError: the xenstore is slow, and its nodes will go.
    """
    hbas = await _hbas(driver)
    _check_there(old.hba, hbas)
    close_s: float = driver.options.close_s if old.deadline is None else old.deadline  # type: ignore[attr-defined]
    await edit(lambda document: _remove(document, old.hba))
    await driver.ask_to_log_out([old.hba], max(1, int(close_s)))
    if not await _gone(driver, old.hba, close_s):
        with suppress(TimeoutError):
            await asyncio.wait_for(driver.drop_session(old.hba), _SPARE_S)
        if not await _gone(driver, old.hba, _SPARE_S):
            raise await _stays(driver, old.hba)
    return {"hba": old.hba, "state": "detached"}


async def _stays(driver: "Driver", address: str) -> TgtError:
    """Why an HBA does not go."""
    shown = (await _hbas(driver)).get(address, {})
    if shown.get("state") == "waiting for old commands":
        return DrainTimeout(
            f"virtual HBA {address} is detached, but its last command has not ended; it goes after that"
        )
    return TgtError(
        f"virtual HBA {address} is detached, but its nodes are still there: the xenstore is slow; they go when it has answered"
    )


async def _gone(driver: "Driver", address: str, within_s: float) -> bool:
    """Wait until there is no such HBA any more; False: it took too long."""
    loop = asyncio.get_running_loop()
    until = loop.time() + within_s
    while address in await _hbas(driver):
        if loop.time() >= until:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


async def _hbas(driver: "Driver") -> Figures:
    hbas: Figures = (await driver.statistics()).get("hbas", {})
    return hbas


def _check_there(address: str, hbas: Figures) -> None:
    if address not in hbas:
        raise NotThere(
            f"there is no virtual HBA {address} (expected one of: {', '.join(hbas) or 'none, there are none'})"
        )


def _check_not_there(address: str, hbas: Figures) -> None:
    """A guest has several names, and each of its HBAs one."""
    guest, _, dev = address.rpartition("/")
    for other, shown in hbas.items():
        names = () if shown["domid"] is None else (shown["guest"], shown["uuid"], str(shown["domid"]))
        if other != address and other.rpartition("/")[2] == dev and guest in names:
            raise ConfigError(
                f"virtual HBA {address} is attached already, as {other}; use that name, or detach it first"
            )


def _add(document: dict[str, Any], new: NewHba) -> None:
    portals = _portals(document)
    wanted = {key: value for key, value in (("target", new.target), ("group", new.group)) if value is not None}
    there = next((portal for portal in portals if _address(portal) == new.hba), None)
    if there is None:
        portals.append({"address": new.hba, **wanted})
    else:
        found = HbaOptions.model_validate(there)
        for key, value, has in (("target", new.target, found.target_name), ("group", new.group, found.group)):
            if value not in (None, has):
                raise ConfigError(
                    f"virtual HBA {new.hba} is attached already, with {key} {has} in the place of {value}; detach it first"
                )


def _taken_out(document: dict[str, Any], new: NewHba) -> dict[str, Any]:
    """Remove an HBA that is to be attached anew; with what it is to be that then."""
    _add(document, new)
    portal = next(portal for portal in _portals(document) if _address(portal) == new.hba)
    _remove(document, new.hba)
    return portal


def _remove(document: dict[str, Any], address: str) -> None:
    portals = _portals(document)
    portals[:] = [portal for portal in portals if _address(portal) != address]


def _portals(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Those in the document, as a list of its own that may be changed."""
    table = document.setdefault("transports", {}).setdefault("xen", {})
    table["portals"] = portals = list(table.get("portals", ()))
    return portals


def _address(portal: dict[str, Any]) -> str:
    return hba_address(portal["address"])
