"""What a trained pyramid loses and saves when it is made lighter: in eight bits, thinned, with fewer looks.

    VOXALIGN_TEST_DATA=... python benchmarks/lighter.py --weights NETWORK... [--pairs 20] [--looks 1,3,3 1,2,2 ...] [--layers]

"""
from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

import voxalign as vx
from voxalign.core import kernels
from voxalign.metrics import dice_by_label
from voxalign.nn import build, count, weights
from voxalign.nn.predict import predict
from voxalign.register.learned import Learned, opened, seen, velocity
from voxalign.train.data import shift
from voxalign.train.table import pairs_of, read, some, split

LAYERS = {"block, finest": (32, 32, (20, 28, 20)), "block, thinned": (16, 16, (20, 28, 20)), "block, middle": (32, 32, (10, 14, 10))}


def rounded(values: Tensor, axis: int | None = None) -> Tensor:
    """To 255 steps between minus and plus the largest, of all or along an axis."""
    largest = values.abs().amax() if axis is None else values.abs().amax([k for k in range(values.ndim) if k != axis], keepdim=True)
    step = largest.clamp(min=1e-12) / 127
    return (values / step).round() * step


def in_eight_bits(network: nn.Module) -> nn.Module:
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Conv3d)):
            layer.weight.data = rounded(layer.weight.data, 0)
            layer.register_forward_pre_hook(lambda _, given: (rounded(given[0]),))
    return network


def variants(file: Path, looks: list[str]) -> dict[str, nn.Module]:
    """Networks by name."""
    def loaded(**changes) -> nn.Module:
        network, _ = weights.load(file)
        made = build(replace(network.architecture, **changes)).eval()
        made.load_state_dict(network.state_dict())
        return made

    changed = {f"looks {text}": loaded(looks=tuple(map(int, text.split(",")))) for text in looks}
    return {"as it is": loaded(), "eight bits": in_eight_bits(loaded())} | changed


def milliseconds(call: Callable, times: int = 5) -> float:
    """CPU, the least of several."""
    def once() -> float:
        start = time.process_time()
        call()
        return 1000 * (time.process_time() - start)
    return min(once() for _ in range(times))


def layers() -> None:
    """Print the time of the network's greatest convolutions in three precisions."""
    print("| convolution | float32 | eight bits | bfloat16 |\n|---|---|---|---|")
    for name, (given, made, shape) in LAYERS.items():
        plain, images = nn.Conv3d(given, made, 3, padding=1), torch.rand(2, given, *shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            integers = torch.quantize_per_tensor(plain.weight.detach(), 0.01, 0, torch.qint8)
            packed = torch.ops.quantized.conv3d_prepack(integers, plain.bias.detach(), [1] * 3, [1] * 3, [1] * 3, 1)
            small = torch.quantize_per_tensor(images, 0.01, 0, torch.quint8)
            with torch.inference_mode():
                half = nn.Conv3d(given, made, 3, padding=1).bfloat16()
                found = (milliseconds(lambda plain=plain, images=images: plain(images)),
                         milliseconds(lambda packed=packed, small=small: torch.ops.quantized.conv3d(small, packed, 0.05, 0)),
                         milliseconds(lambda half=half, images=images: half(images.bfloat16()), 2))
        print(f"| {name} | " + " | ".join(f"{ms:.1f}" for ms in found) + " |", flush=True)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--data", type=Path, default=Path(os.environ.get("VOXALIGN_TEST_DATA", ".")) / "hippocampus")
    words.add_argument("--weights", type=Path, nargs="+", default=[])
    words.add_argument("--pairs", type=int, default=20)
    words.add_argument("--looks", nargs="*", default=[])
    words.add_argument("--layers", action="store_true")
    given = words.parse_args()
    torch.set_num_threads(1)
    kernels.set_threads(1)
    if given.layers:
        layers()
    scans = read(given.data)
    parts = split([scan.person for scan in scans.scans], 0.15, 0.15, 0, 2)
    pairs = [[(vx.load(scans.scans[k].image), vx.load(scans.scans[k].labels, is_label=True)) for k in pair]
             for pair in some(pairs_of(scans, parts, "test"), given.pairs)]
    print("\n| network | parameters | Dice | worst pair | CPU ms |\n|---|---|---|---|---|")
    for file in given.weights:
        learned = opened(str(file), 3, "cpu")
        for name, network in variants(file, given.looks).items():
            rows = [one(network, learned, *pair) for pair in pairs]
            dice, times = zip(*rows, strict=True)
            print(f"| {file.stem}, {name} | {count(network)} | {statistics.mean(dice):.3f} | {min(dice):.3f} | "
                  f"{statistics.median(times):.0f} |", flush=True)


def one(network: nn.Module, learned: Learned, fixed: tuple, moving: tuple) -> tuple[float, float]:
    """Dice of a pair of (image, labels), and CPU milliseconds of the network."""
    grid, start = learned.inputs.grid(fixed[0]), shift(moving[0].grid.centre - fixed[0].grid.centre)
    arrays = seen(learned, fixed[0], grid), seen(learned, moving[0], grid, start)
    said = predict(network, *arrays)
    found = vx.compose([velocity(said.velocity[0].float().numpy(), grid, said.stride), start])
    dice = dice_by_label(fixed[1], vx.resample(moving[1], fixed[1].grid, found))
    return statistics.mean(dice.values()), milliseconds(lambda: predict(network, *arrays), 2)


if __name__ == "__main__":
    main()
