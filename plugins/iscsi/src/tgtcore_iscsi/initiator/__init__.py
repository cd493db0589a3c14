"""The initiator's side of the protocol, as far as tests and self-checks need one."""
