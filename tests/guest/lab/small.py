"""What every guest has, and is enough for those with little more than a shell, SCSI disks and a file system."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text that is a list."""
    return tuple(text.split())


PACKAGES = words("busybox-static coreutils dash e2fsprogs kmod sg3-utils util-linux")

FILES = words("""
usr/bin/busybox
usr/bin/dash
usr/bin/kmod
usr/bin/sg_*
usr/bin/base64
usr/bin/dd
usr/bin/sha256sum
usr/bin/stat
usr/bin/timeout
usr/sbin/blockdev
usr/sbin/mke2fs
usr/sbin/mkfs.ext4
usr/sbin/e2fsck
usr/sbin/fsck.ext4
etc/mke2fs.conf
""")

FOLDERS = words("proc sys dev run tmp mnt root var/lib var/log")

UNWANTED = (
    r"debconf|cdebconf|dpkg|perl.*|libperl.*|init-system-helpers|gcc-\d+-base|passwd|login|debianutils|libpam.*|"
    r"libsemanage.*|readline-common|tzdata|tar|adduser"
)
"""What dependencies bring in."""

LINKS = {
    "usr/bin/sh": "dash",
    **{f"usr/sbin/{name}": "/usr/bin/kmod" for name in ("modprobe", "insmod", "rmmod", "lsmod", "depmod", "modinfo")},
}
