#!/usr/bin/env python3
"""Measures xDS: what a push to many streams costs, and how long it takes.

The servers and the clients are `benches/xds`, each in a process of its own, so
that CPU and memory are counted apart. The floor in the same run is a bare
HTTP/2 server that writes the same bytes to as many streams. go-control-plane's
figures, where they are quoted, were measured before on a machine like this.
"""

import argparse
import hashlib
import http.client
import json
import subprocess
import sys

from bench import Bench, Convoy, wait_for


# As `benches/xds/parts.rs` changes it.
CLUSTER = """name: c{number:05}
connect_timeout: {seconds}s
type: STRICT_DNS
lb_policy: LEAST_REQUEST
outlier_detection: {{consecutive_5xx: 5, interval: 10s, base_ejection_time: 30s}}
load_assignment:
  cluster_name: c{number:05}
  endpoints:
    - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: c{number:05}.internal, port_value: 8080}}}}}}
"""


class Xds(Bench):
    """Rows of xDS."""

    def part(self, name, *words):
        command = [self.args.xds, name, *words]
        done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    def note(self, what, value, against):
        self.rows.append((what, value, against, "-", "-"))
        print(f"   {what}: {value} ({against})", file=sys.stderr)

    def sizes(self):
        return (self.args.streams, self.args.streams * 4)

    # === one change, pushed to everybody ===

    def fanout(self):
        few, many = (self.push(streams, "delta") for streams in self.sizes())
        for seen, floor in (few, many):
            # The bounds are those of 1,000 streams, and linear from there.
            scale = seen["streams"] / 1000
            who = f"delta, {seen['streams']:,} streams × {seen['resources']:,} clusters, one changed"
            cpu, ratio = seen["cpu_per_push_ms"], seen["cpu_per_push_ms"] / floor["cpu_per_push_ms"]
            self.row(f"{who}: server CPU per push", f"{cpu:.1f} ms",
                     f"{ratio:.2f} × bare HTTP/2 ({floor['cpu_per_push_ms']:.1f} ms); clients {seen['client_cpu_per_push_ms']:.0f} ms"
                     f"; go-control-plane before {320 * scale:.0f} ms", f"≤ {35 * scale:.0f} ms", cpu <= 35 * scale)
            self.row(f"{who}: the last stream, p50", f"{seen['last_p50_ms']:.1f} ms",
                     f"streams p50 {seen['p50_ms']:.1f}, p99 {seen['p99_ms']:.1f}; bare HTTP/2 last {floor['last_p50_ms']:.1f} ms"
                     f"; go-control-plane before {190 * scale:.0f}–{230 * scale:.0f} ms", f"≤ {40 * scale:.0f} ms",
                     seen["last_p50_ms"] <= 40 * scale)
            self.row(f"{who}: memory per stream", f"{seen['rss_per_stream_kib']:.1f} KiB",
                     f"bare HTTP/2 {floor['rss_per_stream_kib']:.1f} KiB; go-control-plane before 230–255 KiB", "≤ 40 KiB",
                     seen["rss_per_stream_kib"] <= 40)
            self.note(f"{who}: first state to all", f"{seen['sync_ms']:.0f} ms",
                      f"{seen['sync_cpu_ms']:.0f} ms CPU, {seen['sync_bytes'] / 1e6:.0f} MB; bare HTTP/2 {floor['sync_cpu_ms']:.0f} ms CPU")

    def sotw(self):
        seen, floor = self.push(self.args.streams, "sotw")
        scale = seen["streams"] / 1000
        cpu, ratio = seen["cpu_per_push_ms"], seen["cpu_per_push_ms"] / floor["cpu_per_push_ms"]
        self.row(f"SotW, {seen['streams']:,} streams × {seen['resources']:,} clusters, one changed: server CPU per push",
                 f"{cpu:.0f} ms", f"{ratio:.2f} × bare HTTP/2 ({floor['cpu_per_push_ms']:.0f} ms); {seen['bytes_per_push'] / 1e6:.0f} MB"
                 f"; go-control-plane before 633–2,244 ms", f"≤ {350 * scale:.0f} ms", cpu <= 350 * scale)
        self.note("the same: latency and memory", f"last stream p50 {seen['last_p50_ms']:.0f} ms",
                  f"p50 {seen['p50_ms']:.0f}, p99 {seen['p99_ms']:.0f} ms; {seen['rss_per_stream_kib']:.1f} KiB per stream; "
                  f"clients {seen['client_cpu_per_push_ms']:.0f} ms CPU on the same cores")

    def push(self, streams, form):
        words = (streams, self.args.resources, form, self.args.rounds)
        return self.part("fanout", *words), self.part("floor", *words)

    def mtls(self):
        seen = self.part("mtls", self.args.streams, self.args.resources, "delta", self.args.rounds)
        who = f"delta over mTLS, {seen['streams']:,} streams × {seen['resources']:,} clusters, one changed"
        self.row(f"{who}: memory per stream", f"{seen['rss_per_stream_kib']:.1f} KiB",
                 "plaintext: see fanout; all clients come with one certificate", "≤ 64 KiB", seen["rss_per_stream_kib"] <= 64)
        self.note(f"{who}: server CPU per push", f"{seen['cpu_per_push_ms']:.1f} ms",
                  f"last stream p50 {seen['last_p50_ms']:.1f} ms; first state to all {seen['sync_ms']:.0f} ms, {seen['sync_cpu_ms']:.0f} ms CPU")

    # === what must not be sent ===

    def nothing(self):
        for form in ("delta", "sotw"):
            seen = self.part("nothing", min(self.args.streams, 200), self.args.resources, form)
            self.row(f"{form}: ten commits that change nothing", f"{seen['noop_bytes']} bytes",
                     f"{seen['noop_messages']} messages", "0", seen["noop_bytes"] == 0 and seen["noop_messages"] == 0)
            self.row(f"{form}: endpoints changed alone", f"{seen['endpoints_extra_messages']} messages of other types", "-", "0",
                     seen["endpoints_extra_messages"] == 0)

    def herd(self):
        for form in ("delta", "sotw"):
            seen = self.part("herd", self.args.streams * 2, self.args.resources, form)
            scale = seen["streams"] / 2000
            self.row(f"{form}: {seen['streams']:,} clients come back at once, {self.args.resources:,} clusters unchanged",
                     f"{seen['settled_ms']:.0f} ms, {seen['resources']} resources",
                     f"{seen['cpu_ms']:.0f} ms server CPU, {seen['client_cpu_ms']:.0f} ms client; {seen['bytes']:,} bytes",
                     f"≤ {2000 * max(scale, 0.1):.0f} ms, 0 resources", seen["resources"] == 0 and seen["settled_ms"] <= 2000 * max(scale, 0.1))

    # === endpoints that change all the time ===

    def churn(self):
        seen = self.part("churn", self.args.streams // 2, self.args.resources, 200, self.args.seconds)
        rate = seen["changes"] / seen["seconds"]
        self.row(f"{rate:.0f} endpoint changes/s for {seen['seconds']:.0f} s to {seen['streams']} streams: staleness p99",
                 f"{seen['staleness_p99_ms']:.0f} ms", f"p50 {seen['staleness_p50_ms']:.0f} ms; {seen['messages']:,} messages carry "
                 f"{seen['delivered']:,} of {seen['owed']:,} changes, the rest overtaken by newer ones", "≤ 150 ms",
                 seen["staleness_p99_ms"] <= 150 and rate >= 190)
        self.row("the same: server CPU", f"{seen['cores']:.2f} cores", f"clients {seen['client_cores']:.2f}", "≤ 1", seen["cores"] <= 1)

    # === bad company ===

    def mute(self):
        seen = self.part("mute", self.args.streams, self.args.resources, self.args.rounds)
        alone = seen["alone"]["p99_ms"]
        for name, what in (("beside", f"{seen['mute']} more clients never read"), ("beside_a_bad_stage", "another stage's clients refuse a bad push")):
            p99, ratio = seen[name]["p99_ms"], seen[name]["p99_ms"] / alone
            self.row(f"SotW to {seen['streams']:,} streams while {what}: p99", f"{p99:.0f} ms", f"{ratio:.2f} × without ({alone:.0f} ms)",
                     "≤ 1.2 ×", ratio <= 1.2)
        more = seen["rss_more_kib"] / 1024
        self.row("memory that mute clients add with each round of pushes", f"{more:.1f} MiB",
                 f"{seen['rss_first_kib'] / 1024:.1f} MiB in the first {seen['alone']['rounds']} rounds", "≤ 16 MiB in as many again", more <= 16)

    def refuse(self):
        seen = self.part("refuse", 100, min(self.args.resources, 100), 3)
        pushes = seen["pushes"]
        exact = all(one["most"] == one["least"] == 1 and one["streams"] == 100 for one in pushes)
        self.row("100 clients that refuse: responses to each per bad push", f"{max(one['most'] or 0 for one in pushes)}",
                 f"{len(pushes)} pushes, delta and SotW; go-control-plane before: thousands per second", "exactly 1", exact)

    # === the whole product ===

    def revoke(self):
        home, root = self.folder("revoke"), "root-of-this-run"
        sha256 = hashlib.sha256(root.encode()).hexdigest()
        convoy = Convoy(self.args, home, "repositories: [{name: bench/mesh}]\n"
                        f"auth: {{tokens: [{{name: root, role: admin, sha256: {sha256}}}]}}\n", dev=False)
        address = f"127.0.0.1:{convoy.http}"
        secret = "name: key\ngeneric_secret: {secret: {inline_string: nothing}}\n"
        files = {"convoy.yaml": "stages: [{name: beta, auto: true}]\n", "resources/secrets/key.yaml": secret}
        changes = [{"path": f"/{path}", "type": "UPSERT_TEXT", "content": text} for path, text in files.items()]
        self.ask(address, "/api/v1/projects/bench/repos/mesh/contents?revision=-1",
                 {"commitMessage": {"summary": "fill"}, "changes": changes}, 200, root)
        wait_for("the first promotion", lambda: self.settled(convoy, 0, root), 0.1)
        seen = self.part("revoke", address, f"127.0.0.1:{convoy.xds}", root, self.args.streams, min(self.args.rounds, 5))
        for name, what in (("granted", "a secret is granted"), ("taken", "a secret is taken away"), ("revoked", "the token is revoked: streams end")):
            self.row(f"{seen['streams']:,} open streams, {what}: request sent → the last stream", f"{seen[name]['max_ms']:.0f} ms",
                     f"p50 {seen[name]['p50_ms']:.0f} ms over {seen['rounds']} rounds, the durable commit included", "≤ 1000 ms", seen[name]["max_ms"] <= 1000)
        convoy.stop()

    def commit(self):
        home = self.folder("commit")
        convoy = Convoy(self.args, home, "repositories: [{name: bench/mesh}]\n")
        address = f"127.0.0.1:{convoy.http}"
        files = {"convoy.yaml": "stages: [{name: beta, auto: true}]\n"}
        for number in range(self.args.resources * 10):
            files[f"resources/clusters/c{number:05}.yaml"] = CLUSTER.format(number=number, seconds=1)
        changes = [{"path": f"/{path}", "type": "UPSERT_TEXT", "content": text} for path, text in files.items()]
        for start in range(0, len(changes), 1000):
            self.ask(address, "/api/v1/projects/bench/repos/mesh/contents?revision=-1",
                     {"commitMessage": {"summary": "fill"}, "changes": changes[start:start + 1000]}, 200)
        wait_for("the first promotion", lambda: self.settled(convoy, len(changes) // 1000), 0.1)
        seen = self.part("first", address, f"127.0.0.1:{convoy.xds}", min(self.args.streams, 100), self.args.rounds)
        self.row(f"{seen['resources']:,} resources, one file changed: commit → first byte on a stream", f"{seen['first_byte_ms']:.0f} ms",
                 f"of it the commit itself {seen['commit_ms']:.1f} ms; last of {seen['streams']} streams {seen['last_ms']:.0f} ms; "
                 f"max {seen['first_byte_max_ms']:.0f} ms", "≤ 50 ms", seen["first_byte_ms"] <= 50)
        stages = [event for event in convoy.events() if event.get("message") == "rendered"][-5:]
        for name in ("read_ms", "render_ms"):
            print(f"   {name}: {[event.get(name) for event in stages]}", file=sys.stderr)
        convoy.stop()

    def settled(self, convoy, commits, token=None):
        newest = convoy.get("/api/v1/promotions?repo=bench/mesh", token=token)["promotions"][:1]
        there = newest and newest[0]["status"] == "succeeded"
        return there and convoy.get("/api/v1/repos/bench/mesh", token=token)["head"]["revision"] > commits

    def ask(self, address, path, body, status, token="anonymous"):
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != status:
            raise SystemExit(f"POST {path}: {answer.status} {text[:500]}")

    def parts(self):
        named = [self.fanout, self.mtls, self.sotw, self.nothing, self.herd, self.churn, self.mute, self.refuse, self.revoke, self.commit]
        return [part for part in named if not self.args.only or part.__name__ in self.args.only]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--convoy", required=True)
    parser.add_argument("--envoys", required=True)
    parser.add_argument("--xds", required=True)
    parser.add_argument("--streams", type=int, default=1000, help="and four times as many")
    parser.add_argument("--resources", type=int, default=1000, help="ten times as many for commits")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=60, help="of endpoint changes")
    parser.add_argument("only", nargs="*", help="fanout mtls sotw nothing herd churn mute refuse revoke commit")
    bench = Xds(parser.parse_args())
    try:
        bench.run()
    finally:
        bench.stop()


if __name__ == "__main__":
    main()
