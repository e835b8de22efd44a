"""Google Sheets on loopback: the part of its v4 API that gspread speaks, its OAuth token endpoint, its quotas.

``with serve(Book(...)) as google: google.credentials(path)`` in a thread, or
``python -m tests.scoring.sheets_server --port 0 --credentials key.json --csv sheet.csv``, which prints its address.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import json
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.scoring.sheets_book import Book, Page, Wrong

EMAIL = "scorer@studio.iam.gserviceaccount.com"
AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/spreadsheets"


@dataclass
class Google:
    """What the server knows and does; everything may be changed while it runs."""

    books: dict[str, Book]
    reads: int = 60  # of a user in ``period`` seconds, whenever they begin
    writes: int = 60
    period: float = 60.0
    retry_after: str | None = None  # Google sends none
    role: dict[str, str] = field(default_factory=dict)  # of a book by id: writer (the default), reader or none
    token_seconds: int = 3599
    latency: float = 0.0  # s, before a request is looked at
    before: list[Callable[[str, str], None]] = field(default_factory=list)  # called with (method, path) of each request
    faults: deque[str] = field(default_factory=deque)  # for the next writes: 500, 503, html, drop, cut or lost
    read_faults: deque[str] = field(default_factory=deque)
    counts: Counter[str] = field(default_factory=Counter)  # read, write, 429, token, cells, refused
    rows_written: list[int] = field(default_factory=list)  # of each write
    tokens: dict[str, float] = field(default_factory=dict)  # until when each is good
    url: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)
    _times: dict[str, deque[float]] = field(default_factory=lambda: {"read": deque(), "write": deque()})

    def credentials(self, path: Path, kind: str = "service_account") -> Path:
        """Writes a credentials file that this server accepts."""
        held: dict[str, Any] = {"type": kind, "token_uri": f"{self.url}/token", "client_id": "1234567890"}
        if kind == "service_account":
            private, _ = keys()
            held |= {"client_email": EMAIL, "private_key": private, "private_key_id": "k1", "project_id": "studio"}
        else:
            held |= {"refresh_token": "refresh-me", "client_secret": "a-secret"}
        path.write_text(json.dumps(held))
        return path

    def address(self, book: str, gid: int | None = None) -> str:
        return f"https://docs.google.com/spreadsheets/d/{book}/edit" + ("" if gid is None else f"?gid={gid}#gid={gid}")

    def expire(self) -> None:
        """All tokens are worth nothing from now on."""
        with self.lock:
            self.tokens.clear()

    def admitted(self, what: str) -> bool:
        """Whether the quota has one left, which is then used."""
        now, times = time.monotonic(), self._times[what]
        while times and times[0] <= now - self.period:
            times.popleft()
        if len(times) >= (self.reads if what == "read" else self.writes):
            return False
        times.append(now)
        return True


@cache
def keys() -> tuple[str, bytes]:
    """(private key as PEM, public key as PEM), made once."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self._serve("read")

    def do_PUT(self) -> None:
        self._serve("write")

    def do_POST(self) -> None:
        self._serve("write")

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self, what: str) -> None:
        google = self.server.google
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        if parts.path == "/token":
            return self._token(parse_qs(body.decode()))
        if google.latency:
            time.sleep(google.latency)
        for call in list(google.before):
            call(self.command, unquote(parts.path))
        with google.lock:
            google.counts[what] += 1
            bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if google.tokens.get(bearer, 0.0) < time.monotonic():
                return self._error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
            if not google.admitted(what):
                google.counts["429"] += 1
                return self._used_up(what)
            faults = google.faults if what == "write" else google.read_faults
            fault = faults.popleft() if faults else ""
            if fault in ("500", "503"):
                return self._error(int(fault), "INTERNAL", "Internal error encountered.")
            if fault == "html":
                return self._send(502, b"<html><title>Error 502 (Server Error)!!1</title></html>", "text/html")
            if fault == "drop":
                return self._drop()
            try:
                answer = self._answer(what, unquote(parts.path), parse_qs(parts.query), body)
            except Wrong as wrong:
                google.counts["refused"] += 1
                return self._error(400, "INVALID_ARGUMENT", str(wrong))
            except KeyError:
                return self._error(404, "NOT_FOUND", "Requested entity was not found.")
            except PermissionError:
                return self._error(403, "PERMISSION_DENIED", "The caller does not have permission")
        if fault == "lost":  # done, and nobody hears of it
            return self._drop()
        return self._send(200, json.dumps(answer, ensure_ascii=False).encode(), cut=fault == "cut")

    def _answer(self, what: str, path: str, query: dict[str, list[str]], body: bytes) -> dict[str, Any]:
        google = self.server.google
        prefix = "/v4/spreadsheets/"
        if not path.startswith(prefix):
            raise KeyError(path)
        id, _, rest = path.removeprefix(prefix).partition("/")
        id, _, action = id.partition(":")
        book = google.books[id]
        role = google.role.get(id, "writer")
        if role == "none" or (what == "write" and role != "writer"):
            raise PermissionError
        held = json.loads(body) if body else {}
        if action == "batchUpdate":
            return self._restructure(book, held)
        if what == "read" and not rest:
            return book.described()
        render = query.get("valueRenderOption", ["FORMATTED_VALUE"])[0]
        if rest == "values:batchGet":
            return {"spreadsheetId": id, "valueRanges": [self._values(book, one, render) for one in query["ranges"]]}
        if rest == "values:batchUpdate":
            return self._write(book, held["data"], held["valueInputOption"])
        if rest.startswith("values/"):
            name = rest.removeprefix("values/")
            if what == "read":
                return self._values(book, name, render)
            return self._write(book, [{**held, "range": name}], query["valueInputOption"][0])
        raise KeyError(path)

    def _values(self, book: Book, full: str, render: str) -> dict[str, Any]:
        page, name = book.page(full)
        with page.lock:
            values = page.read(name, render)
        return {"range": full, "majorDimension": "ROWS", **({"values": values} if values else {})}

    def _write(self, book: Book, data: list[dict[str, Any]], option: str) -> dict[str, Any]:
        google = self.server.google
        aims = [(*book.page(one["range"]), one["values"]) for one in data]
        with book.pages[0].lock:
            for page, name, values in aims:
                page.check(name, values)  # all or nothing
            for page, name, values in aims:
                page.write(name, values, option)
        google.counts["cells"] += sum(cell is not None for _, _, values in aims for row in values for cell in row)
        google.rows_written.append(sum(len(values) for _, _, values in aims))
        return {"spreadsheetId": book.id, "totalUpdatedRows": google.rows_written[-1]}

    def _restructure(self, book: Book, held: dict[str, Any]) -> dict[str, Any]:
        for one in held["requests"]:
            if "appendDimension" in one:
                more = one["appendDimension"]
                page = next(page for page in book.pages if page.gid == more["sheetId"])
                total = sum(page.rows * page.columns for page in book.pages)
                if (
                    total + more["length"] * (page.rows if more["dimension"] == "COLUMNS" else page.columns)
                    > 10_000_000
                ):
                    raise Wrong("This action would increase the number of cells in the workbook above the limit.")
                with page.lock:
                    page.grow(*((0, more["length"]) if more["dimension"] == "COLUMNS" else (more["length"], 0)))
            elif "updateSheetProperties" in one:
                wanted = one["updateSheetProperties"]["properties"]
                page = next(page for page in book.pages if page.gid == wanted["sheetId"])
                page.title = wanted.get("title", page.title)
                size = wanted.get("gridProperties", {})
                page.grow(
                    max(0, size.get("rowCount", 0) - page.rows), max(0, size.get("columnCount", 0) - page.columns)
                )
            else:
                raise Wrong(f"Invalid requests[0]: unknown {list(one)}")
        return {"spreadsheetId": book.id, "replies": [{} for _ in held["requests"]]}

    def _token(self, form: dict[str, list[str]]) -> None:
        google = self.server.google
        google.counts["token"] += 1
        grant = form.get("grant_type", [""])[0]
        if grant == "refresh_token":
            good = form.get("refresh_token") == ["refresh-me"] and form.get("client_secret") == ["a-secret"]
        else:
            good = grant.endswith("jwt-bearer") and _signed(form.get("assertion", [""])[0])
        if not good:
            held = {"error": "invalid_grant", "error_description": "Invalid grant: account not found"}
            return self._send(400, json.dumps(held).encode())
        with google.lock:
            token = hashlib.sha256(f"{time.monotonic_ns()}".encode()).hexdigest()
            google.tokens[token] = time.monotonic() + google.token_seconds
        held = {"access_token": token, "expires_in": google.token_seconds, "token_type": "Bearer"}
        return self._send(200, json.dumps(held).encode())

    def _used_up(self, what: str) -> None:
        word, metric = ("Read", "read_requests") if what == "read" else ("Write", "write_requests")
        reason = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
            "metadata": {
                "consumer": "projects/1234567890",
                "quota_limit": f"{word}RequestsPerMinutePerUser",
                "quota_metric": f"sheets.googleapis.com/{metric}",
                "service": "sheets.googleapis.com",
            },
        }
        message = (
            f"Quota exceeded for quota metric '{word} requests' and limit '{word} requests per minute per user' of "
            "service 'sheets.googleapis.com' for consumer 'project_number:1234567890'."
        )
        self._error(429, "RESOURCE_EXHAUSTED", message, [reason])

    def _error(self, code: int, status: str, message: str, details: list[Any] | None = None) -> None:
        error: dict[str, Any] = {"code": code, "message": message, "status": status}
        if details:
            error["details"] = details
        self._send(code, json.dumps({"error": error}).encode())

    def _send(
        self, code: int, body: bytes, kind: str = "application/json; charset=UTF-8", *, cut: bool = False
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if code == 429 and self.server.google.retry_after is not None:
            self.send_header("Retry-After", self.server.google.retry_after)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._drop()

    def _drop(self) -> None:
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, google: Google) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.google = google
        google.url = f"http://127.0.0.1:{self.server_address[1]}"


