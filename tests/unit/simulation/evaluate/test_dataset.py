import numpy as np
import pytest

from simulation.evaluate.dataset import folds, numbered

GROUPS = np.repeat(np.arange(12), 5)


@pytest.mark.parametrize("count", [0, 2, 5, 50])
def test_every_row_is_judged_once_and_no_group_is_torn(count):
    parts = folds(GROUPS, len(GROUPS), count, seed=3)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(GROUPS)))
    for part in parts:
        outside = np.setdiff1d(np.arange(len(GROUPS)), part)
        assert not set(GROUPS[part]) & set(GROUPS[outside])
    assert len(parts) == {0: 12, 50: 12}.get(count, count)


def test_without_groups_rows_go_anywhere_and_the_seed_says_where():
    parts = folds(None, 60, 5, seed=3)
    assert [len(part) for part in parts] == [12] * 5
    assert any(set(GROUPS[part]) != set(GROUPS[part][:1]) for part in parts)
    again, other = folds(None, 60, 5, seed=3), folds(None, 60, 5, seed=4)
    assert all(np.array_equal(one, two) for one, two in zip(parts, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(parts, other, strict=True))


def test_names_are_numbered():
    assert numbered(["b", "a", "b"]).tolist() == [1, 0, 1]
