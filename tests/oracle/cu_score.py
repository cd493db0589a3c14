"""Runs libiscsi's conformance suite, iscsi-test-cu, and counts what really passed.

The suite reports "passed" for a test that it skipped, and for some that failed on the way; here the verbose log is read
and every test ends in one of three columns. What is printed after a test's verdict is the clean-up of its suite, whose PERSISTENT
RESERVE IN runs into any unit attention that is still pending. The content of the LUN is destroyed. Needs Debian package
libiscsi-bin.
"""

import argparse
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

_SUITE = re.compile(r"^Suite: (\S+)\n(.*?)(?=^Suite: |^Run Summary|\Z)", re.M | re.S)
_CASE = re.compile(r"^  Test: (\S+) \.\.\.(.*?)(?=^  Test: |^Suite: |^Run Summary|\Z)", re.M | re.S)
_VERDICT = re.compile(r"^(passed|FAILED)\b(.*)", re.M | re.S)


@dataclass(frozen=True)
class Outcome:
    """One test of the suite: passed, failed or skipped, and why."""

    column: str
    reason: str = ""


@dataclass(frozen=True)
class Score:
    """All tests of one run."""

    outcomes: dict[str, Outcome]
    ended: bool

    def names(self, column: str) -> list[str]:
        """The tests of one column."""
        return sorted(name for name, outcome in self.outcomes.items() if outcome.column == column)

    def report(self) -> str:
        """A line for each test that did not pass, and the sum."""
        others = [
            f"{outcome.column:8} {name}  {outcome.reason[:140]}"
            for name, outcome in sorted(self.outcomes.items())
            if outcome.column != "passed"
        ]
        counts = ", ".join(f"{len(self.names(column))} {column}" for column in ("passed", "failed", "skipped"))
        return "\n".join([*others, counts if self.ended else f"{counts}; the suite did not reach its end"])


def classify(body: str) -> Outcome:
    """The outcome of a test from what the suite printed in it."""
    verdict = _VERDICT.search(body)
    if verdict is None:
        return Outcome("failed", f"it never ended: {body.strip()[-100:]}")
    told = body[: verdict.start()]
    if verdict[1] == "FAILED":
        told += verdict[2]
        return Outcome("failed", _first_line(told, "[FAILED]") or _first_line(told, ""))
    for column, sign in (("failed", "[FAILED]"), ("skipped", "[SKIPPED]")):
        found = _first_line(told, sign)
        if found:
            return Outcome(column, found)
    return Outcome("passed")


def _first_line(text: str, sign: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip() and sign in line), "")


def read_log(log: str) -> Score:
    """The score of a verbose log."""
    outcomes = {
        f"{suite}.{name}": classify(body) for suite, tests in _SUITE.findall(log) for name, body in _CASE.findall(tests)
    }
    return Score(outcomes, "Run Summary" in log)


def run(urls: Sequence[str], family: str = "ALL", timeout_s: int = 480) -> Score:
    """Run the suite against one LUN, by two URLs where it has two paths."""
    command = ["iscsi-test-cu", "--dataloss", "--verbose", f"--test={family}", *urls]
    try:
        log = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
            restore_signals=False,  # SIGPIPE stays ignored: the suite would die of writing to a session that it has made us end
        ).stdout
    except subprocess.TimeoutExpired as late:
        log = late.stdout or b""
    return read_log(log.decode(errors="replace"))


def main() -> int:
    """The command line: exit status 0 when nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="+")
    parser.add_argument("--family", default="ALL")
    parser.add_argument("--seconds", type=int, default=480)
    arguments = parser.parse_args()
    score = run(arguments.url, arguments.family, arguments.seconds)
    print(score.report())
    return 0 if score.ended and score.outcomes and not score.names("failed") else 1


if __name__ == "__main__":
    raise SystemExit(main())
