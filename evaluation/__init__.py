"""J, F and the tables of the benchmarks, on plain arrays. Knows no torch."""
