"""The whole life of one change, for `ci/demo --story`: a pull request with the
rendered difference, the merge, the matrix, beta, Slack, a canary that refuses it,
the way back by itself, the fix, release. Everything of the demo is real here too;
GitHub's REST API is a stand-in that holds each call against GitHub's own OpenAPI.
"""

import hashlib
import hmac
import json
import pathlib
import re
import secrets
import socket
import subprocess
import urllib.request

from demo import ROOT, STAGES, Demo, say, title, wait_for

TOKEN = "ghp_story"
FULL_NAME = "mesh/mesh-config"
# One of these is in the first tenth of canary's nodes, the others are not.
CANARIES = 4
ROLLOUT = """\
    rollout:
      deadline: 30s
      steps:
        - {percent: 10, bake: 2s}
        - {percent: 50, bake: 1s}
"""


def point(node):
    """Where Convoy puts a node of canary between nothing and everything."""
    parts = ["share", "mesh/config", "canary", node]
    whole = b"".join(len(part).to_bytes(8, "big") + part.encode() for part in parts)
    return int.from_bytes(hashlib.sha256(whole).digest()[:8], "big")


def canaries():
    """Names of nodes, the first of which is in the first tenth, alone."""
    tenth = (2**64 - 1) // 100 * 10
    names = [f"front-canary-{number}" for number in range(1000)]
    inside = next(name for name in names if point(name) < tenth)
    outside = [name for name in names if point(name) >= tenth][: CANARIES - 1]
    return [inside, *outside]


