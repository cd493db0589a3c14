import random

from sim.medium import BLOCK_BYTES, Medium

OLD, NEW, NEWER = (bytes((number,)) * BLOCK_BYTES for number in (1, 2, 3))


def _after_crash(*versions: bytes) -> set[bytes]:
    found = set()
    for seed in range(30):
        medium = Medium("a", BLOCK_BYTES)
        medium.write(0, OLD)
        medium.flush()
        for version in versions:
            medium.write(0, version)
        medium.crash(random.Random(seed))
        found.add(medium.read(0, BLOCK_BYTES))
    return found


def test_what_was_flushed_outlives_a_crash() -> None:
    assert _after_crash() == {OLD}


def test_of_what_was_not_flushed_any_version_may_be_left() -> None:
    assert _after_crash(NEW, NEWER) == {OLD, NEW, NEWER}


def test_a_medium_that_grows_has_zeroes_at_its_end() -> None:
    medium = Medium("a", BLOCK_BYTES)
    medium.write(0, OLD)
    medium.resize(2 * BLOCK_BYTES)
    assert medium.read(0, medium.size_bytes) == OLD + bytes(BLOCK_BYTES)
    medium.resize(0)
    medium.resize(BLOCK_BYTES)
    assert medium.read(0, BLOCK_BYTES) == bytes(BLOCK_BYTES)
