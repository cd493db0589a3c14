"""Filters that note what is asked of them, and a plugin that offers them."""

import threading
from types import ModuleType
from typing import Any, ClassVar

from pydantic import BaseModel

from tgtcore import Buffer, CommandFilter, Features, Filter, Options, Store, Task, hookimpl
from tgtcore.actions import Aftermath, action


class FakeOptions(Options):
    """The keys of all of them."""

    fails: bool = False
    tag: str = ""


class Amount(Options):
    """Arguments of an action."""

    of: int = 1


class Noted:
    """Counts, and knows whether it was closed."""

    made: ClassVar[list[Any]] = []

    def note(self, options: Any) -> None:
        """It is being made."""
        if options.fails:
            raise OSError(5, "Input/output error")
        self.count = 0
        self.closed = 0
        Noted.made.append(self)

    def close(self) -> None:
        """It goes."""
        assert not self.closed, "closed twice"
        self.closed += 1

    def figures(self) -> dict[str, Any]:
        """What it has counted."""
        return {"count": self.count}


class Hold(Noted, CommandFilter):
    """Holds every READ (10)."""

    Options: ClassVar[type[BaseModel]] = FakeOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.note(options)

    def command(self, task: Task) -> Any:
        """Hold it."""
        self.count += 1
        return self.hold(task) if task.cdb[0] == 0x28 else None

    @action("Let what is held go on.")
    def release(self, _: BaseModel) -> dict[str, Any]:
        """All of it."""
        held = self.held
        for task in held:
            self.go_on(task)
        return {"released": len(held)}

    @action("Count more.", Amount)
    def add_up(self, amount: Amount) -> int:
        """Returns how many there are now."""
        self.count += amount.of
        return self.count

    @action("Fail.")
    def fail(self, _: BaseModel) -> None:
        """As a disk would."""
        raise OSError(5, "Input/output error")


class Layer(Noted, Filter):
    """Keeps writes to itself until it is flushed; does not hear of changes beneath."""

    Options: ClassVar[type[BaseModel]] = FakeOptions

    options: FakeOptions

    def __init__(self, base: Store, options: Any) -> None:
        super().__init__(base, options)
        self.note(options)
        self.size_bytes = base.size_bytes
        self.kept: dict[int, bytes] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def features(self) -> Features:
        """What its base can do too."""
        return super().features() & self.base.features()

    def read(self, offset: int, length: int) -> Buffer:
        """What it keeps, else what the base has."""
        self.count += 1
        return self.kept.get(offset) or self.base.read(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        """Keep it."""
        assert not self.closed
        self.kept[offset] = bytes(data)

    def flush(self) -> None:
        """Give all of it to the base."""
        while self.kept:
            self.base.write(*self.kept.popitem())
        if Features.WRITE in self.base.features():
            self.base.flush()

    def resize(self, size_bytes: int) -> None:
        """As the base."""
        self.base.resize(size_bytes)
        self.size_bytes = size_bytes


class Power(Layer):
    """Power may be cut beneath it, and from it."""

    def base_changed(self) -> None:
        """Forget everything."""
        self.kept = {}
        self.size_bytes = self.base.size_bytes

    @action("Lose what was not flushed.", pauses=True, after=Aftermath.POWER_ON)
    def cut(self, _: BaseModel) -> dict[str, Any]:
        """Returns how much that was."""
        self.begun.set()
        assert self.gate.wait(10)
        lost, self.kept = len(self.kept), {}
        return {"lost": lost}

    @action("Hold other content.", Amount, pauses=True, after=Aftermath.MEDIUM_CHANGED)
    def swap(self, amount: Amount) -> None:
        """In the first block."""
        self.base.write(0, bytes([amount.of]) * 512)

    @action("Fail while nothing runs.", pauses=True)
    def fail(self, _: BaseModel) -> None:
        """As a disk would."""
        raise OSError(28, "No space left on device")


class Mover(Layer):
    """Stands on what comes or goes beneath it, unless that has had enough of it."""

    def stand_on(self, base: Store) -> None:
        """Another one."""
        if isinstance(base, Layer) and base.options.tag == "alone":
            raise OSError(16, "Device or resource busy")
        self.base = base


class Stuck(Layer):
    """Fails every write, until it stands aside."""

    aside = False

    def stand_aside(self, aside: bool) -> None:
        """Or stay."""
        self.aside = aside

    def write(self, offset: int, data: Buffer) -> None:
        """Fail."""
        if not self.aside:
            raise OSError(5, "Input/output error")
        self.base.write(offset, data)


class Fewer(Layer):
    """Takes no writes."""

    write = Store.write
    flush = Store.flush
    resize = Store.resize


class Both(Power, CommandFilter):
    """Sees the commands and the storage calls."""

    def __init__(self, base: Store, options: Any) -> None:
        super().__init__(base, options)
        self.commands = 0

    def command(self, task: Task) -> None:
        """Ask for a power cut at each READ CAPACITY (10)."""
        self.commands += 1
        if task.cdb[0] == 0x25:
            self.request("cut")


FILTERS = {
    "hold": Hold,
    "layer": Layer,
    "power": Power,
    "fewer": Fewer,
    "both": Both,
    "mover": Mover,
    "stuck": Stuck,
}


def filtering(name: str = "filtering", **others: Any) -> ModuleType:
    """The plugin."""
    module = ModuleType(name)
    Noted.made.clear()

    @hookimpl
    def tgt_register_filters(registry: Any) -> None:
        for offered, cls in {**FILTERS, **others}.items():
            registry.filter(offered, cls)

    module.tgt_register_filters = tgt_register_filters  # type: ignore[attr-defined]
    return module
