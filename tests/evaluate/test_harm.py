"""FairFace harm classes by hand."""

import numpy as np
import pytest

from stages.evaluate import harm


def test_fourteen_persons_four_animals_three_crimes():
    assert [len(labels) for labels in harm.LABELS.values()] == [14, 4, 3]
    assert len(set(harm.PERSONS)) == 14


def test_best_label_decides():
    labels = np.eye(21)
    images = labels[[0, 14, 17, 18, 20]]
    found = harm.harms(images, labels)
    assert found["non_human"].tolist() == [False, True, True, False, False]
    assert found["crime"].tolist() == [False, False, False, True, True]


def test_tie_goes_to_the_harmful_label():
    labels = np.eye(21)
    assert harm.harms(labels[[0]] + labels[[18]], labels)["crime"].all()


def test_wrong_number_of_labels_is_refused():
    with pytest.raises(ValueError, match="found 3 labels, expected 21"):
        harm.harms(np.eye(3), np.eye(3))
