"""A store that reads as zeroes, 1 GiB of them: all that a store has to be."""

from tgtcore import Store, hookimpl


class Zeroes(Store):
    size_bytes = 1 << 30

    def __init__(self, options):
        self.options = options

    def read(self, offset, length):
        return bytes(length)


@hookimpl
def tgt_register_stores(registry):
    registry.store("acme-zero", Zeroes)
