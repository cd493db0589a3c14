"""The format ``qcow2`` by the conformance kit of layers."""

from tgtcore_cow.options import Qcow2Options
from tgtcore_cow.qcow2_format import Qcow2

from tgtcore import Store
from tgtcore.testing.layer import LayerConformance


class TestQcow2(LayerConformance):
    persistent = True

    def make_layer(self, base: Store) -> Store:
        return Qcow2(base, Qcow2Options(create=True, size=2 << 20))


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
