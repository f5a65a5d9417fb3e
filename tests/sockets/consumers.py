"""What the tests connect to."""

from __future__ import annotations

from typing import Any, ClassVar

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from pikku_auth.contrib.channels import recheck
from pikku_auth.exceptions import Refused


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
        if content == "am I good?":
            try:
                content = (await recheck(self.scope)).via
            except (Refused, ValueError) as error:
                content = str(error)
        await self.send_json(content)

    async def disconnect(self, code: int) -> None:
        self.ended.append(code)


class Chooser(AsyncJsonWebsocketConsumer):
    """Chooses a subprotocol by itself."""

    async def connect(self) -> None:
        await self.accept("graphql-transport-ws")


class Deaf(AsyncJsonWebsocketConsumer):
    """Accepts and then hears nothing, not even that it has to end."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await receive()
            await send({"type": "websocket.send", "text": "still here"})
