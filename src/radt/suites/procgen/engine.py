"""Procgen's own engine, a C library in the package procgen-mirror, called without the package's Python code.

That code needs old versions of NumPy and gym. The library speaks libenv, a small interface of C structures.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radt.errors import RadtError

MODES = {"easy": 0, "hard": 1, "memory": 10}
"""The engine's number of each difficulty. Not every game has `memory`."""
SIZE, CHOICES = 64, 15
STATE = ctypes.create_string_buffer(2**20)
"""To which the engine writes a state."""
UINT8, INT32 = 1, 2


class _Option(ctypes.Structure):
    """A setting of the engine."""

    _fields_ = [("name", ctypes.c_char * 128), ("dtype", ctypes.c_int), ("count", ctypes.c_int), ("data", ctypes.c_void_p)]


class _Options(ctypes.Structure):
    """All settings."""

    _fields_ = [("items", ctypes.POINTER(_Option)), ("count", ctypes.c_int)]


class _Buffers(ctypes.Structure):
    """Addresses of the arrays from which the engine reads the action, and to which it writes everything else."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("ob", "rew", "first", "info", "ac")]


class Level:
    """One level of a game. The engine restarts it when its episode ends.

    The same actions after `reset` give the same frames and rewards, in every process.
    """

    def __init__(self, game: str, level: int, mode: str):
        """Raises `RadtError` when the engine is not installed, or cannot be loaded."""
        self._library, self.game = library(), game
        self.begins = True
        """Whether the level is in its first state: no step was taken since `reset`."""
        values: dict[str, Any] = {
            "env_name": game,
            "num_levels": 1,
            "start_level": level,
            "num_actions": CHOICES,
            "use_sequential_levels": False,
            "debug_mode": 0,
            "rand_seed": 0,
            "num_threads": 0,
            "render_human": False,
            "resource_root": f"{_folder() / 'assets'}/",
            "center_agent": True,
            "use_generated_assets": False,
            "use_monochrome_assets": False,
            "restrict_themes": False,
            "use_backgrounds": True,
            "paint_vel_info": False,
            "distribution_mode": MODES[mode],
        }
        self._kept = list(_options(values))
        items = (_Option * len(self._kept))(*(option for option, _ in self._kept))
        self._handle = self._library.libenv_make(1, _Options(items, len(items)))
        self.frame = np.zeros((SIZE, SIZE, 3), np.uint8)
        """The present frame, uint8 [64, 64, 3]."""
        self._reward, self._first, self._action = np.zeros(1, np.float32), np.zeros(1, np.uint8), np.zeros(1, np.int32)
        self._completed = np.zeros(1, np.uint8)  # whether the level was completed
        self._info: list[NDArray[Any]] = [
            np.zeros(1, np.int32),
            self._completed,
            np.zeros(1, np.int32),
        ]  # two level seeds, and between them whether the level was completed
        lists = [_addresses([self.frame]), _addresses(self._info), _addresses([self._action])]
        parts = [ctypes.cast(part, ctypes.c_void_p) for part in lists]
        self._buffers = _Buffers(parts[0], self._reward.ctypes.data, self._first.ctypes.data, parts[1], parts[2])
        self._lists = lists
        self._library.libenv_set_buffers(self._handle, ctypes.byref(self._buffers))
        self._library.libenv_observe(self._handle)
        self._state: bytes | None = None
        self._start = self.state()
        self._end = weakref.finalize(self, self._library.libenv_close, self._handle)

    def reset(self) -> None:
        """Restart the level."""
        self.restore(self._start)

    def _open(self) -> Any:
        """The engine's handle of the level; raises `ValueError` after `close`."""
        if not self._end.alive:
            raise ValueError("the level was closed: make a new one")
        return self._handle

    def step(self, action: int) -> tuple[float, bool, bool]:
        """Act; returns the reward, whether the episode has ended, and whether it ended because the level was completed.

        After an end, `frame` is the first frame of the next episode.
        """
        handle, self._action[0], self.begins, self._state = self._open(), action, False, None
        self._library.libenv_act(handle)
        self._library.libenv_observe(handle)
        ended = bool(self._first[0])
        return float(self._reward[0]), ended, ended and bool(self._completed[0])

    def state(self) -> bytes:
        """The full state of the engine, for `restore`."""
        if self._state is None:  # it takes longer than a step
            self._state = ctypes.string_at(STATE, self._library.get_state(self._handle, 0, STATE, len(STATE)))
        return self._state

    def restore(self, state: bytes) -> None:
        """Set the engine to a `state` of this game."""
        handle, self.begins, self._state = self._open(), state == self._start, state
        self._library.set_state(handle, 0, state, len(state))
        self._library.libenv_observe(handle)

    def close(self) -> None:
        """Free the engine's memory. This also happens when nothing refers to the level any more."""
        self._end()


def _options(values: dict[str, Any]) -> Iterator[tuple[_Option, Any]]:
    """Each setting in the engine's form, and the memory to which it points."""
    for name, value in values.items():
        if isinstance(value, str):
            text = value.encode()
            data: Any = ctypes.create_string_buffer(text, len(text))
            kind, count = UINT8, len(text)
        else:
            kind, count = (UINT8, 1) if isinstance(value, bool) else (INT32, 1)
            data = (ctypes.c_uint8 if kind == UINT8 else ctypes.c_int32)(value)
        yield _Option(name.encode(), kind, count, ctypes.cast(ctypes.pointer(data), ctypes.c_void_p)), data


def _addresses(arrays: list[NDArray[Any]]) -> Any:
    """A C array of the addresses of arrays."""
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))


def _folder() -> Path:
    """The folder of the package's files; raises `RadtError` when it is not installed."""
    spec = find_spec("procgen")
    if spec is None or spec.origin is None:
        raise RadtError("the suite 'procgen' needs a package that is not installed: run `make setup-procgen`")
    return Path(spec.origin).parent / "data"


@cache
def library() -> Any:
    """The engine; raises `RadtError` when it is not installed, or a system library is missing."""
    path = _folder() / "prebuilt/libenv.so"
    try:
        found = ctypes.CDLL(str(path))
    except OSError as error:
        remedy = "on Debian or Ubuntu `apt-get install libgl1 libglib2.0-0 libx11-6`"
        raise RadtError(f"the engine of Procgen cannot be loaded ({error}): {remedy}") from None
    found.libenv_make.restype = ctypes.c_void_p
    found.libenv_make.argtypes = [ctypes.c_int, _Options]
    found.libenv_set_buffers.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    for name in ("libenv_observe", "libenv_act", "libenv_close"):
        getattr(found, name).argtypes = [ctypes.c_void_p]
        getattr(found, name).restype = None
    for name in ("get_state", "set_state"):
        getattr(found, name).argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    return found
