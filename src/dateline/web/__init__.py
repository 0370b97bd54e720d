"""dateline over HTTP, as an extra: for now what happens, live, by WebSocket and server-sent events."""
