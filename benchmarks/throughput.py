"""Training steps a second: ours against a plain loop of torch around the same network, on the same device, in the same precision.

    python benchmarks/throughput.py [--sizes 64 96] [--devices cpu cuda] [--precisions float32 bfloat16] [--steps 8]

The plain loop is what VoxelMorph's papers describe (Balakrishnan et al. 2019, doi:10.1109/TMI.2019.2897538; Dalca et al. 2019,
doi:10.1016/j.media.2019.07.006) in torch alone: a U-Net on stacked images, a stationary velocity at half resolution, seven squarings,
linear warping, squared correlation in windows of nine voxels by convolution with ones (or squared differences), squared slopes, Adam. Ours
is `train.loop.train` with a recipe of the same loss, window and weights, and does besides what every training of ours does: pairs from a
table, EMA, clipping, a check of the loss (and with --augment new deformations and intensities). Both see the same images, kept in memory.
Rounds of both follow each other, and the fastest step of each counts, so that what else the machine does weighs on neither alone. Without
--precisions: float32, and bfloat16 where the device computes in it itself.
"""
from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import voxalign as vx
from voxalign.nn import UNet, build, count
from voxalign.nn.predict import has_bfloat16
from voxalign.train import catalogue, loop, source, table
from voxalign.train.recipe import Recipe, architecture

WINDOW, SQUARINGS, PEOPLE, ROUNDS, WARM = 4, 7, 6, 2, 2  # radius, voxels; of the plain loop; images; of each; steps that do not count
_CONVOLUTIONS = {4: functional.conv2d, 5: functional.conv3d}
_MODES = {4: "bilinear", 5: "trilinear"}


@dataclass(frozen=True)
class Case:
    """What is measured."""

    size: int
    dim: int
    device: str
    precision: str
    loss: str
    augment: float = 0.0

    def recipe(self, steps: int) -> Recipe:
        return Recipe(network="unet", loss=self.loss, window=WINDOW, smoothness=1.0, label_weight=0.0, augment=self.augment, steps=steps,
                      warm_up=0, schedule="constant", validate_every=steps, pairs_validated=1, precision=self.precision,
                      device=self.device, start="headers")


