"""The cases of `ci/verdict`: resources as people wrote them, and broken ones.

A resource is taken as it is (the positive half) and mutated by the message
descriptors (the negative half). Where to mutate is seeded, and prefers the
fields that were tried least, so that a run covers each field of the corpus
with each mutation a few times instead of the common ones over and over.
Grafts (`verdict_grafts.yaml`) set what a field's meaning forbids, or nearly so,
where mutations only know its type.
"""

import collections
import copy
import dataclasses
import hashlib
import json
import pathlib
import random
import subprocess

import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

import verdict_judges as judges
from verdict_judges import CLUSTER, ENDPOINTS, LISTENER, PREFIX, ROUTES, RUNTIME, SECRET, SUPPORT

TYPES = {
    "clusters": CLUSTER, "endpoints": ENDPOINTS, "listeners": LISTENER, "routes": ROUTES,
    "secrets": SECRET, "runtime": RUNTIME,
    "extension_configs": PREFIX + "envoy.config.core.v3.TypedExtensionConfig",
    "scoped_routes": PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration",
    "virtual_hosts": PREFIX + "envoy.config.route.v3.VirtualHost",
}
# What Python's encoder takes for something else, so that bytes would not say it.
UNSAID = ("message as list", "text as mapping", "text as number", "bad base64")
HCM = PREFIX + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
INTS = ("int32", "int64", "uint32", "uint64")


class Types:
    """Envoy's messages, from the descriptor set that Convoy was built with."""

    def __init__(self, path):
        files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(path).read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            self.pool.Add(file) if hasattr(self.pool, "Add") else self.pool.AddSerializedFile(
                file.SerializeToString())

    def descriptor(self, name):
        return self.pool.FindMessageTypeByName(name.rsplit("/", 1)[-1])

    def type(self, name):
        return message_factory.GetMessageClass(self.descriptor(name))

    def new(self, name):
        return self.type(name)()

    def message(self, kind, value):
        # The parser takes `@type` out for a moment, and others may read the value.
        value = copy.deepcopy(value)
        return json_format.ParseDict(value, self.new(kind), descriptor_pool=self.pool)

    def encode(self, kind, value):
        return self.message(kind, value).SerializeToString()

    def text(self, kind, body):
        """Encoded bytes as JSON."""
        return json_format.MessageToJson(self.type(kind).FromString(body), descriptor_pool=self.pool,
                                         preserving_proto_field_name=True)

    def try_encode(self, kind, value):
        try:
            return self.encode(kind, value)
        except (json_format.ParseError, ValueError, TypeError, AttributeError, KeyError,
                RecursionError, OverflowError):
            return None

    def canonical(self, kind, value):
        """The same resource with proto field names; `None` if it is not one."""
        try:
            text = json_format.MessageToJson(self.message(kind, value), descriptor_pool=self.pool,
                                             preserving_proto_field_name=True)
            return json.loads(text)
        except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError):
            return None


@dataclasses.dataclass
class Case:
    """One resource for all judges."""

    origin: str
    kind: str
    text: str
    mutation: str = ""
    context: tuple = ()
    corpus: bool = False
    # The bytes of the resource as Convoy's own server sent them, if it did.
    served: bytes = None

    @property
    def around_id(self):
        return id(self.context)

    @property
    def id(self):
        return hashlib.sha256(f"{self.kind}{self.text}".encode("utf-8", "surrogatepass")).hexdigest()[:10]

    @property
    def all_text(self):
        """The resource and what is around it."""
        return "\n".join([self.text, *(text for _, text in self.context)])

    def value(self):
        """The resource, where its text is JSON without a key twice."""
        try:
            value = json.loads(self.text)
        except ValueError:
            return None
        return value if isinstance(value, dict) and "#" not in self.mutation else None

    def over_xds(self, types):
        """Type URL, name and bytes as they go over xDS; `None` if none can."""
        value = self.value()
        if value is None or self.mutation.startswith(UNSAID):
            return None
        kind = TYPES[self.kind]
        name = value.get("name", value.get("cluster_name", value.get("clusterName", "")))
        wrap = {"listeners": unbound, "routes": renamed, "endpoints": endpoints_renamed,
                "secrets": secret_renamed, "runtime": renamed}.get(self.kind, dict)
        if self.kind == "virtual_hosts":
            kind, value = ROUTES, {"name": SUPPORT, "virtual_hosts": [value]}
        elif self.kind == "extension_configs":
            kind, value = LISTENER, unbound(http_listener([value, ROUTER]))
        elif self.kind == "scoped_routes":
            kind, value = LISTENER, unbound(scoped_listener(value))
        else:
            value = wrap(value)
        body = types.try_encode(kind, value)
        if body is None:
            return None
        if kind != CLUSTER:
            name = value.get("name", value.get("cluster_name", ""))
        return kind, name if isinstance(name, str) else "", self.served or body

    def in_bootstrap(self):
        """A bootstrap with the resource in it as YAML, its text as it is."""
        place = BOOTSTRAPS.get(self.kind)
        return None if place is None else place(self)


