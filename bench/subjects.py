"""What is compared: how each subject is started in front of the origin, and the origin itself.

A subject listens on a loopback port that the kernel chose. It gets it in one of three ways (`listen`):
  inherit  compare binds port 0 itself and hands the socket over: @FD@, and NGINX=fd; for nginx
  file     the subject binds port 0 and writes {"listen": "address:port"} to @PORTFILE@
  print    the subject binds port 0 and prints the port as its first line
"""

import json
import os
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent

FILES = 20000        # open files a process, lowered to what the system allows
CONNECTIONS = 12000  # connections a proxy may hold


@dataclass(frozen=True)
class Subject:
    name: str
    about: str
    program: str = ""         # of Debian's, or a CMake target's file below the build folder
    target: str = ""          # CMake target to build first
    template: str = ""        # file in conf/, filled in with the placeholders
    arguments: tuple = ()     # placeholders here too; @CONF@ is the template filled in
    listen: str = "inherit"
    version: tuple = ()       # arguments that make it print its version


SUBJECTS = (
    Subject(
        name="davenport", about="1 worker, release build",
        program="davenport", target="davenport", template="davenport.json.in",
        arguments=("serve", "-c", "@CONF@", "--port-file", "@PORTFILE@"), listen="file",
        version=("--version",)),
    Subject(
        name="haproxy", about="nbthread 1",
        program="haproxy", template="haproxy.cfg.in", arguments=("-db", "-q", "-f", "@CONF@"),
        version=("-v",)),
    Subject(
        name="nginx", about="1 worker process",
        program="nginx", template="nginx.conf.in",
        arguments=("-p", "@DIR@", "-e", "stderr", "-c", "@CONF@"), version=("-v",)),
    Subject(
        name="relay", about="bench/relay.c: copies bytes, parses nothing",
        program="bench/bench_relay", target="bench_relay", arguments=("@ORIGIN@",), listen="print"),
    Subject(name="direct", about="wrk straight to the origin, no proxy"),
)

ORIGIN = Subject(
    name="origin", about="nginx, 1 worker process, answers by itself",
    program="nginx", template="origin.conf.in",
    arguments=("-p", "@DIR@", "-e", "stderr", "-c", "@CONF@"))


def by_name(name):
    return next(subject for subject in SUBJECTS if subject.name == name)


def document():
    """The origin's answer: a small document of exactly 250 bytes, its newline included."""
    fields = {
        "_id": "order:2026-000123", "_rev": "3-825cb35de44c433bfb2df415563a19de",
        "type": "order", "customer": "customer:8841", "status": "shipped", "total": 129.9,
        "lines": [{"sku": "A-1001", "quantity": 2}, {"sku": "B-2002", "quantity": 1}], "note": "",
    }
    text = json.dumps(fields, separators=(",", ":")) + "\n"
    fields["note"] = "x" * (250 - len(text))
    return json.dumps(fields, separators=(",", ":")) + "\n"


def fill(text, values):
    """Replace each @NAME@; a name without a value is an error."""
    return re.sub(r"@([A-Z]+)@", lambda match: str(values[match[1]]), text)


def run_first_line(argv):
    """The first line a command prints on either stream, or an empty one if it cannot be run."""
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, timeout=20)
    except OSError:
        return ""
    return done.stdout.strip().split("\n")[0].strip()


def path_of(subject, build):
    return str(build / subject.program) if subject.target else subject.program


def version_of(subject, build):
    if not subject.version:
        return ""
    return run_first_line([path_of(subject, build), *subject.version])


def build_targets(subjects, build):
    """Configure the build folder once with the release preset, and build what these subjects need."""
    targets = [subject.target for subject in subjects if subject.target]
    if not targets:
        return
    if not (build / "CMakeCache.txt").exists():
        run_quietly(["cmake", "--preset", "release", "-B", str(build)])
    run_quietly(["cmake", "--build", str(build), "--target", *targets])


def run_quietly(argv):
    """Run a command in the project's folder; what it says is shown only if it fails."""
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
        done.check_returncode()


def write_conf(subject, folder, values):
    """Fill in the subject's template, and name the file for its arguments."""
    if not subject.template:
        return values
    conf = folder / subject.template.removesuffix(".in")
    conf.write_text(fill((HERE / "conf" / subject.template).read_text(), values))
    os.chmod(conf, 0o644)
    return {**values, "CONF": conf}
