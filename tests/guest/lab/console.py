"""The protocol spoken with the agent in the guest: a script goes out, its output and exit status come back."""

import re
import socket
import time

_READY = re.compile(rb"\x1eREADY\n")
_MARK = b"\x1e"
_MARK_BYTES = 40  # no closing line is longer


class GuestDied(Exception):
    """The guest ended in the middle of a script."""


class Console:
    """The host's end of the agent's serial port."""

    def __init__(self, port: socket.socket) -> None:
        self._port = port
        self._received = bytearray()
        self._number = 0

    def wait_ready(self, timeout_s: float) -> None:
        """Wait for the agent of a guest that is booting."""
        self._until(_READY, timeout_s)

    def run(self, script: bytes, stdin: bytes, timeout_s: float) -> tuple[int, bytes]:
        """Exit status and output of a script; TimeoutError, GuestDied."""
        self._number += 1
        self._port.settimeout(timeout_s)
        self._port.sendall(b"run %d %d %d\n%b%b" % (self._number, len(script), len(stdin), script, stdin))
        output, found = self._until(re.compile(rb"\x1eDONE %d (\d+)\n" % self._number), timeout_s)
        return int(found.group(1)), output

    def _until(self, closing: re.Pattern[bytes], timeout_s: float) -> tuple[bytes, re.Match[bytes]]:
        deadline = time.monotonic() + timeout_s
        output = bytearray()
        while True:
            found = closing.search(bytes(self._received))
            if found:
                output += self._received[: found.start()]
                del self._received[: found.end()]
                return bytes(output), found
            # All but a closing line that may be half here belongs to the output.
            mark = self._received.rfind(_MARK)
            done = len(self._received) if mark < 0 or len(self._received) - mark > _MARK_BYTES else mark
            output += self._received[:done]
            del self._received[:done]
            self._receive(deadline - time.monotonic(), output)

    def _receive(self, timeout_s: float, output: bytearray) -> None:
        self._port.settimeout(max(timeout_s, 0.001))
        try:
            received = self._port.recv(1 << 18)
        except TimeoutError:
            raise TimeoutError(f"no answer from the guest; it said: {_tail(output)}") from None
        if not received:
            raise GuestDied(f"the guest ended; it said: {_tail(output)}")
        self._received += received


def _tail(output: bytearray) -> str:
    return bytes(output[-1500:]).decode(errors="replace")
