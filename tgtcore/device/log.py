"""LOG SENSE (SPC-5 6.10)."""

from collections.abc import Callable, Iterable

from tgtcore.device.command import command
from tgtcore.device.contract import DeviceType
from tgtcore.device.refusals import invalid_cdb_field
from tgtcore.scsi.log import ALL_SUBPAGES, LogParameter, log_page, parameters, supported_pages, supported_subpages
from tgtcore.task import Task

LogPage = Callable[[], Iterable[LogParameter]]

_SUPPORTED = 0x00
_CUMULATIVE = 1


class LogCommands(DeviceType):
    """LOG SENSE with the lists of pages; device types add theirs."""

    def log_pages(self) -> dict[tuple[int, int], LogPage]:
        """The log pages with parameters: (page code, subpage code) → the parameters now."""
        return {}

    @command(0x4D, "4D 00 FF FF 00 FF FF FF FF 00")
    def log_sense(self, task: Task) -> None:
        """LOG SENSE: current cumulative values, from a parameter on."""
        cdb = task.cdb
        control, code, subcode = cdb[2] >> 6, cdb[2] & 0x3F, cdb[3]
        pointer = int.from_bytes(cdb[5:7], "big")
        pages = self.log_pages()
        if subcode == ALL_SUBPAGES or code == _SUPPORTED:
            body = self._log_list(set(pages), code, subcode)
            if pointer:
                raise invalid_cdb_field(5)
        else:
            body = self._log_values(pages, code, subcode, control, pointer)
        task.data_in = log_page(code, subcode, body)[: int.from_bytes(cdb[7:9], "big")]

    def _log_list(self, keys: set[tuple[int, int]], code: int, subcode: int) -> bytes:
        """The pages there are: all page codes, all with subpages, or the subpages of one page."""
        keys |= {(_SUPPORTED, 0), (_SUPPORTED, ALL_SUBPAGES)}
        if code == _SUPPORTED and subcode == 0:
            return supported_pages({page for page, _ in keys})
        if subcode != ALL_SUBPAGES:
            raise invalid_cdb_field(3)
        if code == _SUPPORTED:
            return supported_subpages(keys)
        found = [key for key in keys if key[0] == code]
        if not found:
            raise invalid_cdb_field(2, 5)
        return supported_subpages(found)

    def _log_values(
        self, pages: dict[tuple[int, int], LogPage], code: int, subcode: int, control: int, pointer: int
    ) -> bytes:
        page = pages.get((code, subcode))
        if page is None:
            raise invalid_cdb_field(2, 5)
        if control != _CUMULATIVE:
            raise invalid_cdb_field(2, 7)
        body = parameters(page(), pointer)
        if not body:
            raise invalid_cdb_field(5)
        return body
