#!/usr/bin/env python3
"""Measures Convoy from outside, on loopback, and prints one table.

Every absolute time here is of this machine on this day; the ratios are against
something measured in the same run. Only the standard library.
"""

import argparse
import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE_S = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition, every=0.002):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            seen = condition()
            if seen:
                return seen
        except (OSError, KeyError, IndexError, TypeError):
            pass
        time.sleep(every)
    raise SystemExit(f"gave up waiting for {what}")


def git(cwd, *command, stdin=None):
    env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1",
               GIT_AUTHOR_NAME="ann", GIT_AUTHOR_EMAIL="ann@example.com",
               GIT_COMMITTER_NAME="ann", GIT_COMMITTER_EMAIL="ann@example.com")
    done = subprocess.run(["git", *map(str, command)], cwd=cwd, env=env, input=stdin, check=True,
                          stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


def listener(text, port):
    return f"""name: front
address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
filter_chains:
  - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          http_filters:
            - name: envoy.filters.http.router
              typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          rds: {{route_config_name: front, config_source: {{ads: {{}}, resource_api_version: V3}}}}
"""


def route(text):
    return f"""name: front
virtual_hosts:
  - name: all
    domains: ["*"]
    routes: [{{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: "{text}"}}}}}}]
"""


class Convoy:
    """A server of the release build over its own folder."""

    def __init__(self, args, home, config, dev=True):
        self.args, self.home, self.dev = args, home, dev
        self.http, self.xds = free_port(), free_port()
        (home / "convoy.yaml").write_text(config)
        self.log = home / "convoy.log"
        self.start()

    def start(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith("CONVOY_")}
        env["CONVOY_LOG_FORMAT"] = "json"
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [self.args.convoy, "serve", *(["--insecure-dev"] if self.dev else []), "--data", self.home / "data", "--config",
             self.home / "convoy.yaml", "--listen", f"127.0.0.1:{self.http}", "--xds-listen",
             f"127.0.0.1:{self.xds}", "--envoys", self.args.envoys],
            env=env, stderr=open(self.log, "a"), start_new_session=True)
        wait_for("readiness", lambda: self.get("/readyz", raw=True) is not None, 0.001)
        self.ready_s = time.monotonic() - self.began

    def get(self, path, raw=False, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
            return body if raw else json.loads(body)

    def rss_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def events(self):
        for line in self.log.read_text().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                pass

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=40)


