"""The classroom page on the loopback interface, with this Python as its engine."""

from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from refhf.lab.saddle import page_requests, saddle_page

HOST = "127.0.0.1"
LARGEST = 100_000  # bytes of a request; our choice
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; frame-ancestors 'none'",
}


def page_server(names: Sequence[str], port: int = 0) -> ThreadingHTTPServer:
    """A server of the page at /, which answers requests at /answer; port 0 takes a free one.

    Only requests that name the server by its loopback address are answered, so that no other page can ask.
    """
    page = saddle_page.served_page(names).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path.split("?")[0] != "/" or not self._at_home():
                return self.send_error(404)
            return self._send(page, "text/html; charset=utf-8")

        def do_POST(self):
            size = int(self.headers.get("Content-Length") or 0)
            if self.path != "/answer" or not self._at_home() or not 0 < size <= LARGEST:
                return self.send_error(404)
            text = self.rfile.read(size).decode(errors="replace")
            return self._send(page_requests.answer(text).encode(), "application/json")

        def _at_home(self):
            homes = [f"{host}:{server.server_port}" for host in (HOST, "localhost")]
            origin = self.headers.get("Origin")
            return self.headers.get("Host") in homes and origin in (None, *(f"http://{home}" for home in homes))

        def _send(self, content, kind):
            self.send_response(200)
            for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer((HOST, port), Handler)
    return server