# === where a resource goes ===

ROUTER = {"name": "router",
          "typed_config": {"@type": PREFIX + "envoy.extensions.filters.http.router.v3.Router"}}


def unbound(listener):
    """Nothing is to be bound on this machine: not its ports, not its paths."""
    address = listener.get("address")
    if isinstance(address, dict):
        socket = address.get("socket_address", address.get("socketAddress"))
        if isinstance(socket, dict) and socket.get("protocol") in ("UDP", 1):
            return listener
    if not listener.get("name"):
        # Envoy would make a name up, and nobody could take the listener away.
        listener = {**listener, "name": f"{SUPPORT}-unnamed"}
    if "bind_to_port" in listener or "bindToPort" in listener:
        return listener
    return {**listener, "bind_to_port": False}


def renamed(value):
    return {**value, "name": SUPPORT}


def endpoints_renamed(value):
    rest = {key: item for key, item in value.items() if key not in ("cluster_name", "clusterName")}
    known = "cluster_name" in value or "clusterName" in value
    return {**rest, "cluster_name": SUPPORT} if known else rest


def secret_renamed(value):
    camel = {"tlsCertificate": "tls_certificate", "validationContext": "validation_context",
             "sessionTicketKeys": "session_ticket_keys", "genericSecret": "generic_secret"}
    held = [camel.get(key, key) for key in value]
    which = next((one for one in judges.SECRETS if one in held), judges.SECRETS[0])
    return {**value, "name": f"{SUPPORT}.{which}"}


def http_listener(http_filters, **fields):
    fields = fields or {"route_config": {"name": "r"}}
    return {"name": "verdict", "filter_chains": [
        {"filters": [judges.manager(http_filters=http_filters, **fields)]}],
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 2}}}


def scoped_listener(scope):
    return http_listener([ROUTER], scoped_routes={
        "name": "scopes", "rds_config_source": judges.FROM_ADS,
        "scope_key_builder": {"fragments": [{"header_value_extractor": {"name": "x", "index": 0}}]},
        "scoped_route_configurations_list": {"scoped_route_configurations": [scope]}})


def indented(text, by):
    lines = text.splitlines() or [""]
    return ("\n" + " " * by).join(lines)


def head(case):
    """What every bootstrap has, with the clusters around."""
    name = (case.value() or {}).get("name")
    around = [text for kind, text in case.context if kind == "clusters"
              and not (case.kind == "clusters" and json.loads(text).get("name") == name)]
    rest = {key: value for key, value in judges.bootstrap(1).items() if key != "static_resources"}
    rest["dynamic_resources"] = {"ads_config": rest["dynamic_resources"]["ads_config"]}
    lines = [f"{key}: {json.dumps(value)}" for key, value in rest.items()]
    lines += ["static_resources:", "  clusters:"]
    lines += [f"  - {text}" for text in [json.dumps(judges.ads_cluster(1)), *around]]
    return "\n".join(lines) + "\n"


def in_clusters(case):
    return head(case) + f"  - {indented(case.text, 4)}\n"


def in_endpoints(case):
    return head(case) + ("  - name: verdict\n    type: STATIC\n    load_assignment:\n"
                         f"      {indented(case.text, 6)}\n")


def in_listeners(case):
    return head(case) + f"  listeners:\n  - {indented(case.text, 4)}\n"


def in_secrets(case):
    return head(case) + f"  secrets:\n  - {indented(case.text, 4)}\n"


def in_routes(case):
    value = case.value()
    text = case.text
    if value is not None and not {"validate_clusters", "validateClusters"} & set(value):
        # What Envoy does by itself for routes that come over xDS.
        text = json.dumps({**value, "validate_clusters": False})
    return head(case) + in_manager(case, f"route_config:\n            {indented(text, 12)}")


def in_virtual_hosts(case):
    return head(case) + in_manager(case, "route_config:\n            validate_clusters: false\n"
                                   f"            virtual_hosts:\n            - {indented(case.text, 14)}")


