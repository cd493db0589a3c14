from tgtcore.scsi.log import (
    LogParameter,
    log_page,
    parameters,
    supported_pages,
    supported_subpages,
)

PARAMETERS = [LogParameter(2, b"\0\x20"), LogParameter(1, b"\0\x19"), LogParameter(0x102, b"", control=0)]


def test_a_page_without_subpage() -> None:
    assert log_page(0x0D, 0, b"body").hex() == "0d000004" + b"body".hex()


def test_a_subpage_sets_spf() -> None:
    assert log_page(0x0D, 0xFF, b"").hex() == "4dff0000"


def test_parameters_are_in_ascending_order() -> None:
    assert parameters(PARAMETERS).hex() == "000103020019" + "000203020020" + "01020000"


def test_parameters_from_the_pointer_on() -> None:
    assert parameters(PARAMETERS, 2).hex() == "000203020020" + "01020000"
    assert parameters(PARAMETERS, 0x103) == b""


def test_lists_of_pages() -> None:
    assert supported_pages([0x2F, 0x00, 0x0D]).hex() == "000d2f"
    assert supported_subpages([(0x0D, 0), (0, 0xFF), (0, 0)]).hex() == "000000ff0d00"
