"""What the usual guest is made of: Debian packages, the files taken from them, kernel modules."""

from guest.lab import qemu
from guest.lab.kind import Kind


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PACKAGES = _words("""
bash busybox-static coreutils dash dmsetup e2fsprogs eject kmod kpartx lsscsi mount multipath-tools open-iscsi
sg3-utils sg3-utils-udev udev util-linux xfsprogs
""")

# Brought in by dependencies, needed by nothing that runs in the guest.
_UNWANTED = (
    r"(debconf|cdebconf|adduser|dpkg|perl.*|libperl.*|libicu.*|init-system-helpers|sysvinit-utils|lsb-base|usrmerge|"
    r"media-types|gcc-\d+-base|passwd|login|libboost.*|libgnutls.*|xfslibs.*|debianutils|libpam.*|libsemanage.*|"
    r"readline-common|libgdbm.*|finalrd|tzdata|netbase|mailcap)"
)

# Glob patterns below the unpacked packages; shared libraries follow by themselves.
_FILES = _words("""
usr/bin/busybox
usr/bin/bash
usr/bin/dash
usr/bin/kmod
usr/bin/udevadm
usr/bin/eject
usr/bin/lsblk
usr/bin/lsscsi
usr/bin/sg_*
usr/bin/scsi_*
usr/bin/base64
usr/bin/dd
usr/bin/sha256sum
usr/bin/stat
usr/bin/mount
usr/bin/umount
usr/bin/timeout
usr/bin/truncate
usr/sbin/blkdiscard
usr/sbin/blkid
usr/sbin/blockdev
usr/sbin/fstrim
usr/sbin/wipefs
usr/sbin/dmsetup
usr/sbin/kpartx
usr/sbin/multipath
usr/sbin/multipathd
usr/lib/multipath/*
usr/lib/*/multipath/*
usr/sbin/iscsiadm
usr/sbin/iscsid
usr/sbin/iscsistart
etc/iscsi/iscsid.conf
etc/mke2fs.conf
usr/sbin/mke2fs
usr/sbin/mkfs.ext4
usr/sbin/e2fsck
usr/sbin/fsck.ext4
usr/sbin/resize2fs
usr/sbin/mkfs.xfs
usr/sbin/xfs_repair
usr/lib/systemd/systemd-udevd
usr/lib/udev/scsi_id
usr/lib/udev/kpartx_id
usr/lib/udev/rules.d/50-udev-default.rules
usr/lib/udev/rules.d/60-block.rules
usr/lib/udev/rules.d/60-persistent-storage.rules
usr/lib/udev/rules.d/80-drivers.rules
usr/lib/udev/rules.d/55-dm.rules
usr/lib/udev/rules.d/60-persistent-storage-dm.rules
usr/lib/udev/rules.d/95-dm-notify.rules
usr/lib/udev/rules.d/56-multipath.rules
usr/lib/udev/rules.d/60-multipath.rules
usr/lib/udev/rules.d/55-scsi-sg3_id.rules
usr/lib/udev/rules.d/58-scsi-sg3_symlink.rules
usr/lib/*/libgcc_s.so.1
""")

# Empty folders that programs expect.
_FOLDERS = _words("proc sys dev run tmp mnt root var/lib var/log etc/iscsi/nodes etc/iscsi/send_targets etc/multipath")

# Modules of the initramfs; what they depend on is added.
_MODULES = _words("""
virtio_pci virtio_console virtio_net virtio_rng
scsi_mod sd_mod sg scsi_transport_iscsi libiscsi iscsi_tcp scsi_dh_alua
dm_mod dm_multipath dm_service_time dm_round_robin
ext4 xfs loop crc32c_generic crc32c_intel crc32_pclmul
""")

# Commands that are another program under a second name.
_LINKS = {
    "usr/bin/sh": "dash",
    **{f"usr/sbin/{name}": "/usr/bin/kmod" for name in ("modprobe", "insmod", "rmmod", "lsmod", "depmod", "modinfo")},
}

USUAL = Kind(
    name="guest",
    architecture=None,
    program="qemu-system-x86_64",
    qemu_package="qemu-system-x86",
    command=qemu.command,
    restorable=True,
    work_parent=None,
    kernel_package="linux-image-amd64",
    packages=_PACKAGES,
    unwanted=_UNWANTED,
    files=_FILES,
    folders=_FOLDERS,
    modules=_MODULES,
    modules_at_boot=("virtio_pci", "virtio_console", "virtio_net"),  # the rest by modprobe or udev
    links=_LINKS,
)
