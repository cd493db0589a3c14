"""What was told to everybody."""

from tgtcore.news import News, moment

A, B = (0x2A, 0x09), (0x3F, 0x0E)


def codes(news: News, begin: int) -> list[tuple[int, int]]:
    return [code for _, code in sorted(news.since(begin))]


def test_only_what_came_later_is_told() -> None:
    news = News()
    news.tell(A)
    begin = moment()
    assert codes(news, begin) == []
    news.tell(B)
    assert codes(news, begin) == [B]


def test_the_last_time_counts() -> None:
    news, begin = News(), moment()
    for code in (A, B, A):
        news.tell(code)
    assert codes(news, begin) == [B, A]


def test_what_is_recalled_is_not_told() -> None:
    news, begin = News(), moment()
    news.tell(A)
    news.recall(A)
    news.recall(B)
    assert codes(news, begin) == []
