"""Image files in the guest: on a file system as machines have it, and in its page cache."""

from guest.lab.guest import Guest

_IMAGE_MIB = 32
IMAGE_BYTES = _IMAGE_MIB << 20
_FILE_SYSTEM_MIB = 192
_FOLDER = "/run/media"


def prepare(guest: Guest) -> None:
    """Have a file system; it is itself in memory, and nothing is written back to that while somebody measures."""
    guest.run(
        f"""
        modprobe -a loop crc32c_generic ext4 &&
        truncate -s {_FILE_SYSTEM_MIB}M /tmp/media && mkfs.ext4 -q -F -b 4096 /tmp/media &&
        mkdir -p {_FOLDER} && mount -t ext4 -o loop /tmp/media {_FOLDER} &&
        cd /proc/sys/vm && echo 0 >dirty_writeback_centisecs && echo 90 >dirty_background_ratio && echo 95 >dirty_ratio
        """,
        timeout_s=60,
    )


def make(guest: Guest, name: str) -> str:
    """An image without holes; its path."""
    path = f"{_FOLDER}/{name}"
    guest.run(f"dd if=/dev/zero of={path} bs=1M count={_IMAGE_MIB} && sync {path}")
    return path
