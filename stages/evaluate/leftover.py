"""What is left of an attribute in features: classifiers trained on training images and tested on others.

Erasing may hide a group from a linear classifier and leave it to another, so both are asked. Balanced accuracy: ½ is
chance, 1 means that the group is wholly there.
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def leftover(
    train: NDArray[np.floating],
    train_first: NDArray[np.bool_],
    test: dict[str, tuple[NDArray[np.floating], NDArray[np.bool_]]],
    seed: int = 0,
) -> dict[str, float]:
    """
    Read the group from features: balanced accuracies ``<set>.linear`` and ``<set>.nonlinear``.

    Parameters
    ----------
    train : ndarray, (N, D)
        Features of training images; `train_first` tells which show the first group.
    test : mapping of str to (ndarray, ndarray)
        Name of a set to the features and groups of its images.
    """
    models = {"linear": LogisticRegression(max_iter=1000), "nonlinear": MLPClassifier((64,))}
    models["nonlinear"].set_params(random_state=seed, max_iter=200)
    found = {}
    for name, model in models.items():
        pipeline = make_pipeline(StandardScaler(), model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            pipeline.fit(train, train_first)
        for part, (features, first) in test.items():
            found[f"{part}.{name}"] = float(balanced_accuracy_score(first, pipeline.predict(features)))
    return found
