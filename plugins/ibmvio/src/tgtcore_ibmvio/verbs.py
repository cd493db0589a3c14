"""The verbs of virtual SCSI in ``tgtadm``."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from tgtcore import Options, TgtError

if TYPE_CHECKING:
    from tgtcore.transport import Driver


class ShownAdapter(Options):
    """Arguments of ``ibmvio show``."""

    adapter: Annotated[str | None, BeforeValidator(lambda value: None if value is None else str(value))] = Field(
        default=None, description="only this adapter, by unit address or location code"
    )


async def show(wanted: ShownAdapter, driver: "Driver") -> dict[str, Any]:
    """The adapters with the state of their partners, by unit address.

    :raises TgtError: there is no such adapter.
    """
    adapters: dict[str, dict[str, Any]] = (await driver.statistics()).get("adapters", {})
    found = {
        address: figures
        for address, figures in adapters.items()
        if wanted.adapter in (None, address, figures["location"] or None)
    }
    if wanted.adapter is not None and not found:
        raise TgtError(
            f"there is no adapter {wanted.adapter} (expected one of: {', '.join(adapters) or 'none, there are none'})"
        )
    return found
