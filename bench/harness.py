"""The processes of a run, and what /proc says about them.

Everything that is started here dies with the run: by name of its pid in Running.stop(), and by the kernel's
parent-death signal should the run itself be killed.
"""

import ctypes
import json
import os
import pathlib
import resource
import select
import signal
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass

import subjects

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
PATIENCE_S = 20  # to start, and to end: much longer than any of them takes, but for those under valgrind
LIBC = ctypes.CDLL(None)


class BenchError(Exception):
    pass


# Placement ---------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Placement:
    """Which CPUs the proxy, the origin and the load generator are bound to."""
    proxy: frozenset
    origin: frozenset
    load: frozenset
    about: str

    def prepare(self, role, at_once=False):
        """What a child does between fork and exec, to run in one of the three roles. at_once: it runs as soon as
        it can (SCHED_FIFO, where that is allowed) instead of when its neighbour's slice is over."""
        cpus = getattr(self, role)

        def before_exec():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            os.sched_setaffinity(0, cpus)
            if at_once:
                try:
                    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
                except PermissionError:
                    pass
        return before_exec


def place():
    cpus = sorted(os.sched_getaffinity(0))
    proxy, origin, load = cpus[-1], cpus[0], cpus[1] if len(cpus) > 2 else cpus[0]
    about = f"proxy on CPU {proxy}, origin on CPU {origin}, load on CPU {load}"
    if len(cpus) < 3:
        about += " (they share it)"
    return Placement(frozenset([proxy]), frozenset([origin]), frozenset([load]), about)


def place_anywhere():
    """Everybody on every CPU: for rows that compare numbers of workers."""
    cpus = frozenset(os.sched_getaffinity(0))
    return Placement(cpus, cpus, cpus, "all on all CPUs")


def raise_file_limit():
    """As many open files as allowed, at most what the configurations ask for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = subjects.FILES if hard == resource.RLIM_INFINITY else min(subjects.FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return files


# Reading /proc -----------------------------------------------------------------------------------

def stat_fields(path):
    """The fields of a /proc stat file from the third on: the second may hold blanks."""
    return pathlib.Path(path).read_text().rsplit(")", 1)[1].split()


def family(pid):
    """A process and its descendants: nginx works in a child."""
    children = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                parent = int(stat_fields(f"/proc/{entry.name}/stat")[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, ()))
    return found


@dataclass(frozen=True)
class Cpu:
    """CPU time used: the total is exact (ns), its halves are sampled by the kernel's tick."""
    total_ns: int
    user_ticks: int
    kernel_ticks: int

    def since(self, start):
        return Cpu(self.total_ns - start.total_ns, self.user_ticks - start.user_ticks,
                   self.kernel_ticks - start.kernel_ticks)

    def split_ns(self):
        """The exact total, divided as the ticks say: (user, kernel)."""
        ticks = self.user_ticks + self.kernel_ticks
        user = self.total_ns * self.user_ticks / ticks if ticks else 0.0
        return user, self.total_ns - user


def cpu_of(pids):
    total = user = kernel = 0
    for pid in pids:
        fields = stat_fields(f"/proc/{pid}/stat")
        user += int(fields[11])
        kernel += int(fields[12])
        for task in os.scandir(f"/proc/{pid}/task"):
            try:
                total += int(pathlib.Path(task.path, "schedstat").read_text().split()[0])
            except FileNotFoundError:
                continue
    if total == 0:  # a kernel without schedstat
        total = (user + kernel) * TICK_NS
    return Cpu(total, user, kernel)


def rss_kib(pids):
    """VmRSS of the process that serves: the largest of the family."""
    def one(pid):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().split("\n"):
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0
    return max(one(pid) for pid in pids)


def machine_busy_ns():
    """CPU time that the whole machine spent on work, in ns since boot."""
    fields = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    idle, iowait = fields[3], fields[4]
    return (sum(fields[:8]) - idle - iowait) * TICK_NS


def cpu_count():
    return os.cpu_count() or 1


def wait_for_quiet(patience_s, limit=0.10):
    """Wait, at most so long, for a second in which the machine is less than a tenth busy."""
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        busy, start = machine_busy_ns(), time.monotonic_ns()
        time.sleep(1.0)
        used = (machine_busy_ns() - busy) / (time.monotonic_ns() - start) / cpu_count()
        if used < limit:
            return


