"""What happens to the image file behind the daemon's back, or does not fit any more, is told to initiators and loses nothing."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from oracle.commands import BLOCK_BYTES, read16, synchronize_cache10, unmap, unmap_list, write16
from oracle.libiscsi import Answer, InitiatorError, Session
from oracle.pipelined import PipelinedSession
from oracle.served import Served

_MIB_BLOCKS = (1 << 20) // BLOCK_BYTES
_MEDIUM_ERROR, _DATA_PROTECT = 0x3, 0x7
_UNRECOVERED_READ_ERROR, _WRITE_ERROR, _SPACE_ALLOCATION_FAILED = 0x1100, 0x0C00, 0x2707


def refused(answer: Answer, key: int, additional: int) -> bool:
    """Whether a command ended with this sense key and additional sense code."""
    return (answer.status, answer.sense_key, answer.additional_sense) == (2, key, additional)


def pattern(megabyte: int) -> bytes:
    """A MiB that tells its place."""
    return megabyte.to_bytes(4, "big") * (1 << 18)


def write(session: Session, megabyte: int, *, fua: bool = False) -> Answer:
    """Write one MiB."""
    return session.command(write16(megabyte * _MIB_BLOCKS, _MIB_BLOCKS, fua=fua), data_out=pattern(megabyte))


def read(session: Session, megabyte: int) -> Answer:
    """Read one MiB."""
    return session.command(read16(megabyte * _MIB_BLOCKS, _MIB_BLOCKS), read=1 << 20)


# what a full file system does to a command is the core's, and in a user namespace with one user there is nobody to become
@pytest.mark.parametrize("isolation", ["none"], indirect=True, scope="module")
@pytest.mark.parametrize("fua", [False, True])
def test_a_full_file_system_refuses_writes_and_keeps_what_it_took(tmp_path: Path, fua: bool) -> None:
    script = 'mount -t tmpfs -o size=16m none "$0" && exec "$@"'
    own_mount = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, tmp_path)
    image = tmp_path / "disk.img"
    with (
        Served.disk(tmp_path, image, options=("--size", "64M"), under=own_mount) as daemon,
        Session(daemon.url) as session,
    ):
        session.ready()
        taken = 0
        while (answer := write(session, taken, fua=fua)).good:
            taken += 1
        assert refused(answer, _DATA_PROTECT, _SPACE_ALLOCATION_FAILED), answer
        assert 12 <= taken <= 16
        assert session.command(synchronize_cache10()).good, "what was taken is not lost"
        assert [read(session, number).data_in == pattern(number) for number in range(taken)] == [True] * taken
        assert write(session, 1, fua=fua).good, "space that is there already can be written again"
        ranges = unmap_list(0, 2 * _MIB_BLOCKS)
        assert session.command(unmap(len(ranges)), data_out=ranges).good
        assert write(session, taken, fua=fua).good, "space that was given back is used again"
        assert read(session, taken).data_in == pattern(taken)
        assert session.command(synchronize_cache10()).good


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Served]:
    """A daemon whose file is made shorter, which it can't make up for at its end."""
    daemon = Served.disk(tmp_path, tmp_path / "disk.img", options=("--size", "1G"))
    try:
        yield daemon
        assert daemon.stop() == 1
        assert "it was made shorter while in use" in daemon.log
        assert "Traceback" not in daemon.log
    finally:
        daemon.kill()


def test_a_file_that_was_made_shorter_is_a_medium_error(doomed: Served, tmp_path: Path) -> None:
    with Session(doomed.url) as session:
        session.ready()
        for number in range(4):
            assert write(session, number).good
        os.truncate(tmp_path / "disk.img", 2 << 20)
        assert read(session, 1).data_in == pattern(1)
        assert refused(read(session, 2), _MEDIUM_ERROR, _UNRECOVERED_READ_ERROR)
        assert refused(session.command(read16(3 * _MIB_BLOCKS, 8), read=4096), _MEDIUM_ERROR, _UNRECOVERED_READ_ERROR)
        for _ in range(2):
            assert refused(session.command(synchronize_cache10()), _MEDIUM_ERROR, _WRITE_ERROR)
        assert refused(write(session, 0, fua=True), _MEDIUM_ERROR, _WRITE_ERROR)


def test_a_file_that_becomes_shorter_while_it_is_sent_ends_that_session_only(
    doomed: Served, tmp_path: Path, isolation: str
) -> None:
    megabytes, commands = 4, 16
    with Session(doomed.url) as healthy:
        healthy.ready()
        for number in range(megabytes):
            assert write(healthy, number).good
        reader = PipelinedSession(doomed.url)
        reader.ready()
        ends: list[Answer | None] = []
        for _ in range(commands):
            reader.start(read16(0, megabytes * _MIB_BLOCKS), ends.append, read=megabytes << 20)
        while not reader.everything_sent:
            reader.serve(1)
        assert read(healthy, 0).good, "the reads are under way"
        os.truncate(tmp_path / "disk.img", 1 << 20)
        serve_to_the_end(reader, ends.__len__, commands)
        reader.drop()
        assert len(ends) == commands
        # what the file no longer has can't be sent after a header that announced it; a ring has it, or there is no such header
        assert (None in ends) is (isolation == "none")
        assert all(answer is None or not answer.good or len(answer.data_in) == megabytes << 20 for answer in ends)
        assert read(healthy, 0).data_in == pattern(0)


def serve_to_the_end(session: PipelinedSession, ended: Callable[[], int], commands: int) -> None:
    """Receive until all commands have ended or the target has closed the connection."""
    try:
        while ended() < commands:
            session.serve(5)
    except InitiatorError:
        return


def test_another_file_in_its_place_is_left_alone(daemon: Served, tmp_path: Path) -> None:
    image, other = tmp_path / "disk.img", tmp_path / "other.img"
    with Session(daemon.url) as session:
        session.ready()
        assert write(session, 0).good
        other.write_bytes(b"precious")
        other.rename(image)
        assert write(session, 1).good
        assert session.command(synchronize_cache10()).good
        assert [read(session, number).data_in == pattern(number) for number in range(2)] == [True, True]
    assert image.read_bytes() == b"precious"
    assert "disk.img was deleted or replaced while in use" in daemon.log
