"""The kit of formats and filters is judged too: sound layers pass, careless ones are caught."""

from typing import Any

import pytest

from tgtcore.errors import Unsupported
from tgtcore.options import NoOptions
from tgtcore.store import Buffer, Concurrency, Features, Filter, Format, Store
from tgtcore.testing.layer import LayerConformance

HEADER = b"AN IMAGE".ljust(4096, b"\0")


class Shifted(Format):
    """A header and then the bytes."""

    concurrency = Concurrency.PARALLEL

    def __init__(self, base: Store, options: Any) -> None:
        super().__init__(base, options)
        self.size_bytes = base.size_bytes - len(HEADER)
        if Features.WRITE in base.features() and not any(base.read(0, len(HEADER))):
            base.write(0, HEADER)
            base.flush()
        if bytes(base.read(0, len(HEADER))) != HEADER:
            raise Unsupported("this is no image")

    def features(self) -> Features:
        return super().features() & self.base.features()

    def read(self, offset: int, length: int) -> Buffer:
        return self.base.read(len(HEADER) + offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        self.base.write(len(HEADER) + offset, data)

    def flush(self) -> None:
        self.base.flush()

    def write_through(self, offset: int, data: Buffer) -> None:
        self.base.write_through(len(HEADER) + offset, data)

    def unmap(self, offset: int, length: int) -> None:
        self.base.unmap(len(HEADER) + offset, length)


class TestShifted(LayerConformance):
    persistent = True

    def make_layer(self, base: Store) -> Store:
        return Shifted(base, NoOptions())


class ReadsThrough(Filter):
    """Reads only, whatever its base can do."""

    def __init__(self, base: Store, options: Any) -> None:
        super().__init__(base, options)
        self.size_bytes = base.size_bytes

    def read(self, offset: int, length: int) -> Buffer:
        return self.base.read(offset, length)


class TestReadsThrough(LayerConformance):
    def make_layer(self, base: Store) -> Store:
        return ReadsThrough(base, NoOptions())


class Forwards(Shifted):
    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name)


class ClosesItsBase(Shifted):
    def close(self) -> None:
        self.base.close()


class KeepsFlushesToItself(Shifted):
    def flush(self) -> None: ...


class WritesThroughSlowly(Shifted):
    def write_through(self, offset: int, data: Buffer) -> None:
        self.write(offset, data)


class SwallowsErrors(Shifted):
    def read(self, offset: int, length: int) -> Buffer:
        try:
            return super().read(offset, length)
        except OSError:
            return bytes(length)


class SwallowsWriteErrors(Shifted):
    def write(self, offset: int, data: Buffer) -> None:
        try:
            super().write(offset, data)
        except OSError:
            return


class OffersMoreThanItsBase(Shifted):
    def features(self) -> Features:
        return Store.features(self)


class ReadsBeyondItsBase(Shifted):
    def __init__(self, base: Store, options: Any) -> None:
        super().__init__(base, options)
        self.size_bytes += len(HEADER)


class Keeps(Shifted):
    """Keeps writes to itself until it is flushed, and forgets them when it is told to."""

    def __init__(self, base: Store, options: Any) -> None:
        super().__init__(base, options)
        self.kept: dict[int, bytes] = {}

    def features(self) -> Features:
        return super().features() & ~(Features.WRITE_THROUGH | Features.UNMAP)

    def read(self, offset: int, length: int) -> Buffer:
        found = bytearray(super().read(offset, length))
        for at, byte in self.kept.items():
            if offset <= at < offset + length:
                found[at - offset : at - offset + 1] = byte
        return found

    def write(self, offset: int, data: Buffer) -> None:
        self.kept |= {offset + at: bytes((byte,)) for at, byte in enumerate(data)}

    def flush(self) -> None:
        for at, byte in self.kept.items():
            super().write(at, byte)
        self.kept = {}
        self.base.flush()

    def base_changed(self) -> None:
        self.kept = {}


class RemembersWhatIsLost(Keeps):
    def base_changed(self) -> None:
        return


class WritesWhatIsLost(Keeps):
    def base_changed(self) -> None:
        self.lost = self.kept
        self.kept = {}

    def flush(self) -> None:
        self.kept |= getattr(self, "lost", {})
        super().flush()


class KeepsForItself(Shifted):
    """Never writes to its base, and does not hear that this is another one now."""

    writes_base = False

    def __init__(self, base: Store, options: Any) -> None:
        super().__init__(base, options)
        self.own = bytearray(base.read(len(HEADER), self.size_bytes))

    def read(self, offset: int, length: int) -> Buffer:
        return self.own[offset : offset + length]

    def write(self, offset: int, data: Buffer) -> None:
        self.own[offset : offset + len(data)] = data

    def base_changed(self) -> None:
        return


CAUGHT: list[tuple[type[Shifted], Any, str]] = [
    (Forwards, LayerConformance.test_what_it_does_not_know_it_does_not_forward, "forwards what it does not know"),
    (ClosesItsBase, LayerConformance.test_the_base_is_the_cores_to_close, "the core does that"),
    (KeepsFlushesToItself, LayerConformance.test_a_flush_reaches_the_base, "the base was not flushed"),
    (WritesThroughSlowly, LayerConformance.test_a_flush_reaches_the_base, r"write_through\(\) returned"),
    (SwallowsErrors, LayerConformance.test_an_error_of_the_base_is_an_error, "DID NOT RAISE"),
    (SwallowsWriteErrors, LayerConformance.test_an_error_of_the_base_is_an_error, "DID NOT RAISE"),
    (OffersMoreThanItsBase, LayerConformance.test_on_a_base_that_takes_no_writes_it_takes_none, "takes no writes"),
    (RemembersWhatIsLost, LayerConformance.test_it_forgets_what_its_base_has_no_more, "it reads what its base"),
    (KeepsForItself, LayerConformance.test_it_forgets_what_its_base_has_no_more, "it has what belongs to what is gone"),
    (WritesWhatIsLost, LayerConformance.test_it_forgets_what_its_base_has_no_more, "it writes what was lost"),
    (ReadsBeyondItsBase, LayerConformance.test_an_error_of_the_base_is_an_error, "do not lie in the base"),
]


def test_one_that_forgets_is_sound() -> None:
    kit = LayerConformance()
    made: list[Keeps] = []
    kit.make_layer = lambda base: made.append(Keeps(base, NoOptions())) or made[-1]  # type: ignore[func-returns-value, method-assign]
    kit.test_it_forgets_what_its_base_has_no_more()
    assert made[0].kept == {}


@pytest.mark.parametrize(("careless", "test", "message"), CAUGHT, ids=[case[0].__name__ for case in CAUGHT])
def test_a_careless_layer_is_caught(careless: type[Shifted], test: Any, message: str) -> None:
    kit = LayerConformance()
    kit.make_layer = lambda base: careless(base, NoOptions())  # type: ignore[method-assign]
    kit.writes_base = careless.writes_base  # type: ignore[misc]
    with pytest.raises((AssertionError, pytest.fail.Exception), match=message):
        test(kit)
