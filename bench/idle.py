"""Rows of connections that wait."""

import time
from dataclasses import dataclass

import harness
from common import BATCH, CLIENT, TARGET, Summary, ask, close_all, spread
from harness import BenchError


def still_open(clients):
    """How many of them the proxy has not closed."""
    count = 0
    for client in clients:
        client.setblocking(False)
        try:
            client.recv(1)
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count


@dataclass(frozen=True)
class IdleRow:
    name: str
    title: str
    clients: int = 5000
    repeats: int = 3
    settle_s: float = 2.0
    target: str = TARGET
    headers: tuple = CLIENT
    subjects: tuple = ("davenport", "haproxy", "nginx")

    def run(self, context):
        chosen = context.choose(self.subjects)
        grown = {subject.name: [] for subject in chosen}
        start, end = {}, {}
        for number in range(self.repeats):
            for subject in chosen:
                with harness.start(subject, context.origin, context) as proxy:
                    before, after = self.measure(proxy)
                grown[subject.name].append((after - before) * 1024 / self.clients)
                start.setdefault(subject.name, []).append(before / 1024)
                end.setdefault(subject.name, []).append(after / 1024)
            context.say(f"{self.name}: repeat {number + 1} of {self.repeats}: " + ", ".join(
                f"{name} {values[-1]:.0f} B" for name, values in grown.items()))
        return Summary(
            self.name, self.title.format(clients=f"{self.clients:,}"),
            ["", "bytes a connection", "RSS MiB before", "RSS MiB with them"],
            [[name, spread(values, 0), spread(start[name], 1), spread(end[name], 1)]
             for name, values in grown.items()],
            numbers={"bytes_a_connection": grown, "before_mib": start, "after_mib": end})

    def measure(self, proxy):
        """RSS before and with the idle clients, after a warm-up that touches what every run touches."""
        for _ in range(4):
            close_all(ask(proxy.port, BATCH, self))
        time.sleep(self.settle_s)
        before = proxy.rss_kib()
        clients = ask(proxy.port, self.clients, self)
        try:
            time.sleep(self.settle_s)
            after = proxy.rss_kib()
            if still_open(clients) != self.clients:
                raise BenchError(f"{proxy.subject.name} closed idle connections: "
                                 f"{still_open(clients)} of {self.clients} are open")
        finally:
            close_all(clients)
        return before, after
