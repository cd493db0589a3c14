"""The kernel's wrapper for calls, found in its ELF file."""

import struct

import pytest
from tgtcore_ibmvio.platform.qemu_pseries.kernel_image import find_wrapper


@pytest.mark.parametrize("others", [(), ("xplpar_hcall_norets",), ("a", "plpar_hcall_norets_notrace")])
def test_entry_and_call_are_found_whatever_the_name_shares(kernel_file, others):
    wrapper = find_wrapper(kernel_file((*others, "plpar_hcall_norets")))
    assert wrapper.entry == 0xC000000000000808
    assert wrapper.call == wrapper.entry + 16
    assert wrapper.code[-4:] == struct.pack("<I", 0x44000022)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"symbols": ["plpar_hcall"]}, "no symbol plpar_hcall_norets"),
        ({"machine": 62}, "64-bit little-endian POWER"),
        ({"code": struct.pack("<I", 0x7C421378)}, "other instructions"),
        ({"code": struct.pack("<2I", 0x60000000, 0x44000022)}, "other instructions"),
    ],
)
def test_another_file_is_refused_by_name(kernel_file, contents, message):
    path = kernel_file(**contents)
    with pytest.raises(OSError, match=message) as refused:
        find_wrapper(path)
    assert refused.value.filename == str(path)


@pytest.mark.parametrize("length", [0, 10, 300])
def test_a_file_that_is_cut_is_refused(kernel_file, length):
    path = kernel_file()
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(OSError, match="no kernel that can be used"):
        find_wrapper(path)


def test_no_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        find_wrapper(tmp_path / "none")
