"""Simulates what waits, and for how long, when SES is slow, down or strict.

    backlog.py [--svg FILE]

Modelled: requests that come evenly and spread over the stream's shards. Lambda polls every 250 ms, hands over up to 16
records and waits for the answer. The private half processes them all at the same time, and skips a request whose link
was sent. Emails leave at fixed offsets, and each batch ends at a multiple of a quantum. Its calls to DynamoDB, and the
CPU that 256 MB get. SES, with a latency, outages, and a rate (a bucket of one second's emails). The SDK's three attempts,
their pauses and their budget. The checkpoint at the first record that failed, Lambda's pause before it delivers a batch
again, and what expires or is discarded.

Not modelled: cold starts, the limits of DynamoDB, the day's budget, people who ask again, notices. SES rejects at once
when it is down. Guessed: Lambda's pause doubles from one second to sixty, and starts over once the checkpoint moves.
"""

import argparse
import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass
from types import SimpleNamespace

SHARDS, BATCH, POLL = 4, 16, 0.25
HANDOVER = 0.001  # seconds that Lambda adds to a batch: a batch of one quantum just misses the next poll
QUANTUM, PREPARATION, SPACING = 0.25, 0.08, 0.003  # seconds: Pace::STEADY
CPU = 0.0003 * 1769 / 256  # seconds a record: 0.3 ms of a core (see make bench), of which 256 MB are a seventh
CALL = 0.005  # seconds, to DynamoDB: the budget and the user; for a known user, the sent links, the token, the sent links
LATENCY = 0.02  # seconds, of SES
ATTEMPTS, RETRIES, RETRY = 3, 500, 5  # the SDK's: of a call, an instance's budget, and what each takes from it
MAXIMUM_AGE, LONGEST_PAUSE = 3600, 60  # seconds: MaximumRecordAgeInSeconds, and Lambda's
TROUBLE, MINUTE = 300, 60  # seconds: when it begins


@dataclass
class Scenario:
    name: str
    rate: float = 10  # requests a second
    minutes: int = 30  # for so long
    unknown: float = 0.2  # of addresses
    burst: int = 0  # requests at once, when the trouble begins
    ses: float = 100  # mails a second
    trouble: int = 0  # minutes
    latency: float | None = LATENCY  # in trouble; None is down
    remembers: bool = True  # which requests have their link
    lifetime: int = 60  # minutes
    moves: bool = True  # Lambda's backoff resets once the checkpoint has moved
    stays: bool = True  # a batch comes again to the instance that had it
    colour: str = ""  # in the chart


BURST = {"burst": 10_000, "rate": 1, "ses": 14}
SCENARIOS = [
    Scenario("normal", colour="#6b7280"),
    Scenario("SES takes 2 s for a mail, for 15 minutes", trouble=15, latency=2, colour="#16a34a"),
    Scenario("2 s, and 50 requests a second", trouble=15, latency=2, rate=50, colour="#7c3aed"),
    Scenario("SES is down, for 10 minutes", trouble=10, latency=None, colour="#dc2626"),
    Scenario("down for 20 minutes, and links live for 15", trouble=20, latency=None, minutes=40, lifetime=15),
    Scenario("down for 75 minutes", trouble=75, latency=None, minutes=90),
    Scenario("10,000 at once, SES takes 14 a second", colour="#d97706", **BURST),
    Scenario("14 a second, without a record of the links sent", remembers=False, **BURST),
    Scenario("14 a second, Lambda's backoff never resets", moves=False, **BURST),
    Scenario("14 a second, a batch comes again to any instance", stays=False, **BURST),
    Scenario("10,000 at once, SES takes 100 a second", **BURST | {"ses": 100}),
]


class Record:
    def __init__(self, came, is_known):
        self.came, self.is_known, self.is_done, self.is_over = came, is_known, None, False


