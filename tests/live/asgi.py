"""As in docs/websockets.md: HTTP is Django's, and every WebSocket is judged."""

from __future__ import annotations

from datetime import timedelta

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

django_application = get_asgi_application()

# Below, because it imports models.
from pikku_auth.contrib.channels import PikkuChannelsMiddleware  # noqa: E402
from tests.sockets.consumers import WhoAmI  # noqa: E402


class Listening(WhoAmI):
    """Listens to the channel layer, too, as most consumers do."""

    channel_layer_alias = "default"


application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": PikkuChannelsMiddleware(
            URLRouter(
                [
                    path("ws/whoami/", Listening.as_asgi()),
                    path(
                        "ws/write/",
                        PikkuChannelsMiddleware(Listening.as_asgi(), scopes=["sandbox:write"]),
                    ),
                ]
            ),
            recheck=timedelta(hours=1),  # so that a socket that closes was told to
        ),
    }
)
