"""What the usual guest is made of: Debian packages, the files taken from them, kernel modules."""

from guest.lab import qemu, small
from guest.lab.kind import Kind
from guest.lab.small import words

_PACKAGES = small.PACKAGES + words("""
bash dmsetup eject kpartx lsscsi mount multipath-tools open-iscsi sg3-utils-udev udev xfsprogs
""")

# Brought in by dependencies, needed by nothing that runs in the guest.
_UNWANTED = (
    r"(debconf|cdebconf|adduser|dpkg|perl.*|libperl.*|libicu.*|init-system-helpers|sysvinit-utils|lsb-base|usrmerge|"
    r"media-types|gcc-\d+-base|passwd|login|libboost.*|libgnutls.*|xfslibs.*|debianutils|libpam.*|libsemanage.*|"
    r"readline-common|libgdbm.*|finalrd|tzdata|netbase|mailcap)"
)

# Glob patterns below the unpacked packages; shared libraries follow by themselves.
_FILES = small.FILES + words("""
usr/bin/bash
usr/bin/udevadm
usr/bin/eject
usr/bin/lsblk
usr/bin/lsscsi
usr/bin/scsi_*
usr/bin/mount
usr/bin/umount
usr/bin/truncate
usr/sbin/blkdiscard
usr/sbin/blkid
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
_FOLDERS = small.FOLDERS + words("etc/iscsi/nodes etc/iscsi/send_targets etc/multipath")

# Modules of the initramfs; what they depend on is added.
_MODULES = words("""
virtio_pci virtio_console virtio_net virtio_rng
scsi_mod sd_mod sg scsi_transport_iscsi libiscsi iscsi_tcp scsi_dh_alua
dm_mod dm_multipath dm_service_time dm_round_robin
ext4 xfs loop crc32c_generic crc32c_intel crc32_pclmul
""")

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
    links=small.LINKS,
)
