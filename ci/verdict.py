#!/usr/bin/env python3
"""Holds what Convoy says of a resource against what real Envoys say of it.

Prints, for each Envoy version, how often both said yes or no, over xDS and in
`--mode validate`, and every disagreement that `ci/verdict.toml` does not list.
Exits 1 if there is one.
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import random
import re
import sys
import time
import tomllib

import verdict_cases as cases_of
import verdict_judges as judges
import verdict_served as served

HERE = pathlib.Path(__file__).resolve().parent
WAYS = ("xds", "validate")


def main():
    args = arguments()
    types = cases_of.Types(args.descriptors)
    began = time.monotonic()
    cases = collect(args, types)
    note(f"{len(cases)} cases, seed {args.seed}")
    ours = judges.Convoy(args.convoy, args.versions).judge(cases)
    note(f"Convoy judged them in {time.monotonic() - began:.0f} s")
    if args.served:
        serve(args, types, cases, ours)
    rows = []
    with concurrent.futures.ThreadPoolExecutor(len(args.versions)) as pool:
        said = pool.map(lambda version: ask(args, types, version, cases), args.versions)
        for version, (over_xds, validated) in zip(args.versions, said):
            for way, verdicts in (("xds", over_xds), ("validate", validated)):
                for case, our, their in zip(cases, ours, verdicts):
                    our = our[version]
                    our = our.in_bootstrap() if way == "validate" else our
                    rows += [(version, way, case, our, their)] if their is not None else []
    listed = Listed(args.list)
    report = Report(rows, listed, len(cases), args.seed)
    print(report.text(args.show))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(report.json(), indent=1))
    note(f"done in {time.monotonic() - began:.0f} s")
    return 1 if report.unlisted else 0


def arguments():
    parser = argparse.ArgumentParser(prog="ci/verdict", description=__doc__)
    parser.add_argument("--convoy", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--envoys", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--descriptors", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--corpus", help="a folder of real configuration (bootstraps/, gateway/)")
    parser.add_argument("--versions", help="Envoy versions (default: ci/envoy-versions)")
    parser.add_argument("--limit", type=int, help="at most so many cases, drawn by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--times", type=int, default=2, help="how often a field gets a mutation")
    parser.add_argument("--per-resource", type=int, default=40, help="mutations of one resource")
    parser.add_argument("--validate", type=int, default=400,
                        help="how many of the cases that xDS can carry are also given to "
                             "`--mode validate`; those it can't carry all are")
    parser.add_argument("--refused", action="store_true",
                        help="also the cases of verdict_refused.yaml, which Envoy's code refuses")
    parser.add_argument("--grafts", type=int, default=1,
                        help="on how many resources each line of verdict_grafts.yaml is set")
    parser.add_argument("--served", type=int, default=100,
                        help="how many of the cases that Convoy takes reach Envoy in the bytes "
                             "of Convoy's own xDS server, not in Python's")
    parser.add_argument("--only", help="only cases whose origin or mutation holds this text")
    parser.add_argument("--show", action="store_true", help="print every disagreement, listed ones too")
    parser.add_argument("--list", default=str(HERE / "verdict.toml"), help="the list of disagreements")
    parser.add_argument("--json", help="write everything to this file")
    args = parser.parse_args()
    versions = args.versions or ",".join((HERE / "envoy-versions").read_text().split())
    args.versions = versions.split(",")
    return args


def collect(args, types):
    sample = cases_of.from_sample(args.convoy, str(HERE.parent / "templates/envoy/sample"))
    bases = cases_of.positives(sample, corpus=False)
    if args.corpus:
        bases += cases_of.positives(cases_of.from_corpus(args.corpus), corpus=True)
    cases = bases + cases_of.from_builtin(HERE / "verdict_builtin.yaml")
    mutated = list(cases_of.negatives(types, cases, args.seed, args.times, args.per_resource))
    if args.grafts:
        rows = cases_of.grafts(HERE / "verdict_grafts.yaml")
        mutated += cases_of.grafted(types, bases, rows, args.seed, args.grafts)
    if args.refused:
        cases += cases_of.from_builtin(HERE / "verdict_refused.yaml")
    cases += mutated
    if args.only:
        cases = [case for case in cases if args.only in f"{case.origin} {case.mutation}"]
    if args.limit and len(cases) > args.limit:
        # The positive half of a corpus is never drawn from.
        kept = [case for case in cases if not case.mutation]
        rest = [case for case in cases if case.mutation]
        random.Random(args.seed).shuffle(rest)
        cases = (kept + rest)[:args.limit]
    return sorted(cases, key=lambda case: (case.kind != "clusters", case.around_id))


def serve(args, types, cases, ours):
    """Has Convoy's own server encode some of the cases that it takes."""
    taken = [case for case, our in zip(cases, ours) if all(one.yes for one in our.values())]
    random.Random(args.seed).shuffle(taken)
    taken = taken[:args.served]
    for at, body in served.bodies(args.convoy, types, taken).items():
        taken[at].served = body
    note(f"{sum(case.served is not None for case in taken)} of them as Convoy's server sends them")


