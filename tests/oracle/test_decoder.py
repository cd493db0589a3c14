"""Wireshark's dissectors read every PDU that we send and find nothing malformed in them."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest
from oracle.capture import Capture
from oracle.commands import inquiry, read16, read_capacity16, report_luns, write16
from oracle.libiscsi import LOGICAL_UNIT_RESET, HeaderDigest, InitiatorError, Session
from oracle.relay import Relay
from oracle.served import TARGET, Served

_USER, _SECRET = "reader", "a-secret-of-twenty-b"
_PAGES = (0x00, 0x80, 0x83, 0x86, 0x88, 0xB0, 0xB1, 0xB2)
_ERROR = "_ws.malformed || _ws.expert.severity == 8388608"
_QUESTIONS = {
    "REQUEST SENSE": "03 00 00 00 FF 00",
    "MODE SENSE (6), all pages": "1A 00 3F 00 FF 00",
    "MODE SENSE (10), all pages": "5A 00 3F 00 00 00 00 00 FF 00",
    "LOG SENSE, informational exceptions": "4D 00 6F 00 00 00 00 00 FF 00",
    "READ CAPACITY (10)": "25 00 00 00 00 00 00 00 00 00",
    "GET LBA STATUS": "9E 12 00 00 00 00 00 00 00 00 00 00 00 FF 00 00",
    "PERSISTENT RESERVE IN, read full status": "5E 03 00 00 00 00 00 00 FF 00",
    "REPORT TARGET PORT GROUPS": "A3 0A 00 00 00 00 00 00 00 FF 00 00",
    "REPORT SUPPORTED OPERATION CODES": "A3 0C 80 00 00 00 00 00 00 FF 00 00",
}
"""What is asked besides: the CDB, with room for 255 bytes of answer."""

_BLOCK_LIMITS = bytes.fromhex("00 B0 00 3C")
"""How the Block Limits page begins (SBC-4 6.6.4)."""


def tshark(path: Path, display_filter: str, *fields: str) -> list[str]:
    """The fields of each packet that a display filter chooses."""
    options = [word for name in fields for word in ("-e", name)]
    done = subprocess.run(
        ["tshark", "-n", "-r", path, "-Y", display_filter, "-T", "fields", *options],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()


def converse(url: str, digest: HeaderDigest) -> None:
    """A session with a bit of everything."""
    with Session(url, chap=(_USER, _SECRET), header_digest=digest) as session:
        session.ready()
        for page in _PAGES:
            assert session.command(inquiry(page=page), read=255).good
        assert session.command(inquiry(), read=255).good
        assert session.command(read_capacity16(), read=32).good
        assert session.command(report_luns(), read=512).good
        for question, cdb in _QUESTIONS.items():
            assert session.command(bytes.fromhex(cdb), read=255).good, question
        data = bytes(range(256)) * 4096
        assert session.command(write16(8, len(data) // 512), data_out=data).good
        assert session.command(read16(8, len(data) // 512), read=len(data)).data_in == data
        assert session.command(read16(1 << 40, 8), read=4096).sense_key == 5
        session.manage(LOGICAL_UNIT_RESET)
        session.ready()


def values(path: Path, field: str) -> Counter[str]:
    """How often each value of a field occurs."""
    return Counter(value for line in tshark(path, "iscsi", field) for value in line.split(",") if value)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, isolation: str) -> Path:
    work = tmp_path_factory.mktemp("recorded")
    accounts = work / "chap"
    accounts.write_text(f"{_USER} {_SECRET}\n")
    accounts.chmod(0o600)
    capture = Capture()
    options = ("--size", "64M", "--chap-file", accounts)
    with (
        Served.disk(work, work / "disk.img", options=options) as served,
        Relay("127.0.0.1", served.portal, capture.add) as relay,
    ):
        host, port = relay.address
        url = f"iscsi://{host}:{port}/{TARGET}/0"
        for digest in HeaderDigest:
            converse(url, digest)
        with Session(f"iscsi://{host}:{port}/", discovery=True, chap=(_USER, _SECRET)) as discovery:
            assert TARGET in discovery.targets()
        with pytest.raises(InitiatorError):
            Session(url, chap=(_USER, "not-the-right-secret"))
    path = work / "recorded.pcap"
    capture.write(path)
    return path


def test_nothing_is_malformed(recorded: Path) -> None:
    assert tshark(recorded, _ERROR, "frame.number", "_ws.col.Info") == []


def test_a_malformed_packet_would_be_found(recorded: Path, tmp_path: Path) -> None:
    sound = recorded.read_bytes()
    assert sound.count(_BLOCK_LIMITS) == len(HeaderDigest)
    mangled = tmp_path / "mangled.pcap"
    mangled.write_bytes(sound.replace(_BLOCK_LIMITS, _BLOCK_LIMITS[:2] + b"\xff\xff"))
    assert len(tshark(mangled, _ERROR, "frame.number")) == len(HeaderDigest)


def test_every_kind_of_answer_was_seen(recorded: Path) -> None:
    found = values(recorded, "iscsi.opcode")
    assert {"0x21", "0x22", "0x23", "0x24", "0x25", "0x26", "0x31"} <= set(found), found


def test_each_command_ends_with_one_status(recorded: Path) -> None:
    commands = values(recorded, "iscsi.opcode")["0x01"]
    statuses = values(recorded, "iscsi.scsiresponse.status")
    assert statuses["0x00"] > statuses["0x02"] > 0
    assert statuses.total() == commands


def test_header_digests_are_right(recorded: Path) -> None:
    done = subprocess.run(
        ["tshark", "-n", "-V", "-r", recorded, "-Y", "iscsi.headerdigest32"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    found = Counter(line.partition("(")[2] for line in done.stdout.splitlines() if "HeaderDigest: " in line)
    assert set(found) == {"Good CRC32)"}, found
