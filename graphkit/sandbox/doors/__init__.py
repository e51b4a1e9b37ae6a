"""The ways into the tenant: in process, over HTTP/1.1 and over HTTP/2."""