def in_extension_configs(case):
    return head(case) + in_manager(case, "route_config: {name: r}", case.text)


def in_manager(_case, routes, http_filter=None):
    filters = f"          - {indented(http_filter, 12)}\n" if http_filter else ""
    return ("  listeners:\n  - name: verdict\n"
            "    address: {socket_address: {address: 127.0.0.1, port_value: 2}}\n"
            "    filter_chains:\n    - filters:\n      - name: http\n        typed_config:\n"
            f"          \"@type\": {HCM}\n          stat_prefix: verdict\n"
            f"          http_filters:\n{filters}          - {json.dumps(ROUTER)}\n"
            f"          {routes}\n")


BOOTSTRAPS = {"clusters": in_clusters, "endpoints": in_endpoints, "listeners": in_listeners,
              "secrets": in_secrets, "routes": in_routes, "virtual_hosts": in_virtual_hosts,
              "extension_configs": in_extension_configs}


# === where resources come from ===


def from_corpus(folder):
    """Sets of resources that belong together, as `(origin, [(kind, value)])`."""
    folder = pathlib.Path(folder)
    sets = collections.defaultdict(list)
    for path in sorted(folder.glob("gateway/*.yaml")):
        name, kind = path.name.removesuffix(".yaml").rsplit(".", 1)
        values = yaml.safe_load(path.read_text()) or []
        sets[f"gateway/{name}"] += [(kind, value) for value in values]
    for path in sorted(folder.glob("bootstraps/*.yaml")):
        sets[f"bootstraps/{path.stem}"] += from_bootstrap(yaml.safe_load(path.read_text()))
    return sorted(sets.items())


def from_bootstrap(value):
    """The resources of a bootstrap, with its inline routes and endpoints by themselves."""
    static = value.get("static_resources", {})
    found = [(kind, one) for kind in ("clusters", "listeners", "secrets")
             for one in static.get(kind) or []]
    for listener in static.get("listeners") or []:
        for chain in listener.get("filter_chains") or []:
            for one in chain.get("filters") or []:
                routes = one.get("typed_config", {}).get("route_config")
                if routes:
                    found.append(("routes", {"name": "inline", **routes}))
    for cluster in static.get("clusters") or []:
        if "load_assignment" in cluster and cluster.get("type", "STATIC") == "STATIC":
            found.append(("endpoints", cluster["load_assignment"]))
    for layer in value.get("layered_runtime", {}).get("layers") or []:
        if "static_layer" in layer:
            found.append(("runtime", {"name": layer["name"], "layer": layer["static_layer"]}))
    return found


def from_sample(convoy, folder):
    """What the sample configuration renders to, for each stage and group."""
    kinds = {url: kind for kind, url in TYPES.items()}
    sets = []
    for stage in ("beta", "staging", "canary", "release"):
        for group in ("default", "edge", "sidecar"):
            done = subprocess.run([convoy, "render", folder, "--stage", stage, "--group", group,
                                   "-o", "json"], capture_output=True, text=True, check=True)
            rendered = json.loads(done.stdout)
            rendered = rendered.get("items", rendered.get("result", rendered)) \
                if isinstance(rendered, dict) else rendered
            values = [(kinds[one["type"]], yaml.safe_load(one["yaml"])) for one in rendered]
            sets.append((f"sample/{stage}/{group}", values))
    return sets


# What is around each case of the built-in set but clusters.
AROUND = (("clusters", json.dumps({"name": "upstream", "type": "STATIC", "connect_timeout": "1s"})),)


def from_builtin(path):
    """The built-in set: documents of `{case, kind, resource | text}`."""
    found = []
    for document in yaml.safe_load_all(pathlib.Path(path).read_text()):
        text = document.get("text") or json.dumps(document["resource"])
        note = f"built-in: {document['case']}" + (" #" if "text" in document else "")
        around = () if document["kind"] == "clusters" else AROUND
        found.append(Case("built-in", document["kind"], text, note, around))
    return found


def positives(sets, corpus):
    """Each resource as it is; the same one of several sets once."""
    seen, cases = set(), []
    for origin, values in sets:
        texts = [(kind, json.dumps(value)) for kind, value in values]
        for at, (kind, text) in enumerate(texts):
            if (kind, text) in seen:
                continue
            seen.add((kind, text))
            around = tuple(texts[:at] + texts[at + 1:])
            cases.append(Case(f"{origin} {kind}[{at}]", kind, text, "", around, corpus))
    return cases


# === mutations ===


