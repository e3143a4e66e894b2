"""The credits table of the contract: each view checks a shape, calls one verb of the ledger, and answers."""
