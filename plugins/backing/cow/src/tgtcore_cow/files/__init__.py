"""Files and block devices of this machine as stores."""

from tgtcore_cow.files.host_file import HostFile

__all__ = ["HostFile"]
