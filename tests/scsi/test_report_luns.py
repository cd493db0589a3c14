import pytest

from tgtcore.scsi.lun import REPORT_LUNS_WELL_KNOWN, encode_lun
from tgtcore.scsi.report_luns import SelectReport, report_luns_data


def test_no_lun_at_all() -> None:
    assert report_luns_data([]) == bytes(8)


def test_the_length_counts_the_list_only() -> None:
    data = report_luns_data([encode_lun(0), encode_lun(300), REPORT_LUNS_WELL_KNOWN])
    assert data.hex() == "00000018" + "00000000" + "0000000000000000" + "412c000000000000" + "c101000000000000"


@pytest.mark.parametrize(("name", "code"), [("ADDRESSABLE", 0), ("WELL_KNOWN", 1), ("ALL", 2), ("SUBSIDIARY", 0x12)])
def test_what_can_be_asked_for(name: str, code: int) -> None:
    assert SelectReport[name] == code
