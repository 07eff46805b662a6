"""A stand-in for the Hugging Face Hub on 127.0.0.1, for HF_ENDPOINT: files, and what is uploaded.

It speaks what `transformers`, `datasets` and `push_to_hub` ask of the Hub, and knows its faults.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from datasets import Dataset
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

COMMIT = "c0ffee" * 6 + "c0ff"  # of every repository
TOKEN = "hf_for_tests"  # with which one may upload
MOVED = {"bert-base-uncased": "google-bert/bert-base-uncased"}  # as on the Hub
FILE = re.compile(r"/(datasets/)?(.+)/resolve/[^/]+/(.+)")
CALLS = "revision|tree|paths-info|preupload|commit"
API = re.compile(rf"/api/(models|datasets)/(.+?)(?:/({CALLS})/[^/]+(?:/(.+))?)?")
ERROR_PAGE = b"<!DOCTYPE html><html><h1>503 Service Unavailable</h1></html>"


class Hub(ThreadingHTTPServer):
    """Repositories "models/owner/name" and "datasets/owner/name", a mapping of files each."""

    daemon_threads = True

    def __init__(self, repositories: Mapping[str, Mapping[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = {name: dict(files) for name, files in repositories.items()}
        self.fault = ""  # "slow", "cut off" or "error page"
        self.asked: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self.read_body()
        self.server.asked.append(f"{self.command} {path}")
        if self.server.fault == "slow":
            time.sleep(60)
        if self.server.fault == "error page":
            self.answer(503, ERROR_PAGE, {"Content-Type": "text/html"})
        elif file := FILE.fullmatch(path):
            kind, name, inside = file.groups()
            self.send_file(f"{kind or 'models/'}{name}", inside)
        elif path.startswith("/api/"):
            self.call(path, body)
        else:
            self.refuse("EntryNotFound")

    do_HEAD = do_POST = do_GET

    def call(self, path: str, body: bytes) -> None:
        known, api = self.server.repositories, API.fullmatch(path)
        if path == "/api/validate-yaml":
            return self.answer_json({"errors": [], "warnings": []})
        is_upload = self.command == "POST" and (not api or api[3] in ("preupload", "commit"))
        if is_upload and self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, b'{"error": "Invalid username or password."}')
        if path == "/api/repos/create":
            name = "/".join(filter(None, map(json.loads(body).get, ("organization", "name"))))
            known.setdefault(f"models/{name}", {})
            return self.answer_json({"url": f"{self.server.address}/{name}", "id": name})
        name = api and f"{api[1]}/{MOVED.get(api[2], api[2])}"
        if name not in known:
            return self.refuse("RepoNotFound")
        files = known[name]
        if api[3] == "preupload":
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            self.answer_json({"files": [modes | one for one in json.loads(body)["files"]]})
        elif api[3] == "commit":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            page = f"{self.server.address}/{api[2]}/commit/{COMMIT}"
            self.answer_json({"commitOid": COMMIT, "commitUrl": page})
        elif api[3] in ("tree", "paths-info"):
            asked = {api[4]} if api[4] else set(parse_qs(body.decode()).get("paths", ()))
            found = listing(files)
            if asked:
                found = {p: row for p, row in found.items() if p in asked or parent(p) in asked}
            elif api[3] == "tree" and "recursive" not in self.path.lower():
                found = {p: row for p, row in found.items() if "/" not in p}
            self.answer_json(list(found.values())) if found else self.refuse("EntryNotFound")
        else:
            siblings = [{"rfilename": file} for file in files]
            about = {"sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            self.answer_json(about | {"id": name.split("/", 1)[1], "downloads": 0, "likes": 0})

    def send_file(self, name: str, inside: str) -> None:
        short = name.split("/", 1)[1]
        if short in MOVED:
            to = self.path.replace(short, MOVED[short], 1)
            return self.answer(307, b"", {"Location": to})
        files = self.server.repositories.get(name)
        if files is None or inside not in files:
            return self.refuse("RepoNotFound" if files is None else "EntryNotFound")
        data, status = files[inside], 200
        head = {"ETag": f'"{checksum(data)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(span[1]), min(int(span[2] or len(data)), len(data) - 1)
            head["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first : last + 1], 206
        self.answer(status, data, head)

    def refuse(self, code: str) -> None:
        self.answer(404, b'{"error": "not found"}', {"X-Error-Code": code})

    def answer_json(self, content: object) -> None:
        self.answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, data: bytes, head: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(head or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.server.fault == "cut off" and len(data) > 10_000:
            data = data[:5_000]
            self.close_connection = True
        self.wfile.write(data)

    def read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def listing(files: Mapping[str, bytes]) -> dict[str, dict]:
    """What the Hub says of each file and folder, by path."""
    rows = {
        path: {"type": "file", "path": path, "size": len(data), "oid": checksum(data)}
        for path, data in files.items()
    }
    folders = {parent(path) for path in files} - {""}
    return rows | {path: {"type": "directory", "path": path, "oid": COMMIT} for path in folders}


def parent(path: str) -> str:
    return path.rpartition("/")[0]


def checksum(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@contextmanager
def serving(repositories: Mapping[str, Mapping[str, bytes]]) -> Iterator[Hub]:
    with Hub(repositories) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield hub
        hub.shutdown()


def tiny_bert(folder: Path, texts: list[str], **sizes: int) -> dict[str, bytes]:
    """Files of a BERT of random weights, which knows the words of `texts`, as the Hub keeps it."""
    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())})
    pieces = sorted({f"##{letter}" for word in words for letter in word})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = list(dict.fromkeys([*special, *(p[2:] for p in pieces), *pieces, *words]))
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    small |= {"intermediate_size": 64, "vocab_size": len(vocabulary)} | sizes
    BertForMaskedLM(BertConfig(**small)).save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def squad_files(splits: Mapping[str, Dataset]) -> dict[str, bytes]:
    """The splits as the Hub keeps SQuAD: a parquet file each, in plain_text."""
    parts = "".join(f"  - split: {s}\n    path: plain_text/{s}-*\n" for s in splits)
    card = f"---\nconfigs:\n- config_name: plain_text\n  data_files:\n{parts}---\n"
    files = {"README.md": card.encode()}
    for split, rows in splits.items():
        rows.to_parquet(parquet := io.BytesIO())
        files[f"plain_text/{split}-00000-of-00001.parquet"] = parquet.getvalue()
    return files
