from graphkit.protocol.message import Request


def test_x(virtual, connected, far_end):
    end = far_end(lambda a: (200, {"x-ms-resource-unit": "0"}, {}))
    _, client = connected(end)

    async def main():
        for _ in range(2):
            r = await client.batch([Request(method="GET", path=f"/users/{n}") for n in range(3)])
        return r

    print(virtual(main()))
