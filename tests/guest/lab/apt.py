"""The machine's own apt client, for this machine's architecture or another, with nothing of the machine's apt changed."""

from pathlib import Path

from guest.lab.program import LabError, run


class Apt:
    """Asks the archives that this machine's apt is configured for.

    :param folder: keeps what is apt's own here.
    :param architecture: Debian's name of one that has lists of its own in the folder; None: this machine's, with its lists.
    """

    def __init__(self, folder: Path, architecture: str | None) -> None:
        self._foreign = architecture is not None
        self._hint = "has 'apt-get update' been run?" if architecture is None else f"for {architecture}"
        folder.mkdir(parents=True, exist_ok=True)
        # Against an empty package status, so that answers don't depend on what this machine has installed.
        empty = folder / "empty.status"
        empty.touch()
        self._options = ["-o", f"Dir::State::status={empty}", "-o", "Debug::NoLocking=1"]
        if architecture is not None:
            (folder / "apt" / "partial").mkdir(parents=True, exist_ok=True)
            for setting in (
                f"APT::Architecture={architecture}",
                f"APT::Architectures::={architecture}",
                f"Dir::State::lists={folder}/apt",
                f"Dir::Cache={folder}/apt-cache",
            ):
                self._options += ["-o", setting]

    def refresh(self) -> None:
        """Fetch the lists of another architecture; archives without it are left out, and this machine's lists as they are."""
        if self._foreign:
            try:
                run("apt-get", *self._options, "-qq", "update")
            except LabError as error:
                # What is missing now is missed by name later.
                print(error)

    def plan(self, names: list[str]) -> str:
        """What installing would do, in apt's words."""
        options = ("-s", "-qq", "--no-install-recommends")
        return run("apt-get", *self._options, *options, "install", *names, what=f"apt-get, {self._hint}")

    def show(self, name: str) -> str:
        """The newest version of a package in the words of its control file."""
        return run("apt-cache", *self._options, "show", "--no-all-versions", name, what=f"apt-cache, {self._hint}")

    def download(self, need: list[str], folder: Path) -> None:
        """Fetch packages, each ``name=version``."""
        run("apt-get", *self._options, "download", "-q", *need, cwd=folder, what=f"apt-get download, {self._hint}")
