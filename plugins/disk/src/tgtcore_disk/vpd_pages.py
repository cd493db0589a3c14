"""What a disk says of itself in INQUIRY (SBC-4 6.6)."""

from dataclasses import replace

from tgtcore import Task, VpdPage
from tgtcore.scsi.inquiry import StandardInquiry, VersionDescriptor
from tgtcore.scsi.vpd import (
    NON_ROTATING,
    BlockLimits,
    ExtendedInquiry,
    Page,
    Provisioning,
    block_device_characteristics,
)
from tgtcore_disk.atomic import AtomicCommands
from tgtcore_disk.provisioning import UNMAP_BLOCKS_MAX, UNMAP_DESCRIPTORS_MAX, ProvisioningCommands
from tgtcore_disk.thresholds import THRESHOLD_SET_BITS
from tgtcore_disk.write_same import WRITE_SAME_BLOCKS_MAX, WriteSameCommands

_SPINNING = 7200
_OPTIMAL_TRANSFER_BYTES = 1024 * 1024


class DiskVpdPages(AtomicCommands, WriteSameCommands, ProvisioningCommands):
    """Standard INQUIRY data and the pages 86h, B0h, B1h and B2h of a disk."""

    versions = (VersionDescriptor.SBC_3,)

    def standard_inquiry(self) -> StandardInquiry:
        """As every device's, with RMB."""
        return replace(super().standard_inquiry(), removable=self.options.removable)

    def extended_inquiry(self) -> ExtendedInquiry:
        """As every device's, with the volatile cache."""
        return replace(super().extended_inquiry(), volatile_cache=self.store.writable)

    def vpd_pages(self) -> dict[int, VpdPage]:
        """As every device's, and the block device's own."""
        return {
            **super().vpd_pages(),
            Page.BLOCK_LIMITS: self._block_limits,
            Page.BLOCK_DEVICE_CHARACTERISTICS: self._characteristics,
            Page.LOGICAL_BLOCK_PROVISIONING: self._provisioning,
        }

    def _block_limits(self, task: Task) -> bytes:
        limits = BlockLimits(
            optimal_granularity=self.physical_bytes >> self.shift,
            transfer_max=self.max_blocks,
            transfer_optimal=min(self.max_blocks, _OPTIMAL_TRANSFER_BYTES >> self.shift),
            compare_and_write_max=self.compare_and_write_max,
            write_same_max=WRITE_SAME_BLOCKS_MAX,
        )
        if self.thin:
            limits = replace(
                limits,
                unmap_blocks_max=UNMAP_BLOCKS_MAX,
                unmap_descriptors_max=UNMAP_DESCRIPTORS_MAX,
                unmap_granularity=self.unmap_bytes >> self.shift,
                unmap_alignment=0,
            )
        return limits.encode()

    def _characteristics(self, task: Task) -> bytes:
        rate = self.options.rotation_rate
        if rate is None:
            rate = _SPINNING if self.store.store.rotational else NON_ROTATING
        return block_device_characteristics(rate)

    def _provisioning(self, task: Task) -> bytes:
        thin = self.thin
        return Provisioning(
            thin=thin,
            unmap=thin,
            write_same_unmap_16=thin,
            write_same_unmap_10=thin,
            reads_zeroes=thin,
            anchor=thin,
            threshold_exponent=THRESHOLD_SET_BITS - self.shift if self.tells_space else 0,
        ).encode()