class Story(Demo):
    """The demo with GitHub, a fleet of canaries and a change that they refuse."""

    def config(self):
        github = (f"    github: {{api_url: {self.github}/api/v3, repository: {FULL_NAME}, "
                  f"token_file: {self.home}/github-token}}\n")
        whole = super().config()
        at = whole.index("people:")
        return whole[:at] + github + whole[at:]

    def before_config(self):
        self.secret_file("github-token", TOKEN)
        port = self.start_server("github", [
            self.args.python, ROOT / "tests/fixtures/fake_github.py", "--git", self.home / "git/mesh-config.git",
            "--full-name", FULL_NAME, "--token", TOKEN, "--port", "0"])
        self.github = f"http://127.0.0.1:{port}"

    def start_envoys(self):
        super().start_envoys()
        for name in canaries():
            self.start_envoy(name, "canary", "1.40.0")

    def write_files(self):
        """canary takes what comes in steps."""
        path = self.work / "convoy.yaml"
        path.write_text(path.read_text().replace("  - name: canary\n", "  - name: canary\n" + ROLLOUT))

    # === GitHub ===

    def hub(self, name, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.github}/_{name}", data=data), timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def hook(self, event, payload):
        """GitHub's webhook, signed as GitHub signs it."""
        body = json.dumps(payload).encode()
        signature = "sha256=" + hmac.new(self.hook_secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-github-event": event,
                   "x-github-delivery": secrets.token_hex(16), "x-hub-signature-256": signature}
        request = urllib.request.Request(self.url + "/hooks/github", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status

    def open_pull(self, branch, subject):
        number = self.hub("pull", {"head": branch, "title": subject})["number"]
        head = self.git("rev-parse", branch).strip()
        self.hook("pull_request", {"action": "opened", "number": number, "repository": {"full_name": FULL_NAME},
                                   "pull_request": {"number": number, "head": {"sha": head}, "base": {"ref": "main"}}})
        say(f"   pull request #{number}: {subject}")
        return number, head

    def comment(self, number, part):
        def there():
            comments = self.hub("state")["comments"]
            return next((one["body"] for one in comments if one["issue"] == number and part in one["body"]), None)
        return wait_for(f"the comment in #{number}", there)

    # === the story ===

    def run(self):
        title("a Git server with GitHub's API beside it, Slack, Convoy, one Envoy per stage and four more for canary")
        self.set_up()
        self.start_convoy()
        self.start_envoys()
        title("what is there already goes through all stages")
        self.first_commit()
        first = self.git("rev-parse", "HEAD").strip()
        self.promote_everywhere(first)
        for stage in STAGES:
            wait_for(f"{stage}'s Envoy to answer", lambda: (self.front(stage) or {}).get("status") == 200)

        title("ann opens a pull request; the comment shows what would be served")
        merged = self.change_by_pull_request()
        title("it is merged; real Envoys prove it, beta takes it")
        wait_for("beta to serve it", lambda: self.served("beta", merged))
        wait_for("the whole matrix", lambda: self.board()["beta"]["live"]["status"] == "eligible")
        self.show_matrix(merged)
        title("bob asks for staging in Slack, looks at the difference; cleo approves exactly that")
        self.tell("bob", "diff staging beta")
        self.take_to("staging", merged)
        title("canary: the first tenth refuses it, everything goes back by itself")
        self.refused_by_canary(merged, first)
        title("ann mends it; the hold is taken off; on to release")
        fixed = self.fix()
        wait_for("beta to serve the fix", lambda: self.served("beta", fixed))
        wait_for("the whole matrix", lambda: self.board()["beta"]["live"]["status"] == "eligible")
        self.take_to("staging", fixed)
        self.slack_command("bob", "unpin canary")
        self.take_to("canary", fixed)
        self.take_to("release", fixed)
        self.show_fronts()
        self.told_on_github(fixed)
        self.summary()

    def change_by_pull_request(self):
        self.git("checkout", "--quiet", "-b", "faster")
        values = self.work / "values/common.yaml"
        values.write_text(values.read_text().replace("connect: 1s", "connect: 3s"))
        # The port is free where it is proved, and taken where it is served.
        self.taken = socket.socket()
        self.taken.bind(("0.0.0.0", 0))
        self.taken.listen()
        self.move_canary(self.taken.getsockname()[1])
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", "front: Wait longer for upstreams, move canary's port")
        self.git("push", "--quiet", "origin", "faster")
        number, head = self.open_pull("faster", "front: Wait longer for upstreams, move canary's port")
        for line in self.comment(number, "connect_timeout").splitlines():
            if "connect_timeout:" in line and "→" in line or line.startswith(("###", "| beta", "| canary")):
                say(f"      {line.strip()}")
        self.git("checkout", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "-m", f"Merge pull request #{number}", "faster")
        self.git("push", "--quiet", "origin", "HEAD:main")
        self.hub("close", {"number": number})
        return self.git("rev-parse", "HEAD").strip()

    def move_canary(self, port):
        path = self.work / "values/canary.yaml"
        path.write_text(re.sub(r"listener: \{port: \d+\}", f"listener: {{port: {port}}}", path.read_text()))

    def take_to(self, stage, commit):
        previous = STAGES[STAGES.index(stage) - 1]
        self.ask(previous, stage)
        wait_for(f"{stage} to serve it", lambda: self.served(stage, commit))
        say(f"   {stage} serves {commit[:10]}")

    def ask(self, previous, stage):
        self.slack_command("bob", f'promote {previous} to {stage} --reason "story"')
        promotion = wait_for("the request", lambda: self.board()[stage]["open"])[0]
        for voter in ("cleo", "dan")[: promotion["approvals_needed"]]:
            self.slack_command(voter, f"approve {promotion['id']} {promotion['plan'][:12]} looked at the difference")
        return promotion["id"]

    def refused_by_canary(self, merged, first):
        name = self.ask("staging", "canary")
        ended = wait_for("the way back", lambda: self.ended(name))
        say(f"   {name} {ended['status']}: {ended['ending']['reason']}")
        if "rolled" not in ended["status"]:
            raise SystemExit(f"canary was not rolled back: {ended}")
        wait_for("canary to serve what was good", lambda: self.board()["canary"]["live"]["commit"] == first)
        card = wait_for("the card", lambda: self.card(name, "Rolled back"))
        say(f"      card: {card}")
        say("   automation can't undo it:")
        self.tell("bob", "why canary")

    def tell(self, person, text):
        """A question, and the whole answer."""
        for line in self.slack_command(person, text).splitlines()[1:10]:
            say(f"      {line}")

    def ended(self, name):
        found = [one for one in self.get("/api/v1/promotions?repo=mesh/config")["promotions"] if one["id"] == name]
        return found[0] if found and found[0].get("ending") else None

    def card(self, name, word):
        """What a notification says of a promotion's card."""
        shown = urllib.request.urlopen(self.slack + "/_messages", timeout=5).read().decode()
        texts = re.findall(r'"text": ?("(?:[^"\\]|\\.)*")', shown)
        found = [text for text in map(json.loads, texts) if text.startswith(f"{name} ") and word in text]
        return found[-1] if found else None

    def fix(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.fronts["canary"] = probe.getsockname()[1]
        self.move_canary(self.fronts["canary"])
        # What differs in one stage alone passes the others by: they serve it already.
        values = self.work / "values/common.yaml"
        values.write_text(values.read_text().replace("connect: 3s", "connect: 2s"))
        return self.commit("front: Give canary a port that is free, wait a little less")

    def show_matrix(self, commit):
        bundle = self.board()["beta"]["live"]["id"]
        cells = self.get(f"/api/v1/bundles/{bundle}")["squares"]
        passed = sum(1 for cell in cells if cell["state"] == "passed")
        say(f"   {passed} of {len(cells)} cells passed; on GitHub:")
        for one in self.statuses(commit):
            say(f"      {one}")

    def statuses(self, commit):
        newest = {}
        for one in self.hub("state")["statuses"]:
            if one["sha"] == commit:
                newest[one["context"]] = one["state"]
        return [f"{context}: {state}" for context, state in sorted(newest.items())]

    def told_on_github(self, commit):
        title("on GitHub")
        def deployed():
            deployments = self.hub("state")["deployments"]
            stages = {one["environment"] for one in deployments if one["sha"] == commit}
            return stages if set(STAGES) <= stages else None
        stages = wait_for("a deployment of each stage", deployed)
        say(f"   deployments of {commit[:10]}: {', '.join(sorted(stages))}")
        broken = self.hub("violations")
        if broken:
            raise SystemExit(f"calls that GitHub's OpenAPI does not know: {broken}")
        say("   every call was held against GitHub's OpenAPI")
