"""What every HTTP integration shares: the caller, the error response, who may come from where."""
