"""``tgtd serve``: from a command line to a configuration."""

from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tgtcore.cli import serve
from tgtcore.cli.serve import TARGET, Wishes, document, private_folder
from tgtcore.errors import ConfigError


def made(tmp_path: Path, **wishes: Any) -> dict[str, Any]:
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    images = wishes.pop("images", (tmp_path / "a.img",))
    return document(Wishes(images=images, **{"size": "1M", **wishes}), folder)


def test_the_least_that_can_be_said_is_enough(tmp_path: Path) -> None:
    config = made(tmp_path)
    assert config["plugins"] == ["iscsi", "disk", "file"]
    assert config["transports"]["iscsi"]["portals"] == [{"address": "127.0.0.1:3260"}]
    store = config["logical_units"]["disk0"]["store"]
    assert store == {"type": "file", "path": str(tmp_path / "a.img"), "size": "1M", "create": True}
    assert config["targets"][TARGET]["luns"] == {"0": "disk0"}
    assert config["targets"][TARGET]["allow"] == {"initiators": ["*"]}


def test_every_wish_is_granted(tmp_path: Path) -> None:
    config = made(
        tmp_path,
        block_size=4096,
        read_only=True,
        removable=True,
        thick=True,
        target="iqn.2025-01.x:y",
        allow=("iqn.*",),
    )
    unit = config["logical_units"]["disk0"]
    assert (unit["block_size"], unit["read_only"], unit["removable"], unit["thin"]) == (4096, True, True, False)
    assert unit["store"]["preallocate"] is True
    assert config["targets"]["iqn.2025-01.x:y"]["allow"] == {"initiators": ["iqn.*"]}


def test_several_images_make_several_luns_with_ids_that_stay(tmp_path: Path) -> None:
    images = (tmp_path / "a.img", tmp_path / "b.img")
    first, again = made(tmp_path, images=images), made(tmp_path, images=images)
    ids = [unit["unique_id"] for unit in first["logical_units"].values()]
    assert first["targets"][TARGET]["luns"] == {"0": "disk0", "1": "disk1"}
    assert len(set(ids)) == 2
    assert ids == [unit["unique_id"] for unit in again["logical_units"].values()]


def test_two_machines_do_not_give_one_id_to_images_of_the_same_path(tmp_path: Path, mocker: MockerFixture) -> None:
    ids = set()
    for machine, node in (("m1", "n1"), ("m1", "n2"), ("m2", "n1"), (None, "n1")):
        folder = tmp_path / f"{machine}"
        folder.mkdir(exist_ok=True)
        if machine:
            (folder / "machine-id").write_text(machine)
        mocker.patch.object(serve, "_MACHINE_ID", folder / "machine-id")
        mocker.patch("os.uname", return_value=mocker.Mock(nodename=node))
        ids.add(made(tmp_path)["logical_units"]["disk0"]["unique_id"])
    assert len(ids) == 4


def test_an_image_that_is_not_there_needs_a_size(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a.img: there is no such file; to make it, say how large: --size 1G"):
        made(tmp_path, size=None)
    (tmp_path / "a.img").write_bytes(bytes(512))
    assert made(tmp_path, size=None)["logical_units"]["disk0"]["store"] == {
        "type": "file",
        "path": str(tmp_path / "a.img"),
    }


@pytest.mark.parametrize("portal", ["127.0.0.1:3260", "127.9.9.9:0", "127.0.0.1", "[::1]:3260", "localhost:3260"])
def test_everybody_is_admitted_on_loopback(tmp_path: Path, portal: str) -> None:
    assert made(tmp_path, portals=(portal,))["transports"]["iscsi"]["portals"] == [{"address": portal}]


@pytest.mark.parametrize("portal", ["0.0.0.0:3260", "10.0.0.1:3260", "[::]:3260", "[fd00::1]:3260", "example.org:3260"])
def test_a_portal_that_others_reach_wants_a_rule(tmp_path: Path, portal: str) -> None:
    with pytest.raises(ConfigError, match="others could reach it; say who may: --chap-file FILE or --allow PATTERN"):
        made(tmp_path, portals=(portal,))
    assert made(tmp_path, portals=(portal,), allow=("iqn.*",))


def test_secrets_go_to_private_files_and_not_into_the_configuration(tmp_path: Path) -> None:
    chap = tmp_path / "chap"
    chap.write_text("alice correct-horse\nbob battery-staple\ntarget hush-hush-hush mutual\n")
    chap.chmod(0o600)
    config = made(tmp_path, chap_file=chap, portals=("0.0.0.0:3260",))
    assert config["targets"][TARGET]["auth"] == ["chap0", "chap1"]
    assert config["targets"][TARGET]["mutual"] == "chap2"
    assert "correct-horse" not in str(config)
    secret = Path(config["accounts"]["chap0"]["secret_file"])
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("correct-horse", 0o600)


def test_every_wish_that_can_not_be_granted_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, size=None, portals=("0.0.0.0:1",), chap_file=tmp_path / "none")
    assert len(caught.value.problems) == 2


def test_the_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = private_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
