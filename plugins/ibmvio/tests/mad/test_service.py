"""Datagrams as clients send them, and as none should."""

import struct

import pytest
from tgtcore_ibmvio.mad import BadDatagram, MadService, OsType, PartnerRecord
from tgtcore_ibmvio.mad.records import adapter_info
from tgtcore_ibmvio.platform import Hcall

DATAGRAM, RECORD = 0x1000, 0x2000
TAG = bytes.fromhex("b001bd04000000c0")
SUCCESS, NOT_SUPPORTED, FAILED = 0, 0xF1, 0xF7
INFO = adapter_info("lpar2", 2, OsType.LINUX, 0)
CAPABILITIES = bytes(68) + struct.pack(">IHHI", 1, 12, 0, 1) + struct.pack(">IHHI", 2, 12, 0, 1)


class Login:
    done = False


@pytest.fixture
def login():
    return Login()


@pytest.fixture
def service(adapter, login):
    return MadService(adapter, "vios1", 1, OsType.LINUX, 1 << 18, lambda: login.done)


def put(adapter, kind, record, length=None, buffer=RECORD):
    adapter.memory[RECORD : RECORD + len(record)] = record
    length = len(record) if length is None else length
    datagram = struct.pack(">IHH8sQ", kind, 0, length, TAG, buffer)
    adapter.memory[DATAGRAM : DATAGRAM + len(datagram)] = datagram


def ask(service, adapter, kind, record=b"", *, size=256, **how):
    put(adapter, kind, record, **how)
    length, tag = service.answer(DATAGRAM, size)
    assert (length, tag) == (16, TAG)
    answered, status, _, tag = struct.unpack_from(">IHH8s", adapter.memory, DATAGRAM)
    assert (answered, tag) == (kind, TAG)
    return status


def test_adapter_information_of_the_real_client(service, adapter):
    """As recorded: the first thing that the client of a Linux kernel sends."""
    datagram = bytes.fromhex("0000000300000094b001bd04000000c00000000000010968")
    adapter.memory[DATAGRAM : DATAGRAM + len(datagram)] = datagram
    adapter.memory[0x10968 : 0x10968 + len(INFO)] = INFO
    assert service.answer(DATAGRAM, 256) == (16, TAG)
    assert adapter.memory[DATAGRAM : DATAGRAM + 24] == datagram
    ours = PartnerRecord.parse(memoryview(adapter.memory)[0x10968 : 0x10968 + 148])
    assert ours == PartnerRecord("16.a", "vios1", 1, 1, 2, 1 << 18)
    assert service.partner.partition_name == "lpar2"


def test_capabilities(service, adapter):
    assert ask(service, adapter, 5, CAPABILITIES) == SUCCESS
    record = adapter.memory[RECORD : RECORD + len(CAPABILITIES)]
    assert record[4:10] == b"vios1\0"
    assert (record[68 + 7], record[80 + 7]) == (1, 1)


def test_fast_fail_is_agreed_upon_before_the_login(service, adapter, login):
    assert ask(service, adapter, 8) == SUCCESS
    assert service.fast_fail
    login.done = True
    assert ask(service, adapter, 8) == FAILED
    assert service.fast_fail


def test_an_error_log_is_shown_once(service, adapter, caplog):
    for _ in range(100):
        assert ask(service, adapter, 2, b"\x01\x02\x03" + bytes(100)) == SUCCESS
    (shown,) = caplog.messages
    assert "010203" in shown


@pytest.mark.parametrize("kind", [0x01, 0x04, 0, 6, 7, 9, 0xFFFFFFFF])
def test_what_is_not_supported_is_said(service, adapter, kind):
    assert ask(service, adapter, kind, bytes(32)) == NOT_SUPPORTED


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (3, {"length": 147}),
        (3, {"length": 149}),
        (3, {"length": 0}),
        (3, {"length": 0xFFFF}),
        (5, {"length": 67}),
        (5, {"length": 257}),
        (2, {"length": 0}),
        (3, {"size": 23}),
        (3, {"size": 16}),
        (3, {"buffer": 1 << 20}),
        (5, {"buffer": (1 << 64) - 1}),
    ],
)
def test_a_datagram_that_can_not_be_is_answered_as_failed(service, adapter, kind, how):
    record = INFO if kind == 3 else CAPABILITIES
    assert ask(service, adapter, kind, record, **how) == FAILED


def test_a_record_that_can_not_be_written(service, adapter):
    adapter.answers["write"] = [Hcall.PERMISSION, Hcall.SUCCESS]
    assert ask(service, adapter, 3, INFO) == FAILED


@pytest.mark.parametrize("size", [0, 15, 257, 0xFFFF])
def test_an_impossible_length_has_no_answer(service, adapter, size):
    put(adapter, 3, INFO)
    with pytest.raises(BadDatagram, match=str(size)):
        service.answer(DATAGRAM, size)


@pytest.mark.parametrize("call", ["read", "write"])
def test_a_datagram_that_can_not_be_copied_has_no_answer(service, adapter, call):
    put(adapter, 8, b"")
    adapter.answers[call] = [Hcall.PERMISSION]
    with pytest.raises(BadDatagram, match="PERMISSION"):
        service.answer(DATAGRAM, 256)
