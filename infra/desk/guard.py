"""Rejects the requests that a web page could send to the local AWS through the developer's browser.

Listening on loopback does not keep web pages out. Any page that a developer visits can send requests to 127.0.0.1, and
the local AWS runs the code that it receives. Two rules hold for every server that `make dev` and `make test` start:

- The Host header names this machine. A page that rebinds its own name to 127.0.0.1 still sends that name.
- The request does not come from a web page. Browsers add Origin or Sec-Fetch-Site, and AWS clients add neither.

The HTTP API is exempt from the second rule, because pages are its clients: its CORS settings decide. The page server is
exempt for the files of the page, because links in emails lead to them.
"""

import http.server
import re

# Every name of this machine that clients use. The SDKs, the AWS CLI, SAM, and the functions send the host of
# AWS_ENDPOINT_URL, which is 127.0.0.1. People and pages use localhost. The last name selects an API by its ID.
OUR_HOSTS = r"localhost|127\.0\.0\.1|\[::1\]|[a-z0-9]+\.execute-api\.localhost"
SENT_BY_PAGES = {"origin", "sec-fetch-site"}


def rejection(port, target, headers, pages_allowed=False):
    """Returns the reason to reject a request to a port, or None. `headers` are pairs of strings."""
    headers = [(name.lower(), value) for name, value in headers]
    hosts = [value for name, value in headers if name == "host"]
    # Clients omit port 80 from the Host header (RFC 9110 section 4.2.1).
    suffix = "(:80)?" if port == 80 else f":{port}"
    if len(hosts) != 1 or not re.fullmatch(f"({OUR_HOSTS}){suffix}", hosts[0], re.IGNORECASE | re.ASCII):
        return f"The Host header must name this machine and port {port}."
    # The host of an absolute target overrides the Host header (RFC 9112 section 3.2.2).
    if not target.startswith("/"):
        return "The request target must be a path."
    if not pages_allowed and any(name in SENT_BY_PAGES for name, _ in headers):
        return "Web pages may not call the local AWS."
    return None


class Handler(http.server.BaseHTTPRequestHandler):
    """Rejects such requests before it looks for a method."""

    pages_allowed = False

    def parse_request(self):
        if not super().parse_request():
            return False
        reason = rejection(self.server.server_address[1], self.path, self.headers.items(), self.pages_allowed)
        if reason:
            self.send_error(403, explain=reason)
        return not reason


def guarded(app, api_port):
    """Wraps an ASGI app. Rejects such requests with 403, and all WebSockets on the HTTP API's port."""

    async def guarded_app(scope, receive, send):
        if scope["type"] not in ("http", "websocket"):
            return await app(scope, receive, send)
        port, is_socket = scope["server"][1], scope["type"] == "websocket"
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        reason = rejection(port, scope["raw_path"].decode("latin-1"), headers, port == api_port)
        if port == api_port and is_socket:
            reason = "An HTTP API has no WebSockets."
        if not reason:
            return await app(scope, receive, send)
        if is_socket:
            await receive()
            return await send({"type": "websocket.close"})  # closed before it is accepted, so the client gets a 403
        text = f"{reason}\n".encode()
        await send({"type": "http.response.start", "status": 403, "headers": [
            (b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]})
        await send({"type": "http.response.body", "body": text})

    return guarded_app
