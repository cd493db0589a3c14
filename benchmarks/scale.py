"""Many sessions and many logical units: what they cost, and whether a command costs what it costs with one of each."""

import argparse
import asyncio
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from oracle.crowd import Member, crowd
from oracle.many_units import file_units, null_units, targets
from oracle.served import Served

from benchmarks.process import cpu_s, resident_bytes

_DEPTH = 32
_LUNS_USED = 10
_MOST_COSTLIER = 1.1
_MOST_STOP_S = 10
_MOST_STALL_S = 0.1


class Scale:
    """One daemon under a crowd; results are printed as they come, what misses its target is kept.

    :param seconds: of each load.
    """

    def __init__(self, daemon: Served, units: int, seconds: float) -> None:
        self.daemon = daemon
        self.units = units
        self.seconds = seconds
        self.missed: list[str] = []

    async def run(self, sessions: int) -> None:
        """Log in, load, change, stop."""
        daemon, pid = self.daemon, self.daemon.pid
        print(f"ready in {daemon.ready_s:.1f} s, {resident_bytes(pid) / self.units / 1e3:.1f} kB resident per LUN")
        print(f"{len(os.listdir(f'/proc/{pid}/fd'))} descriptors")
        used, resident, started = cpu_s(pid), resident_bytes(pid), time.monotonic()
        async with crowd(daemon.portal, targets(1), sessions) as members:
            took, login_us = time.monotonic() - started, (cpu_s(pid) - used) / sessions * 1e6
            print(f"{sessions} logins in {took:.1f} s, {login_us:.0f} us of the daemon each")
            await asyncio.gather(*(member.greet(range(_LUNS_USED)) for member in members[1:]))
            await members[0].greet(range(self.units))
            each = (resident_bytes(pid) - resident) / sessions / 1e3
            print(f"{each:.1f} kB resident per session that uses {_LUNS_USED} LUNs (one uses all)")
            await self._costs(members)
            for words in self._verbs():
                await self._stall(members[1], words)
            started = time.monotonic()
            status = await asyncio.to_thread(daemon.stop)
            took = time.monotonic() - started
            self._judge(
                f"stop with status {status} in {took:.1f} s (target < {_MOST_STOP_S} s)",
                not status and took < _MOST_STOP_S,
            )

    async def _costs(self, members: list[Member]) -> None:
        """Daemon time per 4 KiB read; the loads take turns, so that whatever else the machine does falls on all."""
        loads: dict[str, Callable[[], Awaitable[int]]] = {
            "one session, one LUN": lambda: members[0].read([0] * 3200, _DEPTH),
            "one session, every LUN": lambda: members[0].read(range(self.units), _DEPTH),
            "every session, one LUN each": lambda: _all_read(members, 0),
        }
        samples: dict[str, list[float]] = {name: [] for name in loads}
        for _ in range(5):
            for name, load in loads.items():
                samples[name].append(await self._cost(load))
        one, *others = ((name, statistics.median(found)) for name, found in samples.items())
        print(f"{one[1]:.2f} us per command: {one[0]}")
        for name, cost in others:
            ratio = cost / one[1]
            self._judge(
                f"{cost:.2f} us per command, {ratio:.2f} of that (target <= {_MOST_COSTLIER}): {name}",
                ratio <= _MOST_COSTLIER,
            )

    async def _cost(self, load: Callable[[], Awaitable[int]]) -> float:
        used, end, commands = cpu_s(self.daemon.pid), time.monotonic() + self.seconds, 0
        while time.monotonic() < end:
            commands += await load()
        return (cpu_s(self.daemon.pid) - used) / commands * 1e6

    def _verbs(self) -> Iterable[tuple[str, ...]]:
        name, last = targets(1)[0], self.units - 1
        yield from (("session", "list"), ("target", "list"), ("lu", "list"), ("stat",), ("show",))
        yield "lun", "remove", name, str(last)
        yield "lun", "add", name, str(last), f"d{last}"
        yield "lu", "remove", f"d{last}", "--force", "--unmap"

    async def _stall(self, member: Member, words: tuple[str, ...]) -> None:
        """How long a verb takes, and for how long somebody else's command has to wait meanwhile."""
        started, longest = time.monotonic(), 0.0
        verb = asyncio.ensure_future(asyncio.to_thread(self.daemon.admin, *words))
        while not verb.done():
            sent = time.monotonic()
            await member.execute(bytes(16))
            longest = max(longest, time.monotonic() - sent)
        await verb
        text = f"{' '.join(words)}: {time.monotonic() - started:.2f} s, others wait {longest * 1e3:.0f} ms at most"
        self._judge(f"{text} (target < {_MOST_STALL_S * 1e3:.0f} ms)", longest < _MOST_STALL_S)

    def _judge(self, text: str, met: bool) -> None:
        print(f"{text}: {'met' if met else 'MISSED'}", flush=True)
        if not met:
            self.missed.append(text)


async def _all_read(members: list[Member], lun: int) -> int:
    return sum(await asyncio.gather(*(member.read([lun] * _DEPTH, _DEPTH) for member in members)))


def main() -> int:
    """Exit status 0 when every target is met, else 1."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 sessions and 1 000 logical units")
    parser.add_argument("--store", choices=("null", "file"), default="null", help="what the logical units stand on")
    arguments = parser.parse_args()
    sessions, units, seconds = (100, 1000, 0.5) if arguments.quick else (1000, 10_000, 2)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        work = Path(folder)
        configuration = null_units(units) if arguments.store == "null" else file_units(work, units)
        with Served.configured(work, configuration) as daemon:
            scale = Scale(daemon, units, seconds)
            asyncio.run(scale.run(sessions))
    return 1 if scale.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
