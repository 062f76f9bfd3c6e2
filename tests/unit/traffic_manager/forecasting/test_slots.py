"""Slots of the clock: gaps are filled and known to be, memory is bounded."""

import json

import numpy as np
import pytest

from traffic_manager.forecasting.slots import Slots


def test_samples_of_one_slot_are_one_value_the_last():
    slots = Slots(5.0, 10)
    began = [slots.add(second, second) for second in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)]
    assert began == [True, False, False, True, False, False]
    assert slots.values().tolist() == [2.0, 5.0]


def test_a_gap_keeps_its_length_and_is_remembered_as_one():
    slots = Slots(60.0, 100)
    slots.add(600.0, 7.0)
    slots.add(840.0, 9.0)
    assert slots.values().tolist() == [7.0, 7.0, 7.0, 7.0, 9.0]
    assert slots.known().tolist() == [True, False, False, False, True]
    assert slots.first == 10 and slots.total == 5


def test_after_a_gap_longer_than_memory_it_begins_anew():
    slots = Slots(60.0, 100)
    slots.add(600.0, 7.0)
    slots.add(600.0 + 60 * 101, 9.0)
    assert slots.values().tolist() == [9.0] and slots.first == 111


def test_the_oldest_go_and_what_is_left_is_in_its_place():
    slots = Slots(1.0, 7)
    for number in range(100):
        slots.add(float(number), float(number))
        assert slots.values().tolist() == [float(n) for n in range(max(0, number - 6), number + 1)]
        assert slots.first == max(0, number - 6)
    assert slots.total == 100


def test_gaps_over_the_end_of_the_buffer_lose_nothing():
    slots, kept = Slots(1.0, 10), {}
    generator, at = np.random.default_rng(1), 0
    for _ in range(300):
        at += int(generator.integers(1, 10))
        slots.add(float(at), float(at))
        kept[at] = float(at)
    for place, (value, known) in enumerate(zip(slots.values(), slots.known(), strict=True)):
        number = slots.first + place
        assert known == (number in kept)
        assert not known or value == kept[number]


def test_saved_and_loaded_it_goes_on_the_same():
    slots = Slots(1.0, 9)
    for at in (1, 2, 3, 7, 8, 20, 21):
        slots.add(float(at), at / 3)
    again = Slots(1.0, 9)
    again.load(json.loads(json.dumps(slots.save())))
    for at in (22, 25):
        assert again.add(float(at), 1.5) == slots.add(float(at), 1.5)
    assert again.save() == slots.save()


def test_more_than_is_kept_is_not_loaded():
    slots = Slots(1.0, 9)
    for at in range(9):
        slots.add(float(at), 1.0)
    with pytest.raises(ValueError, match="9 values were saved; allowed: up to 8"):
        Slots(1.0, 8).load(slots.save())
