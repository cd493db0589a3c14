import threading
from pathlib import Path

import pytest
from tgtcore_cow import Corrupt, ImageError, Qcow2Image, Rules
from tgtcore_cow.qcow2.header import Incompatible, decode

from tgtcore import StoreError

pytestmark = pytest.mark.usefixtures("nothing_stays_open")

MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.qcow2"
    with Qcow2Image.create(path, MIB) as image:
        image.write(0, b"hello")
    return path


def _damage(path: Path, incompatible: int) -> None:
    content = bytearray(path.read_bytes())
    content[72:80] = incompatible.to_bytes(8, "big")
    path.write_bytes(content)


def test_what_is_written_is_there_when_it_is_opened_again(disk: Path) -> None:
    with Qcow2Image.open(disk, read_only=True) as image:
        assert image.size_bytes == MIB
        assert bytes(image.read(0, 6)) == b"hello\0"


def test_a_name_may_be_a_text(disk: Path) -> None:
    with Qcow2Image.open(str(disk)) as image:
        assert bytes(image.read(0, 5)) == b"hello"


def test_every_option_of_creation_counts(tmp_path: Path) -> None:
    with Qcow2Image.create(tmp_path / "a", MIB, cluster_bytes=16384, extended_l2=True, refcount_bits=1) as image:
        assert (image.header.layout.cluster_bytes, image.header.extended_l2) == (16384, True)
        assert image.header.layout.refcount_max == 1


def test_an_unknown_option_is_an_error_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="colour"):
        Qcow2Image.create(tmp_path / "a", MIB, colour="red")
    assert list(tmp_path.iterdir()) == []


def test_snapshots_by_name(disk: Path) -> None:
    with Qcow2Image.open(disk) as image:
        image.create_snapshot("before")
        image.write(0, b"HELLO")
        image.revert_snapshot("before")
        assert bytes(image.read(0, 5)) == b"hello"
        image.delete_snapshot("before")
        assert image.snapshots == ()


def test_an_image_stands_on_another_one_that_is_not_changed(disk: Path) -> None:
    content = disk.read_bytes()
    for name in ("one", "two"):
        path = disk.with_name(name)
        with Qcow2Image.create(path, MIB, backing_file=disk.name, backing_format="qcow2") as image:
            assert bytes(image.read(0, 5)) == b"hello"
            image.write(0, name.encode())
    with Qcow2Image.open(disk.with_name("one")) as one, Qcow2Image.open(disk.with_name("two")) as two:
        assert (bytes(one.read(0, 5)), bytes(two.read(0, 5))) == (b"onelo", b"twolo")
    assert disk.read_bytes() == content


def test_the_data_can_have_a_file_of_its_own(tmp_path: Path) -> None:
    with Qcow2Image.create(tmp_path / "a", MIB, data_file="a.raw", data_file_raw=True) as image:
        image.write(4096, b"there")
    assert (tmp_path / "a.raw").read_bytes()[4096:4101] == b"there"
    with Qcow2Image.open(tmp_path / "a") as image:
        assert bytes(image.read(4096, 5)) == b"there"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"size_bytes": 1000}, "a disk can't have 1000 bytes"),
        ({"backing_file": "missing", "backing_format": "raw"}, "missing can't be opened: no such file"),
        ({"backing_file": "/etc/hosts", "backing_format": "raw"}, "the image may not refer to /etc/hosts"),
        ({"data_file": "../other/data"}, "the image may not refer to .*/other/data"),
        ({"data_file": "nbd:there"}, "'nbd:there' is no name of a file"),
        ({"data_file": "a.qcow2"}, "a.qcow2 can't be made: there is such a file already"),
    ],
)
def test_nothing_is_left_of_what_can_not_be_made(tmp_path: Path, keys: dict[str, object], message: str) -> None:
    folder = tmp_path / "images"
    for one in (folder, tmp_path / "other"):
        one.mkdir()
    with pytest.raises(StoreError, match=message):
        Qcow2Image.create(folder / "a.qcow2", **{"size_bytes": MIB, **keys})  # type: ignore[arg-type]
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "images", tmp_path / "other"]


