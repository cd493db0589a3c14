"""The client's end: errors that say what to do."""

import socket
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from tgtcore.management.client import Client
from tgtcore.management.protocol import Code, VerbError


def test_no_daemon_is_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(VerbError, match=r"no daemon answers at .*/none \(no such file or directory\)") as caught:
        Client(tmp_path / "none")
    assert caught.value.code is Code.NO_DAEMON


def test_a_socket_that_is_not_ours_is_its_own_error(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(socket.socket, "connect", side_effect=PermissionError(13, "Permission denied"))
    with pytest.raises(VerbError, match="run tgtadm as the user that runs tgtd, or as root") as caught:
        Client(tmp_path / "sock")
    assert caught.value.code is Code.NOT_PERMITTED


@pytest.fixture
def listening(tmp_path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "sock"))
    listener.listen()
    return listener


def test_a_daemon_that_hangs_up_is_noticed(tmp_path: Path, listening: socket.socket) -> None:
    with listening, Client(tmp_path / "sock", timeout_s=5) as client:
        listening.accept()[0].close()
        with pytest.raises(VerbError, match="closed the connection") as caught:
            client.call("show")
    assert caught.value.code is Code.NO_DAEMON


def test_a_daemon_that_does_not_answer_is_not_waited_for_for_ever(tmp_path: Path, listening: socket.socket) -> None:
    late = pytest.raises(VerbError, match="has not answered in time")
    with listening, Client(tmp_path / "sock", timeout_s=0.05) as client, late as caught:
        client.call("show")
    assert caught.value.code is Code.BUSY