@dataclasses.dataclass
class Site:
    """A value in a message: where it is held, and as which field."""

    holder: object
    key: object
    field: object
    message: object

    @property
    def value(self):
        return self.holder[self.key]


def sites(types, descriptor, value):
    """Every field that `value` sets, at any depth, `Any`s included."""
    if descriptor.full_name == "google.protobuf.Any":
        try:
            descriptor = types.descriptor(value.get("@type", ""))
        except KeyError:
            return
    if descriptor.full_name.startswith(("google.protobuf.", "xds.type.v3.TypedStruct",
                                        "udpa.type.v1.TypedStruct")):
        return
    for key in list(value):
        field = descriptor.fields_by_name.get(key)
        if field is None:
            continue
        yield Site(value, key, field, descriptor)
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = field.message_type.fields_by_name["value"]
            if inner.message_type is not None:
                for item in value[key].values():
                    yield from nested(types, inner.message_type, item)
        elif isinstance(value[key], list):
            for item in value[key]:
                yield from nested(types, field.message_type, item)
        else:
            yield from nested(types, field.message_type, value[key])


def nested(types, descriptor, value):
    if isinstance(value, dict):
        yield from sites(types, descriptor, value)


def messages(types, descriptor, value):
    """Every message that holds a field, as `(dict, descriptor)`."""
    seen = {}
    for site in sites(types, descriptor, value):
        seen[id(site.holder)] = (site.holder, site.message)
    return list(seen.values())


def is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def is_single(site):
    return not isinstance(site.value, list) and not is_map(site.field)


def wrapped(field):
    """The name of the scalar that a wrapper message holds, or of a scalar field."""
    names = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string",
             12: "bytes", 13: "uint32", 14: "enum"}
    if field.message_type is None:
        return names.get(field.type, "")
    full = field.message_type.full_name
    return full.removeprefix("google.protobuf.").removesuffix("Value").lower() \
        if full.startswith("google.protobuf.") and full.endswith("Value") else ""


def kind_of(site):
    return wrapped(site.field) if is_single(site) else ""


def is_duration(site):
    return is_single(site) and site.field.message_type is not None \
        and site.field.message_type.full_name == "google.protobuf.Duration"


def put(value):
    def change(site, _rng):
        site.holder[site.key] = value
        return json.dumps(value)
    return change


def drop(site, _rng):
    del site.holder[site.key]
    return ""


def twice(site, rng):
    item = rng.choice(site.value)
    site.value.append(copy.deepcopy(item))
    return ""


def last_first(site, _rng):
    site.value.insert(0, site.value.pop())
    return ""


def without_last(site, _rng):
    site.value.pop()
    return ""


def beside(site, _rng):
    """Gives another member of the same oneof an empty value."""
    oneof = site.field.containing_oneof
    for other in oneof.fields:
        if other.name != site.key:
            site.holder[other.name] = empty_of(other)
            return other.name
    return None


def instead(site, rng):
    """Another member of the same oneof, empty."""
    others = [one for one in site.field.containing_oneof.fields if one.name != site.key]
    if not others:
        return None
    other = rng.choice(others)
    del site.holder[site.key]
    site.holder[other.name] = empty_of(other)
    return other.name


def empty_of(field):
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Duration":
            return "0s"
        scalar = wrapped(field)
        if not scalar:
            return {}
    else:
        scalar = wrapped(field)
    return {"bool": True, "string": "x", "bytes": ""}.get(scalar, 0)


def add_field(site, rng):
    """Sets one more field of the message, to its empty or to an odd value."""
    free = [one for one in site.message.fields if one.name not in site.holder
            and (one.containing_oneof is None or not any(
                other.name in site.holder for other in one.containing_oneof.fields))]
    if not free:
        return None
    field = rng.choice(free)
    value = empty_of(field)
    if is_map(field):
        value = {}
    elif field.is_repeated if hasattr(field, "is_repeated") else field.label == 3:
        value = [value]
    site.holder[field.name] = value
    return f"{field.name} = {json.dumps(value)}"


def plain_oneof(site):
    oneof = site.field.containing_oneof
    return oneof is not None and len(oneof.fields) > 1


NUMBERS = ("uint32", "uint64", "int32", "int64", "double", "float")
FORMATS = ("text_format", "inline_string", "value", "host_rewrite_literal", "body_format")

