"""A throw-away layer over a store that is only read: blocks that were written are in a file without a name."""
