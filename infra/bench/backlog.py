"""Simulates how many requests wait, and for how long, when SES is slow, down, or strict.

    backlog.py [--svg FILE]

The model includes:

- requests that arrive evenly and spread over the stream's shards;
- Lambda, which polls every 250 ms, delivers up to 16 records, and waits for the response;
- the private half, which processes a batch's records at the same time and skips a request whose link was sent;
- emails that leave at fixed offsets, and batches that end at a multiple of a quantum;
- the calls to DynamoDB, and the CPU share of 256 MB;
- SES, with a latency, outages, and a rate (a bucket of one second's emails);
- the SDK's three attempts, the pauses between them, and the retry budget;
- the checkpoint at the first failed record, and Lambda's pause before it redelivers a batch;
- requests that expire or are discarded.

The model does not include cold starts, the limits of DynamoDB, the daily budget, users who request another link, or
notices. When SES is down, it rejects at once. One part is a guess: Lambda's pause doubles from one second to sixty, and
resets once the checkpoint moves.
"""

import argparse
import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass
from types import SimpleNamespace

SHARDS, BATCH, POLL = 4, 16, 0.25
HANDOVER = 0.001  # seconds that Lambda adds to a batch, so a batch of one quantum just misses the next poll
QUANTUM, PREPARATION, SPACING = 0.25, 0.08, 0.003  # seconds: Pace::STEADY
CPU = 0.0003 * 1769 / 256  # seconds per record: 0.3 ms of a core (see make bench), and 256 MB get a seventh of a core
# Seconds per call to DynamoDB. The calls are the budget and the user. A known user adds a read of the sent links, the
# token, and a write of the sent links.
CALL = 0.005
LATENCY = 0.02  # seconds that SES takes
ATTEMPTS, RETRIES, RETRY = 3, 500, 5  # of the SDK: attempts per call, an instance's retry budget, and a retry's cost
MAX_AGE, MAX_PAUSE = 3600, 60  # seconds: MaximumRecordAgeInSeconds, and Lambda's longest pause
TROUBLE, MINUTE = 300, 60  # seconds: when the trouble begins, and a minute


@dataclass
class Scenario:
    name: str
    rate: float = 10  # requests per second
    minutes: int = 30  # the time in which requests arrive
    unknown: float = 0.2  # the share of unknown addresses
    burst: int = 0  # the requests that arrive at once, when the trouble begins
    ses: float = 100  # the emails per second that SES accepts
    trouble: int = 0  # the length of the trouble in minutes
    latency: float | None = LATENCY  # SES's latency during the trouble, or None if SES is down
    remembers: bool = True  # whether Rekey stores which requests have their link
    lifetime: int = 60  # the lifetime of a link in minutes
    resets: bool = True  # whether Lambda's backoff resets once the checkpoint has moved
    stays: bool = True  # whether a batch is redelivered to the same instance
    color: str = ""  # the line's color in the chart


BURST = {"burst": 10_000, "rate": 1, "ses": 14}
SCENARIOS = [
    Scenario("normal", color="#6b7280"),
    Scenario("SES takes 2 s for an email, for 15 minutes", trouble=15, latency=2, color="#16a34a"),
    Scenario("2 s, and 50 requests per second", trouble=15, latency=2, rate=50, color="#7c3aed"),
    Scenario("SES is down for 10 minutes", trouble=10, latency=None, color="#dc2626"),
    Scenario("down for 20 minutes, with a link lifetime of 15", trouble=20, latency=None, minutes=40, lifetime=15),
    Scenario("down for 75 minutes", trouble=75, latency=None, minutes=90),
    Scenario("10,000 at once, SES accepts 14 per second", color="#d97706", **BURST),
    Scenario("14 per second, without a record of sent links", remembers=False, **BURST),
    Scenario("14 per second, Lambda's backoff never resets", resets=False, **BURST),
    Scenario("14 per second, any instance receives a batch again", stays=False, **BURST),
    Scenario("10,000 at once, SES accepts 100 per second", **BURST | {"ses": 100}),
]


class Record:
    def __init__(self, arrived, is_known):
        self.arrived, self.is_known, self.is_done, self.is_over = arrived, is_known, None, False


