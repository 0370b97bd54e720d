"""Where effects are handed on to, beside the application's own functions: webhooks, and NATS JetStream. Each is an extra."""
