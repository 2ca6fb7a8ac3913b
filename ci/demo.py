#!/usr/bin/env python3
"""Drives the demo that ci/demo set up. Only the standard library.

Real: the Git server (git http-backend with a signing post-receive hook), the
Envoys, Convoy. Stand-ins: Slack's Web API (a small local one; the commands are
signed as Slack signs them) and the mesh's services (they say their name).
"""

import argparse
import contextlib
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
STAGES = ["beta", "staging", "canary", "release"]
HOSTS = {
    "beta": "api.beta.example.com",
    "staging": "api.staging.example.com",
    "canary": "api.example.com",
    "release": "api.example.com",
}
PEOPLE = {"ann": "U0ANN", "bob": "U0BOB", "cleo": "U0CLEO", "dan": "U0DAN"}
STEP_SECONDS = 90


def say(text=""):
    print(text, flush=True)


def title(text):
    say(f"\n== {text}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition, seconds=STEP_SECONDS):
    """Asks until the answer is true; says what was waited for if it never is."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (OSError, KeyError, IndexError, http.client.HTTPException) as error:
            last = error
        time.sleep(0.05)
    raise SystemExit(f"gave up after {seconds} s waiting for {what}; last seen: {last}")


class Services(http.server.ThreadingHTTPServer):
    """The mesh's services: each answers with its own name."""

    daemon_threads = True

    def handle_error(self, request, address):
        """Envoys that go hang up on what they have open: nobody's fault."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, address)

    def __init__(self, name):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = f"{name} says hello\n".encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Demo:
    def __init__(self, args):
        self.args = args
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="convoy-demo-"))
        self.processes = []
        self.signing_secret = secrets.token_hex(16)
        self.hook_secret = secrets.token_hex(16)
        self.http, self.xds = free_port(), free_port()
        self.fronts = {stage: free_port() for stage in STAGES}
        self.url = f"http://127.0.0.1:{self.http}"
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("CONVOY_")}

    # === processes ===

    def start(self, name, command, **more):
        log = open(self.home / f"{name}.log", "w")
        stdout = more.pop("stdout", log)
        process = subprocess.Popen(
            command, stdout=stdout, stderr=log, env=more.pop("env", self.env),
            start_new_session=True, **more)
        self.processes.append((name, process))
        return process

    def start_server(self, name, command):
        """Starts a program whose first line says on which port it listens."""
        process = self.start(name, command, stdout=subprocess.PIPE)
        line = process.stdout.readline().decode()
        found = re.search(r"listening on (\d+)", line)
        if not found:
            raise SystemExit(f"{name} did not start: {line!r}; see {self.home}/{name}.log")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        return int(found.group(1))

    def stop(self):
        for _, process in reversed(self.processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        for _, process in self.processes:
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    # === set-up ===

    def set_up(self):
        fixtures = ROOT / "tests/fixtures"
        self.services = {name: Services(name) for name in ("payments", "payments-next", "users", "search")}
        self.secret_file("slack-signing", self.signing_secret)
        self.secret_file("slack-token", "xoxb-demo")
        self.secret_file("hook", self.hook_secret)
        slack = self.start_server(
            "slack", [sys.executable, fixtures / "fake_slack.py", "--port", "0", "--token", "xoxb-demo"])
        self.slack = f"http://127.0.0.1:{slack}"
        bare = self.home / "git/mesh-config.git"
        self.git("init", "--quiet", "--bare", "-b", "main", bare, cwd=self.home)
        shutil.copy(fixtures / "post-receive", bare / "hooks/post-receive")
        os.chmod(bare / "hooks/post-receive", 0o755)
        for key, value in {
            "http.receivepack": "true",
            "convoy.hookurl": f"{self.url}/hooks/github",
            "convoy.secretfile": str(self.home / "hook"),
            "convoy.fullname": "mesh/mesh-config",
        }.items():
            self.git("config", key, value, cwd=bare)
        git = self.start_server(
            "git", [sys.executable, fixtures / "git_server.py", "--root", self.home / "git", "--port", "0"])
        self.upstream = f"http://127.0.0.1:{git}/mesh-config.git"
        self.before_config()
        (self.home / "convoy.yaml").write_text(self.config())

    def before_config(self):
        """What stands beside, for a longer story."""

    def secret_file(self, name, text):
        path = self.home / name
        path.touch(mode=0o600)
        path.write_text(text + "\n")

    def config(self):
        people = "\n".join(
            f"  - {{name: {name}, emails: [{name}@example.com], slack: [{slack}]}}"
            for name, slack in PEOPLE.items())
        return f"""\
repositories:
  - name: mesh/config
    upstream: {{url: "{self.upstream}", branch: main}}
    poll: 10s
    webhook: {{full_name: mesh/mesh-config, secret_files: [{self.home}/hook]}}
people:
{people}
slack:
  signing_secret_files: [{self.home}/slack-signing]
  bot_token_file: {self.home}/slack-token
  channel: C0MESH
  api_url: {self.slack}/api
"""

    def git(self, *command, cwd=None):
        env = dict(self.env, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1",
                   GIT_AUTHOR_NAME="ann", GIT_AUTHOR_EMAIL="ann@example.com",
                   GIT_COMMITTER_NAME="ann", GIT_COMMITTER_EMAIL="ann@example.com")
        result = subprocess.run(["git", *map(str, command)], cwd=cwd or self.work, env=env,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            raise SystemExit(f"git {command[0]} failed:\n{result.stdout}")
        return result.stdout

    def start_convoy(self):
        self.start("convoy", [
            self.args.convoy, "serve", "--data", self.home / "data", "--config", self.home / "convoy.yaml",
            "--listen", f"127.0.0.1:{self.http}", "--xds-listen", f"127.0.0.1:{self.xds}",
            "--envoys", self.args.envoys, "--insecure-dev"])
        wait_for("convoy to be ready", lambda: self.get("/readyz", raw=True) is not None)

    def start_envoys(self):
        newest = pathlib.Path("ci/envoy-versions").read_text().split()
        for number, stage in enumerate(STAGES):
            self.start_envoy(f"front-{stage}", stage, newest[number % len(newest)])

    def start_envoy(self, node, stage, version):
        bootstrap = subprocess.run(
            [self.args.convoy, "bootstrap", "--node", node, "--cluster", "front",
             "--stage", stage, "--metadata", "role=edge", "--xds", f"127.0.0.1:{self.xds}",
             "--admin-port", "0", "--runtime", "mesh"],
            env=self.env, check=True, stdout=subprocess.PIPE, text=True).stdout
        path = self.home / f"envoy-{node}.yaml"
        path.write_text(bootstrap)
        self.start(f"envoy-{node}", [
            f"{self.args.envoys}/{version}/envoy", "-c", path, "--use-dynamic-base-id",
            "--concurrency", "1", "--log-level", "warning"])

    # === the mesh's configuration ===

    def first_commit(self):
        self.work = self.home / "work"
        self.git("clone", "--quiet", self.upstream, self.work, cwd=self.home)
        shutil.copytree(ROOT / "templates/envoy/sample", self.work, dirs_exist_ok=True)
        for stage, port in self.fronts.items():
            path = self.work / f"values/{stage}.yaml"
            path.write_text((path.read_text() if path.exists() else "") + f"listener: {{port: {port}}}\n")
        for path in (self.work / "discovery").glob("*.yaml"):
            path.unlink()
        hosts = "---\n".join(
            f"cluster: {name}\nhosts: [{{address: 127.0.0.1, port: {server.server_port}}}]\n"
            for name, server in self.services.items() if name != "search")
        (self.work / "discovery/local.yaml").write_text(hosts)
        self.write_files()
        self.commit("front: Route payments, users and search")

    def write_files(self):
        """What a longer story changes in the sample."""

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", message)
        self.git("push", "--quiet", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD").strip()

    # === asking ===

    def get(self, path, raw=False):
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            body = answer.read()
            return body if raw else json.loads(body)

    def board(self):
        return {stage["stage"]: stage for stage in self.get("/api/v1/repos/mesh/config/board")["stages"]}

    def slack_command(self, person, text):
        """Sends a slash command as Slack would, and confirms its preview as the
        person would; gives the answer's text."""
        back = f"/response/{secrets.token_hex(8)}"
        reply = self.slack_post("/slack/command", {
            "command": "/convoy", "text": text, "user_id": PEOPLE[person], "user_name": person,
            "team_id": "T0MESH", "channel_id": "C0MESH", "trigger_id": secrets.token_hex(8),
            "response_url": self.slack + back, "api_app_id": "A0MESH",
        })
        if "Working on it" in reply.get("text", ""):
            reply = self.slack_answer(back)
        token = re.search(r'"(c1\.[0-9a-f]+)"', json.dumps(reply))
        first = reply.get("text", "").splitlines()
        say(f"   {person}: /convoy {text}\n      {first[0] if first else '(shown in the channel)'}")
        if token:
            reply = self.slack_click(person, "confirm", token.group(1))
            say(f"      {reply.get('text', '').splitlines()[0]}")
        return reply.get("text", "")

    def slack_click(self, person, action, value):
        """Presses a button as the person would; gives what they are told."""
        back = f"/response/{secrets.token_hex(8)}"
        self.slack_post("/slack/interactive", {"payload": json.dumps({
            "type": "block_actions", "user": {"id": PEOPLE[person]}, "team": {"id": "T0MESH"},
            "channel": {"id": "C0MESH"}, "trigger_id": secrets.token_hex(8),
            "container": {"type": "message", "message_ts": "1.1", "channel_id": "C0MESH"},
            "response_url": self.slack + back,
            "actions": [{"type": "button", "action_id": action, "value": value,
                         "action_ts": secrets.token_hex(8)}],
        })})
        return self.slack_answer(back)

    def slack_post(self, path, fields):
        form = urllib.parse.urlencode(fields)
        stamp = str(int(time.time()))
        base = f"v0:{stamp}:{form}".encode()
        signature = "v0=" + hmac.new(self.signing_secret.encode(), base, hashlib.sha256).hexdigest()
        request = urllib.request.Request(self.url + path, data=form.encode(), headers={
            "content-type": "application/x-www-form-urlencoded",
            "x-slack-request-timestamp": stamp, "x-slack-signature": signature})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")

    def slack_answer(self, back):
        """What was posted to a response_url."""
        def posted():
            log = json.loads(urllib.request.urlopen(self.slack + "/_log", timeout=5).read())
            return next((call["body"] for call in log if call["body"].get("path") == back), None)
        return wait_for("an answer in Slack", posted)

    def front(self, stage, path="/payments/1"):
        """What a stage's real Envoy answers: status, stage header, who served."""
        connection = http.client.HTTPConnection("127.0.0.1", self.fronts[stage], timeout=3)
        try:
            connection.request("GET", path, headers={"Host": HOSTS[stage]})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return {"status": answer.status, "stage": headers.get("x-convoy-stage"),
                    "release": headers.get("x-config-release"), "body": answer.read().decode().strip()}
        except OSError:
            return None
        finally:
            connection.close()

    def show_fronts(self):
        for stage in STAGES:
            answer = self.front(stage)
            if answer is None:
                say(f"   {stage:8} nothing listens")
            else:
                say(f"   {stage:8} {answer['status']} x-convoy-stage: {answer['stage']}, "
                    f"x-config-release: {answer['release']}, {answer['body']}")

    # === the story ===

    def served(self, stage, commit):
        live = self.board()[stage]["live"]
        return live is not None and live["commit"] == commit and not self.board()[stage]["open"]

    def promote_everywhere(self, commit):
        wait_for("beta to serve the commit", lambda: self.served("beta", commit))
        wait_for("the whole matrix", lambda: self.board()["beta"]["live"]["status"] == "eligible")
        bundle = self.board()["beta"]["live"]["id"]
        matrix = self.get(f"/api/v1/bundles/{bundle}")["squares"]
        for cell in sorted(matrix, key=lambda cell: STAGES.index(cell["stage"])):
            known = ", known from before" if cell["cached"] else ""
            say(f"   smoke {cell['stage']:8} × {cell['version']}: {cell['state']}, "
                f"{cell['checks']} checks, {cell['took_ms']} ms{known}")
        for previous, stage in zip(STAGES, STAGES[1:]):
            self.slack_command("bob", f'promote {previous} to {stage} --reason "demo"')
            promotion = wait_for("the request", lambda: self.board()[stage]["open"] or self.served(stage, commit))
            if promotion is not True:
                name, plan = promotion[0]["id"], promotion[0]["plan"][:12]
                for voter in ("cleo", "dan")[: promotion[0]["approvals_needed"]]:
                    self.slack_command(voter, f"approve {name} {plan} looked at the diff")
            wait_for(f"{stage} to serve the commit", lambda: self.served(stage, commit))

    def run(self):
        title("a Git server, a stand-in for Slack, Convoy, and one real Envoy per stage")
        self.set_up()
        self.start_convoy()
        self.start_envoys()
        say(f"   console {self.url}")
        title("before the first push")
        self.show_fronts()
        title("ann pushes the first commit; beta takes it once real Envoys have proved it")
        self.first_commit()
        first = self.git("rev-parse", "HEAD").strip()
        self.promote_everywhere(first)
        for stage in STAGES:
            wait_for(f"{stage}'s Envoy to answer", lambda: (self.front(stage) or {}).get("status") == 200)
        self.show_fronts()
        title("a stranger signs wrongly")
        self.forged()
        title("ann pushes a change: every answer says which release it came from")
        second = self.change()
        wait_for("beta to serve the change", lambda: self.served("beta", second))
        wait_for("beta's Envoy to answer anew", lambda: self.front("beta")["release"] == "two")
        say("   after beta, before the others:")
        self.show_fronts()
        self.assert_release({"beta": "two", "staging": None, "canary": None, "release": None})
        title("ann tries to approve her own change")
        self.self_approval(second)
        title("others approve it, stage by stage")
        self.promote_everywhere(second)
        wait_for("release's Envoy to answer anew", lambda: self.front("release")["release"] == "two")
        self.show_fronts()
        title("a broken commit stops at the door")
        self.broken()
        title("bob rolls release back")
        self.slack_command("bob", 'rollback release --reason "trying it out"')
        wait_for("release to serve the first commit", lambda: self.served("release", first))
        wait_for("release's Envoy to answer as before", lambda: self.front("release")["release"] is None)
        self.show_fronts()
        self.summary()

    def change(self):
        path = self.work / "templates/http.yaml"
        lines = path.read_text().splitlines(keepends=True)
        at = next(n for n, line in enumerate(lines) if "x-convoy-stage" in line)
        header = lines[at].replace("x-convoy-stage", "x-config-release")
        header = re.sub(r"value: .*}$", 'value: "two"}', header.rstrip()) + "\n"
        lines[at + 2:at + 2] = [header, lines[at + 1]]
        path.write_text("".join(lines))
        return self.commit("front: Say which release answered")

    def forged(self):
        form = b"command=%2Fconvoy&text=status&user_id=U0BOB"
        request = urllib.request.Request(self.url + "/slack/command", data=form, headers={
            "x-slack-request-timestamp": str(int(time.time())), "x-slack-signature": "v0=00"})
        try:
            urllib.request.urlopen(request, timeout=10)
            raise SystemExit("a forged command was accepted")
        except urllib.error.HTTPError as error:
            say(f"   a forged command: {error.code} {error.reason}")

    def self_approval(self, commit):
        """ann wrote it, so ann can't approve it."""
        wait_for("the whole matrix", lambda: self.board()["beta"]["live"]["status"] == "eligible")
        self.slack_command("bob", "promote beta to staging")
        asked = wait_for("the request", lambda: self.board()["staging"]["open"])[0]
        reply = self.slack_command("ann", f"approve {asked['id']} {asked['plan'][:12]}")
        if "author" not in reply:
            raise SystemExit(f"ann approved her own change: {reply}")

    def broken(self):
        path = self.work / "resources/clusters/broken.yaml"
        path.write_text("name: broken\nconect_timeout: 1s\n")
        commit = self.commit("clusters: Add one with a typo")
        bundles = lambda: self.get("/api/v1/repos/mesh/config/bundles")["bundles"]
        rejected = wait_for("the bundle to be rejected", lambda: [
            bundle for bundle in bundles() if bundle["commit"] == commit and bundle["status"] == "rejected"])
        record = self.get(f"/api/v1/bundles/{rejected[0]['id']}")["bundle"]
        for problem in record["problems"]:
            place = problem["place"]
            say(f"   {place['file']}:{place['line']}:{place['column']}: {problem['message']}")
            if problem.get("hint"):
                say(f"      hint: {problem['hint']}")
        path.unlink()
        self.commit("clusters: Take it out again")

    def assert_release(self, expected):
        for stage, release in expected.items():
            seen = self.front(stage)["release"]
            if seen != release:
                raise SystemExit(f"{stage} answers with release {seen}, not {release}")

    def cards_posted(self):
        log = json.loads(urllib.request.urlopen(self.slack + "/_log", timeout=5).read())
        posted = [call["body"] for call in log if call["method"] == "chat.postMessage" and call["status"] == 200]
        # What stands in a card's thread is no card.
        return sum(1 for one in posted if one.get("text", "").startswith("P-") and not one.get("thread_ts"))

    def summary(self):
        title("summary")
        board = self.board()
        for stage in STAGES:
            one = board[stage]
            fleet = one["fleet"]
            say(f"   {stage:8} serves {one['live']['id']} (revision {one['live']['revision']}, "
                f"{one['live']['subject']!r}), {fleet['acked']} of {fleet['nodes']} nodes in step")
        wait_for("the last card", lambda: self.cards_posted() == len(
            self.get("/api/v1/promotions?repo=mesh/config")["promotions"]))
        log = json.loads(urllib.request.urlopen(self.slack + "/_log", timeout=5).read())
        edited = sum(1 for call in log if call["method"] == "chat.update")
        say(f"   Slack: {self.cards_posted()} cards posted, {edited} edits in place")
        say("   done: pushed, proved, promoted through four stages, answered by real Envoys")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--convoy", required=True)
    parser.add_argument("--envoys", required=True)
    parser.add_argument("--keep", action="store_true", help="leave everything up until Ctrl-C")
    parser.add_argument("--then", metavar="COMMAND",
                        help="run this at the end, with CONVOY_URL set, and fail if it fails")
    parser.add_argument("--story", action="store_true", help="tell the whole life of one change instead")
    parser.add_argument("--python", default=sys.executable, help="one that has ci/requirements.txt, for --story")
    args = parser.parse_args()
    if args.story:
        # Not at the top: it builds on this.
        from story import Story
        demo = Story(args)
    else:
        demo = Demo(args)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = True
    try:
        demo.run()
        if demo.args.then:
            title(demo.args.then)
            env = dict(os.environ, CONVOY_URL=demo.url)
            if subprocess.run(demo.args.then, shell=True, env=env).returncode != 0:
                raise SystemExit(f"{demo.args.then} failed")
        failed = False
        if demo.args.keep:
            say(f"\nStill up: console {demo.url} · xDS 127.0.0.1:{demo.xds} · upstream {demo.upstream}\n"
                f"Files and logs in {demo.home}. Ctrl-C ends it.")
            signal.pause()
    except KeyboardInterrupt:
        failed = False
    finally:
        if failed:
            for name in ("convoy",):
                log = demo.home / f"{name}.log"
                if log.exists():
                    say(f"--- the end of {name}'s log\n" + "\n".join(log.read_text().splitlines()[-40:]))
        demo.stop()


if __name__ == "__main__":
    main()
