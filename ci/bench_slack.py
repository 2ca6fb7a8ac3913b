#!/usr/bin/env python3
"""Measures what people in Slack wait for, while the store is busy.

Requests come at a fixed rate whether or not earlier ones were answered, as
Slack's do; a plain GET at the same rate in the same run is the floor. The
stand-in for Slack's Web API is slow Python: cards are timed by its own clock.
Only the standard library.
"""

import argparse
import datetime
import hashlib
import hmac
import http.client
import itertools
import json
import pathlib
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

import bench

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECRET = "bench-secret"
STAGES = "stages:\n  - {name: beta, auto: true}\n  - {name: staging, approvals: 1}\n  - {name: release, approvals: 1}\n"
CLUSTER = """name: users
connect_timeout: 1s
load_assignment: {cluster_name: users}
outlier_detection: {}
"""


class Bench(bench.Bench):
    def __init__(self, args):
        super().__init__(args)
        self.count = itertools.count()

    def parts(self):
        """What `run` measures, in order."""
        return [self.begin, self.acknowledged, self.cards, self.approved, self.history]

    def begin(self):
        home = self.folder("slack")
        work, bare = home / "work", home / "conf.git"
        bench.git(home, "init", "-q", "--bare", "-b", "main", bare)
        bench.git(home, "clone", "-q", bare, work)
        (work / "resources/clusters").mkdir(parents=True)
        self.work, self.bare = work, bare
        (work / "convoy.yaml").write_text(STAGES)
        (work / "resources/clusters/users.yaml").write_text(CLUSTER)
        bench.git(work, "add", "-A")
        bench.git(work, "commit", "-q", "-m", "one")
        bench.git(work, "push", "-q", bare, "HEAD:main")
        fake = self.child([sys.executable, ROOT / "tests/fixtures/fake_slack.py", "--port", "0",
                           "--token", "xoxb-bench"], stdout=subprocess.PIPE)
        self.slack = int(re.search(rb"(\d+)", fake.stdout.readline()).group(1))
        for name, text in (("signing", SECRET), ("bot", "xoxb-bench")):
            (home / name).touch(mode=0o600)
            (home / name).write_text(text)
        self.convoy = bench.Convoy(self.args, home, f"""repositories:
  - name: mesh/config
    upstream: {{url: "file://{bare}", branch: main}}
    poll: 1s
  - name: mesh/busy
people:
  - {{name: bob, slack: [U0BOB]}}
  - {{name: cleo, slack: [U0CLEO]}}
slack:
  signing_secret_files: [{home}/signing]
  bot_token_file: {home}/bot
  channel: C0MESH
  api_url: http://127.0.0.1:{self.slack}/api
""")
        bench.wait_for("beta to be served", lambda: self.stage("beta")["live"])

    def stage(self, name):
        board = self.convoy.get("/api/v1/repos/mesh/config/board")
        return next(stage for stage in board["stages"] if stage["stage"] == name)

    def post(self, path, body, person="bob"):
        connection = http.client.HTTPConnection("127.0.0.1", self.convoy.http, timeout=20)
        connection.request("POST", "/api/v1" + path, json.dumps(body), {
            "content-type": "application/json", "x-convoy-person": person})
        answer = connection.getresponse()
        seen = json.loads(answer.read() or b"{}")
        connection.close()
        return answer.status, seen

    # === what Slack sends ===

    def signed(self, path, body):
        stamp = str(int(time.time()))
        digest = hmac.new(SECRET.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
        return "POST", path, body, {
            "content-type": "application/x-www-form-urlencoded",
            "x-slack-request-timestamp": stamp, "x-slack-signature": "v0=" + digest}

    def a_request(self, promotion):
        """In turn: a board, a reason why, a click, an event."""
        number = next(self.count)
        unique, back = f"{number}.{time.time_ns()}", f"http://127.0.0.1:{self.slack}/response/{number}"
        kind = number % 4
        if kind < 2:
            text = ("status", f"why {promotion['id']}")[kind]
            return self.signed("/slack/command", urllib.parse.urlencode({
                "command": "/convoy", "text": text, "user_id": "U0BOB", "team_id": "T0",
                "channel_id": "C0MESH", "trigger_id": unique, "response_url": back}))
        if kind == 2:
            # A vote that counts, or is known already.
            payload = {"type": "block_actions", "user": {"id": "U0CLEO"}, "team": {"id": "T0"},
                       "channel": {"id": "C0MESH"}, "trigger_id": unique, "response_url": back,
                       "container": {"message_ts": "1.1", "channel_id": "C0MESH"},
                       "actions": [{"action_id": "approve", "action_ts": unique,
                                    "value": f"v1.{promotion['id']}.{promotion['plan']['digest'][:12]}"}]}
            return self.signed("/slack/interactive", urllib.parse.urlencode({"payload": json.dumps(payload)}))
        return self.signed("/slack/events", json.dumps({
            "type": "event_callback", "event_id": unique, "team_id": "T0",
            "event": {"type": "app_home_opened", "user": "U0BOB", "tab": "home"}}))

    def at_rate(self, make, seconds):
        """Sends at 50/s, each on a connection of its own; gives sorted times in ms."""
        took, lock, threads = [], threading.Lock(), []

        def one(request):
            method, path, body, headers = request
            began = time.monotonic()
            connection = http.client.HTTPConnection("127.0.0.1", self.convoy.http, timeout=10)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            with lock:
                took.append(((time.monotonic() - began) * 1e3, answer.status))

        began = time.monotonic()
        for number in range(seconds * 50):
            wait = began + number / 50 - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            thread = threading.Thread(target=one, args=(make(),))
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()
        bad = [status for _, status in took if status != 200]
        if bad:
            raise SystemExit(f"{len(bad)} requests were not acknowledged: {bad[:5]}")
        return sorted(ms for ms, _ in took)

    def busy(self, stop):
        """Commits one after the other, by four writers, until told to stop."""
        written = []

        def write(writer):
            for number in itertools.count():
                if stop.is_set():
                    return
                body = {"base_revision": -1, "message": "busy", "changes": [
                    {"path": f"values/w{writer}.yaml", "content": f"n: {number}\n" * 200}]}
                status, _ = self.post("/repos/mesh/busy/commits", body)
                if status < 300:
                    written.append(1)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        return threads, written

    # === measured ===

    def acknowledged(self):
        status, asked = self.post("/repos/mesh/config/promotions",
                                  {"stage": "staging", "bundle": "beta", "reason": "bench"})
        if status >= 300:
            raise SystemExit(f"no promotion: {asked}")
        stop = threading.Event()
        writers, written = self.busy(stop)
        seconds = self.args.seconds
        floor = self.at_rate(lambda: ("GET", "/readyz", None, {}), seconds)
        before = len(written)
        took = self.at_rate(lambda: self.a_request(asked["promotion"]), seconds)
        rate = (len(written) - before) / seconds
        stop.set()
        for writer in writers:
            writer.join()
        at = lambda times, share: times[min(len(times) - 1, int(len(times) * share))]
        p99 = at(took, 0.99)
        self.row(f"Slack's request → acknowledgement, p99 of {len(took)} at 50/s", f"{p99:.0f} ms",
                 f"p50 {at(took, 0.5):.1f}, max {took[-1]:.0f} ms; GET /readyz p99 "
                 f"{at(floor, 0.99):.1f} ms; {rate:.0f} commits/s beside it", "≤ 200 ms", p99 <= 200)

    def cards(self):
        behind = []
        for number in range(self.args.rounds):
            _, asked = self.post("/repos/mesh/config/promotions",
                                 {"stage": "release", "bundle": "beta", "reason": f"round {number}"})
            name = asked["promotion"]["id"]
            bench.wait_for("the card", lambda: self.shown(name, "chat.postMessage", ""))
            time.sleep(1.5)
            self.post(f"/promotions/{name}/cancel", {"reason": "bench"}, "bob")
            decided = time.time()
            shown = bench.wait_for("the edit", lambda: self.shown(name, "chat.update", "ancelled"))
            behind.append(shown["at"] - decided)
        behind.sort()
        self.row(f"decision → card edited, worst of {len(behind)}", f"{behind[-1] * 1e3:.0f} ms",
                 f"p50 {behind[len(behind) // 2] * 1e3:.0f} ms", "≤ 2 s", behind[-1] <= 2)

    def approved(self):
        """From the click on Approve to the record that an Envoy took it."""
        self.envoy()
        file, took = self.work / "resources/clusters/users.yaml", []
        for number in range(self.args.rounds + 2):
            file.write_text(CLUSTER.replace("1s", f"{number + 2}s"))
            bench.git(self.work, "commit", "-aqm", f"round {number}")
            bench.git(self.work, "push", "-q", self.bare, "HEAD:main")
            commit = bench.git(self.work, "rev-parse", "HEAD")
            live = bench.wait_for("beta to have it", lambda: self.live("beta", commit))
            _, asked = self.post("/repos/mesh/config/promotions",
                                 {"stage": "staging", "bundle": live, "reason": f"round {number}"})
            clicked = time.time()
            self.click(asked["promotion"])
            ended = bench.wait_for("the ACK", lambda: self.succeeded(asked["promotion"]["id"]))
            if number >= 2:
                took.append((ended - clicked) * 1e3)
        took.sort()
        p50 = took[len(took) // 2]
        self.row(f"click on Approve → its Envoy's ACK is recorded, p50 of {len(took)}",
                 f"{p50:.0f} ms", f"max {took[-1]:.0f} ms", "≤ 400 ms", p50 <= 400)

    def envoy(self):
        """One real Envoy of the stage that is approved for."""
        bootstrap = subprocess.run(
            [self.args.convoy, "bootstrap", "--node", "s-1", "--stage", "staging", "--xds",
             f"127.0.0.1:{self.convoy.xds}", "--admin-port", "0"], check=True,
            stdout=subprocess.PIPE).stdout
        config = self.home / "envoy.yaml"
        config.write_bytes(bootstrap)
        self.child([f"{self.args.envoys}/{self.newest()}/envoy", "-c", config,
                    "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"],
                   stdout=subprocess.DEVNULL)
        bench.wait_for("the Envoy", lambda: self.convoy.get("/api/v1/nodes/s-1"))

    def live(self, stage, commit):
        live = self.stage(stage)["live"]
        return live["id"] if live["commit"] == commit else None

    def click(self, promotion):
        payload = {"type": "block_actions", "user": {"id": "U0CLEO"}, "team": {"id": "T0"},
                   "channel": {"id": "C0MESH"}, "trigger_id": "1",
                   "response_url": f"http://127.0.0.1:{self.slack}/response/click",
                   "container": {"message_ts": "1.1", "channel_id": "C0MESH"},
                   "actions": [{"action_id": "approve", "action_ts": str(time.time_ns()),
                                "value": f"v1.{promotion['id']}.{promotion['plan']['digest'][:12]}"}]}
        method, path, body, headers = self.signed(
            "/slack/interactive", urllib.parse.urlencode({"payload": json.dumps(payload)}))
        connection = http.client.HTTPConnection("127.0.0.1", self.convoy.http, timeout=10)
        connection.request(method, path, body, headers)
        if connection.getresponse().status != 200:
            raise SystemExit("the click was not acknowledged")
        connection.close()

    def succeeded(self, name):
        promotion = self.convoy.get(f"/api/v1/promotions/{name}")["promotion"]
        if promotion["status"] != "succeeded":
            return None
        text = promotion["ending"]["at"].replace("Z", "+00:00")
        return datetime.datetime.fromisoformat(text).timestamp()

    def history(self):
        """A thousand promotions: shown, and read back by a server that starts."""
        starts = [min(self.restarted() for _ in range(3))]
        for number in range(1000 - self.highest()):
            _, asked = self.post("/repos/mesh/config/promotions",
                                 {"stage": "release", "bundle": "staging", "reason": f"past {number}"})
            self.post(f"/promotions/{asked['promotion']['id']}/cancel", {"reason": "bench"})
        listed = []
        for _ in range(10):
            began = time.monotonic()
            self.convoy.get("/api/v1/promotions?repo=mesh/config")
            listed.append((time.monotonic() - began) * 1e3)
        starts += [self.restarted() for _ in range(5)]
        few, many = starts[0] * 1e3, statistics.median(starts[1:]) * 1e3
        self.row(f"what {self.highest()} promotions add to a start", f"{many - few:.0f} ms",
                 f"ready after {many:.0f} ms, max {max(starts[1:]) * 1e3:.0f} ms; with few {few:.0f} ms",
                 "≤ 200 ms", many - few <= 200)
        shown = statistics.median(listed)
        self.row("the list of them", f"{shown:.1f} ms", f"max {max(listed):.1f} ms", "≤ 200 ms",
                 shown <= 200)

    def highest(self):
        newest = self.convoy.get("/api/v1/promotions?repo=mesh/config")["promotions"][0]
        return int(newest["id"].removeprefix("P-"))

    def restarted(self):
        self.convoy.stop()
        self.convoy.start()
        return self.convoy.ready_s

    def shown(self, name, method, part):
        connection = http.client.HTTPConnection("127.0.0.1", self.slack, timeout=10)
        connection.request("GET", "/_log")
        log = json.loads(connection.getresponse().read())
        connection.close()
        for entry in log:
            text = entry["body"].get("text", "") if entry["method"] == method else ""
            if name in text and part in text:
                return entry
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--convoy", required=True)
    parser.add_argument("--envoys", required=True)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    measured = Bench(parser.parse_args())
    try:
        measured.run()
    finally:
        if hasattr(measured, "convoy"):
            measured.convoy.stop()
        measured.stop()


if __name__ == "__main__":
    main()