def _signed(assertion: str) -> bool:
    """Whether a JWT is signed by our account's key, for Google's sign-in (whatever its address) and for sheets."""
    from google.auth import crypt

    head, _, signature = assertion.rpartition(".")
    if not crypt.verify_signature(head, base64.urlsafe_b64decode(signature + "=="), keys()[1]):
        return False
    claims = json.loads(base64.urlsafe_b64decode(head.partition(".")[2] + "=="))
    return bool(claims["iss"] == EMAIL and claims["aud"] == AUDIENCE and SCOPE in claims["scope"])


@contextmanager
def serve(*books: Book, port: int = 0, **options: Any) -> Iterator[Google]:
    google = Google({book.id: book for book in books}, **options)
    server = Server(port, google)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="google")
    thread.start()
    try:
        yield google
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--credentials", type=Path, required=True, help="where to write a service account's file")
    parser.add_argument("--csv", type=Path, required=True, help="what the sheet holds at first")
    parser.add_argument("--book", default="sheet-1", help="its id")
    parser.add_argument("--writes", type=int, default=60)
    parser.add_argument("--reads", type=int, default=60)
    parser.add_argument("--dump", type=Path, help="where to write the sheet, as CSV, each second")
    given = parser.parse_args()
    with given.csv.open(newline="", encoding="utf-8-sig") as file:
        page = Page(0, "シート1", [list(row) for row in csv.reader(file)])
    with serve(
        Book(given.book, given.csv.stem, [page]), port=given.port, writes=given.writes, reads=given.reads
    ) as google:
        google.credentials(given.credentials)
        lines = f"ORIMONO_GOOGLE_SHEETS_URL={google.url}", f"ORIMONO_GOOGLE_CREDENTIALS={given.credentials}"
        sys.stdout.write("\n".join([*lines, google.address(given.book, 0)]) + "\n")
        sys.stdout.flush()
        try:
            while True:
                time.sleep(1)
                if given.dump:
                    with page.lock, given.dump.open("w", newline="") as file:
                        csv.writer(file).writerows(row for row in page.cells if any(cell != "" for cell in row))
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
