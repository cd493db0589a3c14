"""What tells one kind of guest from another: its machine, its packages, what is taken from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from guest.lab.cpio import CpioWriter


@dataclass(frozen=True)
class Images:
    """What a machine boots.

    :param hypervisor: what runs below the kernel, for a kind that has one.
    :param nested: the initramfs of guests of this one, for a kind that has some.
    """

    kernel: Path
    initramfs: Path
    hypervisor: Path | None
    nested: Path | None


@dataclass(frozen=True)
class Kind:
    """A kind of guest.

    :param name: also of its folder in the cache.
    :param architecture: Debian's name of it; None: this machine's own, whose programs can be run here.
    :param program: the QEMU that runs it.
    :param qemu_package: the Debian package of that.
    :param command: QEMU's arguments from what is booted and the work folder.
    :param restorable: whether QEMU restores all of it from a snapshot.
    :param work_parent: where work folders are made, where it matters.
    :param kernel_package: the one that always means the newest kernel.
    :param packages: those whose files are used; what they depend on follows.
    :param unwanted: pattern of packages that dependencies bring in and nothing in the guest needs.
    :param files: glob patterns below the unpacked packages; shared libraries follow.
    :param folders: empty folders that programs expect.
    :param modules: kernel modules; what they depend on follows.
    :param modules_at_boot: those loaded before the agent starts.
    :param links: commands that are another program under a second name.
    :param hypervisor: glob pattern of the one that runs below the kernel, a packed file of the packages; None: there is none.
    :param nested: the kind of guests that this one has, of the same packages, kernel and architecture; None: it has none.
    :param starting: shell commands of process 1 after these modules, before the agent, whose port they may set as ``$port``.
    :param added: puts more into the initramfs, from the folder of the unpacked packages.
    :param recipe: what else the initramfs depends on.
    """

    name: str
    architecture: str | None
    program: str
    qemu_package: str
    command: Callable[[Images, Path], list[str]] = field(repr=False)
    restorable: bool
    work_parent: Path | None
    kernel_package: str
    packages: tuple[str, ...]
    unwanted: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    modules: tuple[str, ...]
    modules_at_boot: tuple[str, ...]
    links: Mapping[str, str]
    hypervisor: str | None = None
    nested: "Kind | None" = field(default=None, repr=False)
    starting: str = ""
    added: Callable[[CpioWriter, Path], None] | None = field(default=None, repr=False)
    recipe: tuple[str, ...] = ()
