"""A driver in C, contrib/ring-driver, compiled with sanitizers and attached to a whole daemon."""

import random
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.installed import installed
from support.process import Tgtd, run
from support.raw_client import Packet, RawClient

from tgtcore.management.client import Client
from tgtcore.ring import RingFunction
from tgtcore.testing.waiting import until

EXAMPLE = Path(__file__).parents[2] / "contrib" / "ring-driver"
TARGET = "disks.one"
WAIT_S = 30
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
READY = bytes(6)
INQUIRY = bytes.fromhex("120000002400")
WINDOW = 32
BLOCK = 512
TASK_ABORTED = 0x40
UNIT_ATTENTION = 6
BIG = 64 * 1024
RECLAIM_S = 1.0


def write(lba: int, blocks: int) -> bytes:
    return b"\x2a\0" + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"


def read(lba: int, blocks: int) -> bytes:
    return b"\x28\0" + lba.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"


def compiled(folder: Path, *words: str | Path) -> None:
    done = subprocess.run([*words], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver, with everything that the compiler can find wrong while it runs."""
    folder = tmp_path_factory.mktemp("rawd")
    sources = sorted(EXAMPLE.glob("*.c"))
    compiled(folder, "gcc", "-std=c11", *WARNINGS, *SANITIZERS, *sources, "-o", "rawd")
    return folder / "rawd"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which pip has installed the plugin."""
    return installed(EXAMPLE, tmp_path_factory.mktemp("site"))


class House:
    """A daemon that is configured as the example says, in a folder of its own, and its drivers."""

    def __init__(self, folder: Path, program: Path, environment: dict[str, str], stack: ExitStack) -> None:
        self.folder, self._program, self._environment, self._stack = folder, program, environment, stack
        self.clients = folder / "raw.sock"
        text = (EXAMPLE / "raw.toml").read_text().replace("/run/tgt/", f"{folder}/")
        self.config = folder / "c.toml"
        self.config.write_text(f'daemon = {{ socket = "tgtd.sock", state_directory = "state", drain_s = 1 }}\n{text}')
        self.daemon = self.serve()
        self.drivers: list[subprocess.Popen[str]] = []

    def serve(self, *words: str) -> Tgtd:
        folder = self.folder / f"log{len(list(self.folder.glob('log*')))}"
        folder.mkdir()
        return self._stack.enter_context(
            Tgtd("--config", self.config, "--json", *words, cwd=folder, env=self._environment)
        )

    def attach(self, program: Path | None = None) -> "subprocess.Popen[str]":
        """Start a driver."""
        words = [program or self._program, self.folder / "ring.sock"]
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        self.drivers.append(process)
        return process

    def attached(self) -> "subprocess.Popen[str]":
        """Start a driver and see that it serves."""
        process = self.attach()
        until(lambda: self.about()["state"] == "serving" and str(process.pid) in self.about()["driver"])
        return process

    def about(self) -> Any:
        return self.stat()["transports"]["acme-raw"]["process"]

    def stat(self) -> Any:
        with Client(Path(self.daemon.ready["socket"])) as client:
            return client.call("stat")

    def client(self, **more: Any) -> RawClient:
        """A client, to which power on was told."""
        client = RawClient(self.clients, TARGET, **more)
        self._stack.callback(client.close)
        client.execute(READY)
        return client

    def stop(self) -> None:
        """All that are left end in order; what the sanitizers have found would be their last words."""
        assert self.daemon.stop() == 0, self.daemon.log
        for driver in self.drivers:
            assert said(driver) in ((0, ""), (-9, "")), "it ends with the daemon, in order"
        assert "Traceback" not in self.daemon.log


@pytest.fixture
def house(tmp_path: Path, built: Path, site: dict[str, str]) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, built, site, stack)


