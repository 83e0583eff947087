"""Text that fits its place."""

import pytest

from keras_cdd.report.shortened import shortened

NAME = "God-Morgon-Orange-Red-Grapefruit-Juice"


@pytest.mark.parametrize("room", [38, 37, 20, 6, 5])
def test_what_is_too_long_keeps_both_ends(room):
    short = shortened(NAME, room)
    assert len(short) == room and short[0] == NAME[0] and short[-1] == NAME[-1]
    head, mark, tail = short.partition("...")
    assert bool(mark) == (room < len(NAME)) and NAME.startswith(head) and NAME.endswith(tail)


def test_room_may_be_anything_that_can_be_measured():
    """Here the letter m takes the room of three others."""
    tried = []

    def fits(text):
        tried.append(text)
        return len(text) + 2 * text.count("m") <= 60

    short = shortened("i" * 30 + "m" * 30, fits)
    assert fits(short) and not any(map(fits, tried[:-2])) and {"i", "m"} < set(short)


def test_white_space_is_single_and_something_always_stays():
    assert shortened("a  b\n c", 10) == "a b c"
    assert shortened(67, 2) == "67" and shortened("abc", 1) == "a"
