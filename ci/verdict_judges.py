"""The judges of `ci/verdict`: Convoy's validator, and real Envoys.

Each is given cases (`verdict_cases.Case`) and answers with a `Verdict`. Convoy
judges as `convoy validate` does. An Envoy judges twice: what a running one
says over delta ADS (ACK or NACK; one resource at a time), and what
`--mode validate` says of the resource in a bootstrap.
"""

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import queue
import shutil
import subprocess
import tempfile
import threading
import time

import grpc

MANIFEST = "convoy.yaml"
BATCH = 150
ANSWER_S = 20
# How long `--mode validate` may take: a busy machine is no answer.
VALIDATED_S = 300
# How often it is looked whether an Envoy that owes an answer still runs.
ALIVE_S = 0.5
PREFIX = "type.googleapis.com/"
ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
ADS_CLUSTER = "convoy-verdict-ads"
SUPPORT = "convoy-verdict"
# The rule by which Convoy warns of what an Envoy ignores.
IGNORED = "newer-than-envoy"

CLUSTER = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINTS = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = PREFIX + "envoy.config.listener.v3.Listener"
ROUTES = PREFIX + "envoy.config.route.v3.RouteConfiguration"
SECRET = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
RUNTIME = PREFIX + "envoy.service.runtime.v3.Runtime"


@dataclasses.dataclass
class Verdict:
    """Yes or no, and the judge's words."""

    yes: bool
    text: str = ""
    rules: tuple = ()
    # What Envoy ignores over xDS and refuses in a bootstrap.
    ignored: str = ""

    def in_bootstrap(self):
        """The same of a resource that stands in a bootstrap."""
        if not self.yes or not self.ignored:
            return self
        return Verdict(False, self.ignored, (IGNORED,))


# === Convoy ===


class Convoy:
    """`convoy validate` over many cases at once, for each Envoy.

    Each case is a node group of its own, with the resources around it, and each
    Envoy a stage; only what is said of the case's own file counts. A file that
    can't be read hides missing references elsewhere, so those that pass are
    asked again without the ones that failed, until nobody new fails.
    """

    def __init__(self, program, versions):
        self.program, self.versions = program, versions

    def judge(self, cases):
        """For each case, version → `Verdict`."""
        batches = [cases[at:at + BATCH] for at in range(0, len(cases), BATCH)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found = list(pool.map(self._batch, batches))
        return [verdict for batch in found for verdict in batch]

    def _batch(self, cases):
        verdicts = {}
        left = list(range(len(cases)))
        while left:
            said = self._validate([cases[index] for index in left])
            verdicts.update({left[at]: verdict for at, verdict in said.items()})
            failed = {left[at] for at, verdict in said.items()
                      if not any(one.yes for one in verdict.values())}
            if not failed:
                break
            left = [index for index in left if index not in failed]
        return [verdicts[index] for index in range(len(cases))]

    def _validate(self, cases):
        with tempfile.TemporaryDirectory(prefix="convoy-verdict-") as folder:
            folder = pathlib.Path(folder)
            groups = [{"name": f"c{at}", "nodes": {"id": f"c{at}"}} for at in range(len(cases))]
            stages = [{"name": stage_of(version), "envoy": [version]} for version in self.versions]
            manifest = {"stages": stages, "groups": groups}
            (folder / MANIFEST).write_text(json.dumps(manifest))
            for at, case in enumerate(cases):
                self._write(folder / "groups" / f"c{at}", case)
            done = subprocess.run([self.program, "validate", str(folder), "-o", "json"],
                                  capture_output=True, text=True, check=False)
            if done.returncode not in (0, 3) or not done.stdout:
                raise SystemExit(f"convoy validate failed: {done.stderr[:2000]}")
            report = json.loads(done.stdout)
        return self._read(report, len(cases))

    @staticmethod
    def _write(folder, case):
        for at, (kind, text) in enumerate(case.context):
            path = folder / kind / f"around-{at}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        path = folder / case.kind / "case.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.text.encode("utf-8", "surrogatepass"))

    def _read(self, report, count):
        report = report.get("result", report)
        report = report.get("data", report)
        wrong = {at: [] for at in range(count)}
        ignored = {at: [] for at in range(count)}
        for one in [{"problem": problem, "severity": "error"} for problem in report["problems"]] \
                + report["findings"]:
            problem = one.get("problem", one)
            place = problem["place"]
            file = place["file"] if isinstance(place, dict) else place.split(":")[0]
            if file == MANIFEST:
                raise SystemExit(f"the manifest of a batch is refused: {problem}")
            parts = file.split("/")
            at = int(parts[1][1:])
            if parts[-1] == "case.yaml" and one["severity"] == "error":
                wrong[at].append(problem)
            elif problem["rule"] == IGNORED and (parts[-1] == "case.yaml" or parts[2] == "clusters"):
                # A bootstrap is refused for the clusters around the case, too.
                ignored[at].append(problem)
        return {at: {version: self._verdict(version, wrong[at], ignored[at])
                     for version in self.versions} for at in range(count)}

    @staticmethod
    def _verdict(version, wrong, ignored):
        # Whether a reference leads somewhere is no matter of the version, and
        # a stage that can't read another case doesn't say it.
        of = lambda problem: (not problem.get("stages") or stage_of(version) in problem["stages"]
                              or problem["rule"].startswith("missing-"))
        wrong = [problem for problem in wrong if of(problem)]
        ignored = [problem for problem in ignored if of(problem)]
        return Verdict(not wrong, " · ".join(words(problem) for problem in wrong),
                       tuple(sorted({problem["rule"] for problem in wrong})),
                       " · ".join(words(problem) for problem in ignored))


