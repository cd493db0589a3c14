import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture
from tgtcore_cow.chain import Chain
from tgtcore_cow.files import HostFile
from tgtcore_cow.names import IMAGES_MAX, Rules
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.errors import Corrupt, ImageError
from tgtcore_cow.qcow2.header import ExtensionType, Header
from tgtcore_cow.qcow2.image import Image, read_header

from tgtcore import Store, StoreError

pytestmark = pytest.mark.usefixtures("nothing_stays_open")

SIZE = 1 << 20


def _make(path: Path, backing: str = "", backing_format: str = "qcow2", **keys: Any) -> Path:
    """An image, and its data file if there is to be one."""
    with ExitStack() as stack:
        data = None
        if name := keys.get("data_file"):
            data = HostFile(path.parent / name, create=True, raw=True)
            stack.callback(data.close)
        file = HostFile(path, create=True)
        stack.callback(file.close)
        options = CreateOptions(
            SIZE, backing_file=backing, backing_format=backing_format if backing else "", cluster_bytes=4096, **keys
        )
        create(file, options, data)
    return path


def _rewrite(path: Path, header: Header) -> None:
    content = bytearray(path.read_bytes())
    content[:4096] = header.encode().ljust(4096, b"\0")
    path.write_bytes(content)


def _header(path: Path) -> Header:
    file = HostFile(path, read_only=True)
    try:
        return read_header(file)
    finally:
        file.close()


class Opened:
    """An image with all that it refers to, closed at the end."""

    def __init__(self, path: Path, *, read_only: bool = True, rules: Rules | None = None) -> None:
        with ExitStack() as stack:
            file = HostFile(path, read_only=read_only)
            stack.callback(file.close)
            self.chain = Chain(read_header(file), path, read_only=read_only, rules=rules)
            stack.callback(self.chain.close)
            self.image = Image(file, backing=self.chain.backing, data_file=self.chain.data_file, read_only=read_only)
            stack.callback(self.image.close)
            self._stack = stack.pop_all()

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _refused(path: Path, message: str, rules: Rules | None = None, error: type[StoreError] = ImageError) -> None:
    with pytest.raises(error, match=message), Opened(path, rules=rules):
        raise AssertionError("it was opened")


def _write(path: Path, offset: int, data: bytes) -> None:
    with Opened(path, read_only=False) as opened:
        opened.image.write(offset, data)


def test_an_image_alone_refers_to_nothing(tmp_path: Path) -> None:
    with Opened(_make(tmp_path / "disk.qcow2")) as opened:
        assert (opened.chain.backing, opened.chain.data_file, opened.chain.layers) == (None, None, ())


def test_each_layer_shows_what_those_above_do_not_have(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "raw").write_bytes(b"0" * SIZE)
    middle = _make(tmp_path / "base" / "middle.qcow2", "raw", "raw")
    top = _make(tmp_path / "top.qcow2", "base/middle.qcow2")
    _write(middle, 512, b"1" * 512)
    _write(top, 1024, b"2" * 512)
    with Opened(top) as opened:
        assert opened.image.read(0, 2048) == b"0" * 512 + b"1" * 512 + b"2" * 512 + b"0" * 512
        assert [layer.file.path.name for layer in opened.chain.layers] == ["middle.qcow2", "raw"]
        assert [layer.header is None for layer in opened.chain.layers] == [False, True]


def test_what_is_beneath_is_shared_for_reading(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"0" * SIZE)
    tops = [_make(tmp_path / name, "raw", "raw") for name in ("a.qcow2", "b.qcow2")]
    with Opened(tops[0], read_only=False), Opened(tops[1], read_only=False):
        with pytest.raises(StoreError, match="raw is locked by this process"):
            HostFile(tmp_path / "raw", raw=True)
        with pytest.raises(StoreError, match=r"a.qcow2 is locked by this process"):
            HostFile(tops[0], read_only=True)
    writer = HostFile(tmp_path / "raw", raw=True)
    _refused(
        tops[0], r"a.qcow2: .*raw is locked by this process .*; expected nobody who writes to it", error=StoreError
    )
    writer.close()


