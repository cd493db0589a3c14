"""The command lines: tgtd, which serves, and tgtadm, which manages it."""
