"""API keys: verify, mint, rotate, revoke, and the rules for what a key may be given."""