@pytest.mark.parametrize("raw", [False, True])
def test_a_data_file_is_opened_as_the_image_is(tmp_path: Path, raw: bool) -> None:
    path = _make(tmp_path / "disk.qcow2", data_file="data", data_file_raw=raw)
    _write(path, 4096, b"x" * 4096)
    assert (tmp_path / "data").read_bytes()[4096:8192] == b"x" * 4096
    top = _make(tmp_path / "top.qcow2", "disk.qcow2")
    for one in (path, top):
        with Opened(one) as first, Opened(one) as second:
            assert first.image.read(4096, 4096) == second.image.read(4096, 4096) == b"x" * 4096
    with Opened(top) as opened:
        (layer,) = opened.chain.layers
        assert layer.data_file is not None
        assert layer.data_file.path == tmp_path / "data"


def test_a_data_file_without_a_name(tmp_path: Path) -> None:
    path = _make(tmp_path / "disk.qcow2", data_file="data")
    _rewrite(path, _header(path).with_extension(ExtensionType.DATA_FILE, None))
    _refused(path, r"disk.qcow2: the image has its data in another file and does not tell which")


def test_a_raw_disk_that_looks_like_an_image_is_raw(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s" * SIZE)
    _make(tmp_path / "guest.raw", "secret", "raw")
    top = _make(tmp_path / "top.qcow2", "guest.raw", "raw")
    with Opened(top) as opened:
        assert opened.image.read(0, 4) == b"QFI\xfb"
    _rewrite(top, _header(top).with_extension(ExtensionType.BACKING_FORMAT, None))
    _refused(
        top, r"top.qcow2: the image does not tell the format of its backing file 'guest.raw', and it is never guessed"
    )
    with Opened(top, rules=Rules((tmp_path,), missing_format="raw")) as opened:
        assert opened.image.read(0, 4) == b"QFI\xfb"
    with Opened(top, rules=Rules((tmp_path,), missing_format="qcow2")) as opened:
        assert opened.image.read(0, 4) == b"ssss"


@pytest.mark.parametrize("name", ["/etc/shadow", "../secret", "link", "file:/etc/passwd", "sub/../../secret"])
@pytest.mark.parametrize("what", ["backing_file", "data_file", "backing file of a backing file"])
def test_what_lies_elsewhere_is_not_opened(tmp_path: Path, mocker: MockerFixture, name: str, what: str) -> None:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    path = (
        _make(folder / "disk.qcow2", data_file="data")
        if what == "data_file"
        else _make(folder / "disk.qcow2", "x", "raw")
    )
    header = _header(path)
    if what == "data_file":
        _rewrite(path, header.with_extension(ExtensionType.DATA_FILE, name.encode()))
    else:
        _rewrite(path, replace(header, backing_file=name))
    if what == "backing file of a backing file":
        path = _make(folder / "top.qcow2", "disk.qcow2")
    opening = mocker.spy(os, "open")
    _refused(path, r"disk.qcow2: the image may not refer to .*(secret|shadow|passwd); expected a file in .*images")
    opened = [os.path.realpath(call.args[0]) for call in opening.call_args_list if not call.args[1] & os.O_PATH]
    assert not [one for one in opened if one.endswith(("secret", "shadow", "passwd"))]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_devices_are_not_opened(tmp_path: Path, device: str) -> None:
    path = _make(tmp_path / "disk.qcow2", device, "raw")
    _refused(path, f"the image may not refer to {device}")
    _refused(path, f"the image may not refer to {device}", Rules((Path("/"),)))


def test_names_of_servers_are_not_followed(tmp_path: Path) -> None:
    _refused(
        _make(tmp_path / "disk.qcow2", "nbd:localhost:1", "raw"), r"disk.qcow2: 'nbd:localhost:1' is no name of a file"
    )


def test_the_caller_may_allow_other_places(tmp_path: Path) -> None:
    for folder in ("golden", "images"):
        (tmp_path / folder).mkdir()
    (tmp_path / "golden" / "base").write_bytes(b"g" * SIZE)
    path = _make(tmp_path / "images" / "disk.qcow2", "../golden/base", "raw")
    _refused(path, r"may not refer to .*golden/base")
    with Opened(path, rules=Rules((tmp_path / "golden",))) as opened:
        assert opened.image.read(0, 4) == b"gggg"


def test_a_relative_name_begins_where_the_image_was_named(tmp_path: Path) -> None:
    """Not where a link leads: as in QEMU."""
    for folder in ("real", "seen"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "base").write_bytes(folder[:1].encode() * SIZE)
    _make(tmp_path / "real" / "disk.qcow2", "base", "raw")
    (tmp_path / "seen" / "disk.qcow2").symlink_to(tmp_path / "real" / "disk.qcow2")
    with Opened(tmp_path / "seen" / "disk.qcow2") as opened:
        assert opened.image.read(0, 1) == b"s"


def test_an_image_on_itself(tmp_path: Path) -> None:
    _refused(
        _make(tmp_path / "disk.qcow2", "disk.qcow2"),
        r"backing file 'disk.qcow2' is .*disk.qcow2, which is in use for the same",
    )


def test_images_in_a_ring(tmp_path: Path) -> None:
    for this, other in ("a", "b"), ("b", "c"), ("c", "sub/../b"):
        _make(tmp_path / this, other)
    (tmp_path / "sub").mkdir()
    _refused(tmp_path / "a", r"c: its backing file 'sub/../b' is .*b, which is in use for the same disk already")


def test_data_that_is_an_image_of_the_same_disk(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(bytes(SIZE))
    path = _make(tmp_path / "disk.qcow2", "base", "raw", data_file="data")
    for name in (b"disk.qcow2", b"base"):
        _rewrite(path, _header(path).with_extension(ExtensionType.DATA_FILE, name))
        _refused(path, "in use for the same disk already")


def test_as_many_images_as_are_allowed_can_be_read_and_one_more_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0").write_bytes(b"0" * SIZE)
    for number in range(1, IMAGES_MAX + 2):
        _make(tmp_path / str(number), str(number - 1), "raw" if number == 1 else "qcow2")
    with Opened(tmp_path / str(IMAGES_MAX)) as opened:
        assert len(opened.chain.layers) == IMAGES_MAX
        assert opened.image.read(0, 8192) == b"0" * 8192
    _refused(tmp_path / str(IMAGES_MAX + 1), rf"1: the image is the last of {IMAGES_MAX} that stand on one another")


def test_a_damaged_image_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"nothing of the kind")
    _refused(_make(tmp_path / "a", "broken"), r"/broken: this is no qcow2 image")
    path = _make(tmp_path / "damaged")
    header = _header(path)
    _rewrite(path, replace(header, l1_offset=1 << 40))
    _refused(_make(tmp_path / "b", "damaged"), r"/damaged: .*L1", error=Corrupt)


def test_what_is_not_there_is_told_with_who_wants_it(tmp_path: Path) -> None:
    path = _make(tmp_path / "disk.qcow2", "none", "raw")
    _refused(path, r"disk.qcow2: .*none can't be opened: no such file", error=StoreError)


def test_strange_names_are_told_in_plain_characters(tmp_path: Path) -> None:
    path = _make(tmp_path / "disk.qcow2", "\x1b[2J\udcff", "raw")
    with pytest.raises(StoreError) as caught, Opened(path):
        raise AssertionError("it was opened")
    assert str(caught.value).isprintable()
    assert r"\x1b[2J\udcff can't be opened" in str(caught.value)
    header = _header(path)
    _rewrite(path, replace(header, backing_file="a\0b"))
    _refused(path, "embedded null", error=StoreError)


def test_files_are_closed_in_their_order(tmp_path: Path, mocker: MockerFixture) -> None:
    """An image before those that it stands on."""
    (tmp_path / "base").write_bytes(bytes(SIZE))
    _make(tmp_path / "middle", "base", "raw")
    closed: list[Store] = []
    for kind in (HostFile, Image):
        close = kind.close
        mocker.patch.object(
            kind, "close", autospec=True, side_effect=lambda one, close=close: closed.append(one) or close(one)
        )
    with Opened(_make(tmp_path / "top", "middle")) as opened:
        closed.clear()
    (middle, base) = opened.chain.layers
    assert closed[0] is opened.image
    assert closed[1] is opened.chain.backing
    assert closed[2:4] == [base.file, middle.file]


def test_the_rules_hold_when_an_image_has_no_name_any_more(tmp_path: Path) -> None:
    path = _make(tmp_path / "disk.qcow2", "base", "raw")
    header = _header(path)
    path.unlink()
    (tmp_path / "base").write_bytes(b"b" * SIZE)
    chain = Chain(header, path)
    assert chain.backing is not None
    assert chain.backing.read(0, 1) == b"b"
    chain.close()
