"""Which commands may be performed twice: a back end that takes the place of one that died can't know what that has performed."""

from tgtcore.scsi.opcodes import OperationCode as Op

REPEATABLE = frozenset(
    map(
        int,
        (
            Op.TEST_UNIT_READY,
            Op.REQUEST_SENSE,
            Op.INQUIRY,
            Op.MODE_SENSE_6,
            Op.MODE_SENSE_10,
            Op.LOG_SENSE,
            Op.READ_CAPACITY_10,
            Op.SERVICE_ACTION_IN_16,
            Op.REPORT_LUNS,
            Op.MAINTENANCE_IN,
            Op.PERSISTENT_RESERVE_IN,
            Op.RECEIVE_DIAGNOSTIC_RESULTS,
            Op.READ_10,
            Op.READ_12,
            Op.READ_16,
            Op.WRITE_10,
            Op.WRITE_12,
            Op.WRITE_16,
            Op.WRITE_AND_VERIFY_10,
            Op.WRITE_AND_VERIFY_12,
            Op.WRITE_AND_VERIFY_16,
            Op.WRITE_ATOMIC_16,
            Op.VERIFY_10,
            Op.VERIFY_12,
            Op.VERIFY_16,
            Op.PRE_FETCH_10,
            Op.PRE_FETCH_16,
            Op.SYNCHRONIZE_CACHE_10,
            Op.SYNCHRONIZE_CACHE_16,
            Op.WRITE_SAME_10,
            Op.WRITE_SAME_16,
            Op.UNMAP,
            Op.START_STOP_UNIT,
            Op.PREVENT_ALLOW_MEDIUM_REMOVAL,
        ),
    )
)
"""Operation codes of commands that leave everything as it is, or as they have left it the first time, on whatever device: they say
themselves where they work.  Not READ (6) and WRITE (6), which a tape goes on with, nor what compares before it writes, nor
reservations, nor any code that is not in the table."""
