"""Follows the functions' logs, and reports the requests that limits held back."""

import contextlib
import json
import threading
from datetime import datetime, timedelta, timezone

import botocore.exceptions

# The details of the functions' log lines (functions/forgot/src/request.rs and deliver.rs).
COOLDOWN, LINKS_LIVE = "the address is within its cooldown", "the user has enough live links"


class Logs:
    """Copies the logs of a stack's functions into a file, and collects the requests that limits held back."""

    def __init__(self, logs, dynamodb, groups, table, cooldown, file):
        self.logs, self.dynamodb = logs, dynamodb
        self.groups, self.table, self.cooldown, self.file = groups, table, timedelta(seconds=cooldown), file
        self.seen, self.held_back, self.lock = {}, [], threading.Lock()

    def follow(self, running, period=0.5):
        """Polls the logs until `running` ends."""
        ended = threading.Event()
        running.callback(ended.set)

        def loop():
            while not ended.wait(period):
                with contextlib.suppress(OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                    self.poll()

        threading.Thread(target=loop, daemon=True).start()

    def poll(self):
        """Copies new events, and notes the requests that were held back."""
        for name, group in self.groups.items():
            # The last poll may have seen some events of its last millisecond, but not all of them.
            since, known = self.seen.get(group, (0, 0))
            events = self.logs.filter_log_events(logGroupName=group, startTime=since)["events"]
            if not events[known:]:
                continue
            last = events[-1]["timestamp"]
            self.seen[group] = last, sum(event["timestamp"] == last for event in events)
            with open(self.file, "a") as file:
                for event in events[known:]:
                    file.write(f"{name} {event['message'].rstrip()}\n")
                    self.note(event["message"])

    def note(self, message):
        """Adds a line for a request that was held back."""
        try:
            entry = json.loads(message)
            detail, at = entry["detail"], datetime.fromisoformat(entry["timestamp"].replace("Z", "+00:00"))
        except (ValueError, LookupError, TypeError):
            return
        reason = {COOLDOWN: self.cooldown_end, LINKS_LIVE: self.live_links}.get(detail)
        if reason:
            with self.lock:
                self.held_back.append(f"{clock(at)} held back: {reason(entry, at)}")

    def cooldown_end(self, _entry, at):
        """Describes the latest end of a cooldown at that time, because the log does not name the address."""
        requests = [time_of(row, "requested_at") for row in self.rows("request#")]
        ends = [each + self.cooldown for each in requests if each <= at < each + self.cooldown]
        return f"cooldown until {clock(max(ends))}" if ends else "cooldown"

    def live_links(self, entry, at):
        """Describes the live links to the address of the request."""
        rows = self.rows("request#")
        email = next((row["email"]["S"] for row in rows if row["request_id"]["S"] == entry["request_id"]), None)
        ends = [time_of(row, "expires_at") for row in self.rows("token#") if row["email"]["S"] == email]
        live = [each for each in ends if each > at]
        if not live:
            return "enough links are live"
        return f"{len(live)} links to {email} are live; the first expires at {clock(min(live))}"

    def rows(self, prefix):
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table)
        return [row for page in pages for row in page["Items"] if row["pk"]["S"].startswith(prefix)]

    def take(self):
        """Returns the lines so far."""
        with self.lock:
            return list(self.held_back)


def time_of(row, attribute):
    return datetime.fromtimestamp(float(row[attribute]["N"]), timezone.utc)


def clock(time):
    return time.astimezone().strftime("%H:%M:%S")
