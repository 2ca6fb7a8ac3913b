"""Resources as Convoy's own xDS server encodes them.

What `verdict_judges.Running` gives to an Envoy is then Convoy's encoding and
not Python's: cases are committed to a server, each as a node group of its own,
and fetched from it over gRPC as a node of that group would.
"""

import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import urllib.request

import grpc

import verdict_judges as judges

READY_S = 60
# One commit's files; the server bounds the size of a request.
COMMIT = 400
SERVICES = {
    judges.CLUSTER: "envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters",
    judges.LISTENER: "envoy.service.listener.v3.ListenerDiscoveryService/FetchListeners",
    judges.ROUTES: "envoy.service.route.v3.RouteDiscoveryService/FetchRoutes",
}
FOLDERS = {judges.CLUSTER: "clusters", judges.LISTENER: "listeners", judges.ROUTES: "routes"}


def bodies(convoy, types, cases):
    """Index of a case → its bytes as Convoy serves them, for those that it takes
    with what is around them."""
    wanted = {}
    for at, case in enumerate(cases):
        put = case.over_xds(types)
        if put is not None and put[0] in SERVICES and put[1]:
            wanted[at] = put
    with tempfile.TemporaryDirectory(prefix="convoy-verdict-served-") as home:
        files = {at: files_of(at, cases[at], put, types) for at, put in wanted.items()}
        files = accepted(convoy, files)
        if not files:
            return {}
        with Server(convoy, pathlib.Path(home) / "server") as server:
            server.commit(manifest(files))
            for chunk in chunks(all_of(files), COMMIT):
                server.commit(dict(chunk))
            server.settle()
            return {at: server.fetch(types, f"c{at}", *wanted[at][:2]) for at in files}


def files_of(at, case, put, types):
    """The files of a case's group: the resource as it goes over xDS, and what is
    around it."""
    kind, _, body = put
    text = types.text(kind, body)
    found = {f"groups/c{at}/{around}/around-{number}.yaml": content
             for number, (around, content) in enumerate(case.context)}
    return {**found, f"groups/c{at}/{FOLDERS[kind]}/case.yaml": text}


def manifest(groups):
    rules = [{"name": f"c{at}", "nodes": {"id": f"c{at}"}} for at in groups]
    return {"convoy.yaml": json.dumps({"stages": [{"name": "beta", "auto": True}], "groups": rules})}


def all_of(files):
    return [one for group in files.values() for one in group.items()]


def accepted(convoy, files):
    """Those of the groups that `convoy validate` says nothing about."""
    while files:
        with tempfile.TemporaryDirectory(prefix="convoy-verdict-") as folder:
            for path, text in [*manifest(files).items(), *all_of(files)]:
                target = pathlib.Path(folder) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
            done = subprocess.run([convoy, "validate", folder, "-o", "json"],
                                  capture_output=True, text=True, check=False)
        said = set(re.findall(r"groups/c(\d+)/", json.dumps(errors(json.loads(done.stdout)))))
        if not said:
            return files
        files = {at: group for at, group in files.items() if str(at) not in said}
    return files


def errors(report):
    report = report.get("result", report)
    return report["problems"] + [one for one in report["findings"] if one["severity"] == "error"]


def chunks(items, size):
    return [items[at:at + size] for at in range(0, len(items), size)]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def environment():
    """Ours without what is meant for this script: Convoy refuses variables of its own that it does not know."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CONVOY_")}


class Server:
    """A Convoy server over a folder of its own."""

    def __init__(self, convoy, home):
        self.convoy, self.home = convoy, home
        self.http, self.xds = free_port(), free_port()
        self.commits = 0

    def __enter__(self):
        self.home.mkdir(parents=True)
        config = self.home / "convoy.yaml"
        config.write_text("repositories: [{name: verdict/cases}]\n")
        self.log = open(self.home / "log", "wb")
        self.process = subprocess.Popen(
            [self.convoy, "serve", "--insecure-dev", "--data", self.home / "data", "--config", config,
             "--listen", f"127.0.0.1:{self.http}", "--xds-listen", f"127.0.0.1:{self.xds}"],
            stdout=self.log, stderr=self.log, env=environment())
        self.wait("readiness", lambda: self.get("/readyz"))
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.log.close()

    def wait(self, what, ready):
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if ready():
                    return
            except (OSError, ValueError, KeyError, IndexError):
                pass
            time.sleep(0.05)
        log = (self.home / "log").read_text(errors="replace")
        raise SystemExit(f"Convoy's server gave no {what}: {log[-2000:]}")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return answer.read()

    def commit(self, files):
        changes = [{"path": f"/{path}", "type": "UPSERT_TEXT", "content": text} for path, text in files.items()]
        body = {"commitMessage": {"summary": "cases"}, "changes": changes}
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=60)
        connection.request("POST", "/api/v1/projects/verdict/repos/cases/contents?revision=-1", json.dumps(body),
                           {"Authorization": "Bearer anonymous", "Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"Convoy's server took no commit: {answer.status} {text[:500]}")
        self.commits += 1

    def settle(self):
        """Waits until the last commit is what beta serves."""
        def served():
            head = json.loads(self.get("/api/v1/repos/verdict/cases"))["head"]["revision"]
            stages = json.loads(self.get("/api/v1/repos/verdict/cases/board"))["stages"]
            return head >= self.commits and stages[0]["live"]["revision"] == head
        self.wait("stage that serves the cases", served)

    def fetch(self, types, node, kind, name):
        request = types.new("envoy.service.discovery.v3.DiscoveryRequest")
        request.type_url = kind
        request.resource_names.append(name)
        request.node.id = node
        request.node.metadata.fields["stage"].string_value = "beta"
        answer = types.type("envoy.service.discovery.v3.DiscoveryResponse")
        with grpc.insecure_channel(f"127.0.0.1:{self.xds}") as channel:
            call = channel.unary_unary(f"/{SERVICES[kind]}", type(request).SerializeToString, answer.FromString)
            found = call(request, timeout=20).resources
        if len(found) != 1 or found[0].type_url != kind:
            raise SystemExit(f"Convoy serves {len(found)} resources for {name} of {kind}")
        return found[0].value
