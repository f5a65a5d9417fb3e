"""What the tests connect to."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from pikku_auth.contrib.channels import revalidate
from pikku_auth.decorators import any_key
from pikku_auth.exceptions import Refused

WISHES = {"am I good?": [], "may I write?": ["sandbox:write"]}


@any_key
class WhoAmI(AsyncJsonWebsocketConsumer):
    """Says who has come, echoes what it gets, and remembers how it ended."""

    channel_layer_alias = "none of its own"
    ended: ClassVar[list[int]] = []

    async def connect(self) -> None:
        await self.accept()
        principal, user = self.scope["principal"], self.scope["user"]
        await self.send_json(
            {
                "user": user.get_username() or None,
                "via": principal and principal.via,
                "scopes": principal and principal.scopes,
                "claims": principal and dict(principal.claims),
                "subprotocols": self.scope["subprotocols"],
                "headers": [name.decode() for name, _ in self.scope["headers"]],
            }
        )

    async def receive_json(self, content: Any, **_: Any) -> None:
        if content == "die":
            raise RuntimeError("as it was told to")
        if content in WISHES:
            try:
                content = (await revalidate(self.scope, *WISHES[content])).via
            except (Refused, ValueError) as error:
                content = str(error)
        await self.send_json(content)

    async def disconnect(self, code: int) -> None:
        self.ended.append(code)


@any_key
class Chooser(AsyncJsonWebsocketConsumer):
    """Chooses a subprotocol by itself."""

    async def connect(self) -> None:
        await self.accept("graphql-transport-ws")


@any_key
class Deaf(AsyncJsonWebsocketConsumer):
    """Accepts and then hears nothing, not even that it has to end."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await receive()
            await send({"type": "websocket.send", "text": "still here"})


class Closing(WhoAmI):
    """Closes the socket when it is told to, and doesn't leave before the client has gone."""

    async def receive_json(self, content: Any, **_: Any) -> None:
        assert content == "close"
        await self.close(4000)


@any_key
class Staying(AsyncJsonWebsocketConsumer):
    """Stays for a moment when the client has gone."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await asyncio.sleep(0.2)
