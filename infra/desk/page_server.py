"""Serves infra/page, its settings, and the mailbox beside it."""

import functools
import http.server
import json
import sys
import threading
import urllib.parse

import guard
from stop import ROOT

PAGE = ROOT / "infra/page"
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".json": "application/json"}
# Where the page's "Sign in" leads on a desk.
SIGN_IN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="page.css">
<p class="card">Your application's sign-in page would be here. <a href="/">Back to the desk's page</a>.</p></html>
"""


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # the tests read the mailbox from many tasks at once

    def handle_error(self, request, client_address):
        """A browser that closes a tab ends its connections as it likes. Only our own errors deserve a traceback."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(port, settings, api_url, messages, held_back, running):
    """Starts the server, which ends with `running`.

    The page reads the mailbox from here, because the local AWS rejects every request from a page. `messages` returns the
    emails as the local AWS does, and `held_back` what the limits held back, line by line.
    """
    policy = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; frame-src 'self'; "
              f"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; connect-src 'self' {api_url}")
    config = f"export const config = {json.dumps({**settings, 'api': api_url, 'mailbox': '/mailbox'})};\n"

    def mailbox():
        return json.dumps({**messages(), "held_back": held_back()}).encode()

    def email(message_id):
        """The HTML part of an email. Its links open in the whole tab."""
        everyone = (mail for account in messages()["messages"].values() for mail in account)
        body = next((mail["BodyHtml"] for mail in everyone if mail["MessageId"] == message_id), None)
        return body and body.replace("<head>", '<head><base target="_top">', 1).encode()

    def content_of(path):
        """Returns the type, the content, and the policy for a path, or None."""
        if path == "/config.js":
            return TYPES[".js"], config.encode(), policy
        if path == "/mailbox":
            return TYPES[".json"], mailbox(), policy
        if path.startswith("/mailbox/"):
            found = email(urllib.parse.unquote(path.removeprefix("/mailbox/")))
            return found and (TYPES[".html"], found, EMAIL_POLICY)
        if path == "/sign-in":
            return TYPES[".html"], SIGN_IN.encode(), policy
        name = "index.html" if path == "/" else path[1:]
        for file in PAGE.iterdir():
            if file.name == name:
                return TYPES[file.suffix], file.read_bytes(), policy
        return None

    server = Server(("127.0.0.1", port), functools.partial(Handler, content_of))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    running.callback(server.server_close)
    running.callback(server.shutdown)


# No script, nothing from elsewhere: only what the email itself holds.
EMAIL_POLICY = ("default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'; "
                "sandbox allow-same-origin allow-top-navigation-by-user-activation")


class Handler(guard.Handler):
    protocol_version = "HTTP/1.1"
    pages_allowed = True  # links in emails lead here from pages of other sites

    def __init__(self, content_of, *arguments):
        self.content_of = content_of
        super().__init__(*arguments)

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith(("/config.js", "/mailbox")) and self.is_from_another_page():
            return self.send_error(403, explain="Only the page itself may read this.")
        found = self.content_of(path)
        kind, content, policy = found or ("text/plain; charset=utf-8", b"There is no such page.\n", "default-src 'none'")
        self.send_response(200 if found else 404)
        for name, value in (
                ("Content-Type", kind), ("Content-Length", str(len(content))), ("Cache-Control", "no-store"),
                ("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer"),
                ("X-Content-Type-Options", "nosniff")):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET

    def is_from_another_page(self):
        """The page's own reads are same-origin and have no Origin header; "none" is a person at the address bar."""
        site = self.headers.get("Sec-Fetch-Site", "none")
        own = f"http://{self.headers.get('Host')}"
        return self.headers.get("Origin", own) != own or site not in ("same-origin", "none")

    def log_message(self, *_):
        pass  # a request line holds a token
