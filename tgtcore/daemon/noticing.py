"""What stands on a store whose content becomes another one beneath it: a snapshot is gone back to, or power was cut."""

from tgtcore.daemon.inventory import Unit
from tgtcore.daemon.layers import layers_of_unit
from tgtcore.daemon.stores import Stack
from tgtcore.errors import StoreError
from tgtcore.store import Store


def check_notices(unit: Unit, store: Store, what: str) -> None:
    """Refuse to change what a store holds while something stands on it that can't be told.

    :param what: that can't be done then, as the message begins.
    :raises StoreError: something does.
    """
    assert unit.stack is not None
    deaf = [one for one in unit.stack.above(store) if type(one).base_changed is Store.base_changed]
    if not deaf:
        return
    every = layers_of_unit(unit)
    layers = [layer for layer in every if layer.object in deaf]
    own = next((layer.name for layer in every if layer.object is store), "it")
    names = ", ".join(layer.name for layer in layers)
    going = [layer.name for layer in layers if layer.can_go]
    if len(going) == len(layers):
        how = "; ".join(f"tgtadm filter remove {unit.lu.name} {name}" for name in going)
        how = f"remove it first: {how}"
    else:
        how = "take it out of the configuration first"
    raise StoreError(f"{what}: {names} stands on {own} and would not notice; {how}")


def tell_above(stack: Stack, store: Store) -> None:
    """Tell everything that stands on a store that its content is another one; runs on a worker thread.

    :raises Exception: what the lowest one has raised that could not make anything of it; the others were told all the same.
    """
    failures = []
    for one in stack.above(store):
        try:
            one.base_changed()
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]
