"""The same credential for other HTTP and WebSocket libraries, for those who have them."""