# name → (which sites, what to do there); `change` gives a note, or None where it can't.
MUTATIONS = {
    "drop the field": (is_single, drop),
    "drop the list": (lambda s: not is_single(s), drop),
    "add a field": (lambda s: True, add_field),
    "unknown field": (lambda s: True, lambda s, r: s.holder.update({"no_such_field": 1}) or ""),
    "enum of no name": (lambda s: kind_of(s) == "enum", put("NO_SUCH_VALUE")),
    "enum of no number": (lambda s: kind_of(s) == "enum", put(77)),
    "number 0": (lambda s: kind_of(s) in NUMBERS, put(0)),
    "number 70000": (lambda s: kind_of(s) in NUMBERS, put(70000)),
    "number 4294967295": (lambda s: kind_of(s) in NUMBERS, put(4294967295)),
    "number -1": (lambda s: kind_of(s) in NUMBERS, put(-1)),
    "number 1e12": (lambda s: kind_of(s) in NUMBERS, put(10**12)),
    "number as text": (lambda s: kind_of(s) in NUMBERS, put("abc")),
    "bool as text": (lambda s: kind_of(s) == "bool", put("yes")),
    "text as number": (lambda s: kind_of(s) == "string", put(12)),
    "text as mapping": (lambda s: kind_of(s) == "string", put({})),
    "empty text": (lambda s: kind_of(s) == "string", put("")),
    "text with a line end": (lambda s: kind_of(s) == "string", put("a\nb")),
    "text with a space": (lambda s: kind_of(s) == "string", put("a b")),
    "other text": (lambda s: kind_of(s) == "string", put("no-such-thing")),
    "broken format": (lambda s: kind_of(s) == "string", put("%NO_SUCH_COMMAND%")),
    "open format": (lambda s: kind_of(s) == "string", put("%REQ(")),
    "bad expression": (lambda s: s.key == "regex" and is_single(s), put("(a[")),
    "expression that RE2 lacks": (lambda s: s.key == "regex" and is_single(s), put("a(?=b)\\1")),
    "duration without unit": (is_duration, put("5")),
    "duration in ms": (is_duration, put("5ms")),
    "negative duration": (is_duration, put("-1s")),
    "duration 0": (is_duration, put("0s")),
    "endless duration": (is_duration, put("315576000001s")),
    "tiny duration": (is_duration, put("0.000000001s")),
    "huge duration": (is_duration, put("315576000000s")),
    "message as list": (lambda s: is_single(s) and s.field.message_type is not None, put([])),
    "empty message": (lambda s: is_single(s) and isinstance(s.value, dict), put({})),
    "null": (lambda s: True, put(None)),
    "unknown type": (lambda s: is_single(s) and has_type(s),
                     lambda s, r: s.value.update({"@type": PREFIX + "no.such.Type"}) or ""),
    "another type": (lambda s: is_single(s) and has_type(s),
                     lambda s, r: s.holder.update({s.key: {
                         "@type": PREFIX + "envoy.extensions.filters.http.cors.v3.Cors"}}) or ""),
    "no type": (lambda s: is_single(s) and has_type(s), lambda s, r: s.value.pop("@type")),
    "an item twice": (lambda s: isinstance(s.value, list) and s.value, twice),
    "last item first": (lambda s: isinstance(s.value, list) and len(s.value) > 1, last_first),
    "without the last item": (lambda s: isinstance(s.value, list) and s.value, without_last),
    "empty list": (lambda s: isinstance(s.value, list), put([])),
    "two of a oneof": (plain_oneof, beside),
    "another of a oneof": (plain_oneof, instead),
    "missing cluster": (lambda s: s.key in ("cluster", "cluster_name") and kind_of(s) == "string"
                        and "endpoint.v3" not in s.message.full_name, put("no-such-cluster")),
    "bad address": (lambda s: s.key in ("address", "address_prefix") and kind_of(s) == "string",
                    put("10.0.0.300")),
    "bad base64": (lambda s: kind_of(s) == "bytes", put("!!!")),
    "bad certificate": (lambda s: s.key in ("inline_string", "inline_bytes"),
                        put("aGVsbG8=")),
}


def has_type(site):
    return isinstance(site.value, dict) and "@type" in site.value


def textual(value, rng):
    """Mistakes of YAML that no value can hold: `(note, text)`."""
    text = yaml.safe_dump(value, sort_keys=False, width=10**6, allow_unicode=True)
    lines = text.splitlines()
    line = rng.choice([one for one in lines if ": " in one and not one.lstrip().startswith("-")]
                      or lines)
    yield "a key twice", text.replace(line, f"{line}\n{line}", 1)
    yield "a tab for an indent", text.replace("\n  ", "\n\t", 1)
    yield "an unclosed quote", text + "alt_stat_name: \"x\n"
    yield "an unknown alias", text + "alt_stat_name: *nowhere\n"
    if ": true" in text:
        yield "yes for true", text.replace(": true", ": yes", 1)
        yield "True for true", text.replace(": true", ": True", 1)
        yield "\"true\" for true", text.replace(": true", ": \"true\"", 1)