class Run:
    """One scenario. What takes time is a generator that yields how long, or nothing where another one will go on."""

    def __init__(self, scenario):
        self.scenario, self.random = scenario, random.Random(1)
        self.now, self.agenda, self.order = 0, [], itertools.count()
        self.instances = [SimpleNamespace(free_at=0, retries=RETRIES, is_busy=False)
                          for _ in range(SHARDS)]
        self.shards = [SimpleNamespace(phase=POLL * n / SHARDS, queue=deque(), reader=None, instance=instance)
                       for n, instance in enumerate(self.instances)]
        self.mails, self.filled, self.series = scenario.ses, 0, {}
        self.waiting = self.peak = self.longest = self.caught_up = 0
        self.given_up = self.dropped = self.counted = self.twice = 0
        evenly = [n / scenario.rate for n in range(int(scenario.rate * scenario.minutes * MINUTE))]
        for came in evenly + [TROUBLE] * scenario.burst:
            self.plan(came, self.come())
        while self.agenda:
            self.now, _, process = heapq.heappop(self.agenda)
            self.go_on(process)

    def plan(self, time, process):
        heapq.heappush(self.agenda, (time, next(self.order), process))

    def go_on(self, process):
        pause = next(process, None)
        if pause is not None:
            self.plan(self.now + pause, process)

    def count(self, change):
        self.waiting += change
        self.series[int(self.now / 10)] = self.waiting
        self.peak = max(self.peak, self.waiting)

    def come(self):
        shard = self.random.choice(self.shards)  # by the hash of the address
        shard.queue.append(Record(self.now, self.random.random() >= self.scenario.unknown))
        self.count(1)
        if not shard.reader:
            shard.reader = self.read(shard)
            self.go_on(shard.reader)
        yield from ()  # it takes no time

    def read(self, shard):
        """Lambda reads a shard, until there is nothing more."""
        while shard.queue:
            yield POLL - (self.now - shard.phase) % POLL
            batch = [shard.queue.popleft() for _ in range(min(BATCH, len(shard.queue)))]
            pauses = 0
            while batch := self.not_too_old(batch):
                left = yield from self.invoke(shard, batch)
                if left is None:
                    break
                batch = batch[left:]
                pauses = 1 if left and self.scenario.moves else pauses + 1
                yield min(LONGEST_PAUSE, 2 ** (pauses - 1))
        shard.reader = None

    def not_too_old(self, batch):
        """Lambda gives up what is."""
        young = [record for record in batch if self.now - record.came <= MAXIMUM_AGE]
        lost = sum(not record.is_over for record in batch) - sum(not record.is_over for record in young)
        self.given_up += lost
        self.count(-lost)
        return young

    def invoke(self, shard, batch):
        """The function acts on a batch, and says from which record on it must come again."""
        idle = [instance for instance in self.instances if not instance.is_busy]
        instance = shard.instance if self.scenario.stays else self.random.choice(idle)
        instance.is_busy = True
        for record in batch:
            record.is_done = None
        start = self.now
        for place, record in enumerate(batch):
            self.plan(start, self.act(shard, instance, record, start + PREPARATION + SPACING * place))
        while any(record.is_done is None for record in batch):
            yield None  # until a record is done
        yield (start - self.now) % QUANTUM
        yield HANDOVER
        instance.is_busy = False
        return next((n for n, record in enumerate(batch) if not record.is_done), None)

    def act(self, shard, instance, record, departure):
        """The function acts on a record: whether it has to come again is known in the end."""
        is_done = True
        if self.now - record.came > self.scenario.lifetime * MINUTE:
            self.dropped += 1
            self.end(record)
        else:
            self.counted += 1
            instance.free_at = max(self.now, instance.free_at) + CPU
            yield instance.free_at - self.now + (3 if record.is_known else 2) * CALL
            was_sent = record.is_over and self.scenario.remembers
            if record.is_known and not was_sent:
                yield max(0, departure - self.now - CALL) + CALL
                is_done = yield from self.post(instance)
                yield CALL
            if is_done and not was_sent:
                self.deliver(record)
        record.is_done = is_done
        self.go_on(shard.reader)

    def post(self, instance):
        """The SDK hands a mail to SES."""
        for attempt in range(1, ATTEMPTS + 1):
            latency = self.ses()
            yield latency or LATENCY
            if latency:
                instance.retries = min(RETRIES, instance.retries + (1 if attempt == 1 else RETRY))
                return True
            if attempt == ATTEMPTS or instance.retries < RETRY:
                return False
            instance.retries -= RETRY
            yield self.random.uniform(0, attempt)

    def ses(self):
        """How long SES takes for a mail; none where it does not take it."""
        self.mails = min(self.scenario.ses, self.mails + (self.now - self.filled) * self.scenario.ses)
        self.filled = self.now
        is_trouble = TROUBLE <= self.now < TROUBLE + self.scenario.trouble * MINUTE
        latency = self.scenario.latency if is_trouble else LATENCY
        if latency is None or self.mails < 1:
            return None
        self.mails -= 1
        return latency

    def deliver(self, record):
        if record.is_over:
            self.twice += record.is_known
            return
        self.end(record)
        delay = self.now - record.came
        self.longest = max(self.longest, delay)
        self.caught_up = self.now if delay > 5 else self.caught_up

    def end(self, record):
        record.is_over = True
        self.count(-1)


