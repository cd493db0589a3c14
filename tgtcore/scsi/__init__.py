"""The vocabulary of SCSI: codes, field layouts and their encoders and parsers (SAM-5, SPC-5, SBC-4).

Everything here is a pure function, an enum or a frozen value; nothing does I/O and nothing holds state.
"""