def stage_of(version):
    return f"envoy-{version.replace('.', '-')}"


def words(problem):
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return f"[{problem['rule']}] {problem['message']}{hint}"


# === Envoy, over delta ADS ===


class Feed:
    """One Envoy's delta ADS stream, answered by hand."""

    def __init__(self, types, first):
        self.types = types
        self.first = first
        self.out = queue.Queue()
        self.subscribed = set()
        self.waiting = {}
        self.nonce = 0
        self.changed = threading.Condition()
        self.node = None

    def stream(self, requests, context):
        """The gRPC handler: requests are read beside, responses come from a queue."""
        with self.changed:
            self.out = out = queue.Queue()
            self.subscribed.clear()
        threading.Thread(target=self._read, args=(requests, out), daemon=True).start()
        while True:
            response = out.get()
            if response is None:
                return
            yield response

    def _read(self, requests, out):
        try:
            for request in requests:
                self._take(request)
        except grpc.RpcError:
            pass
        out.put(None)

    def _take(self, request):
        kind = request.type_url
        self.node = request.node if request.HasField("node") else self.node
        with self.changed:
            waiting = self.waiting.pop(request.response_nonce, None) if request.response_nonce else None
            if waiting is not None:
                waiting.put(request.error_detail.message if request.HasField("error_detail") else "")
            fresh = kind not in self.subscribed
            self.subscribed.add(kind)
            self.changed.notify_all()
        if fresh and kind in self.first:
            self._send(kind, self.first[kind], [])
        names = [name for name in request.resource_names_subscribe if not name.startswith(SUPPORT)]
        if names and kind == ENDPOINTS:
            # Envoy holds the answer about a cluster back until it has endpoints.
            self._send(kind, [self._empty(name) for name in names], [])
        elif names:
            self._send(kind, [], names)

    def _empty(self, name):
        return name, self.types.encode(ENDPOINTS, {"cluster_name": name})

    def _endpoints_of(self, clusters):
        """The endpoints that clusters ask for; again, as Envoy may think it has asked."""
        for _, body in clusters:
            cluster = self.types.type(CLUSTER).FromString(body)
            if cluster.HasField("eds_cluster_config"):
                yield self._empty(cluster.eds_cluster_config.service_name or cluster.name)

    def _send(self, kind, add, remove):
        with self.changed:
            self.nonce += 1
            nonce = str(self.nonce)
            answer = queue.Queue()
            self.waiting[nonce] = answer
        response = self.types.new("envoy.service.discovery.v3.DeltaDiscoveryResponse")
        response.type_url, response.nonce = kind, nonce
        response.removed_resources.extend(remove)
        for name, body in add:
            resource = response.resources.add()
            resource.name, resource.version = name, nonce
            resource.resource.type_url, resource.resource.value = kind, body
        self.out.put(response)
        return answer

    def wait_for(self, kind):
        """Waits until Envoy asks for `kind`."""
        with self.changed:
            if not self.changed.wait_for(lambda: kind in self.subscribed, ANSWER_S):
                raise TimeoutError(f"Envoy did not ask for {kind}")

    def push(self, kind, add, remove=(), alive=lambda: True):
        """Sends one response, gives Envoy's words; empty is an ACK, `None` no answer."""
        answer = self._send(kind, add, remove)
        if kind == CLUSTER:
            self._send(ENDPOINTS, list(dict(self._endpoints_of(add)).items()), [])
        end = time.monotonic() + ANSWER_S
        while time.monotonic() < end and alive():
            try:
                return answer.get(timeout=ALIVE_S)
            except queue.Empty:
                pass
        return None


