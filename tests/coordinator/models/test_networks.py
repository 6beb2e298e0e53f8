"""Networks to begin with: what they compute, and that the same arguments give the same bytes."""

import numpy as np
import onnxruntime
import pytest

from coordinator.models.networks import perceptron, picture_network
from fieldvote.errors import InputError, ShapeError
from fieldvote.rng import stream


def answers(model: bytes, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    p, embedding = session.run(["probabilities", "embedding"], {"input": x.astype(np.float32)})
    return np.asarray(p), np.asarray(embedding)


def test_a_perceptron_standardises_its_input() -> None:
    rng = stream(1, "x")
    mean, scale = rng.normal(size=6) * 50, rng.uniform(1, 9, 6)
    x = rng.normal(size=(11, 6)) * scale + mean
    plain = perceptron(hidden=(8, 4), classes=3, mean=np.zeros(6), scale=np.ones(6), seed=2)
    own = perceptron(hidden=(8, 4), classes=3, mean=mean, scale=scale, seed=2)
    p, embedding = answers(own, x)
    np.testing.assert_allclose(p, answers(plain, (x - mean) / scale)[0], atol=1e-5)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-5)
    assert embedding.shape == (11, 4)
    assert (embedding >= 0).all()


def test_a_picture_network_halves_the_side_with_every_layer() -> None:
    model = picture_network(side=8, channels=(3, 5), classes=4, scale=16.0)
    p, embedding = answers(model, stream(1, "pictures").uniform(0, 16, (7, 64)))
    assert p.shape == (7, 4)
    assert embedding.shape == (7, 5 * 2 * 2)


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others() -> None:
    def made(seed: int) -> tuple[bytes, bytes]:
        ones = np.ones(4)
        return (
            perceptron(hidden=(3,), classes=2, mean=ones, scale=ones, seed=seed),
            picture_network(side=4, channels=(2,), classes=2, scale=2.0, seed=seed),
        )

    assert made(1) == made(1)
    assert all(one != other for one, other in zip(made(1), made(2), strict=True))


@pytest.mark.parametrize(
    "said",
    [
        {"hidden": ()}, {"hidden": (0,)}, {"classes": 1}, {"scale": np.zeros(4)},
        {"mean": np.full(4, np.nan)},
    ],
)  # fmt: skip
def test_a_perceptron_that_could_not_be_is_refused(said: dict[str, object]) -> None:
    good: dict[str, object] = {
        "hidden": (3,), "classes": 2, "mean": np.zeros(4), "scale": np.ones(4),
    }  # fmt: skip
    with pytest.raises(InputError):
        perceptron(**{**good, **said})  # type: ignore[arg-type]  # a table of wrong values
    with pytest.raises(ShapeError):
        perceptron(**{**good, "mean": np.zeros(3)})  # type: ignore[arg-type]  # as above


@pytest.mark.parametrize("said", [{"channels": ()}, {"channels": (4, 4, 4, 4)}, {"side": 9}])
def test_pictures_that_cannot_be_halved_are_refused(said: dict[str, object]) -> None:
    good: dict[str, object] = {"side": 8, "channels": (4,), "classes": 2, "scale": 1.0}
    with pytest.raises(InputError, match="halved"):
        picture_network(**{**good, **said})  # type: ignore[arg-type]  # a table of wrong values
