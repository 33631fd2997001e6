"""What is compared: how each subject is started in front of the origin, and the origin itself.

A subject listens on a loopback port that the kernel chose. It gets it in one of three ways (`listen`):
  inherit  compare binds port 0 itself and hands the socket over: @FD@, and NGINX=fd; for nginx
  file     the subject binds port 0 and writes {"listen": "address:port"} to @PORTFILE@
  print    the subject binds port 0 and prints the port as its first line
"""

import dataclasses
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
    values: tuple = ()        # placeholders of its own: (name, value)
    without: frozenset = frozenset()  # flags of rows that it does not heed


DAVENPORT = Subject(
    name="davenport", about="1 worker, release build",
    program="davenport", target="davenport", template="davenport.json.in",
    arguments=("serve", "-c", "@CONF@", "--port-file", "@PORTFILE@"), listen="file",
    version=("--version",), values=(("WORKERS", 1), ("REPLAY", 1 << 20)))
SUBJECTS = (
    DAVENPORT,
    dataclasses.replace(DAVENPORT, name="davenport-unlogged", about="davenport without its access log",
                        without=frozenset(["log"]), version=()),
    dataclasses.replace(DAVENPORT, name="davenport-2", about="davenport with 2 workers",
                        values=(("WORKERS", 2), ("REPLAY", 1 << 20)), version=()),
    dataclasses.replace(DAVENPORT, name="davenport-unkept", about="davenport that keeps no copy of bodies to send again",
                        values=(("WORKERS", 1), ("REPLAY", 0)), version=()),
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
    Subject(name="direct", about="the load straight to the origin, no proxy"),
)
PROXIES = ("davenport", "haproxy", "nginx")

ORIGINS = (
    Subject(
        name="origin", about="nginx, 1 worker process, answers by itself",
        program="nginx", template="origin.conf.in",
        arguments=("-p", "@DIR@", "-e", "stderr", "-c", "@CONF@")),
    Subject(
        name="sink", about="bench/sink.c: reads a body to its end, then answers 201",
        program="bench/bench_sink", target="bench_sink", listen="print"),
)
LOAD = Subject(
    name="load", about="davenport load: an open loop", program="davenport", target="davenport")

ATTACHMENTS = {"1m": 1 << 20, "64m": 64 << 20}


def by_name(name):
    return next(subject for subject in (*SUBJECTS, *ORIGINS) if subject.name == name)


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


def choose_lines(text, flags):
    """Lines that begin with ?flag or !flag are for rows with it, or without."""
    def keep(line):
        found = re.match(r"([?!])([a-z-]+)", line)
        if not found:
            return [line]
        return [line[found.end():]] if (found[2] in flags) == (found[1] == "?") else []
    return "".join(kept for line in text.splitlines(keepends=True) for kept in keep(line))


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


def write_conf(subject, folder, values, flags):
    """Fill in the subject's template, and name the file for its arguments."""
    if not subject.template:
        return values
    template = (HERE / "conf" / subject.template).read_text()
    conf = folder / f"{subject.name}.{subject.template.removesuffix('.in')}"
    conf.write_text(fill(choose_lines(template, flags - subject.without), values))
    os.chmod(conf, 0o644)
    return {**values, "CONF": conf}


def write_attachments(folder):
    """What rows download: files that do not compress to nothing."""
    (folder / "attachments").mkdir()
    for name, size in ATTACHMENTS.items():
        (folder / "attachments" / name).write_bytes(os.urandom(1 << 16) * (size >> 16))


def write_certificates(folder):
    """An authority for this run, and what it signed for the region and for the proxies: P-256, an hour long."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=bench authority")
    for name in ("region", "proxy"):
        openssl("req", "-x509", *key, "-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", f"{name}.key",
                "-out", f"{name}.pem", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-addext", "basicConstraints=critical,CA:FALSE")
    both = (folder / "proxy.pem").read_text() + (folder / "proxy.key").read_text()
    (folder / "proxy.both.pem").write_text(both)
