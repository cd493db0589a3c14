from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tgtcore_filters.storage.history import Record, Span
from tgtcore_filters.storage.initiators import Initiator, Writer
from tgtcore_filters.storage.power_cut import Cut, Report, kept

SECTOR = 512


def record(offset: int, length: int, name: str = "a", *, acknowledged: bool = True, since_s: float = 0) -> Record:
    writer = Writer(Initiator(name), ())
    writer.acknowledged = acknowledged
    return Record("write", offset, length, bytes(length), writer, since_s)


def chosen(records: list[Record], seed: int, keep: Literal["none", "some"] = "some") -> list[list[Span]]:
    return [spans for _, spans in kept(records, Cut(keep=keep, seed=seed), SECTOR)]


def test_by_default_nothing_is_kept() -> None:
    assert Cut() == Cut(keep="none", seed=0)
    assert chosen([record(0, 4096), record(8192, 512)], 0, "none") == [[], []]


def test_all_of_a_write_is_kept_or_nothing_or_any_of_its_sectors() -> None:
    outcomes = {tuple(chosen([record(1024, 1024)], seed)[0]) for seed in range(100)}
    halves = (1024, 1536), (1536, 2048)
    assert outcomes == {(), ((1024, 2048),), halves[:1], halves[1:], halves}


def test_the_same_seed_keeps_the_same() -> None:
    records = [record(at * 4096, 4096) for at in range(50)]
    assert chosen(records, 7) == chosen(records, 7) != chosen(records, 8)


def test_what_does_not_begin_at_a_sector_is_torn_at_sectors_nevertheless() -> None:
    borders = {at for seed in range(50) for span in chosen([record(100, 2000)], seed)[0] for at in span}
    assert borders == {100, 512, 1024, 1536, 2048, 2100}


def test_a_long_range_is_torn_in_not_too_many_parts() -> None:
    long = record(0, 1 << 10)
    long.spans = [(0, 1 << 40)]
    counts = [len(chosen([long], seed)[0]) for seed in range(10)]
    assert 10_000 < max(counts) <= 32768


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_a_report_names_exactly_the_bytes_that_are_lost(meant: set[int], on_medium: set[int]) -> None:
    on_medium &= meant
    one = record(0, 31)
    one.spans = spans(meant)
    report = Report(0)
    report.add(one, spans(on_medium))
    result = report.result()
    lost = {at for offset, length in result["ranges"] for at in range(offset, offset + length)}
    assert lost == meant - on_medium
    assert result["lost_bytes"] == len(lost)


def spans(bytes_there: set[int]) -> list[Span]:
    """One for each byte, as they may lie side by side."""
    return [(at, at + 1) for at in sorted(bytes_there)]


def test_a_report_counts_writes_by_initiator() -> None:
    report = Report(10)
    report.add(record(0, 512, "a", since_s=4), [])
    report.add(record(0, 1024, "a", since_s=5), [(512, 1024)])
    report.add(record(4096, 512, "b", acknowledged=False, since_s=9), [])
    report.add(record(8192, 512, "c"), [(8192, 8704)])
    assert report.result() == {
        "lost_writes": 2,
        "torn_writes": 1,
        "kept_writes": 1,
        "lost_bytes": 1024,
        "ranges": [[0, 512], [4096, 512]],
        "ranges_left_out": 0,
        "initiators": {
            "a": {"acknowledged_writes": 2, "other_writes": 0, "bytes": 1024, "oldest_s": 6, "flushes": 0},
            "b": {"acknowledged_writes": 0, "other_writes": 1, "bytes": 512, "oldest_s": 1, "flushes": 0},
        },
    }


def test_a_report_is_bounded() -> None:
    report = Report(0)
    for at in range(100):
        report.add(record(at * 1024, 512), [])
    result = report.result()
    assert (len(result["ranges"]), result["ranges_left_out"]) == (64, 36)
    assert result["lost_bytes"] == 51200


def test_other_words_are_refused() -> None:
    with pytest.raises(ValidationError, match="keep"):
        Cut.model_validate({"keep": "most"})
