"""The tool for domain 0 in contrib/xen, with a xenstore whose nodes are folders."""

import os
import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).parent.parent / "contrib/xen/driver-domain"
GUEST, BACK, FRONT = "/local/domain/5", "/local/domain/2/backend/vscsi/5/0", "/local/domain/5/device/vscsi/0"
MADE = {
    BACK: "", f"{BACK}/domain": "web1", f"{BACK}/uuid": "u-5", f"{BACK}/frontend": FRONT, f"{BACK}/frontend-id": "5",
    f"{BACK}/online": "1", f"{BACK}/state": "1", FRONT: "", f"{FRONT}/backend": BACK, f"{FRONT}/backend-id": "2",
    f"{FRONT}/state": "1",
}  # fmt: skip
PERMITTED = [f"xenstore-chmod {BACK} n2 r5", f"xenstore-chmod {FRONT} n5 r2"]

PROGRAMS = {
    "xl": 'case "$2" in web1) echo 5 ;; storage) echo 2 ;; *) exit 1 ;; esac',
    "xenstore-read": 'cat "$root$1/="',
    "xenstore-write": (
        'while [ $# -gt 0 ]; do mkdir -p "$root$1" && printf %s "$2" >"$root$1/=" && echo "$1" >>"$root/written"; '
        'case "$1$2" in */state5) [ -e "$root/deaf" ] || printf 6 >"$root$1/=" ;; esac; shift 2; done'
    ),
    "xenstore-rm": '[ -d "$root$1" ] && rm -r "$root$1"',
    "xenstore-list": '[ -d "$root$1" ] && ls "$root$1" | grep -v =',
    "xenstore-chmod": ":",
}
"""What they do; a back end lets go at once."""


class Machine:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "store"
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.root.mkdir()
        for name, script in PROGRAMS.items():
            program = self.programs / name
            program.write_text(f'#!/bin/sh\nroot={self.root}\necho {name} "$@" >>$root/calls\n{script}\n')
            program.chmod(0o755)
        self.write(f"{GUEST}/name", "web1")
        self.write(f"{GUEST}/vm", "/vm/u-5")

    def write(self, path: str, value: str) -> None:
        node = self.root / path.lstrip("/")
        node.mkdir(parents=True, exist_ok=True)
        (node / "=").write_text(value)

    def run(self, *words: str) -> tuple[int, list[str]]:
        """Exit status, and the calls."""
        calls = self.root / "calls"
        calls.write_text("")
        env = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}", "TGTCORE_XEN_CLOSE_S": "1"}
        done = subprocess.run([TOOL, *words], env=env, timeout=20, check=False)
        return done.returncode, calls.read_text().splitlines()

    def nodes(self) -> dict[str, str]:
        """Those of virtual HBAs."""
        found = {f"/{path.parent.relative_to(self.root)}": path.read_text() for path in self.root.rglob("=")}
        return {path: value for path, value in found.items() if "vscsi" in path}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize(("backend", "guest"), [("storage", "web1"), ("2", "5")])
def test_nodes_are_made_with_their_permissions_and_that_with_which_the_guest_begins_last(
    machine: Machine, backend: str, guest: str
) -> None:
    status, calls = machine.run("make", backend, f"{guest}/0")
    assert (status, machine.nodes()) == (0, MADE)
    assert [call for call in calls if "chmod" in call] == PERMITTED
    written = (machine.root / "written").read_text().splitlines()
    assert written[-1] == f"{FRONT}/state"
    assert calls[-1].startswith(f"xenstore-write {BACK}/domain web1 "), "values together, after the permissions"
    assert machine.run("make", backend, f"{guest}/0")[0] == 0
    assert (machine.root / "written").read_text().splitlines() == written, "one that is open stays as it is"


@pytest.mark.parametrize("deaf", [False, True])
def test_they_are_removed_when_the_guest_has_let_go_or_has_had_its_time(machine: Machine, deaf: bool) -> None:
    if deaf:
        (machine.root / "deaf").touch()
    machine.run("make", "storage", "web1/0", "web1/1")
    status, calls = machine.run("remove", "storage", "web1/0")
    assert status == 0
    assert f"xenstore-write {BACK}/online 0 {BACK}/state 5" in calls
    assert {path.rpartition("/1")[0] for path in machine.nodes() if path.endswith("/1")} == {BACK[:-2], FRONT[:-2]}
    assert machine.run("remove", "storage", "web1/1")[0] == 0
    assert list(machine.root.rglob("*vscsi*")) == []
    assert machine.run("remove", "storage", "web1/1")[0] == 0


def test_what_is_left_of_a_guest_that_is_gone_is_removed_by_its_domid(machine: Machine) -> None:
    machine.run("make", "storage", "web1/0")
    subprocess.run(["rm", "-r", machine.root / GUEST.lstrip("/")], check=True)
    status, calls = machine.run("remove", "storage", "5/0")
    assert (status, machine.nodes()) == (0, {})
    assert not [call for call in calls if "write" in call], "nobody is there who could let go"


@pytest.mark.parametrize("backend", ["2", "3"])
def test_a_guest_that_nobody_answers_keeps_its_nodes_until_they_are_to_be_forgotten(
    machine: Machine, backend: str
) -> None:
    machine.run("make", "storage", "web1/0")
    machine.write(f"{FRONT}/state", "4")
    subprocess.run(["rm", "-r", machine.root / "local/domain/2"], check=True)
    before = machine.nodes()
    for operation in ("make", "remove"):
        assert (machine.run(operation, backend, "web1/0")[0], machine.nodes()) == (3, before)
    assert (machine.run("forget", "2", "web1/0")[0], machine.nodes()) == (0, {})
    assert (machine.run("make", "storage", "web1/0")[0], machine.nodes()) == (0, MADE)


def test_a_guest_that_another_back_end_serves_keeps_its_nodes(machine: Machine) -> None:
    machine.run("make", "storage", "web1/0")
    machine.write(f"{FRONT}/state", "4")
    before = machine.nodes()
    assert (machine.run("make", "3", "web1/0")[0], machine.nodes()) == (3, before)


def test_one_that_was_closed_is_made_anew(machine: Machine) -> None:
    machine.run("make", "storage", "web1/0")
    machine.write(f"{BACK}/online", "0")
    machine.write(f"{BACK}/state", "6")
    machine.write(f"{BACK}/vscsi-devs/dev-0/state", "4")
    assert (machine.run("make", "storage", "web1/0")[0], machine.nodes()) == (0, MADE)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([], 2),
        (["make", "storage"], 2),
        (["mend", "storage", "web1/0"], 2),
        (["make", "storage", "web1"], 2),
        (["make", "storage", "web1/x"], 2),
        (["make", "nobody", "web1/0"], 4),
        (["make", "storage", "nobody/0"], 4),
        (["make", "storage", "99/0"], 4),
    ],
)
def test_what_makes_no_sense_changes_nothing(machine: Machine, words: list[str], status: int) -> None:
    assert (machine.run(*words)[0], machine.nodes()) == (status, {})
