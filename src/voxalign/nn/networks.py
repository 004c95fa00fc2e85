"""The networks. Images (B, C, *S) lie on one common grid of any size; intensities of about 0 to 1."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core import kernels
from . import architecture as kinds
from . import fields
from .adversarial import Critic, Images, Translator
from .blocks import SLOPE, Block, Condition, Decoder, Encoder, conditions, convolution, padded, quiet_head
from .prediction import AffinePrediction, Prediction
from .recurrent import Recurrent

_INNER_SQUARINGS = 5  # of the half ways inside a pyramid, where a hundredth of a voxel is enough

_SHORTEST = 1e-12  # length of features that still have a direction
_FLOOR = 1e-6  # of how much there is of a structure anywhere, for those that are nowhere


class UNet(nn.Module):
    """See `architecture.UNet`."""

    def __init__(self, architecture: kinds.UNet) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = Encoder(architecture, 2 * architecture.in_channels + 1, architecture.stride)
        self.decoder = Decoder(architecture, architecture.conditioned)
        self.condition = Condition() if architecture.conditioned else None
        self.head = quiet_head(architecture.dim, architecture.channels[0], architecture.dim, not architecture.antisymmetric)

    def forward(self, fixed: Tensor, moving: Tensor, smoothness: float | Tensor | None = None) -> Prediction:
        """Both (B, C, *S)."""
        condition = conditions(self.condition, smoothness, fixed)
        velocity = self._velocity(fixed, moving, condition)
        if self.architecture.antisymmetric:
            velocity = (velocity - self._velocity(moving, fixed, condition)) / 2
        return Prediction(_crop(velocity, fixed, self.architecture.stride), tuple(fixed.shape[2:]), self.architecture.stride)

    def _velocity(self, first: Tensor, second: Tensor, condition: Tensor | None) -> Tensor:
        images = padded(torch.cat([first, second], 1), self.architecture.stride << self.architecture.levels - 1)
        return fields.exact(self.head(self.decoder(self.encoder(images), condition)))


class Pyramid(nn.Module):
    """See `architecture.Pyramid`."""

    def __init__(self, architecture: kinds.Pyramid) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = Encoder(architecture, architecture.in_channels + 1, 2)
        self.condition = Condition() if architecture.conditioned else None
        self.levels = nn.ModuleList(_Level(architecture, number) for number in range(architecture.levels))

    def features(self, images: Tensor) -> list[Tensor]:
        """What the encoder sees, finest level first: (B, channels[k], *S / 2^(k+1)), S filled up to divide."""
        return [fields.exact(level) for level in self.encoder(padded(images, 1 << self.architecture.levels))]

    def forward(self, fixed: Tensor, moving: Tensor, smoothness: float | Tensor | None = None) -> Prediction:
        """Both (B, C, *S)."""
        pair = torch.cat([fixed, moving])
        condition = conditions(self.condition, smoothness, pair[: len(fixed)])
        features = [_directions(level) for level in self.features(pair)]
        condition = None if condition is None else torch.cat([condition, condition])
        velocity, hidden, found = None, None, []
        for number in (n for n in reversed(range(self.architecture.levels)) if self.levels[n].looks):
            velocity, hidden = self.levels[number](features[number], velocity, hidden, condition)
            stride = 2 << number
            found.append(Prediction(_crop(velocity, fixed, stride), tuple(fixed.shape[2:]), stride))
        return Prediction(found[-1].velocity, found[-1].shape, found[-1].stride, tuple(found[:-1]), tuple(features))


class _Level(nn.Module):
    """One level of a pyramid. Batches hold the pairs as given, then the same pairs swapped."""

    def __init__(self, architecture: kinds.Pyramid, number: int) -> None:
        super().__init__()
        self.radius, self.looks = architecture.at(number)
        above = architecture.hidden if number < architecture.levels - 1 else 0
        self.counts = architecture.channels[number], architecture.channels[number], (2 * self.radius + 1) ** architecture.dim, above
        self.mix = convolution(architecture.dim, sum(self.counts), architecture.hidden, 1)  # 3x3x3 of so many would cost more than all else
        self.block = Block(architecture, architecture.hidden, architecture.hidden, architecture.conditioned)
        self.head = quiet_head(architecture.dim, architecture.hidden, architecture.dim, bias=False)  # it would cancel

    def forward(self, features: Tensor, velocity: Tensor | None, hidden: Tensor | None,
                condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Features of all images and what the coarser level found -> velocity (B, D, *S) and hidden features (2B, hidden, *S)."""
        start = None if velocity is None else 2 * fields.double(velocity)
        above = self.mix.bias.reshape(1, -1, 1)
        if hidden is not None:
            above = fields.double(_mixed(above, self._parts()[3], hidden)).flatten(2)  # mixed where there are fewer voxels
        for _ in range(self.looks):
            start, hidden = self._look(features, start, above, condition)
        return start, hidden

    def _look(self, features: Tensor, start: Tensor | None, above: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """What is missing after ``start`` is added to it; ``above`` is what the coarser level gives to `mix`."""
        known = features if start is None else fields.warp(features, fields.integrate(torch.cat([-start, start]) / 2, _INNER_SQUARINGS))
        pairs = len(features) // 2
        hidden = self.block(functional.leaky_relu(self._mix(known, known.roll(pairs, 0), above), SLOPE), condition)
        found = fields.exact(self.head(hidden[:pairs] - hidden[pairs:])) / 2  # the head is linear: of the difference, once
        return found if start is None else start + found, hidden

    def _mix(self, known: Tensor, other: Tensor, above: Tensor) -> Tensor:
        """`mix` of either image's features, the other's and their correlation; they are never joined, which would be most of its time."""
        near = kernels.correlation(known, other, (self.radius,) * (known.ndim - 2))
        for weights, values in zip(self._parts(), (known, other, near), strict=False):
            above = _mixed(above, weights, values).flatten(2)
        return above.reshape(*above.shape[:2], *known.shape[2:])

    def _parts(self) -> tuple[Tensor, ...]:
        return self.mix.weight.flatten(1).split(self.counts, 1)


class Painter(Pyramid):
    """See `architecture.Painter`."""

    def __init__(self, architecture: kinds.Painter) -> None:
        super().__init__(architecture)
        self.image = Images(architecture.painting, 2 * architecture.in_channels)

    def paint(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """The registered image itself, (B, C, *S): what the moving image would show where the fixed one has things."""
        return self.image(torch.cat([fixed, moving], 1))


class AffineNet(nn.Module):
    """See `architecture.AffineNet`."""

    def __init__(self, architecture: kinds.AffineNet) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = Encoder(architecture, architecture.in_channels + 1, architecture.stride)
        self.decoder = Decoder(architecture)
        self.head = convolution(architecture.dim, architecture.channels[0], architecture.structures, 3, bias=False)

    def centres(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Where each structure is, in voxels of the images (B, K, D), and how much of it there is (B, K)."""
        stride, shape = self.architecture.stride, images.shape[2:]
        levels = self.encoder(padded(images, stride << self.architecture.levels - 1))
        # squares: dark ground counts for nothing from the start, and learning goes several times faster than with softplus or softmax
        amounts = _crop(fields.exact(self.head(self.decoder(levels))), images, stride).square().flatten(2) + _FLOOR
        lattice = fields.lattice([(n + stride - 1) // stride for n in shape], amounts).flatten(1)
        total = amounts.sum(2)
        middle = torch.stack([(amounts * x).sum(2) for x in lattice], 2) / total[..., None]  # no matrix product: autocast would shorten it
        return middle * stride + (stride - 1) / 2, total

    def forward(self, fixed: Tensor, moving: Tensor, smoothness: float | Tensor | None = None) -> AffinePrediction:
        """Both (B, C, *S)."""
        conditions(None, smoothness, fixed)
        (here, much), (there, as_much) = self.centres(fixed), self.centres(moving)
        weight = much * as_much
        weight = weight / weight.sum(1, keepdim=True)
        fit = rigid_fit if self.architecture.rigid else affine_fit
        matrix = fit(here.double(), there.double(), weight.double())  # centres may lie close together
        return AffinePrediction(matrix.to(here.dtype), tuple(fixed.shape[2:]))


def affine_fit(here: Tensor, there: Tensor, weight: Tensor) -> Tensor:
    """The affine matrices (B, D+1, D+1) that take points (B, K, D) nearest to others; weights (B, K) sum to 1."""
    (a, centre), (b, other) = _about_centre(here, weight), _about_centre(there, weight)
    spread = a.mT @ (a * weight[..., None])
    floor = 1e-6 * spread.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-12  # points in one plane or one point: a well-posed answer
    identity = torch.eye(a.shape[2], dtype=a.dtype, device=a.device)
    linear = torch.linalg.solve(spread + floor * identity, a.mT @ (b * weight[..., None]) + floor * identity).mT
    return _homogeneous(linear, other - (linear @ centre[..., None])[..., 0])


def rigid_fit(here: Tensor, there: Tensor, weight: Tensor) -> Tensor:
    """The same with rotations only (Kabsch 1976, doi:10.1107/S0567739476001873)."""
    (a, centre), (b, other) = _about_centre(here, weight), _about_centre(there, weight)
    u, _, v = torch.linalg.svd(b.mT @ (a * weight[..., None]))
    sign = torch.ones_like(a[:, 0])
    sign[:, -1] = torch.linalg.det(u @ v).sign()
    rotation = (u * sign[:, None]) @ v
    return _homogeneous(rotation, other - (rotation @ centre[..., None])[..., 0])


def _about_centre(points: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    centre = (points * weight[..., None]).sum(1)
    return points - centre[:, None], centre


def _homogeneous(linear: Tensor, shift: Tensor) -> Tensor:
    top = torch.cat([linear, shift[..., None]], 2)
    bottom = functional.pad(torch.ones_like(shift[:, None, :1]), (shift.shape[1], 0))
    return torch.cat([top, bottom], 1)


class Autoencoder(nn.Module):
    """See `architecture.Autoencoder`."""

    def __init__(self, architecture: kinds.Autoencoder) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = Encoder(architecture, architecture.in_channels + 1, 1)
        self.decoder = Decoder(architecture)
        self.head = quiet_head(architecture.dim, architecture.channels[0], architecture.in_channels)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, *S) with noise -> the same without: what is found of the noise is taken off."""
        levels = self.encoder(padded(images, 1 << self.architecture.levels - 1))
        return images - _crop(fields.exact(self.head(self.decoder(levels))), images, 1)


class Classifier(nn.Module):
    """See `architecture.Classifier`."""

    def __init__(self, architecture: kinds.Classifier) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = Encoder(architecture, 2 * architecture.in_channels + 1, 1)
        self.head = nn.Linear(2 * architecture.channels[-1], 1)

    def forward(self, fixed: Tensor, moving: Tensor) -> Tensor:
        """Patches (B, C, *S) -> logits (B,); above 0 means aligned."""
        images = padded(torch.cat([fixed, moving], 1), 1 << self.architecture.levels - 1)
        values = self.encoder(images)[-1].flatten(2)
        return self.head(torch.cat([values.mean(2), values.amax(2)], 1))[:, 0]


def build(architecture: kinds.Architecture) -> nn.Module:
    """The network of an architecture, with the random weights that torch's seed gives; ``architecture`` stays on it as an attribute."""
    return _NETWORKS[type(architecture)](architecture)


def count(module: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


_NETWORKS = {kinds.UNet: UNet, kinds.Pyramid: Pyramid, kinds.AffineNet: AffineNet, kinds.Autoencoder: Autoencoder,
             kinds.Classifier: Classifier, kinds.Translator: Translator, kinds.Painter: Painter, kinds.Recurrent: Recurrent,
             kinds.Critic: Critic}


# ---------------------------------------------------------------- what several need
def _mixed(known: Tensor, weights: Tensor, values: Tensor) -> Tensor:
    """``known`` (B, made, N) plus combinations (made, given) of the channels of (B, given, *S); faster than a convolution of edge 1."""
    made = torch.baddbmm(known, weights.expand(len(values), -1, -1), values.flatten(2))
    return made.reshape(len(values), -1, *values.shape[2:])


def _directions(values: Tensor) -> Tensor:
    """Features (B, C, *S) of length 1; torch's own `normalize` takes three times as long."""
    return values * values.square().sum(1, keepdim=True).clamp(min=_SHORTEST**2).rsqrt()


def _crop(values: Tensor, images: Tensor, stride: int) -> Tensor:
    """What belongs to the images, without the filling."""
    return fields.cut(values, [(n + stride - 1) // stride for n in images.shape[2:]])