def said(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """How a driver has ended, and what it has said."""
    _, errors = process.communicate(timeout=WAIT_S)
    return process.returncode, errors.strip()


def wanting(client: RawClient, count: int) -> list[int]:
    """So many writes that the core has and whose data-out it has asked for; their tags."""
    tags = [client.begin(write(number, 1), bytes(BLOCK), now=0) for number in range(count)]
    assert sorted(client.hear().tag for _ in tags) == tags
    return tags


@pytest.mark.parametrize(("compiler", "suffix", "standard"), [("gcc", "c", "c11"), ("g++", "cc", "c++11")])
def test_the_header_stands_alone(tmp_path: Path, compiler: str, suffix: str, standard: str) -> None:
    (tmp_path / f"alone.{suffix}").write_text('#include "tgtring.h"\nint main(void) { return TGTRING_ACK_DONE; }\n')
    words = (f"-std={standard}", *WARNINGS, f"-I{EXAMPLE}", f"alone.{suffix}", "-o", "alone")
    compiled(tmp_path, compiler, *words)
    assert subprocess.run([tmp_path / "alone"], timeout=WAIT_S, check=False).returncode == 0


def test_it_is_built_as_its_manual_says(tmp_path: Path) -> None:
    (line,) = re.findall(r"^\$ (gcc .*)$", (EXAMPLE / "README.md").read_text(), re.MULTILINE)
    assert (EXAMPLE / "raw.toml").read_text() in (EXAMPLE / "README.md").read_text()
    shutil.copytree(EXAMPLE, tmp_path / "contrib" / "ring-driver")
    compiled(tmp_path, *("sh", "-c", line))
    done = subprocess.run([tmp_path / "rawd"], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert (done.returncode, done.stderr) == (1, "usage: rawd SOCKET\n")


def test_data_goes_both_ways_and_is_what_it_was(house: House) -> None:
    house.attached()
    client = house.client()
    data = random.Random(1).randbytes(BIG)
    blocks = BIG // BLOCK
    for lba, now in ((0, None), (1000, 0), (2000, 512), (3000, BIG - 1)):
        assert client.execute(write(lba, blocks), data, now=now).code == 0
        found = client.execute(read(lba, blocks), room=BIG)
        assert (found.code, found.there_is, found.data == data) == (0, BIG, True)
    assert house.client(initiator="another").execute(read(2000, blocks), room=BIG).data == data
    assert b"disk" not in client.execute(INQUIRY, room=5).data
    house.stop()


def test_lengths_that_do_not_fit_are_told_and_harm_nobody(house: House) -> None:
    house.attached()
    client = house.client()
    short = client.execute(read(0, 2), room=BLOCK)
    assert (short.code, len(short.data), short.there_is) == (0, BLOCK, 2 * BLOCK)
    long = client.execute(read(0, 1), room=BIG)
    assert (long.code, len(long.data), long.there_is) == (0, BLOCK, BLOCK)
    over = client.execute(write(0, 1), bytes(3 * BLOCK), now=0)
    assert (over.code, over.wanted) == (0, BLOCK)
    under = client.execute(write(0, 4), bytes(BLOCK))
    assert under.wanted == 4 * BLOCK
    house.stop()


def test_errors_come_with_their_sense_data(house: House) -> None:
    house.attached()
    client = house.client()
    for cdb, lun, code in (
        (read(1 << 30, 1), 0, (5, 0x21, 0)),
        (b"\x7f" + bytes(6) + b"\xfc\xff\xff" + bytes(250), 0, (5, 0x20, 0)),
        (b"\xff", 0, (5, 0x20, 0)),
        (READY, 9, (5, 0x25, 0)),
    ):
        answer = client.execute(cdb, lun=lun)
        assert (answer.code, answer.sense[2] & 15, answer.sense[12], answer.sense[13]) == (2, *code), cdb
    house.stop()


def test_many_commands_are_in_flight_and_end_once_each(house: House) -> None:
    house.attached()
    sessions = [house.client(initiator=f"i{number}") for number in range(4)]
    tags = [wanting(client, WINDOW) for client in sessions]
    assert house.about()["tasks"] == 4 * WINDOW
    for client, mine in zip(sessions, tags, strict=True):
        for tag in reversed(mine):
            client.say("D", tag=tag, rest=tag.to_bytes(2, "big") * 256)
        answers = [client.hear() for _ in mine]
        assert sorted(answer.tag for answer in answers) == mine
        assert {answer.code for answer in answers} == {0}
    for number in range(WINDOW):
        found = sessions[0].execute(read(number, 1), room=BLOCK).data
        assert found == tags[3][number].to_bytes(2, "big") * 256
    house.stop()


def test_task_management_ends_commands_in_silence(house: House) -> None:
    house.attached()
    client, other = house.client(), house.client(initiator="other")
    first, second = wanting(client, 2)
    (bystander,) = wanting(other, 1)
    assert client.manage(RingFunction.QUERY_TASK, referenced=first) == (answer := client.hear()).tag
    assert (answer.kind, answer.code) == ("A", 1)
    client.manage(RingFunction.ABORT_TASK, referenced=first)
    assert client.hear()[:2] == ("A", 0)
    client.say("D", tag=first, rest=bytes(BLOCK))  # it has crossed
    client.manage(RingFunction.ABORT_TASK, referenced=first)
    assert client.hear()[:2] == ("A", 4)
    client.manage(RingFunction.LOGICAL_UNIT_RESET)
    assert client.hear()[:2] == ("A", 0)
    ended = other.hear()
    assert (ended.kind, ended.code, ended.tag) == ("S", TASK_ABORTED, bystander)
    client.manage(RingFunction.QUERY_TASK, referenced=second)
    assert client.hear()[:2] == ("A", 0)
    client.manage(RingFunction.QUERY_TASK, lun=9)
    assert client.hear()[:2] == ("A", 3)
    house.stop()


def test_a_client_that_goes_away_leaves_nothing(house: House) -> None:
    house.attached()
    stays, goes = house.client(), house.client(initiator="goes")
    wanting(goes, WINDOW)
    assert [one["initiator"] for one in house.daemon.admin("session", "list")] == ["tester", "goes"]
    goes.close()
    until(lambda: house.about()["tasks"] == 0 and house.about()["nexuses"] == 1)
    assert stays.execute(READY).code == 0
    house.stop()


def test_sessions_targets_and_the_transport_go_when_they_are_told_to(house: House) -> None:
    house.attached()
    admin = house.daemon.admin
    client, other = house.client(), house.client(initiator="other")
    wanting(client, 3)
    first, second = admin("session", "list")
    assert first["tasks"] == 3
    assert first["target"] == TARGET
    admin("session", "remove", first["id"], "--transport", "acme-raw", "--force")
    with pytest.raises(ConnectionError):
        client.hear()
    assert other.execute(READY).code == 0
    assert [one["id"] for one in admin("session", "list")] == [second["id"]]
    wanting(other, 2)
    admin("target", "remove", TARGET, "--force")
    with pytest.raises(ConnectionError):
        other.hear()
    with pytest.raises(ConnectionRefusedError, match="there is no such target"):
        RawClient(house.clients, TARGET)
    stat = house.stat()["transports"]["acme-raw"]
    assert stat["commands"] == 8
    house.stop()


def test_a_drained_transport_listens_again_when_it_is_reopened(house: House) -> None:
    driver = house.attached()
    client = house.client()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as mute:
        mute.settimeout(WAIT_S)
        mute.connect(str(house.clients))
        until(lambda: house.stat()["transports"]["acme-raw"]["clients"] == 2)
        house.daemon.admin("transport", "drain", "acme-raw", "--force")
        assert mute.recv(1) == b"", "a login under way ends with the portal"
    with pytest.raises(ConnectionError):
        client.hear()
    with pytest.raises(ConnectionRefusedError):
        RawClient(house.clients, TARGET)
    assert (driver.poll(), house.daemon.admin("portal", "list")) == (None, [])
    house.daemon.admin("transport", "reopen", "acme-raw")
    assert house.client().execute(READY).code == 0
    house.stop()


def test_who_is_not_on_the_list_is_not_admitted(house: House) -> None:
    house.attached()
    house.daemon.admin("access", "set", TARGET, "--initiator", "friend")
    with pytest.raises(ConnectionRefusedError, match="not admitted"):
        RawClient(house.clients, TARGET, "enemy")
    assert house.client(initiator="friend").execute(READY).code == 0
    house.stop()


def test_its_socket_moves_when_the_configuration_says_so(house: House) -> None:
    house.attached()
    client = house.client()
    text = house.config.read_text()
    house.config.write_text(text.replace("raw.sock", "other.sock"))
    house.daemon.admin("apply", house.config)
    assert house.daemon.admin("portal", "list")[0]["address"].endswith("/other.sock")
    house.clients = house.folder / "other.sock"
    assert client.execute(READY).code == house.client(initiator="late").execute(READY).code == 0
    house.config.write_text(text.replace("raw.sock", "no/where.sock"))
    done = run("tgtadm", "--socket", house.daemon.ready["socket"], "apply", house.config)
    assert "No such file or directory" in done.stderr
    assert house.client(initiator="still").execute(INQUIRY, room=36).code == 0
    house.stop()


@pytest.mark.alone
def test_after_sigkill_everything_is_reclaimed_and_the_next_one_serves(house: House) -> None:
    first = house.attached()
    client = house.client()
    kept = random.Random(2).randbytes(BLOCK)
    assert client.execute(write(100, 1), kept).code == 0
    for _ in range(5):
        wanting(client, WINDOW)
        assert house.about()["tasks"] == WINDOW
        first.kill()
        began = time.monotonic()
        until(lambda: house.about()["state"] == "waiting")
        assert house.stat()["logical_units"]["scratch"]["tasks"] == 0
        assert time.monotonic() - began < RECLAIM_S
        with pytest.raises(ConnectionError):
            client.hear()
        first = house.attached()
        client = house.client()
        assert client.execute(read(100, 1), room=BLOCK).data == kept
    assert house.about()["attached"] == 6
    house.stop()


def test_clients_wait_for_the_next_one_in_the_socket_that_the_last_one_has_left(house: House) -> None:
    first = house.attached()
    house.client()
    inode = house.clients.stat().st_ino
    first.kill()
    until(lambda: house.about()["state"] == "waiting")
    with ThreadPoolExecutor() as pool:
        early = pool.submit(RawClient, house.clients, TARGET)
        house.attached()
        client = early.result(WAIT_S)
    assert client.execute(INQUIRY, room=36).code == 0
    client.close()
    assert house.clients.stat().st_ino == inode
    house.stop()


def test_clients_wait_for_the_daemon_that_takes_over_too(house: House) -> None:
    first = house.attached()
    inode = house.clients.stat().st_ino
    old, house.daemon = house.daemon, house.serve("--take-over")
    assert old.process.wait(WAIT_S) == 0
    assert said(first) == (0, "")
    house.drivers.clear()
    with ThreadPoolExecutor() as pool:
        early = pool.submit(RawClient, house.clients, TARGET)
        house.attached()
        client = early.result(WAIT_S)
    client.close()
    assert house.clients.stat().st_ino == inode
    house.stop()


def test_a_second_one_is_refused_in_words(house: House, built: Path) -> None:
    first = house.attached()
    status, words = said(second := house.attach())
    house.drivers.remove(second)
    assert status == 1
    assert words.endswith(f"ring.sock: transport acme-raw has a driver already: rawd (process {first.pid})")
    assert house.client().execute(READY).code == 0
    house.stop()


def test_it_ends_with_a_daemon_that_is_killed(house: House) -> None:
    driver = house.attached()
    client = house.client()
    wanting(client, 3)
    house.daemon.process.kill()
    assert said(driver) == (1, "the daemon has gone")
    house.daemon.process.wait()
    house.drivers.clear()
    house.daemon = house.serve()
    house.attached()
    assert house.client().execute(READY).code == 0, "what the killed ones have left is in nobody's way"
    house.stop()


def test_garbage_of_clients_harms_only_themselves(house: House) -> None:
    house.attached()
    neighbour = house.client(initiator="neighbour")
    data = random.Random(3).randbytes(BLOCK)
    assert neighbour.execute(write(4000, 1), data).code == 0
    for seed in range(300):
        chance = random.Random(seed)
        wild = RawClient(house.clients, TARGET, f"wild{seed % 3}")
        try:
            for _ in range(chance.randrange(1, 60)):
                spoil(wild, chance)
        except OSError:
            pass
        wild.close()
        if seed % 20 == 0:
            assert read_calmly(neighbour, read(4000, 1)) == data, seed
    assert house.drivers[0].poll() is None
    until(lambda: house.about()["nexuses"] == 1 and house.about()["tasks"] == 0)
    assert house.about()["attached"] == 1, "the core has not dropped it"
    house.stop()


def hear_all(client: RawClient, count: int) -> list[Packet]:
    return [client.hear() for _ in range(count)]


def read_calmly(client: RawClient, cdb: bytes) -> bytes:
    """A block, even if others reset the logical unit meanwhile."""
    while (answer := client.execute(cdb, room=BLOCK)).code:
        assert answer.code == TASK_ABORTED or answer.sense[2] & 15 == UNIT_ATTENTION
    return answer.data


def spoil(client: RawClient, chance: random.Random) -> None:
    """Something that a client may do, often wrong."""
    kind = chance.choice("CCCCDDMMHXSW\0")
    numbers = (0, 1, 2, 3, 512, BIG, BIG + 1, 2**31, 2**32 - 1)
    cdb = chance.choice(
        (READY, read(0, 128), read(5, 1), INQUIRY, b"\x3b" * 10, chance.randbytes(chance.randrange(40)))
    )
    rest = cdb + bytes(chance.choice((0, 0, 1, 512, BIG, BIG + 300)))
    good = chance.random() < 0.8
    client.socket.settimeout(0)
    client.say(
        kind,
        length=len(cdb) if good else chance.choice((0, 1, 16, 17, 260, 261, 65535)),
        code=chance.randrange(12) if good else chance.randrange(256),
        rest=rest if good else chance.randbytes(chance.randrange(400)),
        out=len(rest) - len(cdb) if good else chance.choice(numbers),
        room=chance.choice(numbers[:6]) if good else chance.choice(numbers),
        tag=chance.randrange(40),
        lun=chance.choice((0, 0, 1, 5)) << 48,
        referenced=chance.randrange(40),
    )
    if chance.random() < 0.3:
        client.socket.recv(1 << 18)


def test_a_client_that_reads_nothing_holds_up_nobody(house: House) -> None:
    house.attached()
    deaf, other = house.client(initiator="deaf"), house.client()
    for _ in range(WINDOW):
        deaf.begin(read(0, 128), room=BIG)
    for _ in range(50):
        assert other.execute(read(0, 128), room=BIG).code == 0
    assert [answer.code for answer in hear_all(deaf, WINDOW)] == [0] * WINDOW
    for _ in range(WINDOW + 1):
        deaf.begin(write(0, 1), bytes(BLOCK), now=0)
    with pytest.raises(ConnectionError):
        hear_all(deaf, WINDOW + 1)
    until(lambda: house.stat()["transports"]["acme-raw"]["clients"] == 1)
    house.stop()


def test_its_files_are_small() -> None:
    for path in (*EXAMPLE.glob("*.c"), *EXAMPLE.glob("ra*.h"), *EXAMPLE.glob("ri*.h")):
        assert len(path.read_text().splitlines()) < 400, path