class Running:
    """A running Envoy of one version, fed case after case."""

    def __init__(self, program, version, types):
        self.program, self.version, self.types = program, version, types
        self.process = self.server = self.home = None
        self.around = None
        self.held = {}

    def __enter__(self):
        self._start()
        return self

    def __exit__(self, *_):
        self._stop()

    def _start(self):
        self.home = tempfile.mkdtemp(prefix="convoy-verdict-envoy-")
        self.feed = Feed(self.types, self._first())
        request = self.types.type("envoy.service.discovery.v3.DeltaDiscoveryRequest")
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4),
                                  options=[("grpc.max_receive_message_length", 64 << 20)])
        handler = grpc.stream_stream_rpc_method_handler(
            self.feed.stream, request.FromString, lambda message: message.SerializeToString())
        service, method = ADS[1:].split("/")
        self.server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {method: handler})])
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        config = pathlib.Path(self.home) / "bootstrap.json"
        config.write_text(json.dumps(bootstrap(port)))
        with open(pathlib.Path(self.home) / "log", "wb") as log:
            self.process = subprocess.Popen(
                [self.program, "-c", str(config), "--use-dynamic-base-id", "--concurrency", "1",
                 "--log-level", "warning", "--drain-time-s", "1", "--parent-shutdown-time-s", "2"],
                stdout=log, stderr=log, cwd=self.home)
        self.around, self.held = None, {}
        for kind in (CLUSTER, LISTENER, ROUTES, ENDPOINTS, SECRET, RUNTIME):
            self.feed.wait_for(kind)

    def _stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.server is not None:
            self.server.stop(None)
        shutil.rmtree(self.home, ignore_errors=True)

    def _first(self):
        """What holds subscriptions of the kinds that Envoy asks for by name."""
        encode = lambda kind, value: (value["name"], self.types.encode(kind, value))
        return {CLUSTER: [encode(CLUSTER, SUPPORT_CLUSTER)],
                LISTENER: [encode(LISTENER, SUPPORT_LISTENER)],
                ENDPOINTS: [(SUPPORT, self.types.encode(ENDPOINTS, {"cluster_name": SUPPORT}))],
                RUNTIME: [encode(RUNTIME, {"name": SUPPORT, "layer": {}})]}

    def judge(self, case):
        """A `Verdict`, or `None` where the case can't be said in protobuf."""
        put = case.over_xds(self.types)
        if put is None:
            return None
        try:
            if case.around_id != self.around:
                self._surround(case)
            verdict = self._ask(put)
            if "has duplicate address" in verdict.text:
                # A listener of a case before may stay while it drains.
                self._stop()
                self._start()
            if self.around is None:
                # An Envoy may end late, of a case before: a fresh one is asked again.
                self._surround(case)
                verdict = self._ask(put)
            return verdict
        except TimeoutError as error:
            return Verdict(False, f"envoy is gone: {error}")

    def _ask(self, put):
        kind, name, body = put
        by_name = kind in (CLUSTER, LISTENER)
        remove = [old for old in self.held.get(kind, []) if old != name] if by_name else []
        alive = lambda: self.process.poll() is None
        said = self.feed.push(kind, [(name, body)], remove, alive)
        if said is None:
            dead = self.process.poll() is not None
            self._stop()
            self._start()
            return Verdict(False, "Envoy died of it" if dead else "Envoy gave no answer")
        # What was refused changes nothing: the one that it was to replace stays.
        stays = by_name and (not said or name in self.held.get(kind, []))
        self.held[kind] = [name] if stays else []
        return Verdict(not said, said)

    def extensions(self):
        """What this Envoy has built in, as `(category, type URL)`."""
        return sorted({(one.category, url) for one in self.feed.node.extensions
                       for url in one.type_urls})

    def _surround(self, case):
        """Swaps the clusters around: references are to lead somewhere."""
        clusters = []
        for kind, text in case.context:
            body = self.types.try_encode(CLUSTER, json.loads(text)) if kind == "clusters" else None
            if body is not None:
                clusters.append((json.loads(text).get("name", ""), body))
        old = self.held.pop("around", []) + self.held.pop(CLUSTER, [])
        new = [name for name, _ in clusters]
        self.feed.push(CLUSTER, clusters, [name for name in old if name not in new])
        self.held["around"] = new
        self.around = case.around_id


