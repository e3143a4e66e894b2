"""The contract's credits table: each view checks the request's shape, calls one verb of the ledger, and answers."""
