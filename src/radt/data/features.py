"""The encoder of images: principal components of frames.

Frames are shrunk to half their height and width and projected on the first principal components of the training frames; each
number has variance 1 over these frames. Paper: an IMPALA network, trained by PPO; here: a linear encoder, because the same frames
always give the same encoder, in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt import artifacts
from radt.data.trajectories import Shard
from radt.errors import RadtError
from radt.settings.experiment import Experiment

Frames = NDArray[np.uint8]
WEIGHTS, CONFIG = "model.safetensors", "config.json"
SHRINK = 2
"""Side of the square of pixels that is averaged to one."""
BLOCK = 1024
"""Frames that are encoded at once."""
LEAST = 1e-6
"""Frames with less variance are alike. A component with less than this share of the largest variance is rounding: set to 0."""
FARTHEST = 1e4
"""Numbers are clipped here, in standard deviations: half precision ends at 65504."""


@dataclass(frozen=True)
class FrameEncoder:
    """A linear encoder of frames [H, W, C]."""

    mean: NDArray[np.float32]
    """[P] mean of the P numbers of a shrunk frame, from 0 to 1."""
    directions: NDArray[np.float32]
    """[P, F] scaled principal components."""
    sha256: str = ""
    """Hash of the weights; empty before they are written."""

    def __call__(self, frames: Frames) -> NDArray[np.float16]:
        """Features [N, F] of frames [N, H, W, C]; raises `RadtError` for frames of another size."""
        parts = [self._encoded(frames[begin : begin + BLOCK]) for begin in range(0, len(frames), BLOCK)]
        return np.concatenate(parts) if parts else np.zeros((0, self.directions.shape[1]), np.float16)

    def _encoded(self, frames: Frames) -> NDArray[np.float16]:
        """Features of a block of frames."""
        pixels = shrunk(frames)
        if pixels.shape[1] != len(self.mean):
            given, known = " x ".join(map(str, frames.shape[1:])), SHRINK**2 * len(self.mean)
            raise RadtError(f"frames are {given}, but the encoder of images reads {known} numbers: use frames as in training")
        # double precision: in single precision the features of a frame depend on the other frames of the block
        exact = (pixels - self.mean).astype(np.float64) @ self.directions.astype(np.float64)
        return exact.clip(-FARTHEST, FARTHEST).astype(np.float16)

    def encoded(self, histories: Shard) -> Shard:
        """The same learning histories, with features in place of frames. Equal frames are encoded once."""
        distinct, row = unique(histories.observations)
        return replace(histories, observations=self(histories.observations[distinct])[row])


def shrunk(frames: Frames) -> NDArray[np.float32]:
    """Frames [N, H, W, C] at half their height and width, as P numbers from 0 to 1: [N, P]; raises `RadtError` for odd sizes."""
    count, height, width, channels = frames.shape
    if height % SHRINK or width % SHRINK:
        raise RadtError(f"frames are {height} x {width}, allowed are multiples of {SHRINK}: leave `numbers_per_frame` out")
    squares = frames.reshape(count, height // SHRINK, SHRINK, width // SHRINK, SHRINK, channels)
    total = sum(squares[:, :, row, :, column].astype(np.float32) for row in range(SHRINK) for column in range(SHRINK))
    means: NDArray[np.float32] = total.reshape(count, -1) / np.float32(255.0 * SHRINK**2)  # type: ignore[union-attr]
    return means


def unique(frames: Frames) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the distinct frames in order of first occurrence, and for every frame its number among them [N]."""
    seen: dict[bytes, int] = {}
    row = np.array([seen.setdefault(frame.tobytes(), len(seen)) for frame in frames], np.int64)
    first = np.unique(row, return_index=True)[1]
    return first, row


def fit(histories: Iterable[Shard], frames: int, size: int) -> tuple[FrameEncoder, float]:
    """An encoder to `size` features, fitted to up to `frames` distinct frames of each shard.

    Returns the encoder, and the share of the variance that it keeps. Raises `RadtError` when a shrunk frame has fewer than `size`
    numbers, or all frames are alike.
    """
    count, total, squares = 0, np.zeros(0), np.zeros((0, 0))
    for pixels in _chosen(histories, frames):
        if not count:
            total, squares = np.zeros(pixels.shape[1]), np.zeros((pixels.shape[1],) * 2)
        count, total = count + len(pixels), total + pixels.sum(0, dtype=np.float64)
        squares += pixels.T @ pixels
    if size > len(total):
        raise RadtError(f"numbers_per_frame is {size}, but a shrunk frame has {len(total)} numbers: set it to less")
    mean = total / count
    variances, directions = np.linalg.eigh(squares / count - np.outer(mean, mean))
    if variances[-1] < LEAST:
        raise RadtError("all frames of the training tasks are alike, so they tell nothing: leave `numbers_per_frame` out")
    best, kept = variances[::-1][:size], directions[:, ::-1][:, :size]
    sign = np.sign(kept[np.abs(kept).argmax(0), np.arange(size)])  # the library leaves the sign open
    scale = np.where(best > LEAST * best[0], 1.0 / np.sqrt(best.clip(LEAST**2)), 0.0)
    encoder = FrameEncoder(mean.astype(np.float32), np.ascontiguousarray(kept * sign * scale, np.float32))
    return encoder, float(best.clip(0.0).sum() / variances.clip(0.0).sum())


def _chosen(histories: Iterable[Shard], frames: int) -> Iterator[NDArray[np.float32]]:
    """Shrunk pixels [n, P] of up to `frames` distinct frames of each shard, evenly spread."""
    for shard in histories:
        distinct = unique(shard.observations)[0]
        chosen = distinct[:: max(1, -(-len(distinct) // frames))]
        yield shrunk(shard.observations[chosen])


def write(folder: Path, encoder: FrameEncoder, config: dict[str, Any]) -> None:
    """Write an encoder, `config.json` last; raises `RadtError` when a number is not finite."""
    tensors = {"mean": encoder.mean, "directions": encoder.directions}
    artifacts.check_finite(folder / WEIGHTS, tensors)
    artifacts.write_tensors(folder / WEIGHTS, tensors)
    artifacts.write_checked_json(folder / CONFIG, {**config, "sha256": artifacts.sha256(folder / WEIGHTS)})


def read(folder: Path, experiment: Experiment) -> FrameEncoder:
    """The encoder of an experiment; raises `RadtError` when it is missing, damaged, or of another experiment."""
    again = f"delete {folder} and run the features stage again"
    config = artifacts.verify(folder / WEIGHTS, folder / CONFIG)
    if config.get("experiment") != experiment.model_dump(mode="json"):
        raise RadtError(f"{folder} was learned for another experiment: {again}")
    tensors = artifacts.read_tensors(folder / WEIGHTS, mmap=False)
    kinds = {name: (str(array.dtype), array.shape) for name, array in tensors.items()}
    pixels = tensors["mean"].shape if "mean" in tensors else ()
    if kinds != {"mean": ("float32", pixels), "directions": ("float32", (*pixels[:1], experiment.encoded))} or len(pixels) != 1:
        raise RadtError(f"{folder / WEIGHTS} holds no encoder of {experiment.encoded} numbers: {again}")
    artifacts.check_finite(folder / WEIGHTS, tensors)
    return FrameEncoder(tensors["mean"], tensors["directions"], str(config["sha256"]))