# ---------------------------------------------------------------- the plain loop
def plain(network: nn.Module, images: Tensor, case: Case, steps: int) -> Iterator[float]:
    """Seconds of each step."""
    optimiser = torch.optim.Adam(network.parameters(), 1e-4)
    for step in range(steps):
        begin = now(case.device)
        fixed, moving = images[step % PEOPLE][None], images[(step + 1) % PEOPLE][None]
        with torch.autocast(case.device, torch.bfloat16, enabled=case.precision == "bfloat16"):
            velocity = network(fixed, moving).velocity
        moved = warped(moving, enlarged(integrated(velocity.float())))
        unlike = 1 - correlation(fixed, moved) if case.loss == "lncc" else ((fixed - moved) ** 2).mean()
        loss = unlike + slopes(velocity.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield now(case.device) - begin


def of_torch_alone(network: nn.Module) -> nn.Module:
    """The same network without our way around torch's slow convolutions of small images (`nn.blocks`)."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv3d):
            layer.__class__ = nn.Conv3d
    return network


def integrated(velocity: Tensor) -> Tensor:
    u = velocity / 2**SQUARINGS
    for _ in range(SQUARINGS):
        u = u + warped(u, u)
    return u


def enlarged(u: Tensor) -> Tensor:
    """On voxels of half the edge, in those voxels."""
    return functional.interpolate(2 * u, scale_factor=2, mode=_MODES[u.ndim], align_corners=True)


def warped(image: Tensor, u: Tensor) -> Tensor:
    shape = u.shape[2:]
    index = torch.stack(torch.meshgrid(*(torch.arange(n, device=u.device, dtype=u.dtype) for n in shape), indexing="ij")) + u
    unit = torch.stack([2 * index[:, k] / (n - 1) - 1 for k, n in enumerate(shape)], -1)
    return functional.grid_sample(image, unit.flip(-1), align_corners=True)


def correlation(fixed: Tensor, moved: Tensor) -> Tensor:
    """Mean squared correlation in windows of 2 WINDOW + 1 voxels."""
    ones = torch.ones(1, 1, *[2 * WINDOW + 1] * (fixed.ndim - 2), device=fixed.device)
    f, m, ff, mm, fm = (_CONVOLUTIONS[fixed.ndim](v, ones, padding=WINDOW) for v in (fixed, moved, fixed**2, moved**2, fixed * moved))
    number = ones.numel()
    return ((fm - f * m / number) ** 2 / ((ff - f**2 / number) * (mm - m**2 / number) + 1e-5)).mean()


def slopes(velocity: Tensor) -> Tensor:
    return sum((torch.diff(velocity, dim=axis) ** 2).mean() for axis in range(2, velocity.ndim))


# ---------------------------------------------------------------- ours
def ours(images: Path, case: Case, steps: int) -> Iterator[float]:
    """Seconds of each step but the last, which is followed by a validation."""
    recipe = case.recipe(steps + 1)
    task = catalogue.TASKS["registration"](recipe, source.from_table(table.read(images), recipe), case.device)
    network, times = loop.fresh(task.network, recipe), [now(case.device)]
    with tempfile.TemporaryDirectory() as out:
        loop.train(task, network, loop.Run(Path(out)), lambda _: times.append(now(case.device)))
    yield from np.diff(times)[:steps]


# ---------------------------------------------------------------- both
def now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def fastest(*ways: Callable[[], Iterator[float]]) -> list[float]:
    """Seconds of the fastest step of each way, over rounds of all of them in turn."""
    rounds = [[min(list(way())[WARM:]) for way in ways] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def measured(case: Case, folder: Path, steps: int) -> tuple[float, float]:
    """Seconds a step: plain, ours."""
    network = of_torch_alone(build(UNet(case.dim, channels=case.recipe(1).widths))).to(case.device)
    assert network.architecture == architecture(case.recipe(1), case.dim, 1)
    images = torch.stack([torch.from_numpy(vx.load(path).data) for path in sorted(folder.glob("*.nii.gz"))]).to(case.device)
    return tuple(fastest(lambda: plain(network, images, case, steps + WARM), lambda: ours(folder, case, steps + WARM)))


def written(folder: Path, size: int, dim: int) -> Path:
    """Images of smooth noise."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for person in range(PEOPLE):
        coarse = torch.from_numpy(rng.random((1, 1, *[8] * dim), np.float32))
        fine = functional.interpolate(coarse, (size,) * dim, mode=_MODES[dim + 2])[0, 0].numpy()
        vx.save(vx.Image(fine, vx.Grid(fine.shape, np.eye(dim + 1))), folder / f"{person}.nii.gz")
    return folder


def native(device: str) -> list[str]:
    """The precisions that a device computes in itself."""
    return ["float32"] + ["bfloat16"] * has_bfloat16(torch.device(device))


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--sizes", type=int, nargs="+", default=[64, 96])
    words.add_argument("--dim", type=int, default=3)
    words.add_argument("--devices", nargs="+", default=["cpu"])
    words.add_argument("--precisions", nargs="+", choices=["float32", "bfloat16"])
    words.add_argument("--losses", nargs="+", default=["lncc", "mse"])
    words.add_argument("--augment", type=float, default=0.0)
    words.add_argument("--steps", type=int, default=8)
    words.add_argument("--threads", type=int, default=0)
    given = words.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    print(f"U-Net of {count(build(UNet(given.dim, channels=Recipe().widths)))} parameters, {torch.get_num_threads()} threads\n")
    print("| device | precision | loss | size | plain, pairs/s | ours, pairs/s | ratio |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        data = {size: written(Path(folder) / str(size), size, given.dim) for size in given.sizes}
        for device in given.devices:
            for precision in given.precisions or native(device):
                for loss in given.losses:
                    for size in given.sizes:
                        case = Case(size, given.dim, device, precision, loss, given.augment)
                        one, other = measured(case, data[size], given.steps)
                        what = " | ".join([device, precision, loss, str(size)])
                        print(f"| {what} | {1 / one:.2f} | {1 / other:.2f} | {one / other:.2f} |", flush=True)


if __name__ == "__main__":
    main()
