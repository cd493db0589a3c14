"""MODE SENSE and MODE SELECT (SPC-5 6.13 to 6.16)."""

from collections.abc import Mapping
from typing import Any

from tgtcore.device.command import command
from tgtcore.device.contract import DeviceType
from tgtcore.device.refusals import invalid_cdb_field, invalid_parameter, parameter_list_length_error
from tgtcore.errors import CheckCondition
from tgtcore.reservations import ReservationClass
from tgtcore.scsi import asc
from tgtcore.scsi.control import CONTROL_KEY, D_SENSE, TAS, control_extension_page, control_page, is_set
from tgtcore.scsi.mode import (
    ALL_PAGES,
    ALL_SUBPAGES,
    ModePage,
    ModeSelect,
    PageControl,
    check_changes,
    parameter_data,
    parse_parameter_list,
    selected,
)
from tgtcore.scsi.parameters import ParameterError
from tgtcore.scsi.sense import SenseKey
from tgtcore.task import Task

Key = tuple[int, int]

_LLBAA, _DBD = 0x10, 0x08
_PF, _SP = 0x10, 0x01
_MODE_SENSE_10, _MODE_SELECT_10 = 0x5A, 0x55


class ModeCommands(DeviceType):
    """MODE SENSE (6), (10) and MODE SELECT (6), (10).

    The mode parameters belong to the logical unit; all nexuses share them, and nothing is saved over a reset.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._pages: dict[Key, ModePage] = {page.key: page for page in self.mode_pages()}
        self._values: dict[Key, bytes] = {key: page.default for key, page in self._pages.items()}

    def mode_pages(self) -> list[ModePage]:
        """The mode pages of this device; device types extend what ``super()`` gives."""
        return [control_page(software_write_protect=False), control_extension_page()]

    def mode_values(self, key: Key) -> bytes:
        """The current values of a page, without its header."""
        return self._values[key]

    def apply_mode(self, key: Key, values: bytes) -> None:
        """A page has new values: do what they say; device types extend this."""
        if key == CONTROL_KEY:
            self.lu.descriptor_sense = is_set(values, D_SENSE)
            self.lu.task_aborted_status = is_set(values, TAS)

    def change_mode(self, task: Task, changes: dict[Key, bytes]) -> Any:
        """Give pages the new values that a MODE SELECT brings, and tell the other nexuses; returns what a handler returns."""
        self._apply(changes)
        self.lu.attention(asc.MODE_PARAMETERS_CHANGED, besides=task.itl)

    def mode_device_specific(self) -> int:
        """The DEVICE-SPECIFIC PARAMETER of the mode parameter header."""
        return 0

    def mode_block_descriptor(self, *, long: bool) -> bytes:
        """The block descriptor; empty for a device that has none."""
        return b""

    # ---- MODE SENSE -----------------------------------------------------------------------------------------------

    @command(0x1A, "1A 08 FF FF FF 00", reservation=ReservationClass.READ)
    @command(_MODE_SENSE_10, "5A 18 FF FF 00 00 00 FF FF 00", reservation=ReservationClass.READ)
    def mode_sense(self, task: Task) -> None:
        """MODE SENSE."""
        cdb = task.cdb
        ten = cdb[0] == _MODE_SENSE_10
        control = PageControl(cdb[2] >> 6)
        if control is PageControl.SAVED:
            raise CheckCondition(SenseKey.ILLEGAL_REQUEST, asc.SAVING_PARAMETERS_NOT_SUPPORTED)
        pages = self._mode_selected(cdb[2] & 0x3F, cdb[3])
        long = ten and bool(cdb[1] & _LLBAA)
        descriptor = b"" if cdb[1] & _DBD else self.mode_block_descriptor(long=long)
        body = b"".join(page.encode(self._face(page, control)) for page in pages)
        data = parameter_data(
            descriptor, body, ten=ten, device_specific=self.mode_device_specific(), long=long and bool(descriptor)
        )
        task.data_in = data[: int.from_bytes(cdb[7:9], "big") if ten else cdb[4]]

    def _mode_selected(self, code: int, subcode: int) -> list[ModePage]:
        if code == ALL_PAGES and subcode not in (0, ALL_SUBPAGES):
            raise invalid_cdb_field(3)
        pages = selected(self._pages.values(), code, subcode)
        if not pages:
            raise invalid_cdb_field(2, 5)
        return pages

    def _face(self, page: ModePage, control: PageControl) -> bytes:
        if control is PageControl.CHANGEABLE:
            return page.changeable
        return page.default if control is PageControl.DEFAULT else self._values[page.key]

    # ---- MODE SELECT ----------------------------------------------------------------------------------------------

    def wants_mode_select(self, task: Task) -> int:
        """The parameter list length, after a check of the CDB."""
        cdb = task.cdb
        length = int.from_bytes(cdb[7:9], "big") if cdb[0] == _MODE_SELECT_10 else cdb[4]
        if cdb[1] & _SP:
            raise invalid_cdb_field(1, 0)
        if length and not cdb[1] & _PF:
            raise invalid_cdb_field(1, 4)
        return length

    @command(0x15, "15 11 00 00 FF 00", reservation=ReservationClass.WRITE, wants=wants_mode_select)
    @command(
        _MODE_SELECT_10, "55 11 00 00 00 00 00 FF FF 00", reservation=ReservationClass.WRITE, wants=wants_mode_select
    )
    def mode_select(self, task: Task) -> Any:
        """MODE SELECT: everything is checked before anything changes; the other nexuses are told."""
        data = bytes(task.data_out or b"")[: task.wanted_out]
        if len(data) < task.wanted_out:
            raise parameter_list_length_error()
        if not data:
            return None
        try:
            changes = self._changes(parse_parameter_list(data, ten=task.cdb[0] == _MODE_SELECT_10))
        except ParameterError as error:
            raise error.check_condition() from None
        return self.change_mode(task, changes) if changes else None

    def _changes(self, select: ModeSelect) -> dict[Key, bytes]:
        if select.descriptor and not self._descriptor_fits(select):
            raise invalid_parameter(select.descriptor_at)
        changes: dict[Key, bytes] = {}
        for change in select.pages:
            key = (change.code, change.subcode)
            page = self._pages.get(key)
            if page is None:
                raise invalid_parameter(change.at - (4 if change.subcode else 2), 5)
            changes[key] = check_changes(page, changes.get(key, self._values[key]), change)
        return {key: values for key, values in changes.items() if values != self._values[key]}

    def _descriptor_fits(self, select: ModeSelect) -> bool:
        """Whether a block descriptor leaves the medium as it is; no blocks or all ones mean those there are (SBC-4 6.4.2)."""
        own = self.mode_block_descriptor(long=select.long)
        width = len(own) // 2
        blocks, rest = select.descriptor[:width], select.descriptor[width:]
        return bool(own) and rest == own[width:] and blocks in (own[:width], bytes(width), b"\xff" * width)

    def _apply(self, changes: dict[Key, bytes]) -> None:
        self._values.update(changes)
        for key, values in changes.items():
            self.apply_mode(key, values)

    def hand_over(self) -> dict[str, Any]:
        """The current values."""
        return {**super().hand_over(), "mode_pages": dict(self._values)}

    def take_over(self, state: Mapping[str, Any]) -> None:
        """Have the values that were current; what can't be changed here keeps its default, and initiators are told of that."""
        super().take_over(state)
        given: Mapping[Key, bytes] = state.get("mode_pages", {})
        found = {key: self._pages[key].adopted(values) for key, values in given.items() if key in self._pages}
        self._apply({key: values for key, values in found.items() if values != self._values[key]})
        if self._values != given:
            self.lu.attention(asc.MODE_PARAMETERS_CHANGED)

    def reset(self) -> None:
        """A logical unit reset brings the default values back."""
        super().reset()
        self._apply({key: page.default for key, page in self._pages.items() if self._values[key] != page.default})
