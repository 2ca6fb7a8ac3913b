#!/usr/bin/env python3
"""Reads from real Envoys what each release knows, into `src/schema/releases.txt`.

Every Envoy carries the descriptors of its own messages, serialized, in its
program file: what it can read is read from there, without running it. Which
extensions are built in it tells when it asks a control plane, and which
commands formats may hold is tried. Kept is only
where a release differs from the descriptors that Convoy is built with.
"""

import argparse
import collections
import difflib
import json
import mmap
import pathlib
import re
import sys

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

import protos
import verdict_cases as cases_of
import verdict_judges as judges

HERE = pathlib.Path(__file__).resolve().parent
FILE = HERE.parent / "src/schema/releases.txt"
COMMANDS = HERE.parent / "src/render/typed/refusals/commands.txt"
PACKAGES = ("envoy/", "xds/", "udpa/")
PROTOS = HERE.parent / "proto"
# Left out of our own protos: 1.40 gave the protocols of language models a new
# file with the values of the old one, and both can't stand in one set.
UNWRITTEN = ("/ai/", "/ai_")
# A file descriptor begins with its name: field 1, its length, the path, then
# field 2, the package.
START = re.compile(rb"\x0a([\x08-\x7f])((?:envoy|xds|udpa)/[A-Za-z0-9_/.\-]+?\.proto)\x12")
# Longer than any of Envoy's; bounds the search for an end.
FILE_MAX = 1 << 20
FILE_FIELDS = frozenset([*range(1, 13), 14])
# `validate.rules` on fields, `validate.required` on oneofs, and what the
# descriptors of fields say besides.
RULES = 1071
HEAD = """\
# What releases of Envoy know, where they differ from the descriptors that the
# program is built with. `ci/releases` wrote this from the Envoys themselves;
# `ci/releases --check` holds it against them.
#
# release    the versions that were read, in order: one mark each below, + or -
# type       a message or enum, known (+) or not
# field      a field of a message that is known
# value      a value of an enum that is known
# rule       other rules for a field: `validate.FieldRules` as hexadecimal
# extension  a configuration's type, built in (+) or not, and its categories
# command    a command of formats that not all of them have
"""


def main():
    parser = argparse.ArgumentParser(prog="ci/releases", description=__doc__)
    parser.add_argument("--envoys", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--descriptors", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    parser.add_argument("--protos", action="store_true",
                        help="write what the newest of them knows beyond the descriptors to proto/")
    args = parser.parse_args()
    versions = (HERE / "envoy-releases").read_text().split()
    if args.protos:
        return write_protos(args, versions[-1])
    if args.check:
        # Those that are there; CI needs no others.
        versions = [version for version in versions
                    if (pathlib.Path(args.envoys) / version / "envoy").is_file()]
    types = cases_of.Types(args.descriptors)
    ours = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(args.descriptors).read_bytes())
    ours = Vocabulary(file for file in ours.file if file.name.startswith(PACKAGES))
    programs = [judges.program_of(args.envoys, version) for version in versions]
    theirs = [Vocabulary(files_of(program)) for program in programs]
    running = [told_by(program, version, types) for program, version in zip(programs, versions)]
    text = "".join(f"{line}\n" for line in lines(versions, ours, theirs, running))
    if not args.check:
        FILE.write_text(HEAD + text)
        return 0
    known = for_versions(FILE.read_text(), versions)
    changed = list(difflib.unified_diff(known, for_versions(text, versions), FILE.name,
                                        "what Envoys say", lineterm="", n=0))
    print("\n".join(changed[:200]) if changed else
          f"{FILE.name} is what Envoys {', '.join(versions)} say")
    return 1 if changed else 0


def write_protos(args, version):
    """The files of the newest Envoy that hold more than ours, and those from it before."""
    ours = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(args.descriptors).read_bytes())
    known = {file.name: everything(file) for file in ours.file}
    newer = []
    for file in sorted(files_of(judges.program_of(args.envoys, version)), key=lambda one: one.name):
        current = file.package.endswith((".v3", ".v3alpha")) and file.name.startswith("envoy/")
        if not current or any(part in file.name for part in UNWRITTEN):
            continue
        written = (PROTOS / file.name).is_file()
        if written or everything(file) - known.get(file.name, set()):
            newer.append(file)
    protos.write(PROTOS, version, newer, ours.file)
    print(f"{len(newer)} files of {PROTOS.name}/envoy are of Envoy {version}")
    return 0


def everything(file):
    known = Vocabulary([file])
    return known.types | known.fields | known.values


def for_versions(text, versions):
    """The lines of a table that say something of some of its releases alone."""
    found, columns = [], []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        word, marks, *rest = line.split(" ")
        if word == "release":
            columns = [([marks] + rest).index(version) for version in versions]
            continue
        marks = "".join(marks[at] for at in columns)
        # An extension's categories are those of all releases together.
        rest = rest[:1] if word == "extension" else rest
        silent = "-" if word in ("extension", "rule") else "+"
        if set(marks) != {silent}:
            found.append(" ".join([word, marks, *rest]))
    return found


# === descriptors in a program ===


