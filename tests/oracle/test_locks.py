"""Locks on image files beside those of QEMU: nobody writes to what another has in use."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tgtcore_cow.files import HostFile
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_file.file import FileStore
from tgtcore_file.options import FileOptions

from tgtcore import Store, StoreError

MIB = 1 << 20
Open = Callable[[Path, bool], Store]


def _host_file(path: Path, read_only: bool) -> Store:
    return HostFile(path, read_only=read_only, raw=_format(path) == "raw")


def _file_store(path: Path, read_only: bool) -> Store:
    return FileStore(FileOptions(path=path, read_only=read_only))


BOTH = pytest.mark.parametrize("ours", [_host_file, _file_store])


@pytest.fixture(params=["qcow2", "raw"])
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Its name ends with its format."""
    path = tmp_path / f"disk.{request.param}"
    file = HostFile(path, create=True)
    if request.param == "qcow2":
        create(file, CreateOptions(MIB))
    else:
        file.resize(MIB)
    file.close()
    return path


def _format(path: Path) -> str:
    return path.suffix[1:]


@contextmanager
def _qemu(path: Path, *, read_only: bool) -> Iterator[int]:
    """QEMU without a guest, exporting an image."""
    read, write = ("on", "off") if read_only else ("off", "on")
    command = [
        "qemu-storage-daemon",
        *(
            "--blockdev",
            f"driver={_format(path)},node-name=disk,read-only={read},file.driver=file,file.filename={path}",
        ),
        *("--nbd-server", f"addr.type=unix,addr.path={path}.socket"),
        *("--export", f"type=nbd,id=export,node-name=disk,writable={write}"),
        *("--chardev", "stdio,id=stdio", "--monitor", "chardev=stdio"),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as qemu:
        assert qemu.stdout
        try:
            assert "QMP" in qemu.stdout.readline()
            yield qemu.pid
        finally:
            qemu.kill()


@contextmanager
def _opened(ours: Open, path: Path, *, read_only: bool) -> Iterator[Store]:
    store = ours(path, read_only)
    try:
        yield store
    finally:
        store.close()


def _qemu_io(path: Path, *arguments: str) -> str:
    return _run("qemu-io", "-f", _format(path), *arguments, "-c", "read 0 512", path)


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    printed = done.stdout + done.stderr
    assert bool(done.returncode) == ("lock" in printed), printed
    return printed


@BOTH
def test_what_qemu_writes_to_is_not_opened(ours: Open, image: Path) -> None:
    with _qemu(image, read_only=False) as pid:
        for read_only, wanted in (True, "nobody who writes to it"), (False, "to have it alone"):
            with pytest.raises(StoreError, match=rf"is locked by process {pid} \(qemu-.+\); expected {wanted}"):
                ours(image, read_only)
    with _opened(ours, image, read_only=False):
        pass


@BOTH
def test_what_qemu_reads_is_shared_for_reading_only(ours: Open, image: Path) -> None:
    with _qemu(image, read_only=True) as pid:
        with _opened(ours, image, read_only=True):
            pass
        with pytest.raises(StoreError, match=rf"is locked by process {pid} \(qemu-.+\); expected to have it alone"):
            ours(image, False)


@BOTH
def test_qemu_does_not_write_to_what_we_read(ours: Open, image: Path) -> None:
    with _opened(ours, image, read_only=True), _opened(ours, image, read_only=True):
        assert "Is another process using the image" in _qemu_io(image)
        assert "read 512/512" in _qemu_io(image, "-r")
        _run("qemu-img", "info", image)
        with _qemu(image, read_only=True):
            pass


@BOTH
def test_qemu_does_not_write_to_what_we_write(ours: Open, image: Path) -> None:
    with _opened(ours, image, read_only=False):
        assert "Is another process using the image" in _qemu_io(image)


@BOTH
@pytest.mark.parametrize("image", ["qcow2"], indirect=True)
def test_qemu_does_not_read_what_we_write(ours: Open, image: Path) -> None:
    with _opened(ours, image, read_only=False):
        assert "Is another process using the image" in _qemu_io(image, "-r")
        assert "Is another process using the image" in _run("qemu-img", "info", image)


@pytest.mark.parametrize("image", ["raw"], indirect=True)
def test_a_served_raw_image_is_read_by_nobody_who_locks(image: Path) -> None:
    """QEMU alone would let a reader in: it trusts those who read raw images."""
    with _opened(_file_store, image, read_only=False):
        assert "Is another process using the image" in _qemu_io(image, "-r")


@BOTH
def test_what_we_write_can_be_looked_at(ours: Open, image: Path) -> None:
    with _opened(ours, image, read_only=False):
        assert "virtual size: 1 MiB" in _run("qemu-img", "info", "--force-share", image)


@pytest.mark.parametrize("image", ["qcow2"], indirect=True)
def test_a_format_that_we_write_can_be_checked_at_the_checkers_own_risk(image: Path) -> None:
    with _opened(_host_file, image, read_only=False):
        assert "No errors were found" in _run("qemu-img", "check", "--force-share", image)


def test_an_image_that_qemu_builds_on_can_be_built_on_by_us_too(image: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.qcow2"
    _run("qemu-img", "create", "-q", "-f", "qcow2", "-F", _format(image), "-b", image, overlay)
    with _qemu(overlay, read_only=False):
        with _opened(_host_file, image, read_only=True):
            pass
        with pytest.raises(StoreError, match="expected to have it alone"):
            _host_file(image, False)
    with _opened(_host_file, image, read_only=True):
        assert "read 512/512" in _qemu_io(overlay)
