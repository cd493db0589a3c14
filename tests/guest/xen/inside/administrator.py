"""``tgtadm`` again and again in one process: to make one for each verb takes the emulated processor a second."""

import json
import os

from click.testing import CliRunner

from tgtcore.cli.tgtadm import main as tgtadm

ASKED = "/run/lab/asked"
"""A pipe; a line is JSON: the words of a command line."""
ANSWERED = "/run/lab/answered"
"""A pipe; a line is JSON: the exit status, and what was written."""


def main() -> None:
    """Answer as long as the guest is there."""
    runner = CliRunner()
    with open(os.open(ASKED, os.O_RDWR)) as asked, open(os.open(ANSWERED, os.O_RDWR), "w") as answered:
        for line in asked:
            done = runner.invoke(tgtadm, json.loads(line))
            print(json.dumps([done.exit_code, done.output]), file=answered, flush=True)