def files_of(program):
    """The file descriptors in an Envoy's program file."""
    with open(program, "rb") as file, \
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        found = {}
        for match in START.finditer(image):
            if match[1][0] != len(match[2]):
                continue
            at = match.start()
            end = end_of(image, at, min(len(image), at + FILE_MAX))
            try:
                one = descriptor_pb2.FileDescriptorProto.FromString(image[at:end])
            except DecodeError as error:
                raise SystemExit(f"{program}: {match[2].decode()} can't be read: {error}") from error
            found[one.name] = one
        # An Envoy without these was not read right.
        for name in ("envoy/config/cluster/v3/cluster.proto", "xds/core/v3/cidr.proto"):
            if name not in found:
                raise SystemExit(f"{program} holds no descriptor of {name}; is it stripped of them?")
        return list(found.values())


def end_of(image, at, limit):
    """Where the file descriptor that begins at `at` ends: at the first byte that
    can't be a field of one, or begins the next."""
    first = at
    while at < limit:
        start = at
        try:
            tag, at = varint(image, at)
            number, kind = tag >> 3, tag & 7
            if number not in FILE_FIELDS or (number == 1 and start != first):
                return start
            if kind == 2:
                length, at = varint(image, at)
                at += length
            elif kind == 0:
                _, at = varint(image, at)
            else:
                return start
        except IndexError:
            return start
        if at > limit:
            return start
    return at


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128 or shift > 63:
            return value, at


def rules_of(options):
    """The bytes of `validate.rules` in a field's options."""
    data = options.SerializeToString()
    at, found = 0, b""
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 2:
            length, at = varint(data, at)
            end = at + length
        else:
            end = varint(data, at)[1] if kind == 0 else at + (8 if kind == 1 else 4)
        if tag >> 3 == RULES and kind == 2:
            found += data[at:end]
        at = end
    return found


class Vocabulary:
    """Messages, fields, enum values and rules of some file descriptors."""

    def __init__(self, files):
        self.types, self.fields, self.values, self.rules = set(), set(), set(), {}
        for file in files:
            for message in file.message_type:
                self._message(f"{file.package}.{message.name}", message)
            for enum in file.enum_type:
                self._enum(f"{file.package}.{enum.name}", enum)

    def _message(self, name, message):
        if message.options.map_entry:
            return
        self.types.add(name)
        for field in message.field:
            self.fields.add((name, f"{name}.{field.name}"))
            self.rules[f"{name}.{field.name}"] = rules_of(field.options)
        for inner in message.nested_type:
            self._message(f"{name}.{inner.name}", inner)
        for enum in message.enum_type:
            self._enum(f"{name}.{enum.name}", enum)

    def _enum(self, name, enum):
        self.types.add(name)
        self.values.update((name, f"{name}.{value.name}") for value in enum.value)


# === what a running Envoy tells ===


def told_by(program, version, types):
    """Type of configuration → categories, and the commands of formats."""
    extensions = collections.defaultdict(set)
    with judges.Running(program, version, types) as envoy:
        for category, name in envoy.extensions():
            extensions[name].add(category)
        commands = {name for name in COMMANDS.read_text().splitlines() if not name.startswith("#")}
        commands = {name.split(" ")[0] for name in commands}
        return extensions, {name for name in commands if takes(envoy, name)}


def takes(envoy, command):
    """Whether `command` is one, with an argument or without."""
    for form in (f"%{command}%", f"%{command}(a)%"):
        log = {"name": "log", "typed_config": {
            "@type": judges.PREFIX + "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"text_format_source": {"inline_string": form}}}}
        listener = cases_of.http_listener([cases_of.ROUTER], access_log=[log],
                                          route_config={"name": "r"})
        said = envoy.judge(cases_of.Case("", "listeners", json.dumps(listener)))
        if "Not supported field" in said.text:
            return False
    return True


# === the file ===


def lines(versions, ours, theirs, running):
    yield f"release {' '.join(versions)}"
    marks = lambda known: "".join("+" if one else "-" for one in known)
    for name in sorted(ours.types):
        known = [name in one.types for one in theirs]
        if not all(known):
            yield f"type {marks(known)} {name}"
    for word, part in (("field", "fields"), ("value", "values")):
        for owner, name in sorted(getattr(ours, part)):
            # Who lacks the owner lacks the rest with it; that is said once.
            known = [owner not in one.types or (owner, name) in getattr(one, part)
                     for one in theirs]
            if not all(known):
                yield f"{word} {marks(known)} {name}"
    for name, rules in sorted(ours.rules.items()):
        others = collections.defaultdict(list)
        for at, one in enumerate(theirs):
            if one.rules.get(name, rules) != rules:
                others[one.rules[name]].append(at)
        for other, at in sorted(others.items()):
            yield f"rule {marks(one in at for one in range(len(theirs)))} {name} {other.hex()}".rstrip()
    built_in = [extensions for extensions, _ in running]
    everywhere = sorted({name for one in built_in for name in one})
    for name in everywhere:
        categories = sorted({category for one in built_in for category in one.get(name, ())})
        yield f"extension {marks(name in one for one in built_in)} {name} {','.join(categories)}"
    for name in sorted({name for _, commands in running for name in commands}):
        known = [name in commands for _, commands in running]
        if not all(known):
            yield f"command {marks(known)} {name}"


if __name__ == "__main__":
    sys.exit(main())
