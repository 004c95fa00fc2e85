"""voxalign beside other programs, on the same pairs, judged by one evaluator.

    python benchmarks/run.py --cases brain_ab mouse_12 --methods voxalign greedy synquick

Everything goes to bench-out/ (ignored by git): the peers' environments from PyPI, the cases made of the images in
$VOXALIGN_TEST_DATA, one folder a run, results.json and results.md. Each run is one process, started the same way for all: wall and
CPU seconds and peak memory are the operating system's. Needs only the standard library.
"""
from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
import venv
from dataclasses import dataclass
from pathlib import Path

from table import markdown

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = {
    "peers": ["SimpleITK", "nibabel", "scipy", "picsl_greedy", "antspyx"],
    "elastix": ["itk-elastix"],
    "convexadam": ["convexAdam", "torch", "nibabel", "scipy", "picsl_greedy"],
}
PEERS = {"identity": "peers", "greedy": "peers", "greedy_affine": "peers", "synquick": "peers", "synquick_affine": "peers",
         "syn": "peers", "elastix": "elastix", "convexadam": "convexadam"}
UNMEASURED = {"greedy": "greedy.inverse"}
VOXALIGN = {"voxalign": "", "voxalign_fast": "--preset fast", "voxalign_affine": "--transform affine",
            "voxalign_rigid": "--transform rigid"}
FINISHED = (0, 4)  # 4: voxalign finished, but doubts its result


