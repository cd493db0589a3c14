from tgtcore_filters.storage.ledger import Ledger


def test_the_newest_entries_are_kept_and_all_are_counted() -> None:
    ledger = Ledger(3)
    for number in range(5):
        ledger.add(number=number)
    assert ledger.shown() == {"entries": [{"number": 2}, {"number": 3}, {"number": 4}], "forgotten": 2}
    assert ledger.made == 5
    assert ledger.clear() == 5
    assert ledger.shown() == {"entries": [], "forgotten": 0}
