"""A translation service on this host: Azure Translator's protocol (2026-06-06), and a dictionary."""

import os
import re

from aiohttp import web

WORDS = {
    "welcome": "willkommen", "the": "das", "house": "Haus", "is": "ist", "small": "klein", "and": "und", "garden": "Garten", "large": "groß",
    "open": "öffne", "read": "lies", "it": "es", "tree": "Baum", "old": "alt", "water": "Wasser", "cold": "kalt", "help": "Hilfe",
    "first": "zuerst", "answer": "Antwort", "good": "gut",
}  # fmt: skip


def translated(text: str) -> str:
    """Return a text word by word; what is no word of the dictionary stays, marks among them."""

    def word(found: re.Match[str]) -> str:
        made = WORDS.get(found[0].lower(), found[0])
        return made[0].upper() + made[1:] if found[0][0].isupper() else made

    return re.sub(r"[A-Za-z]+", word, text)


async def translate(request: web.Request) -> web.Response:
    """Answer as the service does."""
    if request.headers.get("Ocp-Apim-Subscription-Key") != os.environ.get("TRANSLATOR_KEY"):
        return web.json_response(
            {"error": {"code": "401000", "message": "The key is not valid."}}, status=401
        )
    asked = (await request.json())["inputs"]
    print(f"translator: {len(asked)} texts", flush=True)
    answers = [
        {"translations": [{"language": one["targets"][0]["language"], "text": translated(one["text"])}]}
        for one in asked
    ]
    return web.json_response({"value": answers})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/translate", translate)
    web.run_app(app, host="127.0.0.1", port=8765, print=None, access_log=None)
