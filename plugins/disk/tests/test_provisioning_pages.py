import logging
from collections.abc import Iterator

import pytest
from tgtcore_disk import Disk, DiskOptions, space_watch

from tgtcore import ConfigError, Features, Space
from tgtcore.logical_unit import Pause
from tgtcore.scsi import asc
from tgtcore.scsi.sense import SenseKey
from tgtcore.scsi.status import Status
from tgtcore.testing.initiator import Bench, Initiator, Result, bench
from tgtcore.testing.ram import RamStore

MIB = 1 << 20
REACHED = (SenseKey.UNIT_ATTENTION, *asc.THIN_PROVISIONING_SOFT_THRESHOLD_REACHED)
TEST_UNIT_READY, PROVISIONING, RECOVERY = bytes(6), (0x1C, 0x02), (0x01, 0)
LBPERE = 0x80


class Sparse(RamStore):
    """Says what the test wants of the space that is left."""

    def __init__(self) -> None:
        super().__init__(MIB)
        self.told = Space(0, 100 * MIB, shared=True)
        self.asked = 0
        self.failure: OSError | None = None

    def space(self) -> Space:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.told


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space_watch, "BUSY_S", 0.001)


@pytest.fixture
def store() -> Sparse:
    return Sparse()


@pytest.fixture
def options() -> DiskOptions:
    return DiskOptions(soft_threshold=10 * MIB)


def asked(made: Bench, store: Sparse) -> None:
    """Wait until the store was asked, and asked again."""
    before = store.asked
    made.run_until(lambda: store.asked >= before + 2, "the question")


def answered(initiator: Initiator) -> Result:
    """Run commands until one brings news, or the store was asked and has answered meanwhile."""
    store = initiator.bench.lus[0].device.store.store
    assert isinstance(store, Sparse)
    before, results = store.asked, [initiator.execute(TEST_UNIT_READY)]

    def over() -> bool:
        results.append(initiator.execute(TEST_UNIT_READY))
        return results[-1].status is not Status.GOOD or store.asked >= before + 3

    if results[0].status is Status.GOOD:
        initiator.bench.run_until(over, "news")
    return results[-1]


def nobody_asks(made: Bench, store: Sparse) -> bool:
    """Whether the store is not asked any more, although the loop turns for long enough."""
    turns: list[int] = []
    made.run_until(lambda: turns.append(store.asked) or len(turns) > 50, "turns")  # type: ignore[func-returns-value]
    return turns[5] == turns[-1]


def news(initiator: Initiator) -> tuple[int, int, int]:
    return answered(initiator).code


def sense_page(initiator: Initiator, key: tuple[int, int], control: int = 0) -> bytearray:
    cdb = bytes((0x1A, 0x08, control << 6 | key[0], key[1], 0xFF, 0))
    return bytearray(initiator.execute(cdb).data[4:])


def select(initiator: Initiator, page: bytes) -> tuple[int, int, int]:
    whole = bytes(4) + page
    return initiator.execute(bytes((0x15, 0x10, 0, 0, len(whole), 0)), whole).code


def test_initiators_are_told_once_when_space_gets_scarce(
    made: Bench, store: Sparse, initiator: Initiator, other: Initiator, caplog: pytest.LogCaptureFixture
) -> None:
    assert news(initiator) == (0, 0, 0)
    store.told = Space(95 * MIB, 5 * MIB, shared=True)
    with caplog.at_level(logging.WARNING):
        assert news(initiator) == REACHED
    assert "a soft threshold is reached: it takes 99614720 bytes, 5242880 are left" in caplog.text
    result = other.execute(TEST_UNIT_READY)
    assert (result.code, result.sense.information) == (REACHED, 16)
    assert news(initiator) == news(other) == (0, 0, 0)
    store.told = Space(50 * MIB, 50 * MIB, shared=True)
    assert news(initiator) == (0, 0, 0)
    store.told = Space(95 * MIB, 5 * MIB, shared=True)
    assert news(initiator) == REACHED


def test_after_a_reset_they_are_told_again(store: Sparse, initiator: Initiator, disk: Disk) -> None:
    store.told = Space(95 * MIB, 5 * MIB, shared=True)
    assert news(initiator) == REACHED
    disk.lu.reset()
    assert news(initiator)[:2] == (SenseKey.UNIT_ATTENTION, 0x29)
    assert news(initiator) == REACHED


@pytest.mark.parametrize("options", [DiskOptions()])
def test_initiators_may_set_thresholds(store: Sparse, initiator: Initiator, options: DiskOptions) -> None:
    assert options.soft_threshold is None
    page, recovery = sense_page(initiator, PROVISIONING), sense_page(initiator, RECOVERY)
    assert not recovery[7] & LBPERE
    page[24] |= 0x80
    page[28:32] = (20).to_bytes(4, "big")
    recovery[7] |= LBPERE
    assert select(initiator, page) == (0, 0, 0)
    assert store.asked == 0, "notification is not enabled yet"
    assert select(initiator, recovery) == (0, 0, 0)
    assert news(initiator) == (0, 0, 0)
    store.told = Space(30 * MIB, 100 * MIB, shared=True)
    result = answered(initiator)
    assert (result.code, result.sense.information) == (REACHED, 24)
    assert select(initiator, sense_page(initiator, RECOVERY, 2)) == (0, 0, 0)
    assert nobody_asks(initiator.bench, store), "nobody wants to know any more"


