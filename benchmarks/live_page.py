"""Measure how long a lesson's first cell takes in the browser, and that no request leaves this machine.

    make site LIVE=1
    python benchmarks/live_page.py [--repeats N]

opens the first lesson of the built site in Chromium, served as by `refhf site`, and presses Run.

How to read the columns
-----------------------
cold
    Seconds from opening the page to the first cell's answer, in a new browser: the parts are loaded, compiled, started.
warm
    The same in the same browser on the next page: the parts are in the browser's cache.
again
    From pressing Run to the first cell's answer after Stop: a new interpreter of the same compiled module.
next
    From pressing Run to the answer of a cell that runs by itself.
foreign
    Requests of the page and its worker to anything else than the served site; the browser's log of the network.

The load of the machine, before and after, is printed too.
"""

import argparse
import os
import sys
import threading
import time
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "site" / "html"
PAGES = "01_r_operator", "02_gauss_newton"
sys.path.insert(0, str(ROOT / "tests"))

from test_live import Visitor  # noqa: E402

from refhf.lab.cli.site_command import SiteHandler  # noqa: E402

DONE = "document.querySelectorAll('.live-status')[{0}].textContent.startsWith('Done')"


def answered(browser, place, start):
    """Press Run of a cell; the seconds from the start to its answer."""
    browser.until(f"document.querySelectorAll('.live-run').length > {place}")
    browser.run(f"document.querySelectorAll('.live-status')[{place}].textContent = ''")
    browser.run(f"document.querySelectorAll('.live-run')[{place}].click()")
    browser.until(DONE.format(place))
    return time.perf_counter() - start


def measured(address):
    """The columns of one new browser."""
    times, requests = [], []
    with Visitor(1280, 800) as browser:
        for page in PAGES:
            start = time.perf_counter()
            browser.visit(f"{address}tutorials/{page}.html")
            times.append(answered(browser, 0, start))
            requests += browser.requests
        browser.run("run = document.querySelector('.live-run'); run.click(); run.click()")  # the second one is Stop
        browser.until("document.querySelectorAll('.live-status')[0].textContent.startsWith('Stopped')")
        times.append(answered(browser, 0, time.perf_counter()))
        times.append(answered(browser, 1, time.perf_counter()))
        foreign = [url for url in requests if not url.startswith((address, "data:", f"blob:{address}"))]
    return times, len(requests), len(foreign)


def main():
    """Print a line a repeat."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n cold  warm again  next  requests  foreign")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SiteHandler, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for _ in range(repeats):
            times, requests, foreign = measured(f"http://127.0.0.1:{server.server_port}/")
            print(*(f"{seconds:5.2f}" for seconds in times), f"{requests:9d} {foreign:8d}", flush=True)
        server.shutdown()
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
