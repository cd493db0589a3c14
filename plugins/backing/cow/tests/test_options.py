from typing import Any

import pytest
from pydantic import ValidationError
from tgtcore_cow.options import Qcow2Options
from tgtcore_cow.qcow2.create_options import CreateOptions

MADE = {"create": True, "size": "1G"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"create": True}, 'create = true needs a size, such as size = "10G"'),
        ({"size": "1G"}, "size only counts for an image that is made: expected create = true beside it"),
        ({"backing_file": "x"}, "backing_file only counts for an image that is made: expected create = true beside it"),
        ({**MADE, "cluster_size": 1000}, "clusters can't have 1000 bytes; expected a power of two from 512 to 2097152"),
        ({**MADE, "refcount_bits": 3}, "reference counts can't have 3 bits"),
        ({**MADE, "extended_l2": True, "cluster_size": "8K"}, "clusters of 8192 bytes are too small"),
        ({**MADE, "backing_file": "x"}, "the format of the backing file is ''; expected raw or qcow2"),
        ({**MADE, "backing_file": "x", "backing_format": "vmdk"}, "Input should be 'raw' or 'qcow2'"),
        ({**MADE, "size": 1000}, "a disk can't have 1000 bytes; expected a multiple of 512"),
        ({**MADE, "size": "1T", "cluster_size": 512}, "is too large for clusters of 512 bytes"),
        ({"places": "folder"}, "Input should be a valid tuple"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_what_can_not_be_is_refused_with_the_reason(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Qcow2Options(**keys)
    assert message in str(caught.value)


def test_without_any_key_an_image_is_opened_as_it_is() -> None:
    options = Qcow2Options()
    assert (options.create, options.repair, options.read_only) == (False, False, False)
    assert (options.size, options.places, options.backing_format) == (None, (), None)


def test_the_keys_say_what_a_new_image_is() -> None:
    keys = {
        "cluster_size": "128K",
        "extended_l2": True,
        "refcount_bits": 8,
        "backing_file": "a",
        "backing_format": "raw",
    }
    assert Qcow2Options(**MADE, **keys).new_image() == CreateOptions(
        1 << 30, cluster_bytes=131072, extended_l2=True, refcount_bits=8, backing_file="a", backing_format="raw"
    )


def test_the_format_alone_is_for_images_that_do_not_tell_it() -> None:
    assert Qcow2Options(backing_format="raw").backing_format == "raw"
    assert Qcow2Options(**MADE, backing_format="raw").new_image().backing_format == ""
