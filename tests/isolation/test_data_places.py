"""Data-out gets its places LUN by LUN."""

from tgtcore.isolation.data_places import DataPlaces, Held

KIB = 1024
HALF = 64 * KIB


class Books:
    """What is asked for and given, by request id."""

    def __init__(self) -> None:
        self.places = DataPlaces(2 * HALF, 0)
        self.held: dict[int, Held] = {}
        self.gone: set[int] = set()

    def want(self, lun: str, request_id: int, length: int) -> list[int]:
        self.places.want(lun, request_id, length)
        return self.serve()

    def serve(self) -> list[int]:
        served = dict(self.places.served(lambda request_id: request_id not in self.gone))
        self.held.update(served)
        return list(served)

    def end(self, *request_ids: int) -> list[int]:
        for request_id in request_ids:
            home, place = self.held.pop(request_id)
            home.give(*place)
        return self.serve()


def test_a_lun_has_one_half_at_most() -> None:
    books = Books()
    served = [books.want("hung", number, HALF // 4) for number in range(8)]
    assert served == [[0], [1], [2], [3], [], [], [], []]
    assert books.want("healthy", 8, HALF) == [8]
    assert books.end(8) == []
    assert books.want("other", 9, HALF) == [9]


def test_a_lun_that_has_let_go_of_everything_may_have_the_other_half() -> None:
    books = Books()
    books.want("hung", 1, 4 * KIB)
    books.want("healthy", 2, HALF // 2)
    books.want("both", 3, HALF // 4)
    books.want("hung", 4, HALF)
    assert books.want("both", 5, HALF // 4) == []
    assert books.end(2, 3) == [5]


def test_a_large_one_is_not_overtaken() -> None:
    books = Books()
    books.want("hung", 0, HALF)
    books.want("a", 1, HALF // 2)
    assert books.want("large", 2, HALF) == []
    assert books.want("b", 3, 4 * KIB) == []
    assert books.end(1) == [2]
    assert books.end(2) == [3]


def test_luns_take_turns() -> None:
    books = Books()
    books.want("hung", 0, HALF)
    books.want("a", 1, HALF)
    for number in range(2, 5):
        books.want("a", number, HALF)
    assert books.want("b", 5, HALF) == []
    assert [books.end(1), books.end(2), books.end(5)] == [[2], [5], [3]]


def test_who_has_gone_is_passed_over() -> None:
    books = Books()
    books.want("a", 0, HALF)
    books.want("b", 1, HALF)
    books.want("c", 2, HALF)
    books.want("c", 3, 4 * KIB)
    books.gone |= {2, 3}
    assert books.places
    assert books.serve() == []
    assert not books.places


def test_several_that_hang_leave_something() -> None:
    books = Books()
    for hung in range(3):
        for number in range(100):
            books.want(f"hung {hung}", 100 * hung + number, 4 * KIB)
    assert books.want("healthy", 1000, 4 * KIB) == [1000]
    assert books.end(1000) == []
    assert [len([one for one in books.held if one // 100 == hung]) for hung in range(3)] == [16, 8, 4]