def table(runs):
    rows = [["", "most waiting", "longest delay", "caught up after", "given up", "dropped", "counted", "mailed twice"],
            ["---"] + ["---:"] * 7]
    for run in runs:
        after = max(0, run.caught_up - TROUBLE)
        rows.append([run.scenario.name, f"{run.peak:,}", span(run.longest), span(after) if after else "–"]
                    + [f"{count:,}" for count in (run.given_up, run.dropped, run.counted, run.twice)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def span(seconds):
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min"


def chart(runs, width=860, height=430, minutes=30, most=20_000):
    left, right, top, bottom = 70, width - 20, 150, height - 50

    def x(minute):
        return f"{left + (right - left) * minute / minutes:.1f}"

    def y(waiting):
        return f"{bottom - (bottom - top) * waiting / most:.1f}"

    marks = [f'<text x="{left - 60}" y="{top - 14}">requests that wait</text>',
             f'<text x="{right}" y="{bottom + 38}" text-anchor="end">minutes; the trouble begins at 5</text>']
    for waiting in range(0, most + 1, 5_000):
        marks.append(f'<path d="M{left} {y(waiting)}H{right}" stroke="#e5e7eb"/>'
                     f'<text x="{left - 8}" y="{y(waiting)}" dy="4" text-anchor="end">{waiting:,}</text>')
    for minute in range(0, minutes + 1, 5):
        marks.append(f'<text x="{x(minute)}" y="{bottom + 20}" text-anchor="middle">{minute}</text>')
    for n, run in enumerate(run for run in runs if run.scenario.colour):
        stroke = f'stroke="{run.scenario.colour}" stroke-width="2"'
        points = " ".join(f"{x(tick / 6)},{y(waiting)}" for tick, waiting in run.series.items() if tick <= minutes * 6)
        marks.append(f'<polyline points="{points}" fill="none" {stroke}/><path d="M{left} {18 + 18 * n}h24" {stroke}/>'
                     f'<text x="{left + 32}" y="{22 + 18 * n}">{run.scenario.name}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
            f' font-size="13" fill="#111827"><rect width="100%" height="100%" fill="#ffffff"/>\n'
            + "\n".join(marks) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--svg", metavar="FILE", help="draw what waits over time")
    arguments = parser.parse_args()
    runs = [Run(scenario) for scenario in SCENARIOS]
    print(table(runs))
    if arguments.svg:
        with open(arguments.svg, "w", encoding="utf-8") as file:
            file.write(chart(runs))


if __name__ == "__main__":
    main()
