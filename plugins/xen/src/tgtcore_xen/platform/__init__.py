"""The machine below a back end: what it asks of Xen, and who answers."""
