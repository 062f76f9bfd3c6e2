"""What is told of what happens, and how often."""

from traffic_manager.record.logbook import Logbook

UTC = 1.8e9


def texts(book: Logbook) -> list[str]:
    return [record.text for record in book.take_new()]


def test_the_same_is_told_once_a_minute():
    book = Logbook("boot")
    for after_s in (0.0, 10.0, 59.0, 61.0):
        book.incident("forecast", f"it failed {'again' * (after_s == 10.0)}", UTC + after_s)
    assert texts(book) == ["it failed ", "it failed again", "it failed "]


def test_a_clock_that_was_set_back_does_not_silence_what_comes():
    book = Logbook("boot")
    book.incident("forecast", "it failed", UTC)
    book.incident("forecast", "it failed", UTC - 3600.0)
    book.incident("forecast", "it failed", UTC - 3590.0)
    assert texts(book) == ["it failed", "it failed"]
