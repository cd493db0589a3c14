"""Images that stand on others, made by QEMU and by us, seen by both."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tgtcore_cow.chain import Chain
from tgtcore_cow.files import HostFile
from tgtcore_cow.names import Rules
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import ImageError
from tgtcore_cow.qcow2.header import ExtensionType
from tgtcore_cow.qcow2.image import Image, read_header

SIZE = 4 << 20
DEPTH = 8


@contextmanager
def _opened(path: Path, *, read_only: bool = True, rules: Rules | None = None) -> Iterator[Image]:
    with ExitStack() as stack:
        file = HostFile(path, read_only=read_only)
        stack.callback(file.close)
        chain = Chain(read_header(file), path, read_only=read_only, rules=rules)
        stack.callback(chain.close)
        image = Image(file, backing=chain.backing, data_file=chain.data_file, read_only=read_only)
        stack.callback(image.close)
        yield image


def _run(folder: Path, *command: str | Path) -> str:
    """In the folder of the images: QEMU takes names of data files as relative to where it runs."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _content(path: Path) -> bytes:
    """The disk as QEMU reads it."""
    raw = path.parent / "converted.raw"
    _run(path.parent, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw)
    return raw.read_bytes()


def _made_by_qemu(path: Path, backing: str, backing_format: str, **options: str) -> None:
    keys = [f"-o{key}={value}" for key, value in options.items()]
    _run(path.parent, "qemu-img", "create", "-q", "-f", "qcow2", "-F", backing_format, "-b", backing, *keys, path)


def _made_by_us(path: Path, backing: str, backing_format: str, **keys: Any) -> None:
    file = HostFile(path, create=True)
    create(file, CreateOptions(SIZE, backing_file=backing, backing_format=backing_format, **keys))
    file.close()


def _write_by_qemu(path: Path, offset: int, data: bytes) -> None:
    pattern = path.parent / "pattern"
    pattern.write_bytes(data)
    command = f"write -q -s {pattern} {offset} {len(data)}"
    assert "failed" not in _run(path.parent, "qemu-io", "-f", "qcow2", "-c", command, path)


def _write_by_us(path: Path, offset: int, data: bytes) -> None:
    with _opened(path, read_only=False) as image:
        image.write(offset, data)


@pytest.mark.parametrize("ours_first", [True, False])
def test_chains_of_images_of_both_kinds_written_by_both(tmp_path: Path, ours_first: bool) -> None:
    random = Random(8)
    model = bytearray(random.randbytes(SIZE))
    (tmp_path / "0").write_bytes(model)
    for number in range(1, DEPTH + 1):
        path = tmp_path / str(number)
        ours = bool(number & 1) is ours_first
        (_made_by_us if ours else _made_by_qemu)(path, str(number - 1), "raw" if number == 1 else "qcow2")
        for write in (_write_by_us, _write_by_qemu):
            offset, length = random.randrange(0, SIZE - (1 << 20), 512), random.randrange(512, 1 << 20, 512)
            data = random.randbytes(length)
            write(path, offset, data)
            model[offset : offset + length] = data
        with _opened(path) as image:
            assert image.read(0, SIZE) == model
        assert _content(path) == model
        _run(tmp_path, "qemu-img", "check", "-q", path)


@pytest.mark.parametrize("raw", ["on", "off"])
def test_a_data_file_of_qemu_beneath_an_image(tmp_path: Path, raw: str) -> None:
    base, top = tmp_path / "base.qcow2", tmp_path / "top.qcow2"
    options = [f"-odata_file={tmp_path / 'data'}", f"-odata_file_raw={raw}"]
    _run(tmp_path, "qemu-img", "create", "-q", "-f", "qcow2", *options, base, str(SIZE))
    _write_by_qemu(base, 65536, b"q" * 70000 + bytes(144))
    _write_by_us(base, 1 << 20, b"u" * 65536)
    _made_by_qemu(top, "base.qcow2", "qcow2")
    expected = bytearray(SIZE)
    expected[65536 : 65536 + 70000] = b"q" * 70000
    expected[1 << 20 : (1 << 20) + 65536] = b"u" * 65536
    for path in (base, top):
        with _opened(path) as image:
            assert image.read(0, SIZE) == expected
        assert _content(path) == expected


def _forget_format(path: Path) -> None:
    """QEMU does not make such images any more."""
    file = HostFile(path)
    header = read_header(file).with_extension(ExtensionType.BACKING_FORMAT, None)
    file.write(0, header.encode().ljust(header.layout.cluster_bytes, b"\0"))
    file.close()


def test_a_name_of_an_older_qemu_is_not_followed_without_its_format(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(b"b" * SIZE)
    top = tmp_path / "top.qcow2"
    _made_by_qemu(top, "base", "raw")
    _forget_format(top)
    with pytest.raises(ImageError, match="does not tell the format"), _opened(top):
        raise AssertionError("it was opened")
    with _opened(top, rules=Rules((tmp_path,), missing_format="raw")) as image:
        assert image.read(0, 4) == b"bbbb"
    _run(tmp_path, "qemu-img", "rebase", "-u", "-b", "base", "-F", "raw", top)
    with _opened(top) as image:
        assert image.read(0, 4) == b"bbbb"


@pytest.mark.parametrize(
    "name",
    [
        'json:{"driver":"raw","file":{"driver":"file","filename":"base"}}',
        "file:base",
        "nbd:localhost:1",
        "host_device:base",
    ],
)
def test_what_qemu_takes_for_more_than_a_name_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "base").write_bytes(b"b" * SIZE)
    top = tmp_path / "top.qcow2"
    _run(tmp_path, "qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F", "raw", "-b", name, top, str(SIZE))
    with pytest.raises(ImageError, match=r"top.qcow2: .* is no name of a file|begins wherever QEMU runs"), _opened(top):
        raise AssertionError("it was opened")


@pytest.mark.parametrize("name", ["base", "{folder}/base", "file:{folder}/base", "sub/../base", "./base"])
def test_a_name_means_the_same_to_both(tmp_path: Path, name: str) -> None:
    (tmp_path / "images" / "sub").mkdir(parents=True)
    folder = tmp_path / "images"
    (folder / "base").write_bytes(b"b" * SIZE)
    top = folder / "top.qcow2"
    _made_by_us(top, name.format(folder=folder), "raw")
    (tmp_path / "elsewhere").mkdir()
    printed = _run(tmp_path / "elsewhere", "qemu-io", "-r", "-f", "qcow2", "-c", "read -P 0x62 0 4096", top)
    assert "read 4096/4096" in printed
    assert "verification failed" not in printed
    with _opened(top) as image:
        assert image.read(0, 4) == b"bbbb"