def negatives(types, bases, seed, times, per_base):
    """Mutations of `bases`, at the fields that were tried least."""
    rng = random.Random(seed)
    tried = collections.Counter()
    order = list(bases)
    rng.shuffle(order)
    for base in order:
        value = base.value()
        canonical = value and types.canonical(TYPES[base.kind], value)
        if not canonical:
            continue
        made = 0
        names = list(MUTATIONS)
        rng.shuffle(names)
        for name in names:
            if made >= per_base:
                break
            case = mutated(types, base, canonical, name, rng, tried, times)
            if case is not None:
                made += 1
                yield case
        for note, text in textual(canonical, rng):
            if tried[(note, base.kind)] < times:
                tried[(note, base.kind)] += 1
                yield dataclasses.replace(base, text=text, mutation=f"{note} #")


# === grafts ===

# Whose list gets a filter of its sort.
FILTERS = {
    "http filter": (HCM.removeprefix(PREFIX), "http_filters"),
    "network filter": ("envoy.config.listener.v3.FilterChain", "filters"),
    "listener filter": ("envoy.config.listener.v3.Listener", "listener_filters"),
}


def grafts(path):
    """What `verdict_grafts.yaml` sets, as `(message, fields)`."""
    for message, rows in yaml.safe_load(pathlib.Path(path).read_text()).items():
        for row in rows:
            if message in FILTERS:
                owner, field = FILTERS[message]
                yield owner, {f"+{field}": {"name": "grafted", "typed_config": typed(row)}}
            else:
                yield message, typed(row)


def typed(value):
    """The same with whole type URLs."""
    if isinstance(value, list):
        return [typed(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {key: PREFIX + one if key == "@type" else typed(one) for key, one in value.items()}


def grafted(types, bases, rows, seed, times):
    """Each of `rows` set on messages of `times` resources that hold one, seeded."""
    rng = random.Random(seed)
    holders = collections.defaultdict(list)
    for base in bases:
        value = base.value()
        canonical = value and types.canonical(TYPES[base.kind], value)
        names = {site.message.full_name for site in
                 sites(types, types.descriptor(TYPES[base.kind]), canonical)} if canonical else ()
        for name in sorted(names):
            holders[name].append((base, canonical))
    for message, fields in rows:
        for base, canonical in rng.sample(holders[message], min(times, len(holders[message]))):
            value = copy.deepcopy(canonical)
            descriptor = types.descriptor(TYPES[base.kind])
            found = [one for one in messages(types, descriptor, value)
                     if one[1].full_name == message]
            graft(*rng.choice(found), fields)
            note = f"graft: {message.rsplit('.', 1)[-1]} {json.dumps(fields)}".replace("#", "//")
            yield dataclasses.replace(base, text=json.dumps(value), mutation=note[:400])


def graft(holder, descriptor, fields):
    """Sets `fields`; other members of their oneofs give way."""
    for key, value in copy.deepcopy(fields).items():
        field = descriptor.fields_by_name.get(key)
        others = field.containing_oneof.fields if field and field.containing_oneof else ()
        for other in others:
            if other.name not in fields:
                holder.pop(other.name, None)
        if key.startswith("+"):
            holder.setdefault(key[1:], []).insert(0, value)
        elif value is None:
            holder.pop(key, None)
        else:
            holder[key] = value


def mutated(types, base, canonical, name, rng, tried, times):
    fits, change = MUTATIONS[name]
    value = copy.deepcopy(canonical)
    descriptor = types.descriptor(TYPES[base.kind])
    found = [site for site in sites(types, descriptor, value) if fits(site)]
    found = [site for site in found if tried[(name, site.field.full_name)] < times]
    if not found:
        return None
    least = min(tried[(name, site.field.full_name)] for site in found)
    site = rng.choice([one for one in found if tried[(name, one.field.full_name)] == least])
    tried[(name, site.field.full_name)] += 1
    where = f"{site.message.name}.{site.key}"
    note = change(site, rng)
    if note is None:
        return None
    text = json.dumps(value)
    return dataclasses.replace(base, text=text, mutation=f"{name}: {where} {note}".rstrip())
