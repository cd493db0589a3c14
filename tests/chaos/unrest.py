"""Takes things away from a running daemon at random and gives them back, by the management socket and by SIGKILL."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tgtcore.management.client import Client
from tgtcore.management.protocol import Code, VerbError

_EXPECTED = {Code.NOT_FOUND, Code.BUSY, Code.CONFIG, Code.FAILED, Code.PLUGIN}
"""Somebody else has taken it away, or given it back, or it is on its way."""
_FILTERS: tuple[tuple[str, list[str]], ...] = (
    ("delay", ["seconds=0.05", "probability=0.1"]),
    ("black-hole", ["commands=READ (10)", "every=50"]),
    ("error", ["status=BUSY", "probability=0.1"]),
    ("rate", ["iops=2000"]),
    ("stats", []),
    ("cache", []),
    ("crash", []),
)
_FOR_GOOD_S = 60.0
_KILL_EVERY_S = 4.0
"""Not more often: a driver process that dies time and again is started again later and later, and there would be no I/O."""


class Unrest:
    """What is done to one daemon.

    :param socket: its management socket.
    :param configuration: its whole configuration as TOML, which gives everything back.
    :param targets: their names, each with the LUNs 0 to 3.
    :param portals: addresses of portals that may come and go.
    :param isolated: whether there is a driver process to kill.
    """

    def __init__(
        self, socket: Path, configuration: str, targets: Sequence[str], portals: Sequence[str], *, isolated: bool
    ) -> None:
        self.done: Counter[str] = Counter()
        """What has succeeded, by name."""
        self.refused: Counter[str] = Counter()
        """What came too late or too early."""
        self.wrong: list[str] = []
        self._socket = socket
        self._configuration = configuration
        self._targets = targets
        self._portals = portals
        self._actions: list[Callable[[Client, random.Random], None]] = [
            self._remove_lun,
            self._drain_lun,
            self._remove_target,
            self._drain_target,
            self._remove_unit,
            self._drain_unit,
            self._take_offline,
            self._add_filter,
            self._remove_filter,
            self._end_session,
            self._close_portal,
            self._drain_transport,
            self._reload,
            self._unload,
            self._give_back,
            self._give_back,
        ]
        self._next_kill = time.monotonic()
        if isolated:
            self._actions.append(self._kill_driver)

    def go_on(self, until: float, every_s: float, seed: int) -> None:
        """Do something every so often until a time of the monotonic clock."""
        chance = random.Random(seed)
        with Client(self._socket) as client:
            while time.monotonic() < until and not self.wrong:
                began = time.monotonic()
                action = chance.choice(self._actions)
                self._try(action.__name__.strip("_"), lambda action=action: action(client, chance))  # type: ignore[misc]
                time.sleep(max(0.0, every_s - (time.monotonic() - began)))

    def give_everything_back(self) -> None:
        """At the end everything is there again."""
        deadline = time.monotonic() + _FOR_GOOD_S
        with Client(self._socket) as client:
            while True:
                try:
                    self._reopen_all(client)
                    client.call("apply", {"text": self._configuration})
                    return
                except VerbError as error:
                    if time.monotonic() > deadline:
                        raise AssertionError(f"not everything can be given back: {error}") from error
                    time.sleep(0.1)

    def _try(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
            self.done[name] += 1
        except VerbError as error:
            self.refused[name] += 1
            if error.code not in _EXPECTED or "failed inside" in str(error):
                self.wrong.append(f"{name}: {error.code.word}: {error}")
        except OSError as error:
            self.wrong.append(f"{name}: {error!r}")

    # ---- what is done -------------------------------------------------------------------------------------------------

    def _lun(self, chance: random.Random) -> dict[str, Any]:
        return {"target": chance.choice(self._targets), "lun": chance.randrange(4)}

    def _remove_lun(self, client: Client, chance: random.Random) -> None:
        client.call("lun remove", self._lun(chance) | _patience(chance))

    def _drain_lun(self, client: Client, chance: random.Random) -> None:
        lun = self._lun(chance)
        client.call("lun drain", lun | _patience(chance))
        client.call("lun reopen", lun)

    def _remove_target(self, client: Client, chance: random.Random) -> None:
        client.call("target remove", {"target": chance.choice(self._targets)} | _patience(chance))

    def _drain_target(self, client: Client, chance: random.Random) -> None:
        target = {"target": chance.choice(self._targets)}
        client.call("target drain", target | _patience(chance))
        client.call("target reopen", target)

    def _remove_unit(self, client: Client, chance: random.Random) -> None:
        client.call("lu remove", {"name": f"lu{chance.randrange(8)}", "unmap": True} | _patience(chance))

    def _drain_unit(self, client: Client, chance: random.Random) -> None:
        unit = {"name": f"lu{chance.randrange(8)}"}
        client.call("lu drain", unit | _patience(chance))
        client.call("lu reopen", unit)

    def _take_offline(self, client: Client, chance: random.Random) -> None:
        unit = {"name": f"lu{chance.randrange(8)}"}
        client.call("lu offline", unit)
        time.sleep(chance.random() / 20)
        client.call("lu online", unit)

    def _add_filter(self, client: Client, chance: random.Random) -> None:
        kind, keys = chance.choice(_FILTERS)
        client.call("filter add", {"unit": f"lu{chance.randrange(8)}", "type": kind, "keys": keys})

    def _remove_filter(self, client: Client, chance: random.Random) -> None:
        rows = [row for row in client.call("filter list") if row["key"] == "filters"]
        if rows:
            row = chance.choice(rows)
            client.call("filter remove", {"unit": row["unit"], "name": row["name"]})

    def _end_session(self, client: Client, chance: random.Random) -> None:
        sessions = client.call("session list")
        if sessions:
            client.call("session remove", {"id": chance.choice(sessions)["id"]} | _patience(chance))

    def _close_portal(self, client: Client, chance: random.Random) -> None:
        address = chance.choice(self._portals)
        client.call("portal remove", {"address": address} | _patience(chance))
        client.call("portal add", {"address": address})

    def _drain_transport(self, client: Client, chance: random.Random) -> None:
        client.call("transport drain", {"transport": "iscsi"} | _patience(chance))
        client.call("transport reopen", {"transport": "iscsi"})

    def _reload(self, client: Client, chance: random.Random) -> None:
        client.call("plugin reload", {"name": chance.choice(("file", "disk", "filters"))})

    def _unload(self, client: Client, chance: random.Random) -> None:
        client.call("plugin unload", {"name": chance.choice(("file", "disk", "filters"))} | _patience(chance))
        self._give_back(client, chance)

    def _give_back(self, client: Client, chance: random.Random) -> None:
        client.call("apply", {"text": self._configuration})

    def _kill_driver(self, client: Client, chance: random.Random) -> None:
        if time.monotonic() < self._next_kill:
            return
        self._next_kill = time.monotonic() + _KILL_EVERY_S
        pid = client.call("stat")["transports"].get("iscsi", {}).get("process", {}).get("pid")
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _reopen_all(self, client: Client) -> None:
        things: list[tuple[str, dict[str, Any]]] = [("transport", {"transport": "iscsi"})]
        things += [("target", {"target": target}) for target in self._targets]
        things += [("lun", {"target": target, "lun": lun}) for target in self._targets for lun in range(4)]
        things += [("lu", {"name": f"lu{number}"}) for number in range(8)]
        things += [("portal", {"address": address}) for address in self._portals]
        for word, arguments in things:
            try:
                client.call(f"{word} reopen", arguments)
            except VerbError as error:
                if error.code is not Code.NOT_FOUND:
                    raise
        for number in range(8):
            with contextlib.suppress(VerbError):
                client.call("lu online", {"name": f"lu{number}"})


def _patience(chance: random.Random) -> dict[str, Any]:
    """With force, with a short deadline, or with that of the daemon."""
    return chance.choice(({"force": True}, {"deadline": round(chance.random() / 2, 2)}, {}))
