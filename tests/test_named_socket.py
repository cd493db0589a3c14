"""Sockets with names: private from the first moment on, and never in the place of somebody else's."""

import os
import socket
import stat
from pathlib import Path

import pytest

from tgtcore.errors import ConfigError
from tgtcore.named_socket import bind_private

KINDS = {"stream": socket.SOCK_STREAM, "seqpacket": socket.SOCK_SEQPACKET}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_socket_is_for_its_owner_alone(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "here.sock"
    with bind_private(path, "socket", kind, os.geteuid()) as made:
        assert (made.type, made.gettimeout()) == (kind, 0)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_uid == os.geteuid()


def test_a_socket_may_be_for_a_group_too(tmp_path: Path) -> None:
    path = tmp_path / "here.sock"
    with bind_private(path, "socket", gid=os.getegid()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert (path.stat().st_uid, path.stat().st_gid) == (os.geteuid(), os.getegid())


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_one_at_which_nobody_listens_is_replaced(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "here.sock"
    bind_private(path, "socket", kind).close()
    bind_private(path, "socket", kind).close()
    assert os.listdir(tmp_path) == ["here.sock"]


@pytest.mark.parametrize("theirs", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("ours", KINDS.values(), ids=KINDS)
def test_one_at_which_somebody_listens_is_left_alone(tmp_path: Path, theirs: int, ours: int) -> None:
    path = tmp_path / "here.sock"
    with socket.socket(socket.AF_UNIX, theirs) as other, socket.socket(socket.AF_UNIX, theirs) as client:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ConfigError, match=r"^the door .*/here\.sock: another program is using it"):
            bind_private(path, "the door", ours)
        client.connect(str(path))


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "here.sock"
    path.write_text("precious")
    with pytest.raises(ConfigError, match=r"^the door .*: there is a file of that name which is no socket"):
        bind_private(path, "the door")
    assert path.read_text() == "precious"


@pytest.mark.parametrize(("length", "fits"), [(107, True), (108, False)])
def test_a_name_must_fit_into_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int, *, fits: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("x" * length)
    if fits:
        bind_private(path, "socket").close()
        assert path.exists()
    else:
        with pytest.raises(ConfigError, match="the path has 108 bytes, expected at most 107; choose a shorter one"):
            bind_private(path, "socket")
