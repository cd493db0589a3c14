from tgtcore_filters.storage.history import History, Record
from tgtcore_filters.storage.initiators import Initiator, Writer

from tgtcore.testing.ram import RamStore


def record(how: str, offset: int, data: bytes | None, length: int = 0, writer: Writer | None = None) -> Record:
    writer = writer or Writer(Initiator("a"), ())
    return Record(how, offset, length if data is None else len(data), data, writer, 0)


def test_a_record_is_done_as_far_as_it_goes() -> None:
    base = RamStore(4096)
    record("write", 512, b"abcdef").apply(base, [(512, 514), (516, 517)])
    assert base.content[510:520] == b"\0\0ab\0\0e\0\0\0"
    base.write(0, b"x" * 4096)
    record("unmap", 0, None, 4096).apply(base, [(0, 1000)])
    record("write_zeroes", 0, None, 4096).apply(base, [(3000, 4096)])
    assert base.content == bytes(1000) + b"x" * 2000 + bytes(1096)


def test_what_the_base_has_newer_is_of_no_meaning_any_more() -> None:
    one = record("write", 100, bytes(100))
    for first, end in ((0, 50), (0, 110), (140, 150), (190, 300)):
        one.cut(first, end)
    assert one.spans == [(110, 140), (150, 190)]
    one.cut(0, 1000)
    assert one.spans == []


def test_a_history_is_a_queue_with_a_cost_and_initiators_have_their_share() -> None:
    history = History()
    writer = Writer(Initiator("a"), ())
    first, second = record("write", 0, b"x" * 1000, writer=writer), record("unmap", 0, None, 5000, writer)
    history.add(first)
    history.add(second)
    assert history.cost_bytes == first.cost_bytes + second.cost_bytes
    assert history.cost_bytes > 1000
    assert (len(history), history.first()) == (2, first)
    assert (writer.initiator.writes, writer.initiator.unflushed_bytes) == (2, 6000)
    history.cut(0, 500)
    assert [one.spans for one in history] == [[(500, 1000)], [(500, 5000)]]
    history.retire()
    assert (len(history), history.first()) == (1, second)
    assert (writer.initiator.unflushed_bytes, len(writer.initiator.unflushed_since)) == (5000, 1)
    history.retire()
    assert (history.cost_bytes, writer.initiator.unflushed_bytes) == (0, 0)
