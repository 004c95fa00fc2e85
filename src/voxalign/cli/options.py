"""Options that several commands share."""
from __future__ import annotations

import argparse
from pathlib import Path

from ..run import methods


def common(parser: argparse.ArgumentParser) -> None:
    """``--json`` and ``--debug``."""
    parser.add_argument("--json", action="store_true", help="print the result (or the error) as JSON on stdout")
    parser.add_argument("--debug", action="store_true", help="show where an error came from")


def overwrite(parser: argparse.ArgumentParser) -> None:
    """``--overwrite``."""
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there")


def part(parser: argparse.ArgumentParser) -> None:
    """``--frame`` and ``--channel``."""
    parser.add_argument("--frame", type=int, metavar="N", help="of files with several volumes, from 0")
    parser.add_argument("--channel", metavar="C", help="of files with several values a voxel: number from 0, grey, magnitude")


def choices(parser: argparse.ArgumentParser) -> None:
    """How to register; the destinations are the keys of the configuration file."""
    group = parser.add_argument_group("method (preset < --config file < --set < these)")
    for name, known in methods.catalogue().items():
        also = ", or a transform FILE" if name == "initial" else ""
        group.add_argument(f"--{name}", metavar="NAME", help=", ".join(known) + also)
    group.add_argument("--weights", metavar="FILE", help="of a network, for the methods that use one")
    group.add_argument("--device", metavar="NAME", help=", ".join(methods.DEVICES))
    group.add_argument("--seed", type=int, metavar="N", help="of whatever is random")
    group.add_argument("--threads", type=int, metavar="N", help="at most so many; 0 takes all cores")
    group.add_argument("--max-memory", type=float, metavar="GB", help="larger working voxels where it would take more; 0: all there is")
    group.add_argument("--config", type=Path, metavar="FILE", help="YAML: lines such as 'loss: lncc'")
    group.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any key of the configuration; repeatable")


def chosen(arguments: argparse.Namespace) -> dict[str, object]:
    """The values of `choices` by key; None where not given."""
    return {name: getattr(arguments, name) for name in (*methods.catalogue(), "weights", "device", "seed", "threads", "max_memory")}
