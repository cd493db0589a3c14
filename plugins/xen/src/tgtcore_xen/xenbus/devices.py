"""The logical units of a virtual HBA in the handshake: offered all at once, added, removed."""

from collections.abc import Iterator
from itertools import count

from tgtcore_xen.xenbus import paths
from tgtcore_xen.xenbus.observed import Device
from tgtcore_xen.xenbus.states import State
from tgtcore_xen.xenbus.step import Case, Erase, Step, Write, state

_GOING = (State.CLOSING, State.CLOSED)
_UNASKED = (State.UNKNOWN, State.INITIALISING, State.INIT_WAIT)
"""States of a logical unit: it goes, or the front end was not asked to add it."""

_NEXT_WHILE_RECONFIGURING = {State.INITIALISING: State.INITIALISED, State.CLOSING: State.CLOSED}


def reconfigure(case: Case) -> Iterator[Step]:
    """Ask the front end to look at its logical units again when they are to be others, or it was not asked yet."""
    if case.wanted.devices is None:
        return
    new, old = _new_devices(case), _old_devices(case)
    unasked = [n for n, device in case.observed.devices.items() if n not in old and _is_unasked(device)]
    for number in unasked:
        yield _device_state(number, State.INITIALISING)
    for number, (address, name) in new.items():
        yield from _describe(number, address, name, State.INITIALISING)
    for number in old:
        yield _device_state(number, State.CLOSING)
    if new or old or unasked:
        yield state(State.RECONFIGURING)


def _is_unasked(device: Device) -> bool:
    """A guest that resumes does not look at what is new; one that could not add a device has said so."""
    unanswered = device.back is State.INITIALISED and device.front not in (State.CONNECTED, State.CLOSED)
    return unanswered or device.back in _UNASKED


def change(case: Case) -> Iterator[Step]:
    """The front end has let go of old logical units, and waits for the new ones."""
    for number, device in case.observed.devices.items():
        if device.back in _NEXT_WHILE_RECONFIGURING:
            yield _device_state(number, _NEXT_WHILE_RECONFIGURING[device.back])
    yield state(State.RECONFIGURED)


def sweep(case: Case) -> Iterator[Step]:
    """Remove the nodes of those that are gone."""
    for number, device in case.observed.devices.items():
        if device.back is State.CLOSED:
            yield Erase(paths.device(number))


def announce(case: Case) -> Iterator[Step]:
    """Offer every logical unit, then say that we are connected: the front end looks for them once."""
    wanted, observed = case.wanted.devices, case.observed.devices
    if wanted is None:
        return
    old = _old_devices(case)
    for number, device in observed.items():
        if number in old or device.back is State.CLOSED:
            yield Erase(paths.device(number))
        else:
            yield _device_state(number, State.INITIALISED)
    for number, (address, name) in _new_devices(case).items():
        yield from _describe(number, address, name, State.INITIALISED)
    yield state(State.CONNECTED)


def promote(case: Case, *, silent: bool) -> Iterator[Step]:
    """Say of each logical unit that was offered that the front end has it; one that it could not add stays as it is.

    :param silent: whether that goes for those too of which it says nothing: one that it has already.
    """
    for number, device in case.observed.devices.items():
        has_it = device.front is State.CONNECTED or (silent and device.front is not State.CLOSED)
        if device.back is State.INITIALISED and has_it:
            yield _device_state(number, State.CONNECTED)


def _new_devices(case: Case) -> dict[int, tuple[str, str]]:
    """Address and name of those that are wanted and not there, each with the lowest number that is free."""
    there = [device for device in case.observed.devices.values() if device.back not in _GOING]
    free = (number for number in count() if number not in case.observed.devices)
    wanted = (case.wanted.devices or {}).items()
    return {next(free): one for one in wanted if not any(_is(device, *one) for device in there)}


def _is(device: Device, address: str, name: str) -> bool:
    """Whether a logical unit is that one: another one may have its address by now."""
    return device.address == address and device.name in ("", name)


def _old_devices(case: Case) -> list[int]:
    """Those that are not wanted, are there twice, or are on their way out already; but for those that are out."""
    seen: set[str] = set()
    old = []
    for number, device in case.observed.devices.items():
        if device.back is State.CLOSED:
            continue
        wanted = (case.wanted.devices or {}).get(device.address)
        if device.back in _GOING or device.address in seen or wanted is None or not _is(device, device.address, wanted):
            old.append(number)
        else:
            seen.add(device.address)
    return old


def _describe(number: int, address: str, name: str, to: State) -> Iterator[Step]:
    directory = paths.device(number)
    yield Write(f"{directory}/{paths.P_DEV}", address)
    yield Write(f"{directory}/{paths.P_DEVNAME}", name)
    yield Write(f"{directory}/{paths.V_DEV}", address)
    yield _device_state(number, to)


def _device_state(number: int, to: State) -> Write:
    return Write(f"{paths.device(number)}/{paths.STATE}", str(int(to)))
