"""Scripts in a machine whose agent listens."""

import base64
import shlex
from dataclasses import dataclass

from guest.lab.console import Console, GuestDied


@dataclass(frozen=True)
class Result:
    """What a script did in the guest."""

    status: int
    output: bytes

    @property
    def text(self) -> str:
        """The output, both streams, as text."""
        return self.output.decode(errors="replace")


class Shell:
    """A machine that does what it is told.  Who derives from it has ``_console``, once the agent listens."""

    _console: Console

    @property
    def console(self) -> str:
        """What the kernel wrote to its console."""
        raise NotImplementedError

    def run(self, script: str, *, stdin: bytes = b"", timeout_s: float = 60, check: bool = True) -> Result:
        """Run a shell script (the functions of lab.sh are there); AssertionError where it fails and check is set."""
        try:
            result = Result(*self._console.run(script.encode(), stdin, timeout_s))
        except (GuestDied, TimeoutError) as error:
            raise type(error)(f"{script!r}: {error}\nkernel: {self.console[-3000:]}") from None
        assert not check or result.status == 0, f"exit status {result.status}: {script}\n{result.text[-4000:]}"
        return result

    def text(self, script: str, *, timeout_s: float = 60) -> str:
        """The output of a script that must succeed, without blanks around it."""
        return self.run(script, timeout_s=timeout_s).text.strip()

    def put(self, path: str, content: bytes) -> None:
        """Write a file in the guest."""
        self.run(f"cat >{shlex.quote(path)}", stdin=content)

    def get(self, path: str) -> bytes:
        """Read a file of the guest."""
        return base64.b64decode(self.run(f"base64 {shlex.quote(path)}").output)