def test_what_is_there_is_not_overwritten(disk: Path) -> None:
    content = disk.read_bytes()
    with pytest.raises(StoreError, match="can't be made: there is such a file already"):
        Qcow2Image.create(disk, MIB)
    assert disk.read_bytes() == content


def test_the_rules_of_the_caller_count(disk: Path, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    above, rules = tmp_path / "below" / "a", Rules((tmp_path,))
    keys = {"backing_file": "../disk.qcow2", "backing_format": "qcow2"}
    Qcow2Image.create(above, MIB, rules=rules, **keys).close()
    with pytest.raises(ImageError, match="may not refer to"):
        Qcow2Image.open(above)
    with Qcow2Image.open(above, rules=rules) as image:
        assert bytes(image.read(0, 5)) == b"hello"


def test_only_one_writes(disk: Path) -> None:
    with Qcow2Image.open(disk):
        for read_only in (False, True):
            with pytest.raises(StoreError, match="is locked by this process"):
                Qcow2Image.open(disk, read_only=read_only)
        with pytest.raises(StoreError, match="is locked by this process"):
            Qcow2Image.repair(disk)
    with Qcow2Image.open(disk, read_only=True), Qcow2Image.open(disk, read_only=True) as other:
        with pytest.raises(OSError, match="the image is open for reading only"):
            other.write(0, b"x")
        assert Qcow2Image.check(disk).clean


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"some text")
    for use in (Qcow2Image.open, Qcow2Image.check, Qcow2Image.repair):
        with pytest.raises(ImageError, match="this is no qcow2 image"):
            use(path)


def test_an_image_that_was_not_closed_is_repaired(disk: Path) -> None:
    _damage(disk, Incompatible.DIRTY)
    with pytest.raises(Corrupt, match="not closed properly"):
        Qcow2Image.open(disk)
    with Qcow2Image.open(disk, read_only=True) as image:
        assert bytes(image.read(0, 5)) == b"hello"
    assert Qcow2Image.check(disk).dirty
    assert Qcow2Image.repair(disk, "all").after.clean
    assert not decode(disk.read_bytes()).incompatible
    Qcow2Image.open(disk).close()


def test_several_threads_may_use_it(tmp_path: Path) -> None:
    with Qcow2Image.create(tmp_path / "a", MIB) as image:
        threads = [
            threading.Thread(target=image.write, args=(number * 65536, bytes([number]) * 65536)) for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        content = bytes(image.read(0, 8 * 65536))
    assert content == b"".join(bytes([number]) * 65536 for number in range(8))


@pytest.mark.parametrize(("offset", "length"), [(MIB, 1), (MIB - 1, 2), (-1, 1), (-5, 3), (0, MIB + 1), (8, -1)])
@pytest.mark.parametrize("call", ["read", "read_nowait", "unmap", "write_zeroes", "extents"])
def test_ranges_lie_within_the_disk(disk: Path, call: str, offset: int, length: int) -> None:
    with Qcow2Image.open(disk) as image, pytest.raises(StoreError, match=f"^{length} bytes at {offset} are not all"):
        getattr(image, call)(offset, length)


@pytest.mark.parametrize("call", ["write", "write_nowait", "write_through"])
def test_writes_lie_within_the_disk(disk: Path, call: str) -> None:
    with Qcow2Image.open(disk) as image:
        for offset in (-1, MIB - 1, MIB):
            with pytest.raises(StoreError, match="are not all within the disk"):
                getattr(image, call)(offset, b"xy")
        getattr(image, call)(MIB - 2, b"xy")


def test_calls_reach_the_image(disk: Path) -> None:
    with Qcow2Image.open(disk) as image:
        image.write_through(65536, b"x" * 65536)
        assert [one.allocated for one in image.extents(0, 131072)] == [True, True]
        image.unmap(65536, 65536)
        image.write_zeroes(0, 5)
        assert bytes(image.read(0, MIB)) == bytes(MIB)
        assert image.read_nowait(0, 512) in (None, bytes(512))
        image.write_nowait(0, b"x" * 512)
