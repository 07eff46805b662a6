"""A program that answers on a port of its own, and what people ask of it."""

import asyncio
import json

from tornado.httpclient import AsyncHTTPClient

from src.apps.web.server import address, bind, serve

JSON = {"Content-Type": "application/json"}


def voter(i: int) -> str:
    return f"{i:022}"


def cookie_of(i: int) -> str:
    return f"poll_voter={voter(i)}"


class Visit:
    """Asks a running program; every status is a reply, none an error."""

    def __init__(self, url: str, client: AsyncHTTPClient):
        self.url, self.client = url, client

    async def fetch(self, path="", cookie="", headers=None, **options):
        headers = (headers or {}) | ({"Cookie": cookie} if cookie else {})
        options = {"raise_error": False, "request_timeout": 60, "follow_redirects": False} | options
        return await self.client.fetch(self.url + path, headers=headers, **options)

    async def post(self, path, what, cookie="", headers=None):
        body = what if isinstance(what, bytes) else json.dumps(what)
        return await self.fetch(path, cookie, JSON | (headers or {}), method="POST", body=body)

    async def vote(self, i: int, question: str, *choices: int, headers=None):
        asked = {"question": question, "choices": list(choices)}
        return await self.post("vote", asked, cookie_of(i), headers)

    async def stream(self, path: str, cookie: str):
        """A queue of what an event stream sends, and a function that hangs up."""
        states: asyncio.Queue = asyncio.Queue()
        text = ""

        def gather(chunk: bytes) -> None:
            nonlocal text
            text += chunk.decode()
            *events, text = text.split("\n\n")
            for event in events:
                if event.startswith("data: "):
                    states.put_nowait(json.loads(event.removeprefix("data: ")))
                elif event.startswith("event: replaced\ndata: "):
                    states.put_nowait("replaced")

        client = AsyncHTTPClient(force_instance=True)
        options = {"streaming_callback": gather, "request_timeout": 0, "raise_error": False}
        request = client.fetch(self.url + path, headers={"Cookie": cookie}, **options)
        request.add_done_callback(lambda done: done.cancelled() or done.exception())
        return states, client.close

    async def connect(self, sent: bytes):
        port = int(self.url.rstrip("/").rsplit(":", 1)[1])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        await writer.drain()
        return reader, writer


def visit(scenario, application, **options):
    """Run `await scenario(Visit)` against an application that is served with these options."""

    async def visited():
        listening = bind("127.0.0.1", 0)
        serving = asyncio.create_task(serve(application, listening, **options))
        client = AsyncHTTPClient(force_instance=True, max_clients=300)
        try:
            return await scenario(Visit(address(listening), client))
        finally:
            client.close()
            serving.cancel()

    return asyncio.run(visited())


def problem(reply) -> str:
    told = json.loads(reply.body)["problem"]
    assert told.endswith(".") and "\n" not in told and len(told) < 150
    return told


async def until(condition) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen within ten seconds")