# A running subject -------------------------------------------------------------------------------

class Running:
    """A started subject. `pids` is its family, `port` where it listens on loopback."""

    def __init__(self, subject, role, context, values, flags=frozenset(), wrap=()):
        self.subject = subject
        self.flags = flags  # what the row asks of configurations
        self.tls = role == "proxy" and "client-tls" in flags or role == "origin" and "region-tls" in flags
        self.wrap = wrap  # a command in front of the subject's own
        self.log = context.folder / f"{subject.name}.log"
        self.pids = []
        self.port = 0
        self.process = None
        try:
            self.start(role, context, {**context.values, **values, **dict(subject.values),
                                       "DIR": context.folder, "NAME": subject.name})
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def start(self, role, context, values):
        listen = self.subject.listen
        inherited, environment = (), dict(os.environ)
        port_file = context.folder / f"{self.subject.name}.port"
        if listen == "inherit":
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen(4096)
            self.port = listener.getsockname()[1]
            inherited = (listener.fileno(),)
            environment["NGINX"] = f"{listener.fileno()};"
            values = {**values, "FD": listener.fileno(), "PORT": self.port}
        elif listen == "file":
            port_file.unlink(missing_ok=True)
            values = {**values, "PORTFILE": port_file}
        values = subjects.write_conf(self.subject, context.folder, values, self.flags)
        argv = [*self.wrap, subjects.path_of(self.subject, context.build)]
        argv += [subjects.fill(word, values) for word in self.subject.arguments]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stderr=log,
                stdout=subprocess.PIPE if listen == "print" else log,
                pass_fds=inherited, env=environment, cwd=context.folder,
                preexec_fn=context.placement.prepare(role))
        if listen == "inherit":
            listener.close()
        elif listen == "print":
            self.port = int(self.read_port())
        else:
            said = self.wait_for(lambda: port_file.exists() and port_file.read_text().strip())
            self.port = int(json.loads(said)["listen"].rsplit(":", 1)[1])

    def read_port(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        return self.process.stdout.readline() if ready else self.fail("printed no port")

    def wait_for(self, condition):
        """Poll until a condition is true, and give what it gave."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                self.fail(f"ended with status {self.process.returncode}")
            found = condition()
            if found:
                return found
            time.sleep(0.02)
        return self.fail(f"is not ready after {PATIENCE_S} s")

    def wait_until_ready(self):
        """Ready when it answers 200: then its probes have found the origin too."""
        self.wait_for(self.answers)
        self.pids = family(self.process.pid)

    def answers(self):
        try:
            with self.connect() as client:
                client.sendall(b"GET /_up HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                return client.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=1)
        if not self.tls:
            return plain
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        return trusting.wrap_socket(plain)

    def fail(self, why):
        tail = self.log.read_text(errors="replace").strip().split("\n")[-8:]
        raise BenchError("\n  ".join([f"{self.subject.name} {why}", *tail]))

    def cpu(self):
        return cpu_of(self.pids)

    def rss_kib(self):
        return rss_kib(self.pids)

    def stop(self):
        """End the process by its pid; its own children go with it."""
        if self.process is None:
            return
        children = family(self.process.pid)[1:] if self.process.poll() is None else self.pids[1:]
        self.process.terminate()
        try:
            self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            for pid in children:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if self.process.stdout:
            self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.stop()


class Direct:
    """In the place of a proxy: the origin itself, so there is no proxy's process to measure."""

    def __init__(self, subject, origin):
        self.subject, self.port, self.tls, self.pids = subject, origin.port, origin.tls, []

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        pass


def start(subject, row, context, wrap=()):
    """Start a subject in front of the row's origin, by itself or under another command."""
    if not subject.program:
        return Direct(subject, context.origin)
    return Running(subject, "proxy", context, {"ORIGIN": context.origin.port}, row.flags, wrap)


def start_origin(row, context):
    return Running(subjects.by_name(row.origin), "origin", context,
                   {"DOCUMENT": subjects.document().replace("\n", "\\n")}, row.flags)
