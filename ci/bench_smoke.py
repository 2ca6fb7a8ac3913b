"""The smoke matrix: 4 stages × 5 Envoy versions of the sample, cold and again.

Floors in the same run: the same number of `envoy --mode validate`, and of bare
Envoys from start to ready, as many at once. Called by `ci/bench smoke`.
"""

import argparse
import json
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BARE = {"admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}}
BOUNDS = {"cold": 20.0, "unchanged": 0.5}


def sample(folder: pathlib.Path, versions: list[str]) -> pathlib.Path:
    """The sample with all versions in its matrix."""
    target = folder / "sample"
    shutil.copytree(ROOT / "templates/envoy/sample", target)
    manifest = target / "convoy.yaml"
    text = manifest.read_text()
    line = next(line for line in text.splitlines() if line.startswith("envoy:"))
    manifest.write_text(text.replace(line, f"envoy: {json.dumps(versions)}"))
    return target


def matrix(convoy: str, envoys: str, folder: pathlib.Path, cache: pathlib.Path, parallel: int):
    command = [convoy, "--json", "--quiet", "smoke", str(folder), "--envoys", envoys]
    command += ["--cache", str(cache), "--parallel", str(parallel)]
    began = time.monotonic()
    ran = subprocess.run(command, capture_output=True, text=True)
    took = time.monotonic() - began
    if ran.returncode != 0:
        sys.exit(f"the matrix failed:\n{ran.stderr}{ran.stdout}")
    cells = json.loads(ran.stdout)["cells"]
    open_ones = [cell for cell in cells if cell["proof"].get("unfenced")]
    return took, cells, len(open_ones)


def each(versions: list[str], parallel: int, work) -> float:
    """Runs `work` once per version, so many at once, and gives the time."""
    todo: queue.Queue = queue.Queue()
    for number, version in enumerate(versions):
        todo.put((number, version))

    def run():
        while True:
            try:
                number, version = todo.get_nowait()
            except queue.Empty:
                return
            work(number, version)

    began = time.monotonic()
    workers = [threading.Thread(target=run) for _ in range(parallel)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.monotonic() - began


def floors(envoys: str, folder: pathlib.Path, versions: list[str], parallel: int):
    config = folder / "bare.json"
    config.write_text(json.dumps(BARE))

    def validate(_number: int, version: str):
        command = [f"{envoys}/{version}/envoy", "--mode", "validate", "-c", str(config)]
        subprocess.run(command, check=True, capture_output=True)

    def boot(number: int, version: str):
        admin = folder / f"admin-{number}"
        command = [f"{envoys}/{version}/envoy", "-c", str(config), "--concurrency", "1"]
        command += ["--disable-hot-restart", "--admin-address-path", str(admin)]
        envoy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not (admin.exists() and admin.read_text()):
                time.sleep(0.005)
            url = f"http://{admin.read_text().strip()}/ready"
            while urllib.request.urlopen(url).status != 200:
                time.sleep(0.005)
        finally:
            envoy.kill()
            envoy.wait()

    return each(versions, parallel, validate), each(versions, parallel, boot)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--convoy", required=True)
    parser.add_argument("--envoys", required=True)
    parser.add_argument("--versions", required=True, help="with blanks between")
    parser.add_argument("--parallel", type=int, default=2)
    args = parser.parse_args()
    versions = args.versions.split()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tree = sample(folder, versions)
        cold, cells, open_ones = matrix(
            args.convoy, args.envoys, tree, folder / "cache", args.parallel
        )
        again = min(
            matrix(args.convoy, args.envoys, tree, folder / "cache", args.parallel)[0]
            for _ in range(3)
        )
        same = [version for version in versions for _ in range(len(cells) // len(versions))]
        validate, boot = floors(args.envoys, folder, same, args.parallel)
    checks = sum(cell["checks"] for cell in cells)
    print(f"cells {len(cells)}, checks {checks}, at once {args.parallel}, not fenced {open_ones}")
    print(f"{'matrix, cold':<44} {cold:8.2f} s   (bound {BOUNDS['cold']} s)")
    print(f"{'matrix, unchanged (best of 3)':<44} {again:8.2f} s   (bound {BOUNDS['unchanged']} s)")
    print(f"{f'floor: envoy --mode validate × {len(same)}':<44} {validate:8.2f} s")
    print(f"{f'floor: bare Envoy, start to ready × {len(same)}':<44} {boot:8.2f} s")
    print(f"{'cold / bare boots':<44} {cold / boot:8.2f}")
    slow = cold > BOUNDS["cold"] or again > BOUNDS["unchanged"]
    sys.exit("over a bound" if slow else 0)


main()
