"""The five headers that every read and write needs, as plain functions: no object is made per command."""

from typing import Final

from tgtcore_iscsi.pdu.codes import DATA_IN_STATUS, FINAL, NO_TAG, Opcode
from tgtcore_iscsi.pdu.requests import DATA_OUT, SCSI_COMMAND
from tgtcore_iscsi.pdu.responses import DATA_IN, R2T_LAYOUT, SCSI_RESPONSE

unpack_scsi_command: Final = SCSI_COMMAND.unpack_from
"""(buffer, offset) -> flags, lengths, lun, itt, expected length, CmdSN, ExpStatSN, first 16 bytes of the CDB."""

unpack_data_out: Final = DATA_OUT.unpack_from
"""(buffer, offset) -> flags, lengths, lun, itt, ttt, ExpStatSN, DataSN, buffer offset."""

_SCSI_RESPONSE = int(Opcode.SCSI_RESPONSE)
_DATA_IN = int(Opcode.DATA_IN)
_R2T = int(Opcode.R2T)
_DATA_IN_LAST = FINAL | DATA_IN_STATUS
_pack_scsi_response = SCSI_RESPONSE.pack
_pack_data_in = DATA_IN.pack
_pack_r2t = R2T_LAYOUT.pack


def scsi_response(
    flags: int,
    status: int,
    data_length: int,
    itt: int,
    stat_sn: int,
    exp_cmd_sn: int,
    max_cmd_sn: int,
    exp_data_sn: int,
    residual: int,
    bidi_residual: int = 0,
    response: int = 0,
) -> bytes:
    """Return the header of a SCSI Response (11.4).

    :param flags: the residual bits; the F bit is added.
    :param data_length: bytes of sense data with their two-byte length, padding not counted.
    """
    return _pack_scsi_response(
        _SCSI_RESPONSE,
        FINAL | flags,
        response,
        status,
        data_length,
        itt,
        0,
        stat_sn,
        exp_cmd_sn,
        max_cmd_sn,
        exp_data_sn,
        bidi_residual,
        residual,
    )


def data_in(
    flags: int,
    data_length: int,
    itt: int,
    exp_cmd_sn: int,
    max_cmd_sn: int,
    data_sn: int,
    buffer_offset: int,
) -> bytes:
    """Return the header of a Data-In without status (11.7); ``flags`` is 0 or ``FINAL``."""
    return _pack_data_in(
        _DATA_IN, flags, 0, data_length, 0, itt, NO_TAG, 0, exp_cmd_sn, max_cmd_sn, data_sn, buffer_offset, 0
    )


def data_in_last(
    flags: int,
    status: int,
    data_length: int,
    itt: int,
    stat_sn: int,
    exp_cmd_sn: int,
    max_cmd_sn: int,
    data_sn: int,
    buffer_offset: int,
    residual: int,
) -> bytes:
    """Return the header of the Data-In that ends the command with its status (11.7.3).

    :param flags: the residual bits; the F and S bits are added.
    """
    return _pack_data_in(
        _DATA_IN,
        _DATA_IN_LAST | flags,
        status,
        data_length,
        0,
        itt,
        NO_TAG,
        stat_sn,
        exp_cmd_sn,
        max_cmd_sn,
        data_sn,
        buffer_offset,
        residual,
    )


def r2t(
    lun: int,
    itt: int,
    ttt: int,
    stat_sn: int,
    exp_cmd_sn: int,
    max_cmd_sn: int,
    r2t_sn: int,
    buffer_offset: int,
    desired_length: int,
) -> bytes:
    """Return an R2T (11.8); ``stat_sn`` is the next StatSN and is not consumed."""
    return _pack_r2t(
        _R2T, FINAL, 0, lun, itt, ttt, stat_sn, exp_cmd_sn, max_cmd_sn, r2t_sn, buffer_offset, desired_length
    )
