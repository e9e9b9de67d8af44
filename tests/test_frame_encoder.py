"""The encoder that turns frames into numbers: principal components, the choice of frames, refusals."""

import numpy as np
import pytest

from radt.data import features
from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.settings.parsing import parse
from radt.suites.procgen.settings import ProcgenExperiment

MAZE = {"suite": "procgen", "games": ["maze"], "levels": 6, "horizon": 24, "num_tasks": 6, "num_held_out": 2, "num_validation": 1}


def experiment(**changes):
    return parse(ProcgenExperiment, {**MAZE, **changes})


def shard_of(frames):
    """A history of one episode."""
    steps = len(frames)
    zeros = np.zeros((steps, 1), np.uint8), np.zeros(steps, np.float32)
    return Shard(frames, *zeros, np.array([0, steps]), np.zeros(1, np.int32), np.zeros(1, np.int32))


def frames_of(count, size=12):
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), np.uint8)


def test_the_encoder_keeps_the_principal_components():
    """Against a singular value decomposition of the same pixels."""
    frames = frames_of(200)
    encoder, kept = features.fit([shard_of(frames[:120]), shard_of(frames[120:])], 1000, 5)
    pixels = frames.reshape(200, 6, 2, 6, 2, 3).mean((2, 4)).reshape(200, -1) / 255.0
    left, values, _ = np.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    expected = left[:, :5] * np.sqrt(200)
    numbers = encoder(frames).astype(np.float64)
    assert np.abs(np.abs(numbers) - np.abs(expected)).max() < 5e-3
    assert kept == pytest.approx((values[:5] ** 2).sum() / (values**2).sum(), rel=1e-4)
    twice = shard_of(frames[[3, 1, 3, 3, 0]])
    encoded = encoder.encoded(twice)
    assert (encoded.observations == encoder(twice.observations)).all() and encoded.observations.dtype == np.float16
    assert features.unique(twice.observations)[1].tolist() == [0, 1, 0, 0, 2]


def test_learning_takes_so_many_different_frames_of_each_history():
    """Frames that occur again do not count twice."""
    frames = frames_of(6)
    often = shard_of(frames[[0, 0, 0, 0, 1, 2, 3]])
    assert [len(pixels) for pixels in features._chosen([often, shard_of(frames)], 3)] == [2, 3]
    alone, together = (features.fit([shard], 9, 2)[0] for shard in (shard_of(frames[:4]), often))
    assert np.allclose(alone.mean, together.mean)


def test_an_encoder_that_does_not_fit_is_refused(tmp_path):
    own = experiment(numbers_per_frame=4)
    encoder, _ = features.fit([shard_of(frames_of(9))], 9, 4)
    features.write(tmp_path, encoder, {"experiment": own.model_dump(mode="json")})
    assert (features.read(tmp_path, own)(frames_of(9)) == encoder(frames_of(9))).all()
    for wrong in (own.raw, experiment(numbers_per_frame=5)):
        with pytest.raises(RadtError, match="was learned for another experiment: delete"):
            features.read(tmp_path, wrong)
    with pytest.raises(RadtError, match="frames are 14 x 14 x 3, but the encoder of images reads 432 numbers"):
        encoder(frames_of(2, 14))
    with pytest.raises(RadtError, match="frames are 13 x 13, allowed are multiples of 2"):
        encoder(frames_of(2, 13))
    with pytest.raises(RadtError, match="numbers_per_frame is 200, but a shrunk frame has 108 numbers"):
        features.fit([shard_of(frames_of(9))], 9, 200)
    with pytest.raises(RadtError, match="all frames of the training tasks are alike"):
        features.fit([shard_of(np.full((3, 12, 12, 3), 7, np.uint8))], 9, 4)
    few = features.fit([shard_of(frames_of(2) // 64)], 9, 4)[0]  # one direction, three that are rounding
    numbers = few(np.concatenate([frames_of(2) // 64, np.full((1, 12, 12, 3), 255, np.uint8)]))
    assert np.isfinite(numbers).all() and (np.abs(numbers[:2]).max(0) > 0.9).sum() == 1 and not numbers[:, 1:].any()
    with pytest.raises(RadtError, match="not finite"):
        features.write(tmp_path / "new", features.FrameEncoder(encoder.mean, encoder.directions * np.nan), {})
    assert not (tmp_path / "new/config.json").exists()
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:-1])
    with pytest.raises(RadtError, match="is damaged"):
        features.read(tmp_path, own)