class Bench:
    def __init__(self, args):
        self.args = args
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="convoy-bench-"))
        self.rows = []
        self.children = []

    def row(self, what, value, against, bound, ok):
        self.rows.append((what, value, against, bound, "yes" if ok else "NO"))
        print(f"   {what}: {value} ({against}); bound {bound}: {'yes' if ok else 'NO'}", file=sys.stderr)

    def folder(self, name):
        path = self.home / name
        path.mkdir()
        return path

    def child(self, command, **more):
        process = subprocess.Popen(list(map(str, command)), start_new_session=True,
                                   stderr=subprocess.DEVNULL, **more)
        self.children.append(process)
        return process

    def newest(self):
        return (ROOT / "ci/envoy-versions").read_text().split()[-1]

    # === rendering ===

    def render(self):
        out = subprocess.run([self.args.render], check=True, stdout=subprocess.PIPE).stdout
        seen = json.loads(out)
        ratio = seen["cold_ms"] / seen["yaml_floor_ms"]
        self.row(f"render + decode + check, {seen['resources']} resources, cold",
                 f"{seen['cold_ms']:.0f} ms", f"{ratio:.1f} × bare YAML parse", "≤ 500 ms",
                 seen["cold_ms"] <= 500)
        self.row("the same after a one-file change", f"{seen['one_file_ms']:.1f} ms",
                 f"{seen['cold_ms'] / seen['one_file_ms']:.0f} × less than cold", "≤ 20 ms",
                 seen["one_file_ms"] <= 20)

    # === from a hook to an ACK ===

    def push(self):
        home = self.folder("push")
        bare, work = home / "git/conf.git", home / "work"
        git(home, "init", "-q", "--bare", "-b", "main", bare)
        git(home, "clone", "-q", bare, work)
        secret = home / "hook"
        secret.touch(mode=0o600)
        secret.write_text("hook-secret")
        server = self.child([sys.executable, ROOT / "tests/fixtures/git_server.py", "--root",
                             home / "git", "--port", "0"], stdout=subprocess.PIPE)
        port = int(re.search(rb"(\d+)", server.stdout.readline()).group(1))
        threading.Thread(target=server.stdout.read, daemon=True).start()
        front = free_port()
        (work / "convoy.yaml").write_text("stages: [{name: beta, auto: true}]\n")
        for folder in ("listeners", "routes"):
            (work / "resources" / folder).mkdir(parents=True)
        (work / "resources/listeners/front.yaml").write_text(listener("x", front))
        convoy = Convoy(self.args, home, f"""repositories:
  - name: mesh/config
    upstream: {{url: "http://127.0.0.1:{port}/conf.git", branch: main}}
    poll: 60s
    webhook: {{full_name: mesh/config, secret_files: [{secret}]}}
""")
        bootstrap = subprocess.run(
            [self.args.convoy, "bootstrap", "--node", "a", "--stage", "beta", "--xds",
             f"127.0.0.1:{convoy.xds}", "--admin-port", "0"], check=True, stdout=subprocess.PIPE).stdout
        (home / "envoy.yaml").write_bytes(bootstrap)
        self.child([f"{self.args.envoys}/{self.newest()}/envoy", "-c", home / "envoy.yaml",
                    "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"],
                   stdout=subprocess.DEVNULL)
        totals, own, fetches = [], [], []
        for number in range(self.args.rounds + 2):
            (work / "resources/routes/front.yaml").write_text(route(f"round {number}"))
            git(work, "add", "-A")
            git(work, "commit", "-q", "-m", f"round {number}")
            commit = git(work, "rev-parse", "HEAD")
            git(work, "push", "-q", bare, "HEAD:main")
            before = len(list(convoy.events()))
            sent = time.time()
            self.hook(convoy, commit)
            took = wait_for("the ACK", lambda: self.acked(convoy, commit), 0.005) - sent
            events = list(convoy.events())[before:]
            fetch = sum(event.get("fetch_ms", 0) for event in events) / 1e3
            if number >= 2:
                totals.append(took * 1e3)
                fetches.append(fetch * 1e3)
                own.append((took - fetch) * 1e3)
        convoy.stop()
        ls_remote = []
        for _ in range(5):
            began = time.monotonic()
            git(home, "ls-remote", "-q", f"http://127.0.0.1:{port}/conf.git")
            ls_remote.append((time.monotonic() - began) * 1e3)
        p50, own50 = statistics.median(totals), statistics.median(own)
        floor = statistics.median(ls_remote)
        self.row(f"hook received → beta's Envoy ACKs, p50 of {len(totals)}", f"{p50:.0f} ms",
                 f"max {max(totals):.0f} ms; fetch {statistics.median(fetches):.0f} ms; "
                 f"git ls-remote {floor:.0f} ms", "≤ 300 ms", p50 <= 300)
        self.row("of it, all but the fetch (Envoy's own work included)", f"{own50:.0f} ms",
                 f"max {max(own):.0f} ms", "≤ 100 ms", own50 <= 100)

    def hook(self, convoy, commit):
        body = json.dumps({"ref": "refs/heads/main", "after": commit,
                           "repository": {"full_name": "mesh/config"}}).encode()
        signature = "sha256=" + hmac.new(b"hook-secret", body, hashlib.sha256).hexdigest()
        request = urllib.request.Request(
            f"http://127.0.0.1:{convoy.http}/hooks/github", data=body, headers={
                "content-type": "application/json", "x-github-event": "push",
                "x-github-delivery": str(uuid.uuid4()), "x-hub-signature-256": signature})
        urllib.request.urlopen(request, timeout=10).read()

    def acked(self, convoy, commit):
        """When the promotion of the commit was recorded as taken by its node."""
        promotions = convoy.get("/api/v1/promotions?repo=mesh/config")["promotions"]
        newest = promotions[0]
        if newest["status"] != "succeeded":
            return None
        bundle = convoy.get(f"/api/v1/bundles/{newest['bundle']}")["bundle"]
        if bundle["commit"]["commit"] != commit:
            return None
        text = newest["ending"]["at"].replace("Z", "+00:00")
        import datetime
        return datetime.datetime.fromisoformat(text).timestamp()

    # === a smoke cell against a bare Envoy ===

    def smoke(self):
        home = self.folder("smoke")
        port = free_port()
        files = {"convoy.yaml": f"stages: [{{name: beta, envoy: [\"{self.newest()}\"]}}]\n",
                 "resources/listeners/front.yaml": listener("x", port),
                 "resources/routes/front.yaml": route("x")}
        for path, text in files.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text)
        static = self.static_bootstrap(home, port)
        cells, bare = [], []
        for _ in range(self.args.rounds):
            bare.append(self.bare_boot(home, static))
            out = subprocess.run([self.args.convoy, "-q", "-o", "json", "smoke", home, "--envoys",
                                  self.args.envoys], check=True, stdout=subprocess.PIPE).stdout
            cells.append(json.loads(out)["cells"][0]["took_ms"] / 1e3)
        cell, floor = statistics.median(cells), statistics.median(bare)
        bound = floor * 1.5 + 0.3
        self.row(f"a smoke cell, median of {len(cells)}", f"{cell * 1e3:.0f} ms",
                 f"bare Envoy boot to ready {floor * 1e3:.0f} ms, {cell / floor:.2f} ×",
                 f"≤ bare × 1.5 + 300 ms = {bound * 1e3:.0f} ms", cell <= bound)

    def static_bootstrap(self, home, port):
        """The same resources, statically: what Envoy needs by itself."""
        text = listener("x", port)
        config = f"""node: {{id: bare, cluster: bare}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}
dynamic_resources:
  lds_config: {{path_config_source: {{path: {home}/lds.yaml}}, resource_api_version: V3}}
"""
        text = re.sub(r"rds: .*", "rds: {route_config_name: front, config_source: "
                      f"{{path_config_source: {{path: {home}/rds.yaml}}, resource_api_version: V3}}}}", text)
        wrap = lambda kind, body: ("resources:\n- \"@type\": type.googleapis.com/" + kind + "\n  "
                                   + body.replace("\n", "\n  "))
        (home / "lds.yaml").write_text(wrap("envoy.config.listener.v3.Listener", text))
        (home / "rds.yaml").write_text(wrap("envoy.config.route.v3.RouteConfiguration", route("x")))
        path = home / "bare.yaml"
        path.write_text(config)
        return path

    def bare_boot(self, home, config):
        admin = home / "admin"
        admin.unlink(missing_ok=True)
        began = time.monotonic()
        envoy = self.child([f"{self.args.envoys}/{self.newest()}/envoy", "-c", config,
                            "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error",
                            "--admin-address-path", admin], stdout=subprocess.DEVNULL)

        def ready():
            address = admin.read_text().strip()
            base = f"http://{address}"
            live = urllib.request.urlopen(base + "/ready", timeout=2).read().startswith(b"LIVE")
            listeners = urllib.request.urlopen(base + "/listeners", timeout=2).read()
            return live and b"front" in listeners
        wait_for("bare Envoy", ready, 0.005)
        took = time.monotonic() - began
        os.killpg(envoy.pid, signal.SIGKILL)
        envoy.wait()
        return took

    # === start-up and memory ===

    def start(self):
        home = self.folder("start")
        bare = home / "conf.git"
        git(home, "init", "-q", "--bare", "-b", "main", bare)
        stream = []
        for number in range(1000):
            text = f"name: c\nconnect_timeout: {number % 50 + 1}s\n"
            manifest = "stages: [{name: beta, auto: true}]\n"
            files = "".join(f"M 100644 inline {path}\ndata {len(body)}\n{body}\n" for path, body in
                            [("convoy.yaml", manifest), ("resources/clusters/c.yaml", text)])
            stream.append(f"commit refs/heads/main\ncommitter ann <ann@example.com> {1_700_000_000 + number} +0000\n"
                          f"data 4\ntest\n{files}\n")
        git(bare, "fast-import", "--quiet", stdin="".join(stream).encode())
        convoy = Convoy(self.args, home, f"""repositories:
  - name: mesh/config
    upstream: {{url: "file://{bare}", branch: main}}
    poll: 2s
""")
        wait_for("1,000 revisions", lambda: convoy.get("/api/v1/repos/mesh/config")["head"]["revision"] == 1000
                 and convoy.get("/api/v1/promotions")["promotions"][0]["status"] == "succeeded", 0.05)
        times = []
        for _ in range(self.args.rounds):
            convoy.stop()
            convoy.start()
            times.append(convoy.ready_s)
        time.sleep(3)
        rss = convoy.rss_mb()
        convoy.stop()
        empty = []
        for _ in range(3):
            began = time.monotonic()
            subprocess.run([self.args.convoy, "--version"], stdout=subprocess.DEVNULL, check=True)
            empty.append(time.monotonic() - began)
        ready = statistics.median(times)
        self.row("start to ready with 1,000 revisions", f"{ready * 1e3:.0f} ms",
                 f"max {max(times) * 1e3:.0f} ms; the program's own start {statistics.median(empty) * 1e3:.0f} ms",
                 "≤ 1 s", ready <= 1)
        self.row("RSS idle, the same server", f"{rss:.0f} MB", "3 s after readiness", "≤ 80 MB", rss <= 80)

    # === all ===

    def noise(self):
        """How steady this machine is: the same small work, many times."""
        times = []
        for _ in range(40):
            began = time.perf_counter()
            hashlib.sha256(b"x" * 4_000_000).digest()
            times.append((time.perf_counter() - began) * 1e3)
        times.sort()
        return f"{times[0]:.1f} / {times[20]:.1f} / {times[-1]:.1f} ms (min / median / max of one fixed hash)"

    def parts(self):
        return (self.render, self.start, self.smoke, self.push)

    def run(self):
        noise = self.noise()
        for part in self.parts():
            print(f"== {part.__name__}", file=sys.stderr)
            part()
        print(f"\nmachine: {os.cpu_count()} cores; noise {noise}\n")
        print("| what | measured | against | bound | met |\n| --- | --- | --- | --- | --- |")
        for row in self.rows:
            print("| " + " | ".join(row) + " |")

    def stop(self):
        for child in self.children:
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.home, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--convoy", required=True)
    parser.add_argument("--envoys", required=True)
    parser.add_argument("--render", required=True)
    parser.add_argument("--rounds", type=int, default=15)
    bench = Bench(parser.parse_args())
    try:
        bench.run()
    finally:
        bench.stop()


if __name__ == "__main__":
    main()
