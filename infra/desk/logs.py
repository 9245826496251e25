"""Follows the functions' logs, and says which requests the limits held back."""

import contextlib
import json
import threading
from datetime import datetime, timedelta, timezone

import botocore.exceptions

COOLING, LINKS_ALIVE = "the address is cooling", "enough links to the address are alive"


class Logs:
    """What the functions of a stack log, copied into a file, and what of it says that a request was held back."""

    def __init__(self, logs, dynamodb, groups, table, cooldown, file):
        self.logs, self.dynamodb = logs, dynamodb
        self.groups, self.table, self.cooldown, self.file = groups, table, timedelta(seconds=cooldown), file
        self.seen, self.held_back, self.lock = {}, [], threading.Lock()

    def follow(self, running, period=0.5):
        """Looks again and again until `running` ends."""
        ended = threading.Event()
        running.callback(ended.set)

        def look_again():
            while not ended.wait(period):
                with contextlib.suppress(OSError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                    self.look()

        threading.Thread(target=look_again, daemon=True).start()

    def look(self):
        """Copies what is new, and remembers which requests were held back."""
        for name, group in self.groups.items():
            # Those of the last millisecond may have been there already, and others may have come since.
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
        reason = {COOLING: self.cooling, LINKS_ALIVE: self.links_alive}.get(detail)
        if reason:
            with self.lock:
                self.held_back.append(f"{clock(at)} held back: {reason(entry, at)}")

    def cooling(self, _entry, at):
        """The log names no address, so this names the end of the longest cooldown of then."""
        asked = [time_of(row, "requested_at") for row in self.rows("request#")]
        ends = [each + self.cooldown for each in asked if each <= at < each + self.cooldown]
        return f"cooldown until {clock(max(ends))}" if ends else "cooldown"

    def links_alive(self, entry, at):
        rows = self.rows("request#")
        email = next((row["email"]["S"] for row in rows if row["request_id"]["S"] == entry["request_id"]), None)
        ends = [time_of(row, "expires_at") for row in self.rows("token#") if row["email"]["S"] == email]
        alive = [each for each in ends if each > at]
        return f"{len(alive)} links to {email} are alive, the first until {clock(min(alive))}" if alive else "enough links are alive"

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
