"""Serves infra/page, its settings, and the mailbox."""

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
# The page to which "Sign in" leads on a desk.
SIGN_IN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="page.css">
<p class="card">Your application's sign-in page would be here. <a href="/">Back to the desk's page</a>.</p></html>
"""


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # the tests read the mailbox from many tasks at once

    def handle_error(self, request, client_address):
        """Prints a traceback, except when a browser closed a connection, as closing a tab does."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(port, settings, api_url, messages, held_back, running):
    """Starts the server, which ends with `running`.

    The page reads the mailbox from here, because the local AWS rejects every request from a page. `messages` returns
    emails in the local AWS's format, and `held_back` returns a line for each request that a limit held back.
    """
    policy = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; frame-src 'self'; "
              f"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; connect-src 'self' {api_url}")
    config = f"export const config = {json.dumps({**settings, 'api': api_url, 'mailbox': '/mailbox'})};\n"

    def mailbox():
        return json.dumps({**messages(), "held_back": held_back()}).encode()

    def email(message_id):
        """Returns the HTML part of an email, or None. Its links open in the whole tab."""
        emails = (each for account in messages()["messages"].values() for each in account)
        body = next((each["BodyHtml"] for each in emails if each["MessageId"] == message_id), None)
        return body and body.replace("<head>", '<head><base target="_top">', 1).encode()

    def content_of(path):
        """Returns the type, the content, and the policy for a path, or None."""
        if path == "/config.js":
            return TYPES[".js"], config.encode(), policy
        if path == "/mailbox":
            return TYPES[".json"], mailbox(), policy
        if path.startswith("/mailbox/"):
            body = email(urllib.parse.unquote(path.removeprefix("/mailbox/")))
            return body and (TYPES[".html"], body, EMAIL_POLICY)
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


# No scripts, and nothing from other hosts: only the content of the email itself.
EMAIL_POLICY = ("default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'; "
                "sandbox allow-same-origin allow-top-navigation-by-user-activation")


class Handler(guard.Handler):
    protocol_version = "HTTP/1.1"
    pages_allowed = True  # links in emails lead here from other sites

    def __init__(self, content_of, *arguments):
        self.content_of = content_of
        super().__init__(*arguments)

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path.startswith(("/config.js", "/mailbox")) and self.is_from_another_page():
            return self.send_error(403, explain="Only the page itself may read this.")
        found = self.content_of(path)
        kind, content, policy = found or ("text/plain; charset=utf-8", b"Page not found.\n", "default-src 'none'")
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
        """Returns whether a page of another origin made the request.

        The page's own requests are same-origin and have no Origin header. "none" means the address bar.
        """
        site = self.headers.get("Sec-Fetch-Site", "none")
        own = f"http://{self.headers.get('Host')}"
        return self.headers.get("Origin", own) != own or site not in ("same-origin", "none")

    def log_message(self, *_):
        pass  # a request line can contain a token