class Run:
    """One scenario. Processes are generators: they yield a pause in seconds, or None until another one resumes them."""

    def __init__(self, scenario):
        self.scenario, self.random = scenario, random.Random(1)
        self.now, self.agenda, self.order = 0, [], itertools.count()
        self.instances = [SimpleNamespace(free_at=0, retries=RETRIES, is_busy=False)
                          for _ in range(SHARDS)]
        self.shards = [SimpleNamespace(phase=POLL * n / SHARDS, queue=deque(), reader=None, instance=instance)
                       for n, instance in enumerate(self.instances)]
        self.emails, self.filled, self.series = scenario.ses, 0, {}
        self.waiting = self.peak = self.longest = self.caught_up = 0
        self.failed = self.discarded = self.counted = self.twice = 0
        evenly = [n / scenario.rate for n in range(int(scenario.rate * scenario.minutes * MINUTE))]
        for time in evenly + [TROUBLE] * scenario.burst:
            self.plan(time, self.arrive())
        while self.agenda:
            self.now, _, process = heapq.heappop(self.agenda)
            self.resume(process)

    def plan(self, time, process):
        heapq.heappush(self.agenda, (time, next(self.order), process))

    def resume(self, process):
        pause = next(process, None)
        if pause is not None:
            self.plan(self.now + pause, process)

    def count(self, change):
        self.waiting += change
        self.series[int(self.now / 10)] = self.waiting
        self.peak = max(self.peak, self.waiting)

    def arrive(self):
        shard = self.random.choice(self.shards)  # by the hash of the address
        shard.queue.append(Record(self.now, self.random.random() >= self.scenario.unknown))
        self.count(1)
        if not shard.reader:
            shard.reader = self.read(shard)
            self.resume(shard.reader)
        yield from ()  # an arrival takes no time

    def read(self, shard):
        """Lambda reads a shard until it is empty."""
        while shard.queue:
            yield POLL - (self.now - shard.phase) % POLL
            batch = [shard.queue.popleft() for _ in range(min(BATCH, len(shard.queue)))]
            pauses = 0
            while batch := self.expire(batch):
                checkpoint = yield from self.invoke(shard, batch)
                if checkpoint is None:
                    break
                batch = batch[checkpoint:]
                pauses = 1 if checkpoint and self.scenario.resets else pauses + 1
                yield min(MAX_PAUSE, 2 ** (pauses - 1))
        shard.reader = None

    def expire(self, batch):
        """Lambda moves records older than MAX_AGE to the failure queue, and keeps the others."""
        young = [record for record in batch if self.now - record.arrived <= MAX_AGE]
        lost = sum(not record.is_over for record in batch) - sum(not record.is_over for record in young)
        self.failed += lost
        self.count(-lost)
        return young

    def invoke(self, shard, batch):
        """The function processes a batch. Returns the checkpoint: the index of the first failed record, or None."""
        idle = [instance for instance in self.instances if not instance.is_busy]
        instance = shard.instance if self.scenario.stays else self.random.choice(idle)
        instance.is_busy = True
        for record in batch:
            record.is_done = None
        start = self.now
        for place, record in enumerate(batch):
            self.plan(start, self.process(shard, instance, record, start + PREPARATION + SPACING * place))
        while any(record.is_done is None for record in batch):
            yield None  # until a record is done
        yield (start - self.now) % QUANTUM
        yield HANDOVER
        instance.is_busy = False
        return next((n for n, record in enumerate(batch) if not record.is_done), None)

    def process(self, shard, instance, record, departure):
        """The function processes a record. Sets `is_done` at the end: if it is false, Lambda redelivers the record."""
        is_done = True
        if self.now - record.arrived > self.scenario.lifetime * MINUTE:
            self.discarded += 1
            self.end(record)
        else:
            self.counted += 1
            instance.free_at = max(self.now, instance.free_at) + CPU
            yield instance.free_at - self.now + (3 if record.is_known else 2) * CALL
            was_sent = record.is_over and self.scenario.remembers
            if record.is_known and not was_sent:
                yield max(0, departure - self.now - CALL) + CALL
                is_done = yield from self.send(instance)
                yield CALL
            if is_done and not was_sent:
                self.deliver(record)
        record.is_done = is_done
        self.resume(shard.reader)

    def send(self, instance):
        """The SDK sends an email through SES. Returns whether SES accepted it."""
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
        """Returns the seconds that SES takes to accept an email, or None if it rejects the email."""
        self.emails = min(self.scenario.ses, self.emails + (self.now - self.filled) * self.scenario.ses)
        self.filled = self.now
        is_trouble = TROUBLE <= self.now < TROUBLE + self.scenario.trouble * MINUTE
        latency = self.scenario.latency if is_trouble else LATENCY
        if latency is None or self.emails < 1:
            return None
        self.emails -= 1
        return latency

    def deliver(self, record):
        if record.is_over:
            self.twice += record.is_known
            return
        self.end(record)
        delay = self.now - record.arrived
        self.longest = max(self.longest, delay)
        self.caught_up = self.now if delay > 5 else self.caught_up

    def end(self, record):
        record.is_over = True
        self.count(-1)


def table(runs):
    rows = [["", "most waiting", "longest delay", "caught up after", "failed", "discarded", "counted", "sent twice"],
            ["---"] + ["---:"] * 7]
    for run in runs:
        after = max(0, run.caught_up - TROUBLE)
        rows.append([run.scenario.name, f"{run.peak:,}", span(run.longest), span(after) if after else "–"]
                    + [f"{count:,}" for count in (run.failed, run.discarded, run.counted, run.twice)])
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

    marks = [f'<text x="{left - 60}" y="{top - 14}">waiting requests</text>',
             f'<text x="{right}" y="{bottom + 38}" text-anchor="end">minutes; the trouble begins at 5</text>']
    for waiting in range(0, most + 1, 5_000):
        marks.append(f'<path d="M{left} {y(waiting)}H{right}" stroke="#e5e7eb"/>'
                     f'<text x="{left - 8}" y="{y(waiting)}" dy="4" text-anchor="end">{waiting:,}</text>')
    for minute in range(0, minutes + 1, 5):
        marks.append(f'<text x="{x(minute)}" y="{bottom + 20}" text-anchor="middle">{minute}</text>')
    for n, run in enumerate(run for run in runs if run.scenario.color):
        stroke = f'stroke="{run.scenario.color}" stroke-width="2"'
        points = " ".join(f"{x(tick / 6)},{y(waiting)}" for tick, waiting in run.series.items() if tick <= minutes * 6)
        marks.append(f'<polyline points="{points}" fill="none" {stroke}/><path d="M{left} {18 + 18 * n}h24" {stroke}/>'
                     f'<text x="{left + 32}" y="{22 + 18 * n}">{run.scenario.name}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
            f' font-size="13" fill="#111827"><rect width="100%" height="100%" fill="#ffffff"/>\n'
            + "\n".join(marks) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--svg", metavar="FILE", help="draw the waiting requests over time")
    arguments = parser.parse_args()
    runs = [Run(scenario) for scenario in SCENARIOS]
    print(table(runs))
    if arguments.svg:
        with open(arguments.svg, "w", encoding="utf-8") as file:
            file.write(chart(runs))


if __name__ == "__main__":
    main()
