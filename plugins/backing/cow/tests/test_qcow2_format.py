"""The format ``qcow2`` by the conformance kit of layers."""

from tgtcore_cow.options import Qcow2Options
from tgtcore_cow.qcow2_format import Qcow2

from tgtcore import Features, Space, Store
from tgtcore.testing.layer import LayerConformance, WatchedBase


class TestQcow2(LayerConformance):
    persistent = True

    def make_layer(self, base: Store) -> Store:
        return Qcow2(base, Qcow2Options(create=True, size=2 << 20))


class Sparse(WatchedBase):
    """Tells what it takes."""

    def space(self) -> Space:
        return Space(5, 10, shared=True)


def test_the_space_of_an_image_is_that_of_its_file() -> None:
    made = Qcow2(Sparse(4 << 20), Qcow2Options(create=True, size=2 << 20))
    assert Features.SPACE in made.features()
    assert made.space() == Space(5, 10, shared=True)
    assert Features.SPACE not in Qcow2(WatchedBase(4 << 20), Qcow2Options(create=True, size=2 << 20)).features()


class TestSmallClusters(LayerConformance):
    persistent = True
    examples = 20

    def make_layer(self, base: Store) -> Store:
        return Qcow2(base, Qcow2Options(create=True, size=1 << 20, cluster_size=512))


class TestSubclusters(LayerConformance):
    persistent = True
    examples = 20

    def make_layer(self, base: Store) -> Store:
        return Qcow2(base, Qcow2Options(create=True, size=2 << 20, cluster_size=16384, extended_l2=True))
