from random import Random

import pytest
from cow.bases import Base
from cow.history import History, assert_possible
from cow.recording import FLUSH, Disk, Log


def _logged() -> Log:
    log = Log()
    file, other = log.recorded(Base(bytes(1024))), log.recorded(Base())
    file.write(0, b"a" * 1024)
    file.flush()
    file.write(0, b"b" * 1024)
    other.resize(512)
    other.write(0, b"c" * 512)
    file.unmap(0, 512)
    return log


def test_every_prefix_is_met() -> None:
    disk, met = Disk(_logged()), []
    while disk.step():
        file, other = disk.everything()
        met.append((bytes(file[:1] + file[-1:]), bytes(other[:1])))
    assert met == [
        (b"aa", b""),
        (b"aa", b""),
        (b"bb", b""),
        (b"bb", b"\0"),
        (b"bb", b"c"),
        (b"\0b", b"c"),
    ]


def test_what_was_flushed_stays_and_the_rest_is_there_in_any_part() -> None:
    disk = Disk(_logged())
    while disk.step():
        pass
    met = set()
    for seed in range(500):
        file, other = disk.chosen(Random(seed))
        met.add((bytes(file[0:1]), bytes(file[512:513]), bytes(other[:1])))
        assert set(file) <= set(b"ab\0")
    assert {first for first, _, _ in met} == {b"a", b"b", b"\0"}
    assert {second for _, second, _ in met} == {b"a", b"b"}, "unmapped is only the first sector"
    assert {other for _, _, other in met} == {b"", b"\0", b"c"}
    assert (b"a", b"b", b"c") in met, "a write was torn"


def test_flushes_can_be_left_out() -> None:
    log = _logged()
    disk = Disk(log.without(at for at, event in enumerate(log.events) if event.kind == FLUSH))
    while disk.step():
        pass
    assert any(disk.chosen(Random(seed))[0][:1] == b"\0" for seed in range(50))
    assert any(0 in disk.chosen(Random(seed))[0][512:] for seed in range(50)), "even the first write can be lost now"


def test_a_sector_is_as_old_as_the_last_flush_or_newer() -> None:
    history = History(bytearray(1024))
    history.write(0, b"a" * 1024)
    history.durable()
    history.write(0, b"b" * 512)
    history.write(0, b"c" * 1024)
    for first in b"abc":
        assert_possible(bytes([first]) * 512 + b"a" * 512, history.states)
    for wrong in (bytes(1024), b"a" * 512 + b"b" * 512, b"b" * 511 + b"c" + b"a" * 512, b"a" * 512):
        with pytest.raises(AssertionError, match="expected one of"):
            assert_possible(wrong, history.states)
    assert_possible(b"b" * 511 + b"c" + b"a" * 512, history.states, bytewise=True)


def test_what_was_written_through_is_there() -> None:
    history = History(bytearray(1024))
    history.write(0, b"a" * 1024)
    history.write_through(0, b"b" * 512)
    history.write(0, b"c" * 512)
    for first, second in (b"b\0", b"ba", b"ca"):
        assert_possible(bytes([first]) * 512 + bytes([second]) * 512, history.states)
    with pytest.raises(AssertionError, match="never was"):
        assert_possible(b"a" * 1024, history.states)
