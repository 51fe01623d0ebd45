"""A service of embeddings on this host: OpenAI's protocol, and a vector that counts a text's words."""

import hashlib
import math
import re

from aiohttp import web

WIDTH = 256


def embedding(text: str) -> list[float]:
    """Return the words of a text as a vector of length 1: each word adds to a place of its own, long ones more."""
    vector = [0.0] * WIDTH
    for word in re.findall(r"[a-z]{3,}", text.lower()):
        place = int.from_bytes(hashlib.sha256(word.removesuffix("s").encode()).digest()[:4], "big") % WIDTH
        vector[place] += math.log(len(word))
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]


async def embed(request: web.Request) -> web.Response:
    """Answer as the protocol has it."""
    texts = (await request.json())["input"]
    texts = [texts] if isinstance(texts, str) else texts
    print(f"embedder: {len(texts)} texts", flush=True)
    data = [{"object": "embedding", "index": i, "embedding": embedding(text)} for i, text in enumerate(texts)]
    used = sum(len(text.split()) for text in texts)
    return web.json_response(
        {"object": "list", "data": data, "usage": {"prompt_tokens": used, "total_tokens": used}}
    )


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/v1/embeddings", embed)
    web.run_app(app, host="127.0.0.1", port=8767, print=None, access_log=None)