def test_what_thresholds_are_about_can_not_be_changed(initiator: Initiator) -> None:
    for at, bit in ((4, 1), (16, 1), (16, 8), (17, 2)):
        page = sense_page(initiator, PROVISIONING)
        page[at] ^= bit
        assert select(initiator, page)[:2] == (SenseKey.ILLEGAL_REQUEST, 0x26)


def test_without_commands_the_store_is_asked_now_and_then(
    made: Bench, store: Sparse, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.run_until(lambda: store.asked == 1, "the first question")
    monkeypatch.setattr(space_watch, "IDLE_S", 0.01)
    asked(made, store)


def test_a_store_that_fails_is_asked_again_and_its_failure_logged_once(
    made: Bench, store: Sparse, initiator: Initiator, caplog: pytest.LogCaptureFixture
) -> None:
    store.failure = OSError(5, "Input/output error")
    assert news(initiator) == (0, 0, 0)
    assert caplog.text.count("for the space that is left failed: [Errno 5] Input/output error") == 1
    store.failure, store.told = None, Space(0, 0, shared=True)
    assert news(initiator) == REACHED


def test_a_paused_disk_is_not_asked(made: Bench, store: Sparse, initiator: Initiator) -> None:
    initiator.execute(TEST_UNIT_READY)
    pause = Pause(made.lus[0], "a test")
    made.loop.run_until_complete(pause.begin(5))
    assert nobody_asks(made, store)
    pause.end()
    assert news(initiator) == (0, 0, 0)


def test_the_log_page(store: Sparse, initiator: Initiator) -> None:
    store.told = Space(3 * MIB + 5, 100 * MIB, shared=True)
    sense = bytes((0x4D, 0, 0x4C, 0, 0, 0, 0, 0, 0xFF, 0))
    expected = "0c000018 00010308 00000064 02000000 00020308 00000003 01000000"
    assert initiator.execute(sense).data.hex(" ", 4) == expected
    store.told = Space(4 * MIB, 50 * MIB, shared=False)
    expected = "0c000018 00010308 00000032 01000000 00020308 00000004 01000000"
    assert initiator.execute(sense).data.hex(" ", 4) == expected
    pointer = bytes((0x4D, 0, 0x4C, 0, 0, 0, 3, 0, 0xFF, 0))
    assert initiator.execute(pointer).code[:2] == (SenseKey.ILLEGAL_REQUEST, 0x24)
    assert 0x0C in initiator.execute("4d 00 40 00 00 00 00 00 ff").data[4:]
    store.failure = OSError(5, "Input/output error")
    assert initiator.execute(sense).status is Status.CHECK_CONDITION


@pytest.mark.parametrize(("options", "exponent"), [(DiskOptions(), 11), (DiskOptions(block_size=4096), 8)])
def test_the_size_of_a_threshold_set(initiator: Initiator, exponent: int) -> None:
    assert initiator.execute("12 01 b2 00 ff").data[4] == exponent


@pytest.fixture(params=["not thin", "read-only", "no space"])
def full(request: pytest.FixtureRequest, store: Sparse) -> Iterator[Initiator]:
    """A disk without thresholds."""
    with bench() as made:
        options = DiskOptions(thin=False if request.param == "not thin" else None)
        medium = RamStore(MIB) if request.param == "no space" else store
        made.add(Disk, medium, options, read_only=request.param == "read-only")
        yield made.initiator()


def test_a_disk_that_can_not_run_out_of_space_has_none_of_it(full: Initiator) -> None:
    assert full.execute("12 01 b2 00 ff").data[4] == 0
    assert full.execute("1a 08 1c 02 ff").status is Status.CHECK_CONDITION
    assert full.execute("4d 00 4c 00 00 00 00 00 ff").status is Status.CHECK_CONDITION
    assert sense_page(full, RECOVERY, 1)[7] == 0


def test_a_threshold_needs_space_to_watch() -> None:
    with bench() as made, pytest.raises(ConfigError, match="soft_threshold is set, but there is no space to watch"):
        made.add(Disk, RamStore(MIB), DiskOptions(soft_threshold=MIB))
    assert Features.SPACE not in RamStore().features()


def test_what_was_told_is_handed_over(store: Sparse, initiator: Initiator, disk: Disk) -> None:
    store.told = Space(0, 0, shared=True)
    assert news(initiator) == REACHED
    state = disk.hand_over()
    assert state["thresholds_told"] == [16]
    with bench() as made:
        lu = made.add(Disk, store, DiskOptions(soft_threshold=10 * MIB))
        lu.device.take_over(state)
        assert news(made.initiator()) == (0, 0, 0)