@dataclass(frozen=True)
class Bench:
    """Where things are and how programs are run."""

    out: Path
    images: Path
    voxalign: str
    threads: int
    timeout: float
    pythons: dict[str, str]

    def python(self, environment: str) -> str:
        """Of a peer's environment, which is made at first use."""
        if environment in self.pythons:
            return self.pythons[environment]
        folder = self.out / "environments" / environment
        python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
        if not (folder / "ready").exists():
            print(f"making {folder}", flush=True)
            venv.create(folder, with_pip=True, clear=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", *ENVIRONMENTS[environment]], check=True)
            (folder / "ready").touch()
        return str(python)

    def case(self, name: str) -> Path:
        """A case's folder, made at first use."""
        folder = self.out / "cases" / name
        if not (folder / "case.json").exists():
            subprocess.run([self.python("peers"), HERE / "cases.py", self.images, folder.parent, name], check=True)
        return folder

    def command(self, method: str, case: Path, out: Path) -> list[str]:
        if method in PEERS:
            return [self.python(PEERS[method]), str(HERE / "peers.py"), method, str(case), str(out)]
        pair = ["-f", str(case / "fixed.nii.gz"), "-m", str(case / "moving.nii.gz"), "-o", str(out)]
        rest = ["--no-report", "--overwrite", "--threads", str(self.threads), *shlex.split(VOXALIGN[method])]
        return [*shlex.split(self.voxalign), "register", *pair, *rest]

    def environment(self) -> dict[str, str]:
        names = ("BENCH_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                 "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
        return os.environ | dict.fromkeys(names, str(self.threads))


# ---------------------------------------------------------------- one run
def measure(command: list[str], log: Path, bench: Bench) -> dict:
    """Run a program to its end, or to the time limit."""
    with open(log, "wb") as file:
        others, start = busy(), time.perf_counter()
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=bench.environment(),
                                   start_new_session=True)
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, bench.timeout)
        _, status, usage = os.wait4(process.pid, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        wall, others = time.perf_counter() - start, busy() - others
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    per_megabyte = 2**20 if platform.system() == "Darwin" else 2**10
    return {"exit": process.returncode, "wall_s": wall, "cpu_s": cpu, "peak_mb": usage.ru_maxrss / per_megabyte,
            "others_cpu_s": max(others - cpu, 0.0)}


def busy() -> float:
    """CPU seconds this machine has worked so far, for whomever; 0 where that is not told."""
    try:
        ticks = [int(v) for v in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0.0
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def run(name: str, method: str, bench: Bench) -> dict:
    """Measure and judge one method on one case."""
    case, out = bench.case(name), bench.out / "runs" / name / method
    out.mkdir(parents=True, exist_ok=True)
    for old in ("map.json", "transform.h5", "inverse.h5"):
        (out / old).unlink(missing_ok=True)
    result = {"case": name, "method": method, "when": time.strftime("%Y-%m-%d %H:%M")}
    result |= measure(bench.command(method, case, out), out / "log.txt", bench)
    if result["exit"] not in FINISHED:
        return result | {"error": tail(out / "log.txt")}
    if method in UNMEASURED:
        subprocess.run([*bench.command(method, case, out)[:2], UNMEASURED[method], case, out], check=True, capture_output=True)
    judged = subprocess.run([bench.python("peers"), HERE / "evaluate.py", case, out], capture_output=True, text=True)
    return result | (json.loads(judged.stdout) if judged.returncode == 0 else {"error": judged.stderr.strip()[-300:]})


def tail(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").split())[-300:]


# ---------------------------------------------------------------- all runs
def store(result: dict, bench: Bench) -> list[dict]:
    """Add a result to results.json, in place of an older one, and print the tables of all."""
    path = bench.out / "results.json"
    content = json.loads(path.read_text()) if path.exists() else {"results": []}
    same = (result["case"], result["method"])
    kept = [r for r in content["results"] if (r["case"], r["method"]) != same]
    content = {"machine": machine(), "results": sorted([*kept, result], key=lambda r: (r["case"], r["method"]))}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1))
    partial.replace(path)
    return content["results"]


def machine() -> dict:
    return {"system": platform.platform(), "processors": os.cpu_count(), "python": platform.python_version()}


def versions(bench: Bench) -> dict[str, str]:
    """Of the packages in the environments that were used."""
    found = {}
    for environment in ENVIRONMENTS:
        if environment in bench.pythons or (bench.out / "environments" / environment / "ready").exists():
            command = [bench.python(environment), "-m", "pip", "list", "--format", "json"]
            packages = json.loads(subprocess.run(command, capture_output=True, text=True).stdout or "[]")
            wanted = {p.lower().replace("_", "-") for p in ENVIRONMENTS[environment]}
            found |= {p["name"]: p["version"] for p in packages if p["name"].lower().replace("_", "-") in wanted}
    return found


def parse() -> tuple[argparse.Namespace, Bench]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=["brain_ab", "mouse_12"], help="cases, families (mouse), or all")
    parser.add_argument("--methods", nargs="+", default=["voxalign", "greedy", "synquick"], choices=[*VOXALIGN, *PEERS])
    parser.add_argument("--against", default="greedy", help="method that ratios are taken to (%(default)s)")
    parser.add_argument("--out", type=Path, default=HERE.parent / "bench-out")
    parser.add_argument("--images", type=Path, default=os.environ.get("VOXALIGN_TEST_DATA"), help="folder of the real images")
    parser.add_argument("--voxalign", default=f"{sys.executable} -m voxalign", help="command under test (%(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for a run")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help="use this Python for an environment")
    parser.add_argument("--table", action="store_true", help="only print the tables of results.json")
    options = parser.parse_args()
    if options.images is None and not options.table:
        parser.error("where are the images? set VOXALIGN_TEST_DATA or give --images")
    pythons = dict(p.split("=", 1) for p in options.python)
    images = Path(options.images or ".").resolve()
    return options, Bench(options.out.resolve(), images, options.voxalign, options.threads, options.timeout, pythons)


def selected(words: list[str], bench: Bench) -> list[str]:
    code = "import sys, cases; print(*cases.chosen(sys.argv[1:]))"
    shown = subprocess.run([bench.python("peers"), "-c", code, *words], cwd=HERE, stdout=subprocess.PIPE, text=True)
    if shown.returncode:
        raise SystemExit(2)
    return shown.stdout.split()


def main() -> None:
    options, bench = parse()
    bench.out.mkdir(parents=True, exist_ok=True)
    if not options.table:
        for name in selected(options.cases, bench):
            for method in options.methods:
                result = run(name, method, bench)
                store(result, bench)
                print({k: v for k, v in result.items() if not isinstance(v, dict)}, flush=True)
    content = json.loads((bench.out / "results.json").read_text())
    text = markdown(content["results"], options.against, machine() | versions(bench))
    (bench.out / "results.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
