import os
from pathlib import Path

import pytest
from tgtcore_cow.names import Rules, located
from tgtcore_cow.qcow2.errors import ImageError

IMAGE = Path("/images/disk.qcow2")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("base.raw", "/images/base.raw"),
        ("sub/base.raw", "/images/sub/base.raw"),
        ("../base.raw", "/images/../base.raw"),
        ("/golden/base.raw", "/golden/base.raw"),
        ("file:/golden/base.raw", "/golden/base.raw"),
        ("file:///golden/base.raw", "/golden/base.raw"),
        ("./with:colon", "/images/with:colon"),
        ("sub/with:colon", "/images/sub/with:colon"),
        ("~/base.raw", "/images/~/base.raw"),
        ("%2e%2e", "/images/%2e%2e"),
    ],
)
def test_a_relative_name_begins_in_the_folder_of_the_image(name: str, expected: str) -> None:
    assert str(located(name, IMAGE)) == expected


@pytest.mark.parametrize(
    "name",
    [
        'json:{"driver":"file","filename":"/etc/shadow"}',
        "nbd:localhost:10809",
        "nbd+unix:///?socket=/run/nbd",
        "https://example.com/base.raw",
        "host_device:/dev/sda",
        "fat:rw:/etc",
        "a:b",
        ":",
    ],
)
def test_only_names_of_files_are_followed(name: str) -> None:
    with pytest.raises(ImageError, match="is no name of a file; expected one"):
        located(name, IMAGE)


@pytest.mark.parametrize("name", ["file:", "file:base.raw", "file:json:x"])
def test_a_name_that_depends_on_where_qemu_runs_is_refused(name: str) -> None:
    with pytest.raises(ImageError, match="begins wherever QEMU runs"):
        located(name, IMAGE)


def _check(rules: Rules, path: Path) -> None:
    rules.check(Path(os.path.realpath(path)), path.stat())


def test_files_below_the_folders_that_are_named_may_be_opened(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in" / "sub" / "base.raw", tmp_path / "in-law" / "base.raw"
    for path in (inside, outside):
        path.parent.mkdir(parents=True)
        path.touch()
    for rules in (Rules((tmp_path / "in",)), Rules.beside(tmp_path / "in" / "disk.qcow2"), Rules((inside,))):
        _check(rules, inside)
        with pytest.raises(ImageError, match=r"may not refer to .*in-law/base.raw; expected a file in .*in"):
            _check(rules, outside)
    _check(Rules((tmp_path / "in", tmp_path / "in-law")), outside)
    _check(Rules((tmp_path / "in" / ".." / "in-law",)), outside)


def test_a_folder_may_be_named_by_a_link_but_a_link_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "base.raw").touch()
    (tmp_path / "link").symlink_to("real")
    _check(Rules((tmp_path / "link",)), tmp_path / "real" / "base.raw")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "base.raw").symlink_to(tmp_path / "real" / "base.raw")
    with pytest.raises(ImageError, match=r"may not refer to .*real/base.raw"):
        _check(Rules((tmp_path / "images",)), tmp_path / "images" / "base.raw")


def test_a_device_must_be_named_itself() -> None:
    with pytest.raises(ImageError, match="may not refer to /dev/null"):
        _check(Rules((Path("/dev"),)), Path("/dev/null"))
    _check(Rules((Path("/dev/null"),)), Path("/dev/null"))


def test_formats_are_never_guessed(tmp_path: Path) -> None:
    rules = Rules((tmp_path,))
    assert rules.format_of("base", "raw") == "raw"
    assert rules.format_of("base", "qcow2") == "qcow2"
    with pytest.raises(
        ImageError, match="does not tell the format of its backing file 'base', and it is never guessed"
    ):
        rules.format_of("base", "")
    with pytest.raises(ImageError, match="the format of the backing file 'base' is 'vmdk'; expected raw or qcow2"):
        rules.format_of("base", "vmdk")


def test_the_caller_may_say_what_the_image_does_not(tmp_path: Path) -> None:
    rules = Rules((tmp_path,), missing_format="raw")
    assert rules.format_of("base", "") == "raw"
    assert rules.format_of("base", "qcow2") == "qcow2"
    with pytest.raises(ImageError, match="'vdi' is no format; expected raw or qcow2"):
        Rules((tmp_path,), missing_format="vdi")
