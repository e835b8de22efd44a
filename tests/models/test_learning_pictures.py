"""The pictures of a training are drawn, whatever was learned."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipelines.models import learning_pictures
from pipelines.models.training import train
from tests.models import learnable
from tests.models.learnable import CLASSES, TARGETS


def drawn(png: bytes) -> tuple[int, int]:
    """Width and height of a picture that is more than its background."""
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"), np.int16)
        assert (np.abs(pixels - pixels[0, 0]).max(axis=2) > 60).mean() > 0.01
        return image.size


def test_pictures_of_a_regression() -> None:
    data = learnable.regression()
    y = data.y.copy()
    y[:, 1] = -14.0
    data = replace(data, y=y)
    trained = train(data, TARGETS)
    assert drawn(learning_pictures.learning_curve(trained)) == (1500, 560)
    assert drawn(learning_pictures.residuals(trained, data)) == (1170, 640)
    with pytest.raises(ValueError, match="classifier"):
        learning_pictures.confusion(trained, data)


@pytest.mark.parametrize("estimators", [("linear",), ("lightgbm",)])
def test_pictures_of_a_classifier(estimators: tuple[str, ...]) -> None:
    data = learnable.classification(classes=2, recordings=6)
    trained = train(data, CLASSES, estimators=estimators)
    assert drawn(learning_pictures.learning_curve(trained)) == (1500, 560)
    assert drawn(learning_pictures.confusion(trained, data)) == (1500, 700)
    with pytest.raises(ValueError, match="regression"):
        learning_pictures.residuals(trained, data)
