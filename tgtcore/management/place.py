"""The management socket in the file system: its folder, its lock and its name."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import Self

from tgtcore.errors import ConfigError
from tgtcore.named_socket import bind_private


class Place:
    """A management socket that is ours as long as its lock is.

    :param path: the socket.
    :param listening: the socket itself, bound and perhaps listening already.
    :param lock: the descriptor of the locked file beside it.
    :param folders: the folders that were made for it, the innermost first.
    :param ours: whether the name in the file system goes with us; it does not when somebody else has made it.
    """

    def __init__(
        self, path: Path, listening: socket.socket, lock: int, folders: list[Path], *, ours: bool = True
    ) -> None:
        self.path = path
        self.listening = listening
        self.lock = lock
        self.folders = folders
        self.ours = ours

    @classmethod
    def take(cls, path: Path, inherited: socket.socket | None = None) -> Self:
        """Take a place, or leave nothing behind.

        :param inherited: the socket, where somebody has bound it for us.
        :raises ConfigError: another daemon has it.
        :raises OSError: the socket can't be made.
        """
        with contextlib.ExitStack() as undo:
            folders: list[Path] = []
            undo.callback(_remove_folders, folders)
            for folder in _missing(path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
                folders.insert(0, folder)
            lock = _locked(_lock_of(path), path)
            undo.callback(_unlock, path, lock)
            place = cls(
                path, inherited or bind_private(path, "management socket"), lock, folders, ours=inherited is None
            )
            undo.pop_all()
        return place

    def release(self) -> None:
        """Remove the socket and what was made for it."""
        self.listening.close()
        if self.ours:
            self.path.unlink(missing_ok=True)
        _unlock(self.path, self.lock)
        _remove_folders(self.folders)

    def leave(self) -> None:
        """Let go of it without removing anything: somebody else has it now."""
        self.listening.close()
        os.close(self.lock)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _unlock(path: Path, descriptor: int) -> None:
    with contextlib.suppress(OSError):
        _lock_of(path).unlink()
    os.close(descriptor)


def _remove_folders(folders: list[Path]) -> None:
    with contextlib.suppress(OSError):  # somebody has put something else there
        while folders:
            folders.pop(0).rmdir()


def _missing(folder: Path) -> list[Path]:
    """The folders that must be made to have one, the outermost first."""
    return [one for one in (*reversed(folder.parents), folder) if not one.exists()]


def _locked(lock: Path, path: Path) -> int:
    """Hold a lock as long as the socket is ours: two daemons that start at once must not both remove it."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise ConfigError(f"management socket {path}: another tgtd is using it") from None
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                return descriptor
        os.close(descriptor)  # a daemon that just ended has removed the file that was locked here
