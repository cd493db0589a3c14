"""The management socket: who may use it, and what a hostile client can't do."""

import asyncio
import fcntl
import json
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pytest_mock import MockerFixture

from tgtcore.errors import ConfigError
from tgtcore.limits import MANAGEMENT_REQUEST_BYTES_MAX
from tgtcore.management.client import Client
from tgtcore.management.place import Place
from tgtcore.management.protocol import Code, Request, VerbError, request_line
from tgtcore.management.server import Conversation, Server
from tgtcore.testing.waiting import WITHIN_S

DEFECTS: dict[str, type[BaseException]] = {
    "fail": ZeroDivisionError,
    "wait for what is given up": asyncio.CancelledError,
}


async def echo(request: Request) -> Any:
    if request.verb == "converse":
        return Conversation(greet)
    if request.verb == "refuse":
        raise ConfigError("one", "two")
    if request.verb in DEFECTS:
        raise DEFECTS[request.verb]
    return {"verb": request.verb, **request.arguments}


def greet(sock: socket.socket) -> None:
    with sock:
        sock.send(b"hello")


@pytest.fixture
def idle_s() -> float:
    """How long clients may ask for nothing: for ever, unless a test wants to see what becomes of one that does."""
    return 3600


@pytest_asyncio.fixture
async def server(tmp_path: Path, idle_s: float) -> AsyncIterator[Server]:
    made = Server(tmp_path / "run" / "tgtd.sock", echo, idle_s=idle_s)
    await made.start()
    yield made
    await made.stop()
    assert not made.path.parent.exists()


async def ask(server: Server, *lines: bytes, leaves: bool = False) -> list[Any]:
    """Everything that is answered until the server ends the connection; who leaves says that nothing more will be asked."""
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    writer.writelines(lines)
    if leaves:
        writer.write_eof()
    answers = []
    async with asyncio.timeout(WITHIN_S):
        while line := await reader.readline():
            answers.append(json.loads(line))
    writer.close()
    return answers


def call(path: Path, verb: str, arguments: dict[str, Any]) -> Any:
    with Client(path, timeout_s=WITHIN_S) as client:
        return client.call(verb, arguments)


@pytest.mark.asyncio
async def test_a_verb_is_answered(server: Server) -> None:
    assert await asyncio.to_thread(call, server.path, "show", {"a": 1}) == {"verb": "show", "a": 1}
    with pytest.raises(VerbError) as caught:
        await asyncio.to_thread(call, server.path, "refuse", {})
    assert (caught.value.code, caught.value.problems) == (Code.CONFIG, ("one", "two"))


@pytest.mark.parametrize("verb", ["fail", "wait for what is given up"])
@pytest.mark.asyncio
async def test_a_defect_in_a_verb_is_logged_and_the_daemon_goes_on(
    server: Server, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    with pytest.raises(VerbError, match=f"the daemon failed inside: {DEFECTS[verb].__name__}"):
        await asyncio.to_thread(call, server.path, verb, {})
    assert "a management verb failed" in caplog.messages
    assert await asyncio.to_thread(call, server.path, "show", {}) == {"verb": "show"}


@pytest.mark.asyncio
async def test_only_the_owner_can_reach_the_socket(server: Server) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.path.parent.stat().st_mode) == 0o700


@pytest.mark.asyncio
async def test_another_user_is_refused(server: Server, mocker: MockerFixture) -> None:
    mocker.patch.object(socket.socket, "getsockopt", return_value=struct.pack("3i", 1, 4242, 4242))
    (answer,) = await ask(server, request_line(Request("show")))
    assert answer["error"]["code"] == "not-permitted"
    assert answer["error"]["message"] == f"user 4242 may not manage this daemon; user {os.getuid()} and root may"


@pytest.mark.asyncio
async def test_a_request_that_is_too_long_ends_the_connection(server: Server) -> None:
    (answer,) = await ask(server, b"x" * (MANAGEMENT_REQUEST_BYTES_MAX + 2) + b"\n")
    assert answer["error"]["message"] == "the request is too long"


@pytest.mark.asyncio
async def test_nonsense_is_answered_and_the_next_request_works(server: Server) -> None:
    lines = (b"nonsense\n", b"[" * 50_000 + b"\n", request_line(Request("show", {}, 5)))
    first, second, third = await ask(server, *lines, leaves=True)
    assert first["error"]["code"] == second["error"]["code"] == "protocol"
    assert (third["id"], third["result"]) == (5, {"verb": "show"})


@pytest.mark.parametrize("idle_s", [0.1])
@pytest.mark.asyncio
async def test_a_silent_client_is_sent_away(server: Server) -> None:
    (answer,) = await ask(server)
    assert answer["error"]["message"] == "nothing was asked for too long"


@pytest.mark.asyncio
async def test_half_a_request_is_no_request(server: Server) -> None:
    _, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(request_line(Request("show"))[:-1])
    writer.close()
    await writer.wait_closed()
    assert await asyncio.to_thread(call, server.path, "show", {}) == {"verb": "show"}


@pytest.mark.asyncio
async def test_there_is_a_limit_on_clients(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tgtcore.management.server.MANAGEMENT_CLIENTS_MAX", 1)
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(request_line(Request("show")))
    await reader.readline()
    (answer,) = await ask(server, request_line(Request("show")))
    assert answer["error"]["code"] == "busy"
    writer.close()


def left(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.rglob("*"))]


