"""What sg3-utils and the kernel read from our disk, page by page."""

import re
from collections.abc import Iterator

import pytest
from guest.lab.guest import Guest
from guest.lab.initiator import Initiator
from oracle.served import TARGET, Served

_MANDATORY_PAGES = {0x00, 0x80, 0x83, 0x86, 0x88, 0xB0, 0xB1, 0xB2}


@pytest.fixture(scope="module")
def disk(initiator: Initiator, daemon: Served) -> Iterator[str]:
    with initiator.session(daemon.portal, TARGET) as session:
        yield initiator.disk(session, 0)


def test_inquiry(guest: Guest, disk: str) -> None:
    text = guest.text(f"sg_inq {disk}")
    assert "PDT=0" in text
    assert "CmdQue=1" in text
    assert re.search(r"Unit serial number: +\S", text)


def test_every_vpd_page_that_is_listed_can_be_read(guest: Guest, disk: str) -> None:
    supported = guest.run(f"sg_vpd -p 0 -r {disk}").output
    listed = list(supported[4 : 4 + supported[3]])
    assert listed == sorted(listed)
    assert set(listed) >= _MANDATORY_PAGES
    for page in listed:
        content = guest.run(f"sg_vpd -p {page:#x} -r {disk}").output
        assert content[1] == page
        assert len(content) == 4 + int.from_bytes(content[2:4], "big")
        assert guest.text(f"sg_inq -p {page:#x} {disk}")


@pytest.mark.parametrize("form", ["", "--16"])
def test_capacity(guest: Guest, disk: str, form: str) -> None:
    assert "1073741824" in guest.text(f"sg_readcap {form} {disk}")


def test_long_capacity_says_that_the_disk_is_thin_with_4_kib_sectors(guest: Guest, disk: str) -> None:
    text = guest.text(f"sg_readcap -l {disk}")
    assert "lbpme=1" in text
    assert "lbprz=1" in text
    assert "Logical block length=512 bytes" in text
    assert "physical block exponent=3" in text
    assert "Lowest aligned LBA=0" in text


def test_the_kernel_takes_our_limits(guest: Guest, disk: str) -> None:
    queue = f"/sys/block/{disk.removeprefix('/dev/')}/queue"
    assert int(guest.text(f"cat {queue}/logical_block_size")) == 512
    assert int(guest.text(f"cat {queue}/physical_block_size")) == 4096
    assert guest.text(f"cat {queue}/write_cache") == "write back"


def test_the_kernel_can_discard(guest: Guest, disk: str) -> None:
    aligned, granularity, at_most, _ = guest.text(
        f"lsblk -D -b -n -o DISC-ALN,DISC-GRAN,DISC-MAX,DISC-ZERO {disk}"
    ).split()
    assert int(aligned) == 0
    assert int(granularity) == 4096
    assert int(at_most) >= 1 << 20


_COMMANDS = """
sg_luns
sg_luns --select=1
sg_luns --select=2
sg_modes -a
sg_modes -a -6
sg_opcodes
sg_opcodes --opcode=0x28
sg_turs
sg_requests
sg_logs -a
sg_sync
sg_verify --count=64
sg_get_lba_status --lba=0
sg_rtpg
sg_vpd -a
sg_start --start
sg_write_same --16 --num=16 --lba=2048
sg_write_same --10 --num=16 --lba=2048
sg_write_same --16 --unmap --num=16 --lba=2048
sg_unmap --force --lba=4096 --num=8
sg_compare_and_write --in=/dev/zero --lba=4096 --num=1
blkdiscard -o 0 -l 1048576
sg_reset -d
"""


@pytest.mark.parametrize("command", _COMMANDS.strip().splitlines())
def test_a_tool_is_satisfied(guest: Guest, disk: str, command: str) -> None:
    assert guest.run(f"{command} {disk}").status == 0


def test_the_kernel_may_switch_the_write_cache(guest: Guest, disk: str) -> None:
    cache = f"/sys/block/{disk.removeprefix('/dev/')}/device/scsi_disk/*/cache_type"
    assert guest.text(f"echo 'write through' >$(echo {cache}); cat {cache}") == "write through"
    assert guest.text(f"echo 'write back' >$(echo {cache}); cat {cache}") == "write back"


@pytest.mark.provokes("conn error")
def test_reset_of_the_target(guest: Guest, disk: str) -> None:
    assert guest.run(f"sg_reset -t {disk}; sg_turs {disk}; within 20 sg_turs {disk}", timeout_s=30).status == 0


def test_unmapped_blocks_read_zeroes(guest: Guest, disk: str) -> None:
    guest.run(f"dd if=/dev/urandom of={disk} bs=4k seek=512 count=4 oflag=direct 2>/dev/null")
    guest.run(f"sg_unmap --force --lba=4096 --num=32 {disk}")
    assert guest.run(f"dd if={disk} bs=4k skip=512 count=4 iflag=direct 2>/dev/null").output == bytes(16384)
