#!/usr/bin/env python3
"""Measures the store, each figure with its floor or peer in the same run.

The in-process rows come from `benches/store.rs`; the rest is measured on a
real server over loopback. Peers: the git program, and etcd.
"""

import argparse
import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

from bench import Bench, Convoy, free_port, git, wait_for

PUTS = 300


def percentile(values, percent):
    values = sorted(values)
    return values[min(len(values) - 1, len(values) * percent // 100)]


class Store(Bench):
    """Rows of the store."""

    def __init__(self, args):
        super().__init__(args)
        shutil.rmtree(self.home)
        # On the disk that the project is built on: /tmp may be memory.
        self.home = pathlib.Path(args.store).resolve().parent / f"convoy-bench-{os.getpid()}"
        self.home.mkdir()

    def part(self, name, folder, pin=None):
        command = [self.args.store, name, folder]
        if pin is not None:
            command = ["taskset", "-c", str(pin), *command]
        done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    # === durable commits ===

    def commits(self):
        for row in self.part("commit", self.folder("commit"))["rows"]:
            layout = "in one folder" if row["flat"] else "a hundred to a folder"
            what = f"durable commit, one client, {row['files']:,} files {layout}"
            value = f"{row['commit_ms']:.2f} ms (p99 {row['commit_p99_ms']:.2f})"
            ratio = row["commit_ms"] / row["floor_ms"]
            floor = f"{ratio:.2f} × append + fdatasync of {row['bytes']:,} bytes ({row['floor_ms']:.2f} ms, p99 {row['floor_p99_ms']:.2f})"
            self.row(what, value, floor, "≤ 3 ×", ratio <= 3)
        self.git_commits()
        self.etcd_puts()

    def git_commits(self):
        for files in (10, 10_000):
            work = self.folder(f"git-{files}")
            git(work, "init", "-q", "-b", "main")
            for number in range(files):
                path = work / f"services/{number // 100:03}/file-{number:05}.yaml"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{number}\n")
            git(work, "add", "-A")
            git(work, "commit", "-qm", "begin")
            times = []
            for number in range(30):
                (work / "services/000/file-00005.yaml").write_text(f"timeout_ms: {number}\n")
                began = time.perf_counter()
                git(work, "-c", "core.fsync=all", "commit", "-qam", "measure")
                times.append((time.perf_counter() - began) * 1e3)
            self.peer(f"peer: `git commit -a`, {files:,} files, core.fsync=all",
                      f"{statistics.median(times):.1f} ms (p99 {percentile(times, 99):.1f})", "a process each")

    def etcd_puts(self):
        if not shutil.which("etcd"):
            self.peer("peer: etcd put", "-", "etcd is not installed (Debian package etcd-server)")
            return
        client, peer = free_port(), free_port()
        url = f"http://127.0.0.1:{client}"
        self.child(["etcd", "--data-dir", self.home / "etcd", "--listen-client-urls", url,
                    "--advertise-client-urls", url, "--listen-peer-urls", f"http://127.0.0.1:{peer}",
                    "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
                    "--initial-cluster", f"default=http://127.0.0.1:{peer}"], stdout=subprocess.DEVNULL)
        connection = http.client.HTTPConnection("127.0.0.1", client, timeout=20)

        def put(number):
            body = json.dumps({"key": base64.b64encode(b"values/file").decode(),
                               "value": base64.b64encode(b"x" * 60 + str(number).encode()).decode()})
            connection.request("POST", "/v3/kv/put", body)
            answer = connection.getresponse()
            answer.read()
            return answer.status == 200

        def up():
            connection.close()
            return put(0)
        wait_for("etcd", up, 0.05)
        times = []
        for number in range(PUTS):
            began = time.perf_counter()
            put(number)
            times.append((time.perf_counter() - began) * 1e3)
        self.peer("peer: etcd put, one client, one node", f"{statistics.median(times):.2f} ms (p99 {percentile(times, 99):.2f})",
                  "60 bytes over its HTTP gateway, keep-alive")

    def peer(self, what, value, against):
        self.rows.append((what, value, against, "-", "-"))
        print(f"   {what}: {value} ({against})", file=sys.stderr)

    def group(self):
        rates = self.part("group", self.folder("group"))
        for name, text in (("one_repository", "64 clients, one repository"), ("repositories", "64 clients, 64 repositories")):
            ratio = rates[name] / rates["single"]
            self.row(text, f"{rates[name]:,.0f} commits/s", f"{ratio:.1f} × one client's {rates['single']:,.0f}/s", "≥ 10 ×", ratio >= 10)

    # === watchers, history, opening ===

    def watchers(self):
        seen = self.part("watch", self.folder("watch"))
        self.row(f"{seen['watchers']:,} watchers on distinct paths: the woken one", f"p99 {seen['woken_p99_ms']:.2f} ms",
                 f"p50 {seen['woken_p50_ms']:.2f}, from before the commit; {seen['woken']} woken of 200 touched",
                 "p99 ≤ 10 ms", seen["woken_p99_ms"] <= 10 and seen["woken"] == 200)
        ratio = seen["with_ms"] / seen["without_ms"]
        self.row("commit latency with them", f"{seen['with_ms']:.2f} ms", f"{ratio:.2f} × none watching ({seen['without_ms']:.2f} ms)",
                 "within 20 %", ratio <= 1.2)

    def history(self):
        folder = self.folder("history")
        wrote = self.part("history", folder)
        first = self.part("reopen", folder)
        shutil.rmtree(folder / "data/index")
        bare = self.part("reopen", folder)
        self.row("history of one path in 100,000 commits", f"{first['history_ms']:.2f} ms",
                 f"first after opening {first['history_cold_ms']:.0f} ms; {first['found']} found", "≤ 100 ms",
                 first["history_ms"] <= 100 and first["history_cold_ms"] <= 100)
        self.row("open with 100,000 revisions", f"{first['open_ms']:.0f} ms",
                 f"without the index {bare['open_ms']:.0f} ms, history then {bare['history_cold_ms']:.0f} ms", "≤ 1 s", first["open_ms"] <= 1000)
        packs = len(list(folder.glob("data/repositories/bench/long.git/objects/pack/*.pack")))
        size = sum(f.stat().st_size for f in folder.rglob("*.pack")) / 1e6
        self.peer("a file at a random one of 100,000 revisions", f"p50 {first['random_read_p50_ms']:.3f} ms, p99 {first['random_read_p99_ms']:.3f}",
                  f"{packs} packs, {size:.0f} MB; written in {wrote['wrote_s']:.0f} s")

    def idle(self):
        home = self.folder("idle")
        made = self.part("idle", home)
        convoy = Convoy(self.args, home, "")
        time.sleep(3)
        rss = convoy.rss_mb()
        self.row(f"RSS idle, {made['repositories']} repositories × 1,000 revisions", f"{rss:.0f} MB",
                 f"ready in {convoy.ready_s * 1e3:.0f} ms", "≤ 200 MB", rss <= 200)
        convoy.stop()

    # === over HTTP ===

    def http(self):
        home = self.folder("http")
        convoy = Convoy(self.args, home, "")
        address = f"127.0.0.1:{convoy.http}"
        self.make(address, "load", [f"r{n}" for n in range(16)])
        self.make(address, "mesh", ["config"])
        changes = [{"path": f"/values/file-{n}.json", "type": "UPSERT_JSON", "content": {"n": n}} for n in range(100)]
        self.ask(address, "POST", "/api/v1/projects/mesh/repos/config/contents?revision=-1",
                 {"commitMessage": {"summary": "fill"}, "changes": changes}, 200)
        subprocess.run(["taskset", "-a", "-cp", "0", str(convoy.process.pid)], check=True, stdout=subprocess.DEVNULL)
        paths = {"raw file": "/api/v1/repos/mesh/config/raw/values/file-7.json?revision=2",
                 "Central Dogma's contents": "/api/v1/projects/mesh/repos/config/contents/values/file-7.json?revision=2"}
        for name, path in paths.items():
            seen = [self.wrk(address, path, 32, 5) for _ in range(3)]
            rate = statistics.median(s["rate"] for s in seen)
            floor = self.nothing(address)
            self.row(f"get of one file at a revision ({name}), server on one core", f"{rate:,.0f}/s",
                     f"p99 {seen[0]['p99_ms']:.2f} ms; {rate / floor:.2f} × /healthz of the same server ({floor:,.0f}/s)", "≥ 30,000/s", rate >= 30_000)
        cores = ",".join(map(str, range(os.cpu_count())))
        subprocess.run(["taskset", "-a", "-cp", cores, str(convoy.process.pid)], check=True, stdout=subprocess.DEVNULL)
        load = subprocess.Popen([str(self.args.store), "load", address, "1000", "8"], stdout=subprocess.PIPE)
        time.sleep(1)
        under = self.wrk(address, paths["raw file"], 8, 5, rate=True)
        loaded = json.loads(load.communicate()[0])
        achieved = loaded["commits"] / loaded["seconds"]
        self.row("the same under 1,000 commits/s elsewhere", f"p99 {under['p99_ms']:.2f} ms",
                 f"{under['rate']:,.0f} gets/s on 8 connections; {achieved:,.0f} commits/s, p99 {loaded['commit_p99_ms']:.1f} ms; all on the same cores",
                 "p99 ≤ 2 ms", under["p99_ms"] <= 2 and achieved >= 950)
        convoy.stop()

    def nothing(self, address):
        return self.wrk(address, "/healthz", 32, 3)["rate"]

    def wrk(self, address, path, connections, seconds, rate=False):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-H", "Authorization: Bearer anonymous",
                   f"http://{address}{path}"]
        if not rate:
            command = ["taskset", "-c", str(os.cpu_count() - 1), *command]
        text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        if "Non-2xx" in text:
            raise SystemExit(f"{path} was refused: {text}")
        number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", text).groups()
        return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
                "p99_ms": float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]}

    def make(self, address, project, repos):
        self.ask(address, "POST", "/api/v1/projects", {"name": project}, 201)
        for repo in repos:
            self.ask(address, "POST", f"/api/v1/projects/{project}/repos", {"name": repo}, 201)

    def ask(self, address, method, path, body, status):
        connection = http.client.HTTPConnection(address, timeout=20)
        connection.request(method, path, json.dumps(body),
                           {"Authorization": "Bearer anonymous", "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != status:
            raise SystemExit(f"{method} {path}: {answer.status} {text}")

    def parts(self):
        named = [self.commits, self.group, self.watchers, self.history, self.idle, self.http]
        return [part for part in named if not self.args.only or part.__name__ in self.args.only]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--convoy", required=True)
    parser.add_argument("--envoys", required=True)
    parser.add_argument("--store", required=True)
    parser.add_argument("only", nargs="*", help="commits group watchers history idle http")
    bench = Store(parser.parse_args())
    try:
        bench.run()
    finally:
        bench.stop()


if __name__ == "__main__":
    main()
