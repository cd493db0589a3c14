"""What happens in the runs during which the power fails: clusters are small, so that every table soon grows, moves or is copied."""

from typing import NamedTuple

from cow.crashes import Run
from cow.shapes import Shape

_WRITING = {"write": 10, "clear": 4, "flush": 4, "grow": 1, "shrink": 1}
_SNAPSHOTS = {**_WRITING, "snapshot": 3, "revert": 1, "delete": 1}
_FILLING = {"fill": 4, "write": 2, "flush": 1, "snapshot": 1}
_FREEING = {"write": 20, "clear": 20, "flush": 3}
_REWRITING = {"write": 20, "clear": 6, "flush": 8}
_BYTES = ("byte", "sector", "cluster")


class Scene(NamedTuple):
    """A kind of run."""

    shape: Shape
    weights: dict[str, int]
    aligned: tuple[str, ...] = ("sector", "cluster")
    full_snapshots: int = 0
    shared_tables: bool = False
    share: float = 1.0
    """Of the operations of the other scenes: these take longer."""

    def run(self, seed: int, operations: int) -> Run:
        """Let it happen."""
        length = int(operations * self.share)
        before = self.full_snapshots, self.shared_tables
        return Run(self.shape, seed, length, self.weights, self.aligned, *before)


SCENES = {
    "snapshots": Scene(Shape(cluster_bits=9, clusters=126), _SNAPSHOTS),
    "parts of sectors": Scene(Shape(cluster_bits=10, clusters=100), _SNAPSHOTS, _BYTES),
    "growing refcount table": Scene(
        Shape(cluster_bits=9, refcount_order=6, clusters=900), _FILLING, full_snapshots=4, share=0.2
    ),
    "tables shared with a snapshot": Scene(
        Shape(cluster_bits=9, clusters=300), _WRITING, full_snapshots=1, shared_tables=True
    ),
    "few references": Scene(Shape(cluster_bits=9, refcount_order=1, clusters=150), _SNAPSHOTS),
    "freeing and taking": Scene(Shape(cluster_bits=9, clusters=60), _FREEING),
    "one reference": Scene(Shape(cluster_bits=9, refcount_order=0, clusters=150, backing="raw"), _REWRITING),
    "version 2": Scene(Shape(cluster_bits=12, version=2, clusters=40), {**_SNAPSHOTS, "clear": 0}),
    "over another image": Scene(Shape(cluster_bits=12, clusters=40, backing="qcow2", backing_part=5), _SNAPSHOTS),
    "subclusters": Scene(Shape(cluster_bits=14, extended_l2=True, clusters=12, backing="raw"), _SNAPSHOTS),
    "data file": Scene(Shape(cluster_bits=9, clusters=150, data_file="plain"), _WRITING),
    "raw data file": Scene(Shape(cluster_bits=12, clusters=40, data_file="raw"), _WRITING),
    "lazy": Scene(Shape(cluster_bits=9, clusters=150, lazy_refcounts=True), _SNAPSHOTS),
}
