"""`footlights demo`: the whole pipeline on a simulated platform, from nothing to a balanced ledger."""
