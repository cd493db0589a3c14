"""New images as QEMU sees them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tgtcore_cow.qcow2.create_options import CreateOptions
from tgtcore_cow.qcow2.creation import create
from tgtcore_cow.qcow2.header import Header, decode

from tgtcore.testing.ram import RamStore

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
CLUSTERS = [512 << bits for bits in range(13)]
SIZES = [0, 512, 3 * 65536 + 512, 10 * MIB - 512, TIB]
LARGEST_OF_512 = 128 * GIB


def _run(folder: Path, *command: str | Path) -> str:
    """In the folder of the image: QEMU takes names of data files as relative to where it runs."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _made(folder: Path, options: CreateOptions) -> Path:
    file, data = RamStore(0), RamStore(0) if options.data_file else None
    create(file, options, data)
    path = folder / "new.qcow2"
    path.write_bytes(file.content)
    if data:
        (folder / options.data_file).write_bytes(data.content)
    return path


def _io(path: Path, *commands: str) -> None:
    printed = _run(path.parent, "qemu-io", "-f", "qcow2", *(f"-c{command}" for command in commands), path)
    assert "failed" not in printed


def _check(path: Path) -> None:
    found = json.loads(_run(path.parent, "qemu-img", "check", "--output=json", path))
    assert not {"corruptions", "leaks", "check-errors"} & {key for key, value in found.items() if value}, found


def _info(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    info = json.loads(_run(path.parent, "qemu-img", "info", "--output=json", path))
    return info, info["format-specific"]["data"]


@pytest.mark.parametrize("cluster_bytes", CLUSTERS)
@pytest.mark.parametrize("size_bytes", SIZES)
def test_every_size_of_cluster_and_disk(tmp_path: Path, cluster_bytes: int, size_bytes: int) -> None:
    if size_bytes // cluster_bytes > LARGEST_OF_512 // 512:
        size_bytes = cluster_bytes * cluster_bytes * (LARGEST_OF_512 // 512 // 512)
    path = _made(tmp_path, CreateOptions(size_bytes, cluster_bytes=cluster_bytes))
    _check(path)
    info, _ = _info(path)
    assert (info["virtual-size"], info["cluster-size"]) == (size_bytes, cluster_bytes)


@pytest.mark.parametrize("refcount_bits", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("cluster_bytes", [512, 65536, 2 * MIB])
def test_every_width_of_reference_counts(tmp_path: Path, refcount_bits: int, cluster_bytes: int) -> None:
    path = _made(tmp_path, CreateOptions(10 * GIB, cluster_bytes=cluster_bytes, refcount_bits=refcount_bits))
    _check(path)
    assert _info(path)[1]["refcount-bits"] == refcount_bits


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"version": 2}, {"compat": "0.10", "refcount-bits": 16, "compression-type": "zlib"}),
        (
            {},
            {
                "compat": "1.1",
                "extended-l2": False,
                "lazy-refcounts": False,
                "compression-type": "zlib",
                "corrupt": False,
            },
        ),
        ({"extended_l2": True}, {"extended-l2": True}),
        ({"extended_l2": True, "cluster_bytes": 16384}, {"extended-l2": True}),
        ({"extended_l2": True, "cluster_bytes": 2 * MIB}, {"extended-l2": True}),
        ({"compression": "zstd"}, {"compression-type": "zstd"}),
        ({"lazy_refcounts": True}, {"lazy-refcounts": True}),
        ({"data_file": "disk.raw"}, {"data-file": "disk.raw", "data-file-raw": False}),
        ({"data_file": "disk.raw", "data_file_raw": True}, {"data-file": "disk.raw", "data-file-raw": True}),
        ({"data_file": "disk.raw", "extended_l2": True}, {"data-file": "disk.raw", "extended-l2": True}),
        ({"feature_names": False}, {}),
        ({"feature_names": True, "cluster_bytes": 1024}, {}),
        (
            {"extended_l2": True, "compression": "zstd", "lazy_refcounts": True, "refcount_bits": 1},
            {"refcount-bits": 1},
        ),
    ],
)
@pytest.mark.parametrize("size_bytes", [0, 10 * MIB + 512])
def test_every_option_is_told(tmp_path: Path, keys: dict[str, Any], expected: dict[str, Any], size_bytes: int) -> None:
    path = _made(tmp_path, CreateOptions(size_bytes, **keys))
    _check(path)
    told = _info(path)[1]
    assert expected == {key: told[key] for key in expected}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("cluster_bytes", [512, 65536])
@pytest.mark.parametrize("backing_format", ["raw", "qcow2"])
def test_a_backing_file_is_named_with_its_format(
    tmp_path: Path, version: int, cluster_bytes: int, backing_format: str
) -> None:
    _run(tmp_path, "qemu-img", "create", "-q", "-f", backing_format, tmp_path / "base.img", "1M")
    options = CreateOptions(
        2 * MIB,
        version=version,
        cluster_bytes=cluster_bytes,
        backing_file="base.img",
        backing_format=backing_format,
    )
    path = _made(tmp_path, options)
    _check(path)
    info, _ = _info(path)
    assert (info["backing-filename"], info["backing-filename-format"]) == ("base.img", backing_format)
    _io(path, "write -P 7 1k 70k", "read -P 0 71k 1M")
    _check(path)


@pytest.mark.parametrize(
    "keys",
    [
        {"version": 2},
        {"cluster_bytes": 512},
        {"cluster_bytes": 512, "refcount_bits": 64},
        {"refcount_bits": 1},
        {"extended_l2": True},
        {"data_file": "disk.raw"},
        {"data_file": "disk.raw", "data_file_raw": True},
    ],
)
def test_qemu_writes_to_it(tmp_path: Path, keys: dict[str, Any]) -> None:
    path = _made(tmp_path, CreateOptions(10 * MIB + 512, **keys))
    commands = ["write -P 1 0 64k", "write -P 2 5M 100k", "write -P 3 10M 512", "read -P 2 5M 100k", "read -P 0 64k 1M"]
    _io(path, *commands)
    _check(path)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"version": 2},
        {"cluster_bytes": 4096},
        {"cluster_bytes": 2 * MIB, "refcount_bits": 1},
        {"extended_l2": True, "compression": "zstd", "lazy_refcounts": True},
    ],
)
def test_the_header_is_what_qemu_would_write(tmp_path: Path, keys: dict[str, Any]) -> None:
    """But for the places of the tables."""
    names = {"cluster_bytes": "cluster_size", "compression": "compression_type", "version": "compat"}
    values = {"True": "on", "2": "0.10"}
    theirs = tmp_path / "theirs.qcow2"
    options = [f"-o{names.get(key, key)}={values.get(str(value), str(value))}" for key, value in keys.items()]
    _run(tmp_path, "qemu-img", "create", "-q", "-f", "qcow2", *options, theirs, "10M")
    ours = _made(tmp_path, CreateOptions(10 * MIB, **keys))
    assert _placeless(decode(ours.read_bytes())) == _placeless(decode(theirs.read_bytes()))


def _placeless(header: Header) -> dict[str, Any]:
    places = {"l1_offset", "refcount_table_offset", "refcount_table_clusters"}
    return {name: value for name, value in vars(header).items() if name not in places}
