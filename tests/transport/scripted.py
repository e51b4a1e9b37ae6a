"""Transports that do as they are told."""

from __future__ import annotations

import httpx


def raising(error):
    def handler(request):
        raise error("x", request=request) if issubclass(error, httpx.RequestError) else error("x")

    return handler


class Streamed(httpx.AsyncByteStream):
    def __init__(self, *chunks):
        self.chunks, self.closed = chunks, False

    async def __aiter__(self):
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self):
        self.closed = True
