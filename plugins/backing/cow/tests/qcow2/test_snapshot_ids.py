from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.image import Image

from tgtcore.testing.ram import RamStore


def test_no_id_is_another_snapshots_name() -> None:
    file = RamStore()
    create(file, CreateOptions(size_bytes=1 << 20))
    image = Image(file)
    assert image.create_snapshot("2").id == "1"
    assert image.create_snapshot("other").id == "3"
    image.delete_snapshot("2")
    assert [one.name for one in image.snapshots] == ["other"]
