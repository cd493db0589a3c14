"""The platform of the real hypervisor."""

from guest.xen.dom0 import Dom0


def test_the_platform_keeps_its_promises(dom0: Dom0) -> None:
    done = dom0.python("guest.xen.inside.conformance", "main", timeout_s=200)
    print(done.text)
    assert done.status == 0, done.text
