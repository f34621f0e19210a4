"""The paper's tables, its figures beside ours. Ours come from the records in `benchmarks/results/*.json` alone.

`declared/` says what a table is: one file each with the paper's figures and, row by row, which records are ours.
`declaration` reads it, `choosing` finds the records, `cells` averages them, `grid` lays a table out, `markdown` writes
it, `provenance` says below it what was measured on what, `orders` asks whether the paper's orders hold, `pictures`
draws, and `results` does all of it and keeps docs/results.md and docs/paper_tables.md current.
"""
