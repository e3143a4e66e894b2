"""API keys of other services: their form, how they are issued, and the registry that checks them."""
