"""Watching a training: TensorBoard, and where the time goes."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core import UsageError

_PROFILED = 8  # steps


class Board:
    """Scalars, images and histograms for TensorBoard; without the package, or without being asked, nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise UsageError("--tensorboard was given and tensorboard is not installed: pip install 'voxalign[tensorboard]'") from error
            self._writer = SummaryWriter(str(folder))

    def scalars(self, values: dict[str, float], step: int, group: str) -> None:
        """Numbers by name."""
        if self._writer:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def images(self, images: dict[str, Tensor], step: int) -> None:
        """The middle plane of images (*S) of 0 to 1."""
        if self._writer:
            for name, image in images.items():
                plane = image if image.ndim == 2 else image[:, :, image.shape[2] // 2]
                self._writer.add_image(name, plane.detach().float().clamp(0, 1).T.flip(0).cpu(), step, dataformats="HW")

    def histograms(self, network: nn.Module, step: int) -> None:
        """Of all weights."""
        if self._writer:
            for name, value in network.named_parameters():
                self._writer.add_histogram(name, value.detach().float().cpu(), step)

    def close(self) -> None:
        """Write what is left."""
        if self._writer:
            self._writer.close()


@contextmanager
def profiled(folder: Path | None, device: str) -> Iterator[Any]:
    """Records the first steps with torch's profiler and writes ``trace.json`` (chrome://tracing) and ``table.txt``; call ``step()``."""
    if folder is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    activities = [torch.profiler.ProfilerActivity.CPU] + ([torch.profiler.ProfilerActivity.CUDA] if device == "cuda" else [])

    def written(profiler: Any) -> None:
        profiler.export_chrome_trace(str(folder / "trace.json"))
        order = "cuda_time_total" if device == "cuda" else "cpu_time_total"
        (folder / "table.txt").write_text(profiler.key_averages().table(sort_by=order, row_limit=40))

    schedule = torch.profiler.schedule(wait=1, warmup=1, active=_PROFILED, repeat=1)
    with torch.profiler.profile(activities=activities, schedule=schedule, on_trace_ready=written) as profiler:
        yield profiler


@contextmanager
def named(what: str, device: str) -> Iterator[None]:
    """A range of that name in profiles: torch's own, and NVTX on a GPU."""
    with torch.profiler.record_function(what):
        if device == "cuda":
            with torch.cuda.nvtx.range(what):
                yield
        else:
            yield
