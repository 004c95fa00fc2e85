"""One network of several sites that share weights and no images (McMahan et al. 2017, arXiv:1602.05629)."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ..core import InputError, UsageError
from ..nn import weights
from ..nn.architecture import as_dict


def average(paths: Sequence[Path], out: Path, shares: Sequence[float] | None = None) -> dict[str, float]:
    """Write the mean of several networks' weights, each counting by the pairs or people it saw.

    Parameters
    ----------
    shares : one number a file; by default the ``people`` that each file says it was trained on, or all alike if one does not say.

    Returns
    -------
    What each file counted, by its name.

    Raises
    ------
    InputError : files that cannot be read or hold different networks.  UsageError : another number of shares.
    """
    loaded = [weights.load(path) for path in paths]
    first = as_dict(loaded[0][0].architecture)
    for path, (network, _) in zip(paths, loaded, strict=True):
        if as_dict(network.architecture) != first:
            raise InputError(f"{path.name}: holds another network than {paths[0].name}; expected the same architecture at every site")
    shares = _shares(loaded, shares)
    states = [network.state_dict() for network, _ in loaded]
    mean = {name: sum(share * state[name].double() for share, state in zip(shares, states, strict=True)).float() for name in states[0]}
    network, meta = loaded[0]
    network.load_state_dict(mean)
    people = sum(int(about.get("people", 0)) for _, about in loaded)
    keep = {key: meta[key] for key in ("recipe", "space") if key in meta}
    weights.save(out, network, meta=keep | {"people": people, "sites": len(loaded)})
    return dict(zip([f"{k}: {path.name}" for k, path in enumerate(paths)], shares, strict=True))


def _shares(loaded: Sequence[tuple[torch.nn.Module, dict]], shares: Sequence[float] | None) -> list[float]:
    if shares is None:
        told = [float(about.get("people", 0)) for _, about in loaded]
        shares = told if all(told) else [1.0] * len(loaded)
    if len(shares) != len(loaded) or min(shares) < 0 or sum(shares) <= 0:
        raise UsageError(f"shares {list(shares)} for {len(loaded)} files: expected one number a file, not below 0")
    return [share / sum(shares) for share in shares]