@pytest.mark.asyncio
@pytest.mark.parametrize("used", [False, True])
async def test_folders_that_were_made_go_with_the_socket_unless_they_are_used(tmp_path: Path, used: bool) -> None:
    server = Server(tmp_path / "a" / "b" / "tgtd.sock", echo)
    await server.start()
    assert server.path.parent.stat().st_mode & 0o777 == 0o700
    if used:
        (tmp_path / "a" / "other").touch()
    await server.stop()
    assert left(tmp_path) == (["a", "other"] if used else [])


@pytest.mark.asyncio
async def test_a_second_daemon_is_refused_and_the_first_one_not_disturbed(server: Server) -> None:
    with pytest.raises(ConfigError, match="another tgtd is using it"):
        await Server(server.path, echo).start()
    assert await asyncio.to_thread(call, server.path, "show", {}) == {"verb": "show"}


@pytest.mark.asyncio
async def test_a_socket_that_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "tgtd.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    server = Server(path, echo)
    await server.start()
    assert await asyncio.to_thread(call, path, "show", {}) == {"verb": "show"}
    await server.stop()


@pytest.mark.asyncio
async def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tgtd.sock"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="there is a file of that name which is no socket"):
        await Server(path, echo).start()
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.asyncio
async def test_a_path_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"management socket .*: "):
        await Server(tmp_path / ("x" * 200), echo).start()


@pytest.mark.asyncio
async def test_a_socket_at_which_another_program_answers_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ConfigError, match="another program is using it"):
            await Server(path, echo).start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.asyncio
async def test_a_lock_file_that_is_removed_while_it_is_taken_does_not_count(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    path = tmp_path / "tgtd.sock"
    lock = tmp_path / "tgtd.sock.lock"
    original = fcntl.flock

    def flock(descriptor: int, how: int) -> None:
        original(descriptor, how)
        if flocked.call_count == 1:
            lock.unlink()

    flocked = mocker.patch("fcntl.flock", side_effect=flock)
    server = Server(path, echo)
    await server.start()
    assert flocked.call_count == 2
    assert lock.exists()
    await server.stop()
    assert os.listdir(tmp_path) == []


@pytest.mark.asyncio
async def test_a_server_that_can_not_listen_leaves_nothing(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("asyncio.start_unix_server", side_effect=OSError(24, "Too many open files"))
    with pytest.raises(ConfigError, match="too many open files"):
        await Server(tmp_path / "tgtd.sock", echo).start()
    assert os.listdir(tmp_path) == []


@pytest.mark.asyncio
async def test_a_client_that_reads_no_answers_is_sent_away(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def much(request: Request) -> Any:
        server._idle_s = 0.2  # for its answer: nobody may be late with the question
        asked.set()
        return "x" * 4_000_000

    server = Server(tmp_path / "tgtd.sock", much, idle_s=3600)
    await server.start()
    reader, writer = await asyncio.open_unix_connection(str(server.path), limit=1024)
    writer.write(request_line(Request("show")))
    async with asyncio.timeout(WITHIN_S):
        await asked.wait()
        await asyncio.wait(server._clients)
        assert len(await reader.read()) < 4_000_000
    writer.close()
    await server.stop()


@pytest.mark.asyncio
async def test_a_client_that_leaves_during_a_verb_does_not_stop_it(tmp_path: Path) -> None:
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Any:
        begun.set()
        await go_on.wait()
        ended.set()

    server = Server(tmp_path / "tgtd.sock", slow)
    await server.start()
    _, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(request_line(Request("show")))
    async with asyncio.timeout(WITHIN_S):
        await begun.wait()
        writer.close()
        await writer.wait_closed()
        go_on.set()
        await ended.wait()
    await server.stop()


@pytest.mark.asyncio
async def test_a_conversation_has_the_connection_for_itself(server: Server) -> None:
    reader, writer = await asyncio.open_unix_connection(str(server.path))
    writer.write(request_line(Request("converse")))
    assert await asyncio.wait_for(reader.read(), WITHIN_S) == b"hello"
    writer.close()


@pytest.mark.asyncio
async def test_clients_wait_while_the_server_pauses(server: Server) -> None:
    server.pause()
    assert server.path.is_socket()
    waiting = asyncio.create_task(asyncio.to_thread(call, server.path, "show", {}))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await server.listen()
    assert await waiting == {"verb": "show"}


@pytest.mark.asyncio
async def test_a_place_goes_to_another_server_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "run" / "tgtd.sock"
    first = Server(path, echo)
    await first.start()
    old = first.place
    first.pause()
    waiting = asyncio.create_task(asyncio.to_thread(call, path, "show", {}))
    second = Server(path, echo, place=Place(path, old.listening.dup(), os.dup(old.lock), old.folders, ours=old.ours))
    first.leave()
    await first.stop()
    with pytest.raises(ConfigError, match="another tgtd is using it"):
        await Server(path, echo).start()
    await second.start()
    assert await waiting == {"verb": "show"}
    await second.stop()
    assert os.listdir(tmp_path) == []


@pytest.mark.asyncio
async def test_a_socket_that_somebody_else_has_bound_stays(tmp_path: Path) -> None:
    path = tmp_path / "tgtd.sock"
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(path))
        theirs.listen()
        server = Server(path, echo, inherited=theirs.dup())
        await server.start()
        assert await asyncio.to_thread(call, path, "show", {}) == {"verb": "show"}
        await server.stop()
    assert os.listdir(tmp_path) == [path.name]