def ask(args, types, version, cases):
    """What one Envoy version says of each case, in both ways."""
    program = judges.program_of(args.envoys, version)
    with judges.Running(program, version, types) as envoy:
        over_xds = [envoy.judge(case) for case in cases]
    note(f"Envoy {version} answered over xDS")
    # Positives and what xDS can't carry come first, then a seeded draw.
    chosen = [at for at, verdict in enumerate(over_xds) if verdict is None or not cases[at].mutation
              or cases[at].origin == "built-in"]
    rest = [at for at in range(len(cases)) if at not in set(chosen)]
    random.Random(args.seed).shuffle(rest)
    chosen += rest[:args.validate]
    judge = judges.Validate(program)
    validated = [None] * len(cases)
    for at, verdict in zip(chosen, judge.judge_all([cases[at] for at in chosen])):
        validated[at] = verdict
    note(f"Envoy {version} validated {len(chosen)}")
    return over_xds, validated


class Listed:
    """The written list of disagreements that are known, and why."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = tomllib.load(file)
        self.entries = data.get("stricter", []) + data.get("limit", [])
        self.sides = {"stricter": data.get("stricter", []), "limit": data.get("limit", [])}
        self.used = collections.Counter()

    def find(self, version, way, case, our, their):
        """The entry that covers a disagreement. Where Convoy is stricter, each of
        its rules needs one."""
        side = "limit" if our.yes else "stricter"
        fitting = [entry for entry in self.sides[side]
                   if self._fits(entry, version, way, case, our, their)]
        if not our.yes:
            covered = {rule for entry in fitting for rule in entry["rule"]}
            if not set(our.rules) <= covered:
                return None
        for entry in fitting[:1]:
            self.used[entry["name"]] += 1
            return entry
        return None

    @staticmethod
    def _fits(entry, version, way, case, our, their):
        return (("rule" not in entry or set(our.rules) & set(entry["rule"]))
                and ("way" not in entry or way == entry["way"])
                and ("versions" not in entry or version in entry["versions"])
                and ("kind" not in entry or case.kind in entry["kind"])
                and ("mutation" not in entry or re.search(entry["mutation"], case.mutation))
                and ("holds" not in entry or re.search(entry["holds"], case.all_text))
                and ("says" not in entry or re.search(entry["says"], our.text, re.S))
                and ("envoy" not in entry or re.search(entry["envoy"], their.text, re.S)))


class Report:
    """Counts, and what is to be said about each disagreement."""

    def __init__(self, rows, listed, count, seed):
        self.listed, self.count, self.seed = listed, count, seed
        self.matrix = collections.Counter()
        self.excused = collections.Counter()
        self.disagreements = []
        self.unlisted = []
        for version, way, case, our, their in rows:
            half = "corpus" if case.corpus and not case.mutation else "rest"
            self.matrix[(version, way, half, our.yes, their.yes)] += 1
            if our.yes == their.yes:
                continue
            entry = listed.find(version, way, case, our, their)
            row = {"version": version, "way": way, "id": case.id, "origin": case.origin,
                   "kind": case.kind, "mutation": case.mutation, "we": our.yes, "envoy": their.yes,
                   "our_text": our.text, "our_rules": list(our.rules), "envoy_text": their.text,
                   "listed": entry and entry["name"], "corpus": case.corpus, "text": case.text}
            self.disagreements.append(row)
            if entry is None:
                self.unlisted.append(row)
            else:
                self.excused[(version, way, half, our.yes, their.yes)] += 1

    def text(self, show):
        lines = [f"{self.count} cases, seed {self.seed}", ""]
        lines += self._tables()
        lines += ["", "listed disagreements (ci/verdict.toml):"]
        lines += [f"  {count:6} {name}" for name, count in sorted(self.listed.used.items())]
        idle = [one["name"] for one in self.listed.entries if one["name"] not in self.listed.used]
        if idle:
            lines += [f"  not seen in this run: {', '.join(idle)}"]
        lines += self._hidden()
        rows = self.disagreements if show else self.unlisted
        lines += ["", f"{len(self.unlisted)} unlisted disagreements"]
        lines += [self._row(row) for row in rows]
        return "\n".join(lines)

    def hidden(self):
        """Resources of the corpus as they are that Envoy refuses and Convoy takes, and that only
        a limit excuses: by the limit, then by the resource, each with the versions that refuse."""
        found = collections.defaultdict(lambda: collections.defaultdict(set))
        for row in self.disagreements:
            if row["corpus"] and not row["mutation"] and row["we"] and row["listed"]:
                found[row["listed"]][row["origin"], row["id"]].add(f"{row['version']} {row['way']}")
        return found

    def _hidden(self):
        found = self.hidden()
        count = sum(len(resources) for resources in found.values())
        lines = ["", f"{count} resources of the corpus as it is: we yes, Envoy no, behind a limit"]
        for name, resources in sorted(found.items()):
            lines += [f"  {len(resources):6} {name}"]
            lines += [f"         {origin} {id}: {', '.join(sorted(where))}"
                      for (origin, id), where in sorted(resources.items())]
        return lines

    def _tables(self):
        lines = ["| Envoy | asked by | cases | both yes | both no | we no, Envoy yes (listed) "
                 "| we yes, Envoy no (listed) |", "| --- | --- | --- | ---: | ---: | ---: | ---: |"]
        for version, way in sorted({key[:2] for key in self.matrix}):
            for half, name in (("corpus", "corpus as it is"), ("rest", "sample, built-in, mutated")):
                cell = lambda our, their: self.matrix[(version, way, half, our, their)]
                known = lambda our, their: self.excused[(version, way, half, our, their)]
                if not any(cell(our, their) for our in (True, False) for their in (True, False)):
                    continue
                lines.append(f"| {version} | {way} | {name} | {cell(True, True)} | {cell(False, False)} "
                             f"| {cell(False, True)} ({known(False, True)}) "
                             f"| {cell(True, False)} ({known(True, False)}) |")
        return lines

    @staticmethod
    def _row(row):
        yes = {True: "yes", False: "no"}
        return (f"- {row['version']} {row['way']} {row['kind']} {row['id']}: we {yes[row['we']]}, "
                f"Envoy {yes[row['envoy']]}\n    {row['origin']}; {row['mutation'] or 'as it is'}\n"
                f"    we: {row['our_text'][:400]}\n    Envoy: {row['envoy_text'][:600]}")

    def json(self):
        matrix = [dict(zip(("version", "way", "half", "we", "envoy"), key), count=count)
                  for key, count in sorted(self.matrix.items())]
        return {"cases": self.count, "seed": self.seed, "matrix": matrix,
                "hidden": {name: [[*resource, sorted(where)] for resource, where in resources.items()]
                           for name, resources in self.hidden().items()},
                "disagreements": self.disagreements}


def note(text):
    print(f"== {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
