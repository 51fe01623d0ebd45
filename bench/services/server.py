"""A server of constant latency on a process of its own: `python -m bench.services.server <port> <milliseconds>`."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web


def main() -> None:
    port, seconds = int(sys.argv[1]), float(sys.argv[2]) / 1000
    state = {"calls": 0, "in_flight": 0, "most": 0}
    answer = (
        b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"finish_reason":"stop","message":'
        b'{"role":"assistant","content":"positive"}}],"usage":{"prompt_tokens":20,"completion_tokens":1,"total_tokens":21}}'
    )

    async def ask(request: web.Request) -> web.Response:
        state["calls"] += 1
        state["in_flight"] += 1
        state["most"] = max(state["most"], state["in_flight"])
        await request.read()
        await asyncio.sleep(seconds)
        state["in_flight"] -= 1
        return web.Response(body=answer, content_type="application/json")

    async def seen(request: web.Request) -> web.Response:
        return web.json_response(state)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", ask)
    app.router.add_get("/seen", seen)
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main()
