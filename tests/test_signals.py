import pytest

from tgtcore import signals


def test_every_listener_is_told_although_one_fails(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def broken(sender: object, **news: object) -> None:
        raise RuntimeError("no")

    def good(sender: object, **news: object) -> None:
        told.append(f"{sender} {news['lun']}")

    for listener in (broken, good):
        signals.lun_mapped.connect(listener)
    try:
        signals.emit(signals.lun_mapped, "target t", lun=3, lu=None)
    finally:
        for listener in (broken, good):
            signals.lun_mapped.disconnect(listener)
    assert told == ["target t 3"]
    assert "a listener of lun_mapped failed" in caplog.text


def test_signals_are_past_participles_and_documented() -> None:
    for name, signal in signals.every_signal().items():
        assert signal.__doc__, name
        assert name.rpartition("_")[2].endswith(("ed", "lost")), name
