"""A look at something again and again, in a thread of its own, while something else happens to it."""

from __future__ import annotations

import threading


class Polling:
    """Calls `look` until the block is left; what it sees is its own business."""

    between = 0.1

    def __enter__(self):
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(60)

    def _run(self):
        while not self._over.wait(self.between):
            self.look()
