"""Device login (RFC 8628): the device asks for codes, a human approves, the device gets a token."""
