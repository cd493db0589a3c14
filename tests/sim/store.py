"""A store on a medium of the simulation: it tears writes, fails, refuses to be quick, and watches how it is used."""

import asyncio
import errno
from typing import ClassVar, cast

from pydantic import BaseModel
from sim.environment import Environment
from sim.loop import SimLoop
from sim.medium import BLOCK_BYTES

from tgtcore import Buffer, Concurrency, Extent, Features, Options, Store


class SimStoreOptions(Options):
    """Keys of a store of type ``sim``."""

    medium: str
    size: int
    parallel: bool = True
    lacks: tuple[str, ...] = ()


class SimStore(Store):
    """Offers everything that its options do not take away."""

    Options: ClassVar[type[BaseModel]] = SimStoreOptions
    persistent = True
    block_bytes = BLOCK_BYTES
    preferred_bytes = BLOCK_BYTES

    def __init__(self, options: SimStoreOptions) -> None:
        self.environment: Environment = cast(SimLoop, asyncio.get_running_loop()).environment
        self._faults = self.environment.faults
        self._lacks = options.lacks
        self._name = f"medium {options.medium}"
        self.concurrency = Concurrency.PARALLEL if options.parallel else Concurrency.SERIAL
        self._faults.opening(self._name)
        self.medium = self.environment.medium(options.medium, options.size)
        if self.medium.user is not None:
            raise OSError(errno.EBUSY, f"{self._name} is in use")
        self.medium.user = self
        self._busy: list[object] = []
        self._closed = False
        self.size_bytes = self.medium.size_bytes

    def features(self) -> Features:
        found = super().features()
        for name in self._lacks:
            found &= ~Features[name]
        return found

    # ---- blocking calls -----------------------------------------------------------------------------------------------

    def read(self, offset: int, length: int) -> Buffer:
        self._enter("read", offset, length)
        self._faults.call(f"{self._name}: read")
        return self.medium.read(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        """Some blocks at once, the others later, and each as it is in the buffer then."""
        self._enter("write", offset, len(data))
        view = memoryview(data)
        cut = self._cut(len(view))
        self._put(offset, view[:cut])
        self._faults.call(f"{self._name}: write")
        job = self.environment.job
        assert job is not None
        job.late.append(lambda: self._put(offset + cut, view[cut:]))

    def flush(self) -> None:
        self._enter("flush")
        self._faults.call(f"{self._name}: flush")
        self.medium.flush()

    def write_through(self, offset: int, data: Buffer) -> None:
        self.write(offset, data)
        self.flush()

    def unmap(self, offset: int, length: int) -> None:
        self.write(offset, bytes(length))

    def write_zeroes(self, offset: int, length: int) -> None:
        self.write(offset, bytes(length))

    def extents(self, offset: int, length: int) -> tuple[Extent]:
        self._enter("extents", offset, length)
        return (Extent(offset, length, True),)

    def resize(self, size_bytes: int) -> None:
        self._enter("resize")
        self._faults.call(f"{self._name}: resize")
        self.medium.resize(size_bytes)
        self.size_bytes = size_bytes

    def close(self) -> None:
        if self._closed:
            self.environment.fail(f"{self._name} is closed twice")
        self._enter("close")
        if len(self._busy) > 1:
            self.environment.fail(f"{self._name} is closed while it is in use")
        self._closed = True
        self.medium.user = None

    # ---- calls that do not wait ---------------------------------------------------------------------------------------

    def read_nowait(self, offset: int, length: int) -> Buffer | None:
        self._check("read_nowait", offset, length)
        return self.medium.read(offset, length) if self._faults.at_once() else None

    def write_nowait(self, offset: int, data: Buffer) -> bool:
        """All of it, or some of it and False."""
        self._check("write_nowait", offset, len(data))
        done = self._faults.at_once()
        view = memoryview(data)
        self._put(offset, view if done else view[: self._cut(len(view))])
        return done

    # ---- how it is used -----------------------------------------------------------------------------------------------

    def _cut(self, length: int) -> int:
        return self.environment.chance.randrange(length // BLOCK_BYTES + 1) * BLOCK_BYTES

    def _put(self, offset: int, data: memoryview) -> None:
        if data:
            self._check("write", offset, len(data))
        if data and self.medium.user is self:
            self.medium.write(offset, data)

    def _check(self, call: str, offset: int, length: int) -> None:
        if self._closed or self.medium.user is not self:
            self.environment.fail(f"{self._name}: {call} after its end")
        if not length or offset % BLOCK_BYTES or length % BLOCK_BYTES or offset + length > self.size_bytes:
            self.environment.fail(f"{self._name}: {call} of {length} at {offset}, it has {self.size_bytes}")

    def _enter(self, call: str, offset: int = 0, length: int = BLOCK_BYTES) -> None:
        self._check(call, offset, length)
        job = self.environment.job
        if job is None:
            self.environment.fail(f"{self._name}: {call}, which may block, on the loop's thread")
            return
        for late in job.late:
            late()
        job.late.clear()
        if job not in self._busy:
            self._busy.append(job)
            job.stores.append(self)
            if len(self._busy) > 1 and self.concurrency is Concurrency.SERIAL:
                self.environment.fail(f"{self._name}: {call} while another call is under way, although it is SERIAL")

    def left(self, job: object) -> None:
        """A job that was busy here has returned."""
        self._busy.remove(job)