# === Envoy, in --mode validate ===


class Validate:
    """`envoy --mode validate` of a bootstrap with the resource in it."""

    def __init__(self, program):
        self.program = program

    def judge(self, case):
        text = case.in_bootstrap()
        if text is None:
            return None
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="convoy-verdict-",
                                         encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
            file.flush()
            done = subprocess.run([self.program, "--mode", "validate", "--log-level", "critical", "--log-format", "%v",
                                   "-c", file.name], capture_output=True, text=True,
                                  errors="replace", timeout=VALIDATED_S, check=False)
        said = (done.stderr + done.stdout).strip()
        if done.returncode == 0:
            return Verdict(True)
        return Verdict(False, said.replace(file.name, "FILE"))

    def judge_all(self, cases):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(self.judge, cases))


def bootstrap(port):
    """The bootstrap of a running Envoy."""
    ads = {"ads": {}, "resource_api_version": "V3"}
    return {
        "node": {"id": "verdict", "cluster": "verdict"},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "dynamic_resources": {
            "ads_config": {"api_type": "DELTA_GRPC", "transport_api_version": "V3",
                           "grpc_services": [{"envoy_grpc": {"cluster_name": ADS_CLUSTER}}]},
            "cds_config": ads, "lds_config": ads},
        "static_resources": {"clusters": [ads_cluster(port)]},
        "layered_runtime": {"layers": [
            {"name": "rtds", "rtds_layer": {"name": SUPPORT, "rtds_config": ads}}]},
    }


def ads_cluster(port):
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "name": ADS_CLUSTER, "type": "STATIC", "connect_timeout": "5s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": PREFIX + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}}}},
        "load_assignment": {"cluster_name": ADS_CLUSTER, "endpoints": [
            {"lb_endpoints": [{"endpoint": {"address": address}}]}]}}


def manager(**fields):
    """A connection manager as a network filter."""
    return {"name": "http", "typed_config": {
        "@type": PREFIX + "envoy.extensions.filters.network.http_connection_manager.v3"
                          ".HttpConnectionManager",
        "stat_prefix": "verdict",
        "http_filters": [{"name": "router", "typed_config": {
            "@type": PREFIX + "envoy.extensions.filters.http.router.v3.Router"}}], **fields}}


FROM_ADS = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
SUPPORT_CLUSTER = {"name": SUPPORT, "type": "EDS",
                   "eds_cluster_config": {"eds_config": FROM_ADS}, "connect_timeout": "1s"}
SECRETS = ("tls_certificate", "validation_context", "session_ticket_keys", "generic_secret")


def sds(which):
    return {"name": f"{SUPPORT}.{which}", "sds_config": FROM_ADS}


SUPPORT_LISTENER = {
    "name": SUPPORT, "bind_to_port": False,
    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
    "filter_chains": [{
        "filters": [manager(
            rds={"config_source": FROM_ADS, "route_config_name": SUPPORT},
            http_filters=[
                {"name": "credential", "typed_config": {
                    "@type": PREFIX + "envoy.extensions.filters.http.credential_injector.v3"
                                      ".CredentialInjector",
                    "credential": {"name": "generic", "typed_config": {
                        "@type": PREFIX + "envoy.extensions.http.injected_credentials"
                                          ".generic.v3.Generic",
                        "credential": sds("generic_secret")}}}},
                {"name": "router", "typed_config": {
                    "@type": PREFIX + "envoy.extensions.filters.http.router.v3.Router"}}])],
        "transport_socket": {"name": "tls", "typed_config": {
            "@type": PREFIX + "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "tls_certificate_sds_secret_configs": [sds("tls_certificate")],
                "validation_context_sds_secret_config": sds("validation_context")},
            "session_ticket_keys_sds_secret_config": sds("session_ticket_keys")}},
    }],
}


def program_of(envoys, version):
    path = os.path.join(envoys, version, "envoy")
    if not os.access(path, os.X_OK):
        raise SystemExit(f"{path} is missing; `convoy envoy install --envoys {envoys} {version}` brings it")
    return path
