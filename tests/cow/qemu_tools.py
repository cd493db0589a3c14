"""qemu-img and qemu-io, the independent judges of qcow2 images.

Each function runs the program once, without a shell; what it says when it fails is in the message of an :class:`AssertionError`.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Argument = str | int | Path
_TIMEOUT_S = 60
_CHECK_STATUS = {0: "clean", 2: "errors", 3: "leaks"}
"""Exit status of ``qemu-img check`` when the check itself was done."""


@dataclass(frozen=True)
class Findings:
    """What a check has found.

    :param errors: what will lose data.
    :param leaks: clusters that count as used and are not.
    :param told: all that the program said.
    """

    errors: int
    leaks: int
    told: str = ""


def run(
    *command: Argument, beside: Path | None = None, statuses: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    :param beside: run it in the folder of this file; names of data files in headers are relative to where QEMU runs.
    :param statuses: the exit statuses that are no failure.
    """
    words = [str(word) for word in command]
    folder = beside.parent if beside else None
    done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, cwd=folder)
    assert done.returncode in statuses, f"{' '.join(words)}\nexit status {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def create(
    image: Path, size_bytes: int, *, backing: Path | None = None, backing_format: str = "", **options: Any
) -> None:
    """Make an image; ``options`` as of ``qemu-img create -o``, with underscores as in QEMU."""
    words: list[Argument] = ["qemu-img", "create", "-q", "-f", "qcow2"]
    if options:
        words += ["-o", ",".join(f"{name}={value}" for name, value in options.items())]
    if backing is not None:
        words += ["-b", backing, "-F", backing_format]
    run(*words, image, size_bytes, beside=image)


def check(image: Path, *, repair: str = "", options: str = "") -> Findings:
    """Check an image.

    :param repair: ``leaks`` or ``all``; nothing: only look.
    """
    words: list[Argument] = ["qemu-img", "check", "--output=json", *(["-r", repair] if repair else [])]
    words += _named(image, options)
    done = run(*words, beside=image, statuses=tuple(_CHECK_STATUS))
    told = json.loads(done.stdout)
    return Findings(
        told.get("corruptions", 0) + told.get("check-errors", 0), told.get("leaks", 0), done.stdout + done.stderr
    )


def assert_clean(image: Path) -> None:
    """Neither errors nor leaks."""
    found = check(image)
    assert (found.errors, found.leaks) == (0, 0), f"{image.name}: {found.told}"


def assert_same(image: Path, other: Path, *, formats: tuple[str, str] = ("qcow2", "raw")) -> None:
    """Two images have the same content and the same size."""
    done = run("qemu-img", "compare", "-f", formats[0], "-F", formats[1], image, other, beside=image)
    assert "size mismatch" not in done.stdout + done.stderr, done.stdout + done.stderr


def extents(image: Path) -> list[dict[str, Any]]:
    """``qemu-img map``: start, length, depth, present, zero, data and perhaps offset of each range."""
    found: list[dict[str, Any]] = json.loads(
        run("qemu-img", "map", "--output=json", "-f", "qcow2", image, beside=image).stdout
    )
    return found


def info(image: Path) -> dict[str, Any]:
    """``qemu-img info``."""
    found: dict[str, Any] = json.loads(
        run("qemu-img", "info", "--output=json", "-f", "qcow2", image, beside=image).stdout
    )
    return found


def snapshots(image: Path) -> list[str]:
    """The names of an image's snapshots, in order."""
    return [one["name"] for one in info(image).get("snapshots", [])]


def snapshot(image: Path, *, create: str = "", apply: str = "", delete: str = "") -> None:
    """Create, apply or delete a snapshot."""
    for flag, name in (("-c", create), ("-a", apply), ("-d", delete)):
        if name:
            run("qemu-img", "snapshot", flag, name, image, beside=image)


def convert(
    image: Path, into: Path, *, to: str = "raw", of: str = "qcow2", snapshot: str = "", options: tuple[str, ...] = ()
) -> None:
    """Copy the content, perhaps of a snapshot, into a new image."""
    chosen: list[Argument] = ["-l", "snapshot.name=" + snapshot.replace(",", ",,")] if snapshot else []
    run("qemu-img", "convert", "-f", of, "-O", to, *chosen, *options, image, into, beside=image)


def io(image: Path, *commands: str, options: str = "") -> str:
    """Do commands of qemu-io one after the other, with discarding; a pattern that is not as expected is a failure."""
    words: list[Argument] = ["qemu-io", "-d", "unmap"]
    for command in commands:
        words += ["-c", command]
    return run(*words, *_named(image, options), beside=image).stdout


def _named(image: Path, options: str) -> list[Argument]:
    return ["--image-opts", f"driver=qcow2,file.filename={image},{options}"] if options else ["-f", "qcow2", image]
