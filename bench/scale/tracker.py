"""A tracker that knows nobody: each announce is answered, with an interval of half an hour and no peers."""
import asyncio
import sys

BODY = b"d8:intervali1800e5:peers0:e"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(BODY)


class Client(asyncio.Protocol):
    seen = 0

    def connection_made(self, transport):
        self.transport, self.rest = transport, b""

    def data_received(self, data):
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            head, self.rest = self.rest.split(b"\r\n\r\n", 1)
            if head.startswith(b"GET /seen"):
                body = str(Client.seen).encode()
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            else:
                Client.seen += 1
                self.transport.write(HEAD + BODY)


async def main():
    server = await asyncio.get_running_loop().create_server(
        Client, "127.0.0.1", int(sys.argv[1]), backlog=1000)
    await server.serve_forever()


asyncio.run(main())
