"""The load balancer's side: HAProxy, kept fresh from what the service says of its endpoints."""
